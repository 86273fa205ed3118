//! Faults on purpose, from the operator's side.

use std::time::Duration;

use nanogrid_proto::v1::{
    Fault, InferOptions, ListFaultsRequest, OutcomeStatus, SetFaultsRequest, StatusRequest,
};
use tonic::Code;

use crate::support::*;

/// A router that allows faults, in front of `intent` and `sentiment`.
async fn grid(entries: &[Entry]) -> Grid {
    let grid = Grid::start_with(entries, |settings| settings.faults_allowed = true).await;
    grid.until(|experts| experts.iter().all(|expert| expert.ready)).await;
    grid
}

fn fault(change: impl FnOnce(&mut Fault)) -> SetFaultsRequest {
    let mut fault = Fault { expert: "intent".to_owned(), share: 100.0, ..Fault::default() };
    change(&mut fault);
    SetFaultsRequest { faults: vec![fault] }
}

fn millis(millis: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_takes_no_faults_unless_its_settings_allow_them() {
    let intent = labels("intent", "transfer");
    let grid = Grid::start(&[entry("intent", &intent)]).await;
    let mut control = grid.control().await;
    let refused = control.set_faults(fault(|fault| fault.drop = true)).await;
    assert_status(refused, Code::PermissionDenied, "set `faults.allowed = true` in the router's settings");
    let list = control.list_faults(ListFaultsRequest {}).await.unwrap().into_inner();
    assert!(!list.allowed && list.faults.is_empty());
    assert!(grid.infer(text_for(&["intent"])).await.unwrap().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_error_costs_one_part_of_the_answer_until_it_is_cleared() {
    let (intent, sentiment) = (labels("intent", "transfer"), labels("sentiment", "positive"));
    let grid = grid(&[entry("intent", &intent), entry("sentiment", &sentiment)]).await;
    let mut control = grid.control().await;
    control.set_faults(fault(|fault| fault.code = Code::Internal as i32)).await.unwrap();
    let response = grid.infer(text_for(&["intent", "sentiment"])).await.unwrap();
    let (expert, status, cause, _) = missing(&response);
    assert_eq!((expert, status), ("intent", OutcomeStatus::Failed));
    assert!(cause.contains("a fault injected by the router's operator"), "{cause}");
    assert_eq!(label(&response, "sentiment"), "positive");
    assert_eq!(intent.n_calls(), 0, "it was never sent");
    assert_eq!(control.status(StatusRequest {}).await.unwrap().into_inner().faults, 1);
    let injected = ["expert=\"intent\"", "kind=\"error\""];
    assert_metric(&metrics(&grid).await, "nanogrid_faults_injected_total", &injected, "1");

    control.set_faults(SetFaultsRequest::default()).await.unwrap();
    assert!(grid.infer(text_for(&["intent", "sentiment"])).await.unwrap().complete);
    assert_eq!(control.status(StatusRequest {}).await.unwrap().into_inner().faults, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_delay_slows_a_call_and_a_drop_ends_with_its_deadline() {
    let intent = labels("intent", "transfer");
    let grid = grid(&[entry("intent", &intent)]).await;
    let mut control = grid.control().await;
    control.set_faults(fault(|fault| fault.delay = millis(60))).await.unwrap();
    let slow = grid.infer(text_for(&["intent"])).await.unwrap();
    let total = outcome_of(&slow, "intent").times.unwrap().total.unwrap();
    assert!(slow.complete && Duration::try_from(total).unwrap() >= Duration::from_millis(60), "{total}");

    control.set_faults(fault(|fault| fault.drop = true)).await.unwrap();
    let short = InferOptions { deadline: millis(80), ..InferOptions::default() };
    let dropped = grid.infer(with_options(text_for(&["intent"]), short)).await.unwrap();
    assert_eq!(missing(&dropped).1, OutcomeStatus::TimedOut);
    assert_eq!(intent.n_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_fault_is_refused_and_those_in_force_stay() {
    let intent = labels("intent", "transfer");
    let grid = grid(&[entry("intent", &intent)]).await;
    let mut control = grid.control().await;
    control.set_faults(fault(|fault| fault.delay = millis(1))).await.unwrap();
    let nobody =
        control.set_faults(fault(|fault| (fault.expert, fault.drop) = ("nobody".to_owned(), true))).await;
    assert_status(nobody, Code::NotFound, "there is no expert `nobody` in this grid");
    let nothing = control.set_faults(fault(|_fault| {})).await;
    assert_status(nothing, Code::InvalidArgument, "faults: must have one of `delay`, `code` and `drop`");
    let list = control.list_faults(ListFaultsRequest {}).await.unwrap().into_inner();
    assert_eq!(list.faults, fault(|fault| fault.delay = millis(1)).faults);
}
