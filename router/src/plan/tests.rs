use std::num::NonZeroUsize;

use http::HeaderMap;
use nanogrid_settings::{Task, VersionLabel, package::Promise};

use super::*;
use crate::request::{MergePolicy, Payload, VersionChoice};

const SECOND: Duration = Duration::from_secs(1);

/// `intent` has a canary; `language` a timeout; one expert each for images and for tensors.
fn grid() -> Grid {
    let versions = [(1, 9_000, Some(VersionLabel::Stable)), (2, 1_000, Some(VersionLabel::Canary))];
    let only = [(1, 10_000, None)];
    Grid::of([
        Expert::of("digits", Task::ImageClassification, &only),
        Expert::of("intent", Task::TextClassification, &versions),
        Expert {
            timeout: Some(Duration::from_millis(20)),
            ..Expert::of("language", Task::TextClassification, &[(3, 10_000, None)])
        },
        Expert::of("numbers", Task::Tensor, &only),
        Expert::of("sentiment", Task::TextClassification, &only),
    ])
}

fn request(experts: &[&str]) -> Request {
    Request {
        id: String::new(),
        payload: Payload::Text("move money".to_owned()),
        instruction: String::new(),
        experts: experts.iter().map(|name| (*name).to_owned()).collect(),
        max_experts: None,
        min_confidence: None,
        top_k: None,
        merge: MergePolicy::All,
        split: Split { version: None, key: SplitKey::Random(7) },
        criticality: Default::default(),
        deadline: Instant::now(),
        forwarded: HeaderMap::new(),
    }
}

fn image() -> Request {
    Request { payload: Payload::Image(bytes::Bytes::from_static(b"x")), ..request(&[]) }
}

fn at_most(max_experts: usize, request: Request) -> Request {
    Request { max_experts: NonZeroUsize::new(max_experts), ..request }
}

fn version(choice: VersionChoice, request: Request) -> Request {
    Request { split: Split { version: Some(choice), ..request.split.clone() }, ..request }
}

/// Half as sure as of the best is sure enough, and nobody is asked from 0.3 on; `none` stands for nobody.
fn ranked(scores: &[(&str, f32)]) -> Scores {
    let none_idx = scores.iter().position(|(label, _)| *label == "none").unwrap_or(usize::MAX);
    let experts = scores.iter().filter(|(label, _)| *label != "none").map(|(_, score)| *score);
    let best = experts.fold(0.0, f32::max);
    Scores::Ranked(Ranked {
        version: 4,
        promise: Promise { alpha: 0.02, threshold: 0.5, out_of_scope: 0.3 },
        labels: scores.iter().map(|(label, _)| (*label).to_owned()).collect(),
        none_idx,
        scores: scores.iter().map(|(_, score)| *score).collect(),
        best,
        out_of_scope: scores.get(none_idx).map_or(0.0, |(_, score)| *score) * (1.0 - best),
    })
}

fn within(time_left: Duration, request: Request, scores: &Scores, grid: &Grid) -> Result<Plan, Error> {
    let now = Instant::now();
    let rules = Rules { max_experts: 3, escalate_to: None };
    make(&Request { deadline: now + time_left, ..request }, scores, grid, &rules, now)
}

/// The verdict, and per call the expert with its version.
#[track_caller]
fn check(request: Request, scores: &Scores, verdict: Verdict, calls: &[(&str, u32)]) -> Plan {
    let plan = within(SECOND, request, scores, &grid()).unwrap();
    let actual = plan.calls.iter().map(|call| (call.expert.name.as_str(), call.version().number));
    assert_eq!((plan.decision.verdict, actual.collect::<Vec<_>>()), (verdict, calls.to_vec()));
    plan
}

