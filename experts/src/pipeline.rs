//! One request through one expert: admission -> preprocess -> batch and session -> postprocess, each with its time and its span.

use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::Tensor,
};
use nanogrid_telemetry::{metrics::StageTimes, names::attribute};
use tokio::time::Instant;
use tracing::{Instrument, Span, info_span};

use crate::{
    call::Call,
    error::Error,
    expert::Expert,
    signature::Wanted,
    task::{Loaded, Task},
    wire,
};

/// What an expert has to say, before it becomes a message.
pub(crate) struct Reply {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) times: StageTimes,
}

/// Answers, and counts what became of the request. Dropped = counted as cancelled, and its job is not run.
pub(crate) async fn answer(
    expert: &Expert,
    message: ModelInferRequest,
    call: Call,
) -> Result<ModelInferResponse, Error> {
    let begun = expert.statistics.begin();
    let span = Span::current();
    span.record(attribute::EXPERT, expert.name());
    span.record(attribute::MODEL_VERSION, expert.version.as_str());
    match request(expert, message, call, begun.started()).await {
        Ok((response, rows, times)) => {
            begun.succeeded(rows, &times);
            Ok(response)
        }
        Err(error) => {
            begun.failed(&error);
            Err(error)
        }
    }
}

async fn request(
    expert: &Expert,
    message: ModelInferRequest,
    mut call: Call,
    started: Instant,
) -> Result<(ModelInferResponse, usize, StageTimes), Error> {
    let signature = expert.task.signature();
    let request = wire::request(message, signature.batched.then_some(expert.limits.max_rows.get()))?;
    let (inputs, rows) = signature.check(request.inputs)?;
    let wanted = Wanted {
        outputs: signature.outputs(&request.outputs)?,
        top_k: request.top_k,
        num_beams: request.num_beams,
    };
    let own_deadline = request.timeout.and_then(|timeout| started.checked_add(timeout));
    call.deadline = call.deadline.into_iter().chain(own_deadline).min();
    let work = Work { inputs, wanted, call, started };
    let reply = match &expert.task {
        Loaded::TextClassification(task) => stages(expert, task.as_ref(), work).await?,
        Loaded::TokenClassification(task) => stages(expert, task.as_ref(), work).await?,
        Loaded::TextToText(task) => stages(expert, task.as_ref(), work).await?,
        Loaded::ImageClassification(task) => stages(expert, task.as_ref(), work).await?,
        Loaded::Tensor(task) => stages(expert, task, work).await?,
    };
    let times = reply.times;
    Ok((wire::response(expert.name(), &expert.version, request.id, reply), rows, times))
}

struct Work {
    inputs: Vec<Tensor>,
    wanted: Wanted,
    call: Call,
    started: Instant,
}

async fn stages<T: Task>(expert: &Expert, task: &T, work: Work) -> Result<Reply, Error> {
    let Call { deadline, criticality } = work.call;
    let reading = work.started.elapsed();
    let admitted = expert.admission.enter(work.call).await?;
    let prepared = task.preprocess(work.inputs, &work.wanted).instrument(info_span!("preprocess")).await?;
    let preprocess = reading + admitted.turn().elapsed();
    // Tokenising took its time too; the queue would find out later, at the cost of a place in it.
    in_time(deadline)?;
    // The worker opens the spans `queue` and `ort.run`: only it knows when they begin.
    let run = task.run(prepared, deadline).await;
    let (raw, ran) = run.map_err(|error| expert.refusal(error, criticality))?;
    let postprocessing = Instant::now();
    let outputs = task.postprocess(raw, &work.wanted)?;
    let times = StageTimes {
        preprocess,
        queue: admitted.waited() + ran.queue,
        inference: ran.inference,
        postprocess: postprocessing.elapsed(),
    };
    admitted.succeeded(times.preprocess + times.inference + times.postprocess);
    Ok(Reply { outputs, times })
}

fn in_time(deadline: Option<Instant>) -> Result<(), Error> {
    match deadline {
        Some(deadline) if deadline <= Instant::now() => Err(Error::DeadlineExceeded),
        Some(_) | None => Ok(()),
    }
}
