//! `ModelStreamInfer`.

use std::time::Duration;

use crate::host::{int, serve, serve_with, settings, strings, texts};
use nanogrid_proto::{
    inference::{ModelInferRequest, ModelStreamInferResponse, infer_parameter::ParameterChoice},
    tensor,
};
use nanogrid_testkit::packages;
use tonic::{Code, Request, Status, Streaming};

async fn stream(
    host: &crate::host::Running,
    messages: Vec<ModelInferRequest>,
    headers: &[(&'static str, &str)],
) -> Streaming<ModelStreamInferResponse> {
    let mut request = Request::new(tokio_stream::iter(messages));
    for (key, value) in headers {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    host.client.clone().model_stream_infer(request).await.expect("the stream opens").into_inner()
}

async fn next(
    answers: &mut Streaming<ModelStreamInferResponse>,
) -> Result<Option<ModelStreamInferResponse>, Status> {
    tokio::time::timeout(Duration::from_secs(30), answers.message()).await.expect("an answer comes")
}

fn named(id: &str, text: &str) -> ModelInferRequest {
    ModelInferRequest { id: id.into(), ..texts("weather", &[text]) }
}

#[tokio::test]
async fn answers_come_in_order_and_an_error_does_not_end_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let mut messages: Vec<_> = (0..100).map(|i| named(&i.to_string(), "rain")).collect();
    messages[7] = named("7", "");
    let mut answers = stream(&host, messages, &[]).await;
    for i in 0..100 {
        let answer = next(&mut answers).await.unwrap().expect("one answer each");
        let response = answer.infer_response.expect("a response with every answer");
        assert_eq!(response.id, i.to_string());
        let last = response.parameters["triton_final_response"].parameter_choice.clone();
        assert_eq!(last, Some(ParameterChoice::BoolParam(true)));
        if i == 7 {
            assert!(answer.error_message.contains("empty"), "{}", answer.error_message);
        } else {
            assert_eq!(answer.error_message, "");
            assert_eq!(strings(&tensor::outputs(response).unwrap()[0]), ["rain"]);
        }
    }
    assert_eq!(next(&mut answers).await.unwrap(), None);
    host.stop().await;
}

#[tokio::test]
async fn who_asks_for_a_status_gets_it_and_the_stream_closes() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let messages = vec![named("1", "rain"), named("2", ""), named("3", "rain")];
    let mut answers = stream(&host, messages, &[("triton_grpc_error", "true")]).await;
    assert_eq!(next(&mut answers).await.unwrap().unwrap().error_message, "");
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(next(&mut answers).await.ok().flatten(), None);
    host.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_does_not_hold_up_the_stream_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]);
    // A run is not stopped while someone else shares it.
    settings.inference.max_batch_rows = 1.try_into().unwrap();
    let host = serve_with(&settings).await;
    let mut slow = named("1", "forever");
    slow.parameters.insert("timeout".into(), int(100_000));
    let mut answers = stream(&host, vec![slow, named("2", "rain")], &[]).await;
    assert!(next(&mut answers).await.unwrap().unwrap().error_message.contains("deadline"));
    assert_eq!(next(&mut answers).await.unwrap().unwrap().error_message, "");
    host.stop().await;
}
