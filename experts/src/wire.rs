//! From the protocol's message to a request that holds, and from tensors back to a message. The only place that reads
//! parameters: the rest of the pipeline sees values.

use std::{collections::HashMap, time::Duration};

use nanogrid_proto::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, ModelRepositoryParameter,
        infer_parameter::ParameterChoice, model_infer_request::InferRequestedOutputTensor,
        model_repository_parameter::ParameterChoice as RepositoryChoice,
    },
    tensor::{self, Tensor},
};

use nanogrid_settings::package::NumBeams;

use crate::{error::Error, pipeline::Reply};

/// What one message asks of an expert.
#[derive(Debug)]
pub(crate) struct Request {
    /// Returned in the answer.
    pub(crate) id: String,
    pub(crate) inputs: Vec<Tensor>,
    /// Empty = every output.
    pub(crate) outputs: Vec<AskedOutput>,
    /// Labels per row; `None` = the best one.
    pub(crate) top_k: Option<usize>,
    /// Hypotheses that a generation follows; `None` = as many as the package says.
    pub(crate) num_beams: Option<NumBeams>,
    /// From arrival; a deadline by `grpc-timeout` counts as well.
    pub(crate) timeout: Option<Duration>,
}

/// One output that was asked for by name.
#[derive(Debug)]
pub(crate) struct AskedOutput {
    pub(crate) name: String,
    /// Triton's `classification`: the best n as `score:index:label` in place of the numbers.
    pub(crate) classification: Option<usize>,
}

/// `""` = `None` = the default version.
pub(crate) fn version(text: &str) -> Result<Option<u32>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        // `parse` would take "+1" and "01", which name no folder.
        Ok(version) if version > 0 && !text.starts_with(['+', '0']) => Ok(Some(version)),
        Ok(_) | Err(_) => Err(Error::BadVersion { version: text.to_owned() }),
    }
}

/// Which version is to be loaded or unloaded: the parameter `version`, as text or number; `None` where it is left out.
pub(crate) fn version_to_change(
    parameters: &HashMap<String, ModelRepositoryParameter>,
) -> Result<Option<u32>, Error> {
    let mut asked = None;
    for (key, parameter) in parameters {
        match (key.as_str(), &parameter.parameter_choice) {
            ("version", Some(RepositoryChoice::StringParam(text))) => asked = version(text)?,
            ("version", Some(RepositoryChoice::Int64Param(number))) => asked = version(&number.to_string())?,
            ("version", _) => return Err(bad(key, "must be a positive integer")),
            // Triton's client always sends it; there is nothing that depends on an expert here.
            ("unload_dependents", _) => {}
            _ => return Err(bad(key, "is not offered: packages are read from their folders as they are")),
        }
    }
    Ok(asked)
}

/// Everything of the message but the name and version of the model. `max_rows` where the first axis counts rows.
pub(crate) fn request(mut message: ModelInferRequest, max_rows: Option<usize>) -> Result<Request, Error> {
    // First of all: each row costs memory once it is read, many times what it takes in the message.
    for (input, limit) in message.inputs.iter().zip(max_rows.into_iter().cycle()) {
        let rows = input.shape.first().and_then(|rows| usize::try_from(*rows).ok()).unwrap_or(0);
        if rows > limit {
            return Err(Error::TooManyRows { name: input.name.clone(), rows, limit });
        }
    }
    let id = std::mem::take(&mut message.id);
    let parameters = std::mem::take(&mut message.parameters);
    for key in parameters.keys() {
        refuse_reserved(key)?;
    }
    for input in &message.inputs {
        refuse_shared_memory(&input.parameters)?;
    }
    let outputs =
        std::mem::take(&mut message.outputs).into_iter().map(asked_output).collect::<Result<_, _>>()?;
    // One queue serves everyone in turn: a priority is read, so that a wrong one is noticed, and changes nothing.
    count(&parameters, "priority")?;
    let top_k = match count(&parameters, "top_k")? {
        Some(0) => return Err(bad("top_k", "must be at least 1: 0")),
        top_k => top_k.map(saturating),
    };
    let num_beams = match count(&parameters, "num_beams")? {
        Some(n) => Some(NumBeams::try_from(n).map_err(|problem| bad("num_beams", problem.to_string()))?),
        None => None,
    };
    // Triton reads 0 as "no timeout".
    let timeout = count(&parameters, "timeout")?.filter(|us| *us > 0).map(Duration::from_micros);
    Ok(Request { id, inputs: tensor::inputs(message)?, outputs, top_k, num_beams, timeout })
}

/// The answer, raw, with the time of each stage as parameters.
pub(crate) fn response(name: &str, version: &str, id: String, reply: Reply) -> ModelInferResponse {
    let times = reply.times;
    let parameters = [
        ("nanogrid_queue_us", times.queue),
        ("nanogrid_preprocess_us", times.preprocess),
        ("nanogrid_inference_us", times.inference),
        ("nanogrid_postprocess_us", times.postprocess),
    ];
    let mut response = ModelInferResponse {
        model_name: name.to_owned(),
        model_version: version.to_owned(),
        id,
        parameters: parameters.into_iter().map(|(key, time)| (key.to_owned(), microseconds(time))).collect(),
        ..ModelInferResponse::default()
    };
    tensor::set_outputs(&mut response, reply.outputs);
    response
}

/// A boolean parameter of an answer.
pub(crate) fn flag(value: bool) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(value)) }
}

