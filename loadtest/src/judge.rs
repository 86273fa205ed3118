//! Compares an answer with what should have come. Pure.

use bytes::Bytes;
use nanogrid_proto::inference::ModelInferResponse;
use nanogrid_proto::tensor::{self, Data};
use nanogrid_proto::v1::{InferResponse, Outcome, OutcomeStatus, outcome};

use crate::call::Verdict;
use crate::cases::Case;

/// Judges a reply of `nanogrid.v1.Grid/Infer`: the answer of the case's own expert, and whether those asked `beside` it
/// have answered at all.
pub(crate) fn grid(case: &Case, beside: &[String], response: &InferResponse) -> Verdict {
    let mut answered = response.outcomes.iter().filter(|outcome| outcome.status() == OutcomeStatus::Answered);
    let of_expert = |outcome: &&Outcome| case.expert.as_ref().is_none_or(|name| *name == outcome.expert);
    let Some(outcome) = answered.clone().find(of_expert) else {
        return missing(case.expert.as_ref(), response);
    };
    if let Some(name) = beside.iter().find(|name| !answered.any(|outcome| outcome.expert == **name)) {
        return missing(Some(name), response);
    }
    compare(case, best(outcome))
}

/// Judges a reply of `ModelInfer`; `answered_by` is the expert that the router says has answered.
pub(crate) fn oip(case: &Case, response: ModelInferResponse, answered_by: Option<String>) -> Verdict {
    let answered_by = answered_by.unwrap_or_else(|| response.model_name.clone());
    if case.expert.as_ref().is_some_and(|name| *name != answered_by) {
        return not_there(case, format!("answered by `{answered_by}`"));
    }
    match tensor::outputs(response) {
        Ok(outputs) => {
            let named = |name: &str| outputs.iter().find(|tensor| tensor.name == name);
            let first = named("label").or_else(|| named("text")).and_then(|tensor| first_text(&tensor.data));
            compare(case, first)
        }
        Err(error) => Verdict::Error { code: tonic::Code::DataLoss, message: error.to_string() },
    }
}

fn compare(case: &Case, got: Option<String>) -> Verdict {
    if case.expected.is_empty() {
        return Verdict::Unchecked;
    }
    match got {
        Some(got) if case.expected.contains(&got) => Verdict::Right,
        Some(got) => Verdict::Wrong { got },
        None => not_there(case, "the answer holds no label and no text".to_owned()),
    }
}

fn best(outcome: &Outcome) -> Option<String> {
    match outcome.result.as_ref()? {
        outcome::Result::Labels(labels) => labels.labels.first().map(|label| label.label.clone()),
        outcome::Result::Text(text) => Some(text.text.clone()),
        // Of the whole text, where there are some.
        outcome::Result::Spans(spans) => spans.labels.first().map(|label| label.label.clone()),
        outcome::Result::Audio(_)
        | outcome::Result::Vector(_)
        | outcome::Result::Boxes(_)
        | outcome::Result::Scores(_) => None,
    }
}

fn first_text(data: &Data) -> Option<String> {
    // Labels are always BYTES; any other type is no answer that a label could be compared with.
    let Data::Bytes(elements) = data else { return None };
    elements.first().map(|bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn not_there(case: &Case, why: String) -> Verdict {
    Verdict::Missing { expert: case.expert.clone(), status: OutcomeStatus::Unspecified, why }
}

fn missing(expert: Option<&String>, response: &InferResponse) -> Verdict {
    let about = |name: &String| expert.is_none_or(|expert| expert == name);
    let (status, why) = match response.missing.iter().find(|missing| about(&missing.expert)) {
        Some(missing) => (missing.status(), format!("`{}`: {}", missing.expert, missing.cause)),
        None => (OutcomeStatus::Unspecified, why_not_asked(response)),
    };
    Verdict::Missing { expert: expert.cloned(), status, why }
}

fn why_not_asked(response: &InferResponse) -> String {
    let asked: Vec<&str> = response.outcomes.iter().map(|outcome| outcome.expert.as_str()).collect();
    match (asked.is_empty(), &response.decision) {
        (false, _) => format!("not asked; asked were: `{}`", asked.join("`, `")),
        (true, Some(decision)) => format!("nobody was asked: {}", decision.why),
        (true, None) => "nobody was asked".to_owned(),
    }
}

#[cfg(test)]
mod tests;
