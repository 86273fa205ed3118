use nanogrid_evaluation::Span;
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_settings::Task;
use nanogrid_testkit::expert::{Behaviour, Profile, ScriptedExpert};

use super::*;
use crate::client;

async fn target(expert: &ScriptedExpert, task: Task) -> Target {
    let endpoint = nanogrid_serving::endpoint(&expert.address()).expect("an address");
    Target {
        client: client::inference(endpoint.connect().await.expect("it listens")),
        expert: "weather".to_owned(),
        version: "1".to_owned(),
        task,
        labels: None,
        none: None,
        place: String::new(),
        behind_router: false,
        host: None,
    }
}

fn expert(behaviour: Behaviour) -> ScriptedExpert {
    ScriptedExpert::start(Profile::of("weather", 1, "text-classification"), behaviour)
}

async fn ask(expert: &ScriptedExpert, truth: Truth, threshold: Option<f32>) -> Result<Answer, Failure> {
    let target = target(expert, Task::TextClassification).await;
    let row = Row { line: 1, input: "sun".to_owned(), truth };
    let asked = Asker::new(&target, Input::Text, threshold).ask(row).await;
    asked.result.map(|said| said.answer)
}

fn label() -> Truth {
    Truth::Label("sun".to_owned())
}

fn labels() -> Behaviour {
    Behaviour::labels(&[("sun", 0.8), ("rain", 0.6), ("snow", 0.1)])
}

fn spans(entities: &[&'static str], starts: &[i32], ends: &[i32], scores: &[f32]) -> Behaviour {
    let tensor = |name: &str, data: Data| Tensor { name: name.to_owned(), shape: vec![data.len()], data };
    let entities = entities.iter().map(|entity| Bytes::from_static(entity.as_bytes())).collect();
    Behaviour::tensors(vec![
        tensor("row", Data::I32(vec![0; starts.len()])),
        tensor("entity", Data::Bytes(entities)),
        tensor("start", Data::I32(starts.to_vec())),
        tensor("end", Data::I32(ends.to_vec())),
        tensor("score", Data::F32(scores.to_vec())),
    ])
}

fn span(start: usize, end: usize, entity: &str) -> Span {
    Span { start, end, entity: entity.to_owned() }
}

#[tokio::test]
async fn one_label_is_the_best_one_if_it_is_sure_enough() {
    let expert = expert(labels());
    let sure = ask(&expert, label(), Some(0.8)).await.expect("an answer");
    assert_eq!(sure, Answer::Label(Some("sun".to_owned())));
    assert_eq!(ask(&expert, label(), Some(0.9)).await.expect("an answer"), Answer::Label(None));
}

#[tokio::test]
async fn where_several_may_be_right_all_are_asked_for_and_those_from_the_threshold_taken() {
    let expert = expert(labels());
    let answer = ask(&expert, Truth::Labels(Vec::new()), None).await.expect("an answer");
    assert_eq!(answer, Answer::Labels(vec!["sun".to_owned(), "rain".to_owned()]));
    let seen = expert.seen().remove(0);
    assert!(seen.message.parameters.contains_key("top_k"), "{seen:?}");
    assert_eq!(seen.metadata.get(metadata::CRITICALITY).expect("said"), CRITICALITY);
}

#[tokio::test]
async fn spans_are_taken_by_their_bytes() {
    let expert = expert(spans(&["person", "place"], &[0, 9], &[6, 14], &[0.9, 0.4]));
    let truth = || Truth::Spans(Vec::new());
    let all = ask(&expert, truth(), None).await.expect("an answer");
    assert_eq!(all, Answer::Spans(vec![span(0, 6, "person"), span(9, 14, "place")]));
    let sure = ask(&expert, truth(), Some(0.5)).await.expect("an answer");
    assert_eq!(sure, Answer::Spans(vec![span(0, 6, "person")]));
}

#[tokio::test]
async fn no_span_is_an_answer() {
    let expert = expert(spans(&[], &[], &[], &[]));
    let answer = ask(&expert, Truth::Spans(Vec::new()), None).await.expect("an answer");
    assert_eq!(answer, Answer::Spans(Vec::new()));
}

#[tokio::test]
async fn what_is_no_answer_costs_its_row_alone() {
    let expert = expert(spans(&["person"], &[0, 9], &[6, 14], &[0.9, 0.4]));
    let failure = ask(&expert, Truth::Spans(Vec::new()), None).await.expect_err("does not belong together");
    assert_eq!(failure.kind, "no valid answer");
    expert.behave(spans(&["person"], &[-1], &[6], &[0.9]));
    let failure = ask(&expert, Truth::Spans(Vec::new()), None).await.expect_err("below 0");
    assert!(failure.message.contains("start"), "{}", failure.message);
    expert.behave(Behaviour::fails(Status::invalid_argument("text: too long")));
    let failure = ask(&expert, label(), None).await.expect_err("refused");
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("INVALID_ARGUMENT", "text: too long"));
    assert_eq!(expert.n_calls(), 3, "what cannot help is not sent again");
}

#[tokio::test]
async fn what_a_busy_expert_refuses_is_sent_again() {
    let expert = expert(Behaviour::fails(status::overloaded("busy", Duration::ZERO)));
    let later = async {
        while expert.n_calls() < 2 {
            tokio::task::yield_now().await;
        }
        expert.behave(labels());
    };
    let (answer, ()) = tokio::join!(ask(&expert, label(), None), later);
    assert_eq!(answer.expect("in the end"), Answer::Label(Some("sun".to_owned())));
}

#[tokio::test]
async fn an_answer_in_the_experts_place_is_none_of_its_own() {
    let expert = expert(labels());
    let mut target = target(&expert, Task::TextClassification).await;
    target.behind_router = true;
    let asker = Asker::new(&target, Input::Text, None);
    let response = ModelInferResponse::default();
    let mut told = MetadataMap::new();
    told.insert(metadata::EXPERT, MetadataValue::from_static("weather"));
    assert!(asker.version(&told, &response).is_err(), "a fixed label has no version");
    told.insert(metadata::VERSION, MetadataValue::from_static("2"));
    assert_eq!(asker.version(&told, &response).expect("its own"), "2");
    told.insert(metadata::EXPERT, MetadataValue::from_static("topic"));
    let failure = asker.version(&told, &response).expect_err("another expert");
    assert!(failure.message.contains("topic"), "{}", failure.message);
}

#[tokio::test]
async fn a_grid_says_its_labels_by_an_answer_with_all_of_them() {
    let expert = expert(labels());
    let found = super::labels(&target(&expert, Task::TextClassification).await).await.expect("labels");
    assert_eq!(found, BTreeSet::from(["rain", "snow", "sun"].map(str::to_owned)));
}
