use k8s_openapi::api::core::v1::ConfigMap;
use nanogrid_rollout::{Arms, Phase, Seen, Tally};

use super::*;
use crate::rollout::{
    joint::object::{changes, contents, key_of},
    state::State,
};

/// The object as the API keeps it: every write makes a new version of it.
struct Api {
    contents: BTreeMap<String, String>,
    version: u64,
}

impl Api {
    fn start() -> Self {
        let mut kept = State::sample().rollouts.into_values().next().expect("one");
        // Live, at 1 %.
        kept.rollout.phase = Phase::Running { step: 1 };
        let mut record = Record { leader: String::new(), kept };
        Self { contents: contents(record.write().expect("written")), version: 1 }
    }

    fn object(&self) -> Object {
        let mut object = ConfigMap { data: Some(self.contents.clone()), ..ConfigMap::default() };
        object.metadata.resource_version = Some(self.version.to_string());
        Object::read(object).expect("ours")
    }

    fn publish(&mut self, trial: &mut Trial, now: Instant) {
        let publication = trial.publication(Duration::ZERO, now).expect("due");
        let key = key_of(&trial.me);
        if self.contents.get(&key) == publication.before.as_ref() {
            self.contents.insert(key, publication.text.clone());
            self.version += 1;
            trial.published(&publication, now);
        }
        trial.follow(self.object(), now);
    }

    /// Says whether it was accepted.
    fn decide(&mut self, mut proposal: Proposal) -> bool {
        if proposal.resource_version != self.version.to_string() {
            return false;
        }
        let record = proposal.record.write().expect("written");
        for (key, text) in changes(record, proposal.gone.iter().map(String::as_str)) {
            match text {
                Some(text) => self.contents.insert(key, text),
                None => self.contents.remove(&key),
            };
        }
        self.version += 1;
        true
    }

    /// One more, which has said that it is there.
    fn router(&mut self, me: &str, now: Instant) -> Trial {
        let mut trial = Trial::new(self.object(), me, 0, now);
        self.publish(&mut trial, now);
        trial
    }
}

fn window(canary: (u64, u64)) -> Window {
    let tally = |(n, bad)| Tally { n, bad };
    let errors = Arms { stable: tally((95 * canary.0 / 5, 0)), canary: tally(canary) };
    Window { seen: Seen { errors, ..Seen::default() }, gates: Vec::new() }
}

