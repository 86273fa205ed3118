//! What an answer holds: labels of the whole text, spans of it, or both; or another text.

use bytes::Bytes;
use nanogrid_evaluation::Span;
use nanogrid_proto::{
    inference::ModelInferResponse,
    tensor::{self, Data, Tensor},
};

use crate::eval::ask::Failure;

#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// Best first.
    labels: Vec<(String, f32)>,
    spans: Vec<(Span, f32)>,
    text: Option<String>,
}

impl Answered {
    /// The answer to one row.
    pub(crate) fn read(response: ModelInferResponse) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure::new("no valid answer", problem);
        let mut outputs = tensor::outputs(response).map_err(|error| wrong(error.to_string()))?;
        let mut take = |name: &str| {
            let idx = outputs.iter().position(|output| output.name == name)?;
            Some(outputs.swap_remove(idx))
        };
        let (entity, start, end) = (take("entity"), take("start"), take("end"));
        let text = take("text");
        let (label, score, label_score) = (take("label"), take("score"), take("label_score"));
        let mut answered = Self::default();
        let of_labels = if entity.is_some() { label_score } else { score.clone() };
        if let (Some(label), Some(score)) = (label, of_labels) {
            answered.labels =
                pairs(texts(label).map_err(wrong)?, floats(score).map_err(wrong)?).map_err(wrong)?;
        }
        if let (Some(entity), Some(start), Some(end), Some(score)) = (entity, start, end, score) {
            let places =
                pairs(offsets(start).map_err(wrong)?, offsets(end).map_err(wrong)?).map_err(wrong)?;
            let named = pairs(texts(entity).map_err(wrong)?, floats(score).map_err(wrong)?).map_err(wrong)?;
            let span = |((start, end), (entity, score))| (Span { start, end, entity }, score);
            answered.spans = pairs(places, named).map_err(wrong)?.into_iter().map(span).collect();
        }
        if let Some(text) = text {
            answered.text = texts(text).map_err(wrong)?.into_iter().next();
        }
        Ok(answered)
    }

    pub(crate) fn text(self) -> Result<String, Failure> {
        self.text.ok_or_else(|| Failure::new("no valid answer", "it has no `text`"))
    }

    /// The best label, if its score reaches `least`.
    pub(crate) fn best(&self, least: f32) -> Option<String> {
        self.labels.first().filter(|(_, score)| *score >= least).map(|(label, _)| label.clone())
    }

    pub(crate) fn labels_from(&self, least: f32) -> Vec<String> {
        self.labels.iter().filter(|(_, score)| *score >= least).map(|(label, _)| label.clone()).collect()
    }

    pub(crate) fn spans_from(&self, least: f32) -> Vec<Span> {
        self.spans.iter().filter(|(_, score)| *score >= least).map(|(span, _)| span.clone()).collect()
    }
}

fn pairs<A, B>(left: Vec<A>, right: Vec<B>) -> Result<Vec<(A, B)>, String> {
    if left.len() != right.len() {
        return Err(format!(
            "its outputs do not belong together: one has {} values, another {}",
            left.len(),
            right.len()
        ));
    }
    Ok(left.into_iter().zip(right).collect())
}

fn texts(tensor: Tensor) -> Result<Vec<String>, String> {
    let Data::Bytes(values) = tensor.data else { return Err(unexpected(&tensor, "BYTES")) };
    let text = |value: Bytes| {
        String::from_utf8(value.into()).map_err(|_| format!("`{}` holds what is not UTF-8", tensor.name))
    };
    values.into_iter().map(text).collect()
}

fn floats(tensor: Tensor) -> Result<Vec<f32>, String> {
    let Data::F32(values) = tensor.data else { return Err(unexpected(&tensor, "FP32")) };
    Ok(values)
}

fn offsets(tensor: Tensor) -> Result<Vec<usize>, String> {
    let Data::I32(values) = tensor.data else { return Err(unexpected(&tensor, "INT32")) };
    let offset =
        |value: i32| usize::try_from(value).map_err(|_| format!("`{}` is below 0: {value}", tensor.name));
    values.into_iter().map(offset).collect()
}

fn unexpected(tensor: &Tensor, wanted: &str) -> String {
    format!("`{}` is {}, and not {wanted}", tensor.name, tensor.data.datatype())
}