fn asked_output(output: InferRequestedOutputTensor) -> Result<AskedOutput, Error> {
    refuse_shared_memory(&output.parameters)?;
    // 0 is how clients write "no classification".
    let classification = count(&output.parameters, "classification")?.filter(|n| *n > 0).map(saturating);
    Ok(AskedOutput { name: output.name, classification })
}

/// Keys that would change the meaning of an answer if they were skipped. Keys that are unknown are skipped:
/// gateways forward headers as parameters, and an expert reads what it knows.
fn refuse_reserved(key: &str) -> Result<(), Error> {
    match key {
        "sequence_id" | "sequence_start" | "sequence_end" => {
            Err(bad(key, "experts keep nothing between requests: leave it out"))
        }
        // Asks for what every stream here does anyway.
        "triton_enable_empty_final_response" => Ok(()),
        _ if key.starts_with("triton_") => {
            Err(bad(key, "keys that begin with `triton_` are the server's own: rename it"))
        }
        _ => Ok(()),
    }
}

fn refuse_shared_memory(parameters: &HashMap<String, InferParameter>) -> Result<(), Error> {
    match parameters.keys().find(|key| key.starts_with("shared_memory_")) {
        Some(key) => Err(bad(key, "shared memory is not offered: send the tensor in the message")),
        None => Ok(()),
    }
}

/// A number that is not negative; clients write it signed or unsigned.
fn count(parameters: &HashMap<String, InferParameter>, key: &str) -> Result<Option<u64>, Error> {
    let Some(parameter) = parameters.get(key) else { return Ok(None) };
    match &parameter.parameter_choice {
        Some(ParameterChoice::Uint64Param(value)) => Ok(Some(*value)),
        Some(ParameterChoice::Int64Param(value)) => {
            u64::try_from(*value).map(Some).map_err(|_| bad(key, format!("must not be negative: {value}")))
        }
        Some(
            ParameterChoice::BoolParam(_) | ParameterChoice::StringParam(_) | ParameterChoice::DoubleParam(_),
        )
        | None => Err(bad(key, "must be a whole number, as `int64_param` or `uint64_param`")),
    }
}

fn microseconds(time: Duration) -> InferParameter {
    let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(time)) }
}

fn saturating(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn bad(name: &str, problem: impl Into<String>) -> Error {
    Error::Parameter { name: name.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_positive_integers_or_left_out() {
        assert_eq!(version("").unwrap(), None);
        assert_eq!(version("7").unwrap(), Some(7));
        for wrong in ["0", "-1", "+1", "01", "one", "1.0", "4294967296", " 1"] {
            assert!(matches!(version(wrong), Err(Error::BadVersion { .. })), "{wrong}");
        }
    }

    #[test]
    fn the_version_to_change_is_written_as_text_or_number() {
        let asked = |key: &str, choice| {
            let parameter = ModelRepositoryParameter { parameter_choice: Some(choice) };
            version_to_change(&[(key.to_owned(), parameter)].into())
        };
        assert_eq!(version_to_change(&HashMap::new()).unwrap(), None);
        assert_eq!(asked("version", RepositoryChoice::StringParam("2".into())).unwrap(), Some(2));
        assert_eq!(asked("version", RepositoryChoice::Int64Param(2)).unwrap(), Some(2));
        assert_eq!(asked("unload_dependents", RepositoryChoice::BoolParam(false)).unwrap(), None);
        for (key, choice) in [
            ("version", RepositoryChoice::StringParam("../2".into())),
            ("version", RepositoryChoice::Int64Param(0)),
            ("version", RepositoryChoice::BoolParam(true)),
            ("config", RepositoryChoice::StringParam("{}".into())),
            ("file:1/model.onnx", RepositoryChoice::BytesParam("x".into())),
        ] {
            assert!(asked(key, choice).is_err(), "{key}");
        }
    }

    #[test]
    fn parameters_that_would_change_the_meaning_are_refused_and_unknown_ones_skipped() {
        let asked = |key: &str, choice| {
            let parameter = InferParameter { parameter_choice: Some(choice) };
            let parameters = [(key.to_owned(), parameter)].into();
            request(ModelInferRequest { parameters, ..Default::default() }, None)
        };
        let int = ParameterChoice::Int64Param;
        for key in ["sequence_id", "sequence_start", "triton_anything"] {
            assert!(asked(key, int(1)).is_err(), "{key}");
        }
        for key in ["top_k", "num_beams", "timeout", "priority"] {
            assert!(asked(key, int(-1)).is_err(), "negative {key}");
            assert!(asked(key, ParameterChoice::StringParam("1".into())).is_err(), "text as {key}");
            assert!(asked(key, int(1)).is_ok(), "{key}");
            assert!(asked(key, ParameterChoice::Uint64Param(1)).is_ok(), "unsigned {key}");
        }
        assert!(asked("top_k", int(0)).is_err());
        for wrong in [0, 9] {
            let error = asked("num_beams", int(wrong)).unwrap_err().to_string();
            assert_eq!(error, format!("parameter `num_beams`: must be from 1 to 8: {wrong}"));
        }
        assert_eq!(asked("num_beams", int(8)).unwrap().num_beams.map(NumBeams::get), Some(8));
        assert_eq!(asked("timeout", int(0)).unwrap().timeout, None);
        assert_eq!(asked("timeout", int(1500)).unwrap().timeout, Some(Duration::from_micros(1500)));
        assert!(asked("x-request-colour", int(-1)).is_ok());
    }
}