#[track_caller]
fn check_error(request: Request, scores: &Scores, message: &str) {
    let error = within(SECOND, request, scores, &grid()).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn the_classifier_chooses_who_is_nearly_as_sure_as_the_best() {
    let scores = ranked(&[("sentiment", 0.6), ("intent", 1.0), ("language", 0.49), ("none", 0.1)]);
    let plan = check(request(&[]), &scores, Verdict::FanOut, &[("intent", 1), ("sentiment", 1)]);
    let whys: Vec<_> = plan.decision.candidates.iter().map(|candidate| candidate.why).collect();
    let (confident, unsure) = (Why::Confident { threshold: 0.5 }, Why::Unsure { threshold: 0.5 });
    assert_eq!(whys, [confident, confident, unsure]);
    let classified = Classified { version: 4, out_of_scope: 0.0, alpha: Some(0.02) };
    assert_eq!(plan.decision.classified, Some(classified));

    check(request(&[]), &ranked(&[("intent", 0.2), ("sentiment", 0.09)]), Verdict::Single, &[("intent", 1)]);
    check(request(&[]), &ranked(&[("intent", 0.4), ("none", 0.9)]), Verdict::Abstain, &[]);
    check(request(&[]), &ranked(&[]), Verdict::Abstain, &[]);
}

#[test]
fn labels_that_are_no_experts_for_texts_are_nobody_to_ask() {
    let scores = ranked(&[("weather", 0.99), ("digits", 0.98), ("numbers", 0.97), ("sentiment", 0.6)]);
    let plan = check(request(&[]), &scores, Verdict::Single, &[("sentiment", 1)]);
    assert_eq!(plan.decision.candidates.len(), 1);
}

#[test]
fn a_request_that_looks_like_nobodys_is_held_back_however_it_scores() {
    let scores = ranked(&[("intent", 0.5), ("sentiment", 0.2), ("none", 0.62)]);
    let plan = check(request(&[]), &scores, Verdict::Abstain, &[]);
    let why = "the request is more than 0.30 likely to be for nobody here";
    assert_eq!(plan.decision.why, why);
    let outside = Why::OutOfScope { threshold: 0.3 };
    assert!(plan.decision.candidates.iter().all(|candidate| candidate.why == outside));
    check(request(&[]), &ranked(&[("intent", 0.5), ("none", 0.6)]), Verdict::Single, &[("intent", 1)]);
    // A bar of the request's own is all there is.
    let own = Request { min_confidence: Some(0.5), ..request(&[]) };
    let plan = check(own, &scores, Verdict::Single, &[("intent", 1)]);
    assert_eq!(plan.decision.classified.unwrap().alpha, None);
}

#[test]
fn an_expert_that_the_grid_does_without_is_named_when_the_request_is_for_it() {
    let plan = check(
        request(&[]),
        &ranked(&[("weather", 0.7), ("intent", 0.2), ("rain", 0.6)]),
        Verdict::Abstain,
        &[],
    );
    assert_eq!(plan.decision.why, "the classifier is 0.70 sure of `weather`, which this grid does not serve");
    check(request(&[]), &ranked(&[("weather", 0.7), ("intent", 0.6)]), Verdict::Single, &[("intent", 1)]);
    let sure = Request { min_confidence: Some(0.75), ..request(&[]) };
    let plan = check(sure, &ranked(&[("weather", 0.7), ("intent", 0.6)]), Verdict::Abstain, &[]);
    assert_eq!(plan.decision.why, "the classifier is not 0.75 sure of any expert");
}

#[test]
fn only_what_the_classifier_finds_nobody_for_is_escalated() {
    let escalated = |to: &str, request: Request, scores: &Scores| {
        let now = Instant::now();
        let rules = Rules { max_experts: 3, escalate_to: Some(to.parse().unwrap()) };
        let plan =
            make(&Request { deadline: now + SECOND, ..request }, scores, &grid(), &rules, now).unwrap();
        let asked = plan.calls.iter().map(|call| call.expert.name.to_string()).collect::<Vec<_>>();
        (plan.decision.verdict, asked, plan.decision.why)
    };
    let nobody = ranked(&[("intent", 0.2), ("none", 0.9)]);
    let (verdict, asked, why) = escalated("language", request(&[]), &nobody);
    assert_eq!((verdict, asked), (Verdict::Escalate, vec!["language".to_owned()]));
    assert!(why.ends_with("likely to be for nobody here; `language` is asked instead"), "{why}");
    let (verdict, asked, why) = escalated("digits", request(&[]), &nobody);
    assert_eq!((verdict, asked), (Verdict::Abstain, vec![]));
    assert!(why.ends_with("`digits`, which it would go to, is no expert for text in this grid"), "{why}");

    let (verdict, asked, _why) = escalated("language", request(&[]), &ranked(&[("intent", 0.9)]));
    assert_eq!((verdict, asked), (Verdict::Single, vec!["intent".to_owned()]));
    let late = Scores::Unavailable { why: "too late".to_owned() };
    assert_eq!(escalated("language", request(&[]), &late).0, Verdict::Unavailable);
    let audio = Request { payload: Payload::Audio(bytes::Bytes::from_static(b"x")), ..request(&[]) };
    assert_eq!(escalated("language", audio, &Scores::Modality).0, Verdict::Abstain);
}

#[test]
fn no_more_experts_are_asked_than_wanted() {
    let scores = ranked(&[("sentiment", 0.7), ("intent", 0.9), ("language", 0.8)]);
    let plan = check(at_most(2, request(&[])), &scores, Verdict::FanOut, &[("intent", 1), ("language", 3)]);
    assert_eq!(plan.decision.candidates[2].why, Why::Crowded { max_experts: 2 });
    check(
        at_most(usize::MAX, request(&[])),
        &scores,
        Verdict::FanOut,
        &[("intent", 1), ("language", 3), ("sentiment", 1)],
    );
    check(
        at_most(1, request(&["sentiment", "intent"])),
        &Scores::Named,
        Verdict::Single,
        &[("sentiment", 1)],
    );
}

#[test]
fn the_requests_confidence_wins_over_the_calibrated_one() {
    let scores = ranked(&[("intent", 0.9), ("sentiment", 0.2)]);
    let wants = |min_confidence| Request { min_confidence: Some(min_confidence), ..request(&[]) };
    check(wants(0.95), &scores, Verdict::Abstain, &[]);
    check(wants(0.0), &scores, Verdict::FanOut, &[("intent", 1), ("sentiment", 1)]);
}

#[test]
fn the_client_names_experts_in_its_own_order_and_beyond_the_default() {
    let plan = check(
        request(&["sentiment", "language", "intent"]),
        &Scores::Named,
        Verdict::FanOut,
        &[("sentiment", 1), ("language", 3), ("intent", 1)],
    );
    assert!(plan.decision.candidates.iter().all(|candidate| candidate.confidence == 1.0));
    assert_eq!(plan.decision.decided_by, DecidedBy::Client);
}

#[test]
fn an_expert_that_cannot_be_asked_is_an_error() {
    let known = "`digits`, `intent`, `language`, `numbers`, `sentiment`";
    let unknown = format!("there is no expert `weather` in this grid: choose from {known}");
    check_error(request(&["intent", "weather"]), &Scores::Named, &unknown);
    let kind = "experts: names `digits`, which takes images, and the payload is text";
    check_error(request(&["digits"]), &Scores::Named, kind);
    let tensors = "experts: names `numbers`, which takes tensors: ask it over the Open Inference Protocol";
    check_error(request(&["numbers"]), &Scores::Named, tensors);
}

#[test]
fn the_kind_of_payload_chooses_without_a_classifier() {
    let plan = check(image(), &Scores::Modality, Verdict::Single, &[("digits", 1)]);
    assert_eq!(plan.decision.decided_by, DecidedBy::Modality);
    let audio = Request { payload: Payload::Audio(bytes::Bytes::from_static(b"x")), ..request(&[]) };
    check(audio, &Scores::Modality, Verdict::Abstain, &[]);
}

#[test]
fn without_a_classifier_nobody_is_asked_and_that_is_no_abstention() {
    let plan =
        check(request(&[]), &Scores::Unavailable { why: "too late".to_owned() }, Verdict::Unavailable, &[]);
    assert_eq!(plan.decision.why, "too late; name the experts to ask, that works without it");
}

#[test]
fn a_version_that_is_asked_for_is_taken_or_missed() {
    let two = VersionChoice::Number(2);
    let (stable, canary) = (VersionLabel::Stable, VersionLabel::Canary);
    let named = |choice| version(choice, request(&["intent"]));
    check(named(two), &Scores::Named, Verdict::Single, &[("intent", 2)]);
    check(named(VersionChoice::Label(canary)), &Scores::Named, Verdict::Single, &[("intent", 2)]);
    check(named(VersionChoice::Label(stable)), &Scores::Named, Verdict::Single, &[("intent", 1)]);
    let unknown = "expert `intent` has no version `3`: choose from `1`, `2`";
    check_error(named(VersionChoice::Number(3)), &Scores::Named, unknown);
    let unknown = "expert `language` has no version `2`: choose from `3`";
    check_error(version(two, request(&["language"])), &Scores::Named, unknown);
}

#[test]
fn keys_split_by_weight_and_stay() {
    let seen = |key: String| {
        let split = Split { version: None, key: SplitKey::Sticky(key) };
        let request = Request { split, ..request(&["intent"]) };
        let plan = within(SECOND, request, &Scores::Named, &grid()).unwrap();
        plan.calls[0].version().number
    };
    let n_canary = (0..1_000).filter(|key| seen(key.to_string()) == 2).count();
    // A tenth, give or take five standard deviations.
    assert!(n_canary.abs_diff(100) < 48, "{n_canary}");
    assert_eq!(seen("anna".to_owned()), seen("anna".to_owned()));
}

#[test]
fn a_call_gets_what_is_left_less_a_reserve_and_never_more_than_its_expert_allows() {
    let limits = |time_left| {
        let plan = within(time_left, request(&["intent", "language"]), &Scores::Named, &grid())?;
        Ok::<_, Error>(plan.calls.iter().map(|call| call.limit).collect::<Vec<_>>())
    };
    let ms = Duration::from_millis;
    assert_eq!(limits(ms(1_000)).unwrap(), [ms(950), ms(20)]);
    assert_eq!(limits(ms(11)).unwrap(), [ms(10), ms(10)]);
    assert!(matches!(limits(ms(1)), Err(Error::Expired)));
    assert!(matches!(limits(Duration::ZERO), Err(Error::Expired)));
}

/// Who stands in, in words.
#[track_caller]
fn check_substitutes(request: Request, fallback: Vec<grid::Fallback>, expected: &[&str]) {
    let versions = [(1, 9_999, Some(VersionLabel::Stable)), (2, 1, Some(VersionLabel::Canary))];
    let policy = grid::Policy { fallback, ..Default::default() };
    let grid = Grid::of([
        Expert { policy, ..Expert::of("intent", Task::TextClassification, &versions) },
        Expert::of("intent-small", Task::TextClassification, &[(7, 10_000, None)]),
    ]);
    let plan = within(SECOND, request, &Scores::Named, &grid).unwrap();
    let call = &plan.calls[0];
    let words = call.substitutes.iter().map(|substitute| match substitute {
        Substitute::Version(idx) => format!("version {}", call.expert.versions[*idx].number),
        Substitute::Expert(expert, idx) => format!("{} {}", expert.name, expert.versions[*idx].number),
        Substitute::Label(label) => label.clone(),
    });
    assert_eq!(words.collect::<Vec<_>>(), expected);
}

#[test]
fn who_stands_in_is_as_the_grid_file_says_and_never_the_version_itself() {
    let chain = || {
        vec![
            grid::Fallback::Version(1),
            grid::Fallback::Expert("intent-small".parse().unwrap()),
            grid::Fallback::Label("unknown".to_owned()),
        ]
    };
    let intent = || request(&["intent"]);
    check_substitutes(intent(), vec![], &[]);
    check_substitutes(intent(), chain(), &["intent-small 7", "unknown"]);
    let canary = version(VersionChoice::Number(2), intent());
    check_substitutes(canary.clone(), vec![], &[]);
    check_substitutes(canary, chain(), &["version 1", "intent-small 7", "unknown"]);
}

#[test]
fn the_stable_version_stands_in_for_a_canary_that_nobody_asked_for() {
    // A key that the one basis point of the canary falls to.
    let versions = [(1, 9_999, Some(VersionLabel::Stable)), (2, 1, Some(VersionLabel::Canary))];
    let expert = Expert::of("intent", Task::TextClassification, &versions);
    let key = (0_u64..).find(|key| expert.traffic.pick(&key.to_le_bytes()) == 1).unwrap();
    let split = Split { version: None, key: SplitKey::Random(key) };
    check_substitutes(Request { split, ..request(&["intent"]) }, vec![], &["version 1"]);
}
