//! Who answers when the version that was asked for cannot.

use nanogrid_proto::v1::{OutcomeStatus, fallback::By};
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};
use tonic::{Code, Status};

use crate::support::*;

const CHAIN: &str = "[[expert.fallback]]\nversion = 1\n[[expert.fallback]]\nexpert = \"small\"\n\
                     [[expert.fallback]]\nlabel = \"unknown\"";

/// `intent` in versions 1 and 2, of which 2 takes every request, and `small` beside it.
struct Experts {
    old: ScriptedExpert,
    new: ScriptedExpert,
    small: ScriptedExpert,
}

impl Experts {
    fn start() -> Self {
        let new = ScriptedExpert::start(
            Profile::of("intent", 2, "text-classification"),
            Behaviour::labels(&[("new", 0.9)]),
        );
        Self { old: labels("intent", "old"), new, small: labels("small", "small") }
    }

    async fn grid(&self, more: &'static str) -> Grid {
        let versions = vec![(1, 0, vec![self.old.address()]), (2, 100, vec![self.new.address()])];
        let intent = entry("intent", &self.old).versions(versions).more(more);
        Grid::start(&[intent, entry("small", &self.small)]).await
    }
}

fn down() -> Behaviour {
    Behaviour::fails(Status::unavailable("down"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_gone_through_in_its_order_and_the_answer_says_who_gave_it() {
    let experts = Experts::start();
    let grid = experts.grid(CHAIN).await;
    let check = async |expected: &str, by: Option<By>, version: &str| {
        let response = grid.infer(text_for(&["intent"])).await.unwrap();
        assert!(response.complete);
        assert_eq!(label(&response, "intent"), expected);
        let outcome = outcome_of(&response, "intent");
        assert_eq!(outcome.version, version);
        let fallback = outcome.fallback.clone();
        assert_eq!(fallback.clone().and_then(|fallback| fallback.by), by);
        assert!(fallback.is_none_or(|fallback| fallback.why.contains("down")), "{outcome:?}");
    };
    check("new", None, "2").await;
    experts.new.behave(down());
    check("old", Some(By::Version("1".to_owned())), "1").await;
    experts.old.behave(down());
    check("small", Some(By::Expert("small".to_owned())), "1").await;
    experts.small.behave(down());
    check("unknown", Some(By::Label("unknown".to_owned())), "").await;
    let text = metrics(&grid).await;
    for kind in ["version", "expert", "label"] {
        let labels = ["expert=\"intent\"".to_owned(), format!("kind=\"{kind}\"")];
        assert_metric(&text, "nanogrid_fallbacks_total", &labels.each_ref().map(String::as_str), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_chain_the_failure_is_the_answer() {
    let experts = Experts::start();
    let grid = experts.grid("").await;
    experts.new.behave(down());
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert_eq!(missing(&response).1, OutcomeStatus::Failed);
    assert_eq!(experts.old.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stands_in_for_a_request_that_is_wrong() {
    let experts = Experts::start();
    let grid = experts.grid(CHAIN).await;
    experts.new.behave(Behaviour::fails(Status::invalid_argument("no text")));
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert!(!response.complete && outcome_of(&response, "intent").fallback.is_none());
    assert_eq!(experts.old.n_calls() + experts.small.n_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_there_even_when_the_time_is_over() {
    let experts = Experts::start();
    let grid = experts.grid("timeout = \"20ms\"\n[[expert.fallback]]\nlabel = \"unknown\"").await;
    experts.new.behave(Behaviour::hangs());
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert_eq!(label(&response, "intent"), "unknown");
    let outcome = outcome_of(&response, "intent");
    assert_eq!((outcome.confidence, outcome.attempts), (0.0, 1));
    assert!(outcome.fallback.as_ref().unwrap().why.contains("no answer within 20ms"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passthrough_falls_back_too_row_by_row() {
    let experts = Experts::start();
    let grid = experts.grid(CHAIN).await;
    experts.new.behave(down());
    let response = grid.oip().model_infer(rows_for("intent", &["hi", "ho"])).await.unwrap();
    assert_eq!(response.metadata().get("x-nanogrid-version").unwrap(), "1");
    assert_eq!(response.metadata().get("x-nanogrid-expert").unwrap(), "intent");
    experts.old.behave(down());
    let response = grid.oip().model_infer(rows_for("intent", &["hi", "ho"])).await.unwrap();
    assert_eq!(response.metadata().get("x-nanogrid-expert").unwrap(), "small");
    experts.small.behave(down());
    let response = grid.oip().model_infer(rows_for("intent", &["hi", "ho"])).await.unwrap().into_inner();
    let outputs = nanogrid_proto::tensor::outputs(response).unwrap();
    assert_eq!(outputs[0].shape, [2, 1]);
    assert_eq!(outputs[0].data, nanogrid_proto::tensor::Data::Bytes(vec!["unknown".into(); 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stable_version_answers_for_a_canary_that_fails() {
    let experts = Experts::start();
    let grid = experts.grid("").await;
    let file = grid_file(&[entry("intent", &experts.old)
        .versions(vec![(1, 0, vec![experts.old.address()]), (2, 100, vec![experts.new.address()])])]);
    let file = file.replace("version = 1\n", "version = 1\nlabel = \"stable\"\n");
    grid.write(&file.replace("version = 2\n", "version = 2\nlabel = \"canary\"\n"));
    grid.until(|experts| experts[0].versions.iter().any(|version| version.label == "canary")).await;
    experts.new.behave(down());
    let response = grid.infer(text_for(&["intent"])).await.unwrap();
    assert_eq!(label(&response, "intent"), "old");
    assert_eq!(outcome_of(&response, "intent").fallback.as_ref().unwrap().by, Some(By::Version("1".into())));
    // Whoever asks for the canary gets the canary.
    let mut request = tonic::Request::new(text_for(&["intent"]));
    request.metadata_mut().insert("x-nanogrid-version", "canary".parse().unwrap());
    let response = grid.client().infer(request).await.unwrap().into_inner();
    assert_eq!(outcome_of(&response, "intent").error.as_ref().unwrap().code, Code::Unavailable as i32);
}