fn circumstances(now: Instant) -> Circumstances {
    Circumstances { is_in_grid: true, signed: now, patience: Duration::from_secs(15), now, now_ms: 2_000 }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_not_enough_for_either_of_two_convicts_together() {
    let (mut api, start) = (Api::start(), Instant::now());
    let (mut a, mut b) = (api.router("a", start), api.router("b", start));
    a.saw(window((50, 3)), None);
    b.saw(window((50, 3)), None);
    assert!(matches!(a.verdict(2_000), Verdict::Hold { .. }), "one alone");
    let one = a.total();
    api.publish(&mut a, start);
    api.publish(&mut b, start);
    a.follow(api.object(), start);
    let both = a.total();
    assert!((both.errors.ln_e() - 2.0 * one.errors.ln_e()).abs() < 1e-9);
    assert_eq!(both.step.errors.canary, Tally { n: 100, bad: 6 });
    assert_eq!(both, b.total(), "everybody knows the same");

    let proposal = a.propose(circumstances(start + SECOND)).expect("enough");
    assert!(api.decide(proposal));
    b.follow(api.object(), start + SECOND);
    assert_eq!((b.kept().rollout.phase, b.weight()), (Phase::RolledBack, 0));
    let decision = b.kept().history.back().map(|entry| entry.event.clone());
    let Some(crate::rollout::Event::Decided(decision)) = decision else { panic!("{decision:?}") };
    assert_eq!((decision.others.len(), decision.replay()), (2, decision.verdict.clone()));
}

#[test]
fn what_a_router_has_seen_counts_on_after_it_has_gone_and_once() {
    let (mut api, start) = (Api::start(), Instant::now());
    let (mut a, mut b) = (api.router("a", start), api.router("b", start));
    a.saw(window((50, 1)), Some(700));
    b.saw(window((50, 1)), Some(900));
    api.publish(&mut b, start);
    api.publish(&mut a, start);
    let before = a.total();
    assert!(api.decide(a.propose(circumstances(start + SECOND)).expect("takes over")));
    a.follow(api.object(), start + SECOND);
    assert_eq!(a.kept().slow_above_us, Some(700));
    assert!(a.propose(circumstances(start + 14 * SECOND)).is_none(), "nothing new, and it may be calm");

    let later = start + 16 * SECOND;
    let proposal = a.propose(circumstances(later)).expect("b has gone");
    assert_eq!(proposal.gone, ["b"]);
    assert!(api.decide(proposal));
    a.follow(api.object(), later);
    assert!(!api.contents.contains_key("evidence.b"), "the object stays small");
    assert!((a.total().errors.ln_e() - before.errors.ln_e()).abs() < 1e-9);
    assert_eq!(a.total().step, before.step);

    // It was only out of reach.
    b.saw(window((50, 0)), Some(900));
    api.publish(&mut b, later);
    api.publish(&mut b, later);
    a.follow(api.object(), later);
    assert!((a.total().errors.ln_e() - before.errors.ln_e()).abs() < 1e-9, "not counted twice");
    b.saw(window((50, 0)), Some(900));
    api.publish(&mut b, later);
    a.follow(api.object(), later);
    assert_eq!(a.total().step.errors.canary.n, before.step.errors.canary.n + 50, "what it sees now counts");
}

#[test]
fn a_write_without_an_answer_that_has_arrived_is_no_reason_to_begin_anew() {
    let (mut api, start) = (Api::start(), Instant::now());
    let mut a = api.router("a", start);
    a.saw(window((50, 1)), None);
    let unanswered = a.publication(Duration::ZERO, start).expect("due");
    api.contents.insert(key_of("a"), unanswered.text);
    api.version += 1;
    // The API is out of reach for long.
    for _ in 0..100 {
        a.publication(Duration::ZERO, start).expect("due");
    }
    a.saw(window((50, 1)), None);
    api.publish(&mut a, start);
    api.publish(&mut a, start);
    assert_eq!(api.object().contributions["a"].evidence.step.errors.canary, Tally { n: 100, bad: 2 });
}

#[test]
fn evidence_is_only_written_over_what_is_known_to_stand() {
    let (mut api, start) = (Api::start(), Instant::now());
    let mut a = Trial::new(api.object(), "a", 0, start);
    a.saw(window((50, 1)), None);
    let unanswered = a.publication(2 * SECOND, start).expect("due");
    assert_eq!(unanswered.before, None);
    let first: Contribution = serde_json::from_str(&unanswered.text).expect("written here");
    assert_eq!(first.evidence, Evidence::default(), "it says that it is there, and no more");
    api.publish(&mut a, start);
    assert!(a.publication(2 * SECOND, start).is_some(), "the evidence follows at once");
}

#[test]
fn one_that_has_lost_the_lease_cannot_decide() {
    let (mut api, start) = (Api::start(), Instant::now());
    let (mut a, mut b) = (api.router("a", start), api.router("b", start));
    a.follow(api.object(), start);
    assert!(api.decide(a.propose(circumstances(start + SECOND)).expect("takes over")));
    a.follow(api.object(), start + SECOND);
    b.follow(api.object(), start + SECOND);
    a.saw(window((50, 10)), None);
    let late = a.propose(circumstances(start + 20 * SECOND)).expect("decides");
    assert!(api.decide(b.propose(circumstances(start + 20 * SECOND)).expect("takes over")));
    assert!(!api.decide(late), "not over what it has not seen");
    a.follow(api.object(), start + 21 * SECOND);
    let stale = Circumstances { signed: start + 5 * SECOND, ..circumstances(start + 21 * SECOND) };
    assert!(a.propose(stale).is_none(), "not before it has signed the Lease again");
    assert!(a.propose(circumstances(start + 22 * SECOND)).is_some());
}

#[test]
fn a_gate_that_one_sees_broken_is_shut_there_at_once_and_ends_it_for_all() {
    let (mut api, start) = (Api::start(), Instant::now());
    let (mut a, mut b) = (api.router("a", start), api.router("b", start));
    let gates = vec![Gate::InvalidAnswer("NaN".to_owned())];
    assert!(b.saw(Window { gates: gates.clone(), ..window((1, 0)) }, None), "the first");
    assert!(!b.saw(Window { gates, ..window((1, 0)) }, None));
    assert_eq!((a.weight(), b.weight()), (100, 0));
    api.publish(&mut b, start);
    a.follow(api.object(), start);
    assert!(api.decide(a.propose(circumstances(start + SECOND)).expect("decides")));
    a.follow(api.object(), start + SECOND);
    assert_eq!(a.kept().rollout.phase, Phase::RolledBack);
    assert_eq!(a.kept().why, "the canary gave an answer that is none: NaN");
}

#[test]
fn calm_news_wait_and_bad_ones_do_not() {
    let (mut api, start) = (Api::start(), Instant::now());
    let mut a = api.router("a", start);
    api.publish(&mut a, start);
    a.saw(window((50, 0)), None);
    assert!(a.publication(2 * SECOND, start + SECOND).is_none());
    a.saw(window((50, 1)), None);
    assert!(a.publication(2 * SECOND, start + SECOND).is_some());
}

#[test]
fn a_step_begins_with_no_evidence_of_the_one_before_whoever_moved_it() {
    let (mut api, start) = (Api::start(), Instant::now());
    let (mut a, mut b) = (api.router("a", start), api.router("b", start));
    b.saw(window((50, 1)), None);
    api.publish(&mut b, start);
    a.follow(api.object(), start);
    let mut proposal = a.propose(circumstances(start + SECOND)).expect("takes over");
    proposal.record.kept.rollout.change(nanogrid_rollout::Change::Advance, 3_000).expect("running");
    assert!(api.decide(proposal));
    a.follow(api.object(), start + SECOND);
    assert_eq!(a.total().step.errors.canary.n, 0, "b has not heard of it yet");
    let ln_e = b.total().errors.ln_e();
    b.follow(api.object(), start + SECOND);
    assert_eq!((b.total().step.errors.canary.n, b.weight()), (0, 500));
    assert!((b.total().errors.ln_e() - ln_e).abs() < 1e-9, "what speaks against it is kept");
}
