//! `ModelStreamInfer`: any number of requests and answers on one stream, answers in the order of the requests.
//! One bad request is one error message; the stream goes on, as Triton's clients expect.

use futures::{StreamExt, stream::BoxStream};
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use tonic::{Request, Status, Streaming};
use tracing::{Instrument, Span, field::Empty, info_span};

use crate::{call::Call, ingress::Ingress, wire};

/// Requests of one stream that are worked on at a time: what a batch can hold. More would only wait in our memory and
/// not in the client's, where flow control keeps them.
const AT_ONCE: usize = 32;

pub(crate) fn answers(
    ingress: Ingress,
    request: Request<Streaming<ModelInferRequest>>,
) -> BoxStream<'static, Result<ModelStreamInferResponse, Status>> {
    let call = Call::of(&request);
    // A client that writes this wants a status, and the stream closed, instead of a message.
    let closes = request.metadata().get("triton_grpc_error").is_some_and(|value| value == "true");
    // The answers are made after the handler has returned, outside of its span.
    let parent = Span::current();
    let answers = request.into_inner().map(move |message| {
        let ingress = ingress.clone();
        let span = info_span!(
            parent: &parent,
            "stream.message",
            nanogrid.expert = Empty,
            nanogrid.model.version = Empty,
        );
        async move { answer(&ingress, message?, call, closes).await }.instrument(span)
    });
    // After an error of the stream itself there is nothing more to say.
    let mut over = false;
    answers
        .buffered(AT_ONCE)
        .take_while(move |answer| {
            let goes_on = !std::mem::replace(&mut over, answer.is_err());
            async move { goes_on }
        })
        .boxed()
}

async fn answer(
    ingress: &Ingress,
    message: ModelInferRequest,
    call: Call,
    closes: bool,
) -> Result<ModelStreamInferResponse, Status> {
    let (name, version, id) = (message.model_name.clone(), message.model_version.clone(), message.id.clone());
    let (error_message, mut response) = match ingress.infer(message, call).await {
        Ok(answer) => (String::new(), answer.into_inner()),
        Err(status) if closes => return Err(status),
        // The id tells the client which of its requests this is about.
        Err(status) => {
            let response =
                ModelInferResponse { model_name: name, model_version: version, id, ..Default::default() };
            (status.message().to_owned(), response)
        }
    };
    // Every request here has exactly one answer.
    response.parameters.insert("triton_final_response".to_owned(), wire::flag(true));
    Ok(ModelStreamInferResponse { error_message, infer_response: Some(response) })
}
