//! Reads an expert's tensors as what its task says they are. An expert may be anybody's server: nothing in an answer is
//! trusted to be there, or to have the right length.

use std::time::Duration;

use bytes::Bytes;
use nanogrid_proto::{
    inference::{ModelInferResponse, infer_parameter::ParameterChoice},
    tensor::{Data, Tensor, outputs},
};
use nanogrid_settings::Task;

use crate::request::{Payload, Request};

/// An answer that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// `None` when the merge policy kept another one.
    pub answer: Option<Typed>,
    /// The expert's own confidence in its best answer; 0 when it gives none.
    pub confidence: f32,
    /// Where the expert says it spent its time.
    pub times: StageTimes,
}

/// An answer by task.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Typed {
    /// Best first.
    Labels(Vec<(String, f32)>),
    Spans {
        /// In the order of the text.
        spans: Vec<Span>,
        /// What the whole text is, best first; empty of experts that only find spans.
        labels: Vec<(String, f32)>,
    },
    Text {
        text: String,
        score: f32,
    },
    /// A WAV file.
    Audio(Bytes),
    Vector(Vec<f32>),
    /// One per sample.
    Scores(Vec<f32>),
}

/// A part of the text that means something.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Span {
    pub entity: String,
    /// In bytes.
    pub start: u32,
    /// Exclusive.
    pub end: u32,
    pub score: f32,
    pub text: String,
}

/// `None` = the expert does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StageTimes {
    pub preprocess: Option<Duration>,
    pub queue: Option<Duration>,
    pub inference: Option<Duration>,
    pub postprocess: Option<Duration>,
}

/// `Err` says what is wrong with the answer.
pub(super) fn reply(task: Task, response: ModelInferResponse, request: &Request) -> Result<Reply, String> {
    let times = times(&response);
    let mut tensors = Tensors(outputs(response).map_err(|error| error.to_string())?);
    let (answer, confidence) = match task {
        Task::TextClassification | Task::ImageClassification => tensors.labels(request)?,
        Task::TokenClassification => tensors.spans(request)?,
        Task::TextToText | Task::SpeechToText => tensors.text()?,
        Task::TextToSpeech => (Typed::Audio(tensors.one_bytes("audio")?), 0.0),
        Task::Embedding => (Typed::Vector(tensors.floats("embedding")?), 0.0),
        Task::Series if tensors.has("anomaly") => (Typed::Scores(tensors.floats("anomaly")?), 0.0),
        Task::Series => tensors.labels(request)?,
        // The plan asks no such expert: its tensors mean nothing here.
        Task::Tensor => return Err("an expert of the task `tensor` has no typed answer".to_owned()),
    };
    Ok(Reply { answer: Some(answer), confidence, times })
}

struct Tensors(Vec<Tensor>);

impl Tensors {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|tensor| tensor.name == name)
    }

    fn take(&mut self, name: &str) -> Result<Data, String> {
        let idx = self.0.iter().position(|tensor| tensor.name == name);
        idx.map(|idx| self.0.swap_remove(idx).data).ok_or_else(|| format!("output `{name}` is missing"))
    }

    fn floats(&mut self, name: &str) -> Result<Vec<f32>, String> {
        let data = self.take(name)?;
        let Data::F32(values) = data else { return Err(wrong(name, "FP32", &data)) };
        Ok(values)
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<Bytes>, String> {
        let data = self.take(name)?;
        let Data::Bytes(values) = data else { return Err(wrong(name, "BYTES", &data)) };
        Ok(values)
    }

    fn one_bytes(&mut self, name: &str) -> Result<Bytes, String> {
        self.bytes(name)?.into_iter().next().ok_or_else(|| format!("output `{name}` is empty"))
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let texts = self.bytes(name)?.into_iter().map(|bytes| String::from_utf8(bytes.into()));
        texts.collect::<Result<_, _>>().map_err(|_| format!("output `{name}` must be UTF-8"))
    }

    fn offsets(&mut self, name: &str) -> Result<Vec<u32>, String> {
        let data = self.take(name)?;
        let Data::I32(values) = data else { return Err(wrong(name, "INT32", &data)) };
        let values = values.into_iter().map(u32::try_from);
        values.collect::<Result<_, _>>().map_err(|_| format!("output `{name}` must not be negative"))
    }

    fn labels(&mut self, request: &Request) -> Result<(Typed, f32), String> {
        let labels = self.best_labels("score", request)?;
        let confidence = labels[0].1;
        Ok((Typed::Labels(labels), confidence))
    }

    /// At least one.
    fn best_labels(&mut self, of_scores: &str, request: &Request) -> Result<Vec<(String, f32)>, String> {
        let (labels, scores) = (self.texts("label")?, self.floats(of_scores)?);
        same_length(&[("label", labels.len()), (of_scores, scores.len())])?;
        if labels.is_empty() {
            return Err("output `label` is empty".to_owned());
        }
        let top_k = request.top_k.map_or(1, usize::from);
        Ok(labels.into_iter().zip(scores).take(top_k).collect())
    }

    fn spans(&mut self, request: &Request) -> Result<(Typed, f32), String> {
        let Payload::Text(text) = &request.payload else {
            return Err("spans of something that is not a text".to_owned());
        };
        let entities = self.texts("entity")?;
        let (starts, ends, scores) = (self.offsets("start")?, self.offsets("end")?, self.floats("score")?);
        same_length(&[
            ("entity", entities.len()),
            ("start", starts.len()),
            ("end", ends.len()),
            ("score", scores.len()),
        ])?;
        // Of an expert with two heads it is the whole text that says whether the expert was the right one.
        let labels = if self.has("label") { self.best_labels("label_score", request)? } else { Vec::new() };
        let confidence =
            labels.first().map_or_else(|| scores.iter().copied().fold(0.0, f32::max), |(_, score)| *score);
        let places = starts.into_iter().zip(ends).zip(scores);
        let spans = entities.into_iter().zip(places).map(|(entity, ((start, end), score))| {
            let part = text.get(start as usize..end as usize);
            let part = part.ok_or_else(|| format!("span {start}..{end} is not a part of the text"))?;
            Ok(Span { entity, start, end, score, text: part.to_owned() })
        });
        Ok((Typed::Spans { spans: spans.collect::<Result<_, String>>()?, labels }, confidence))
    }

    fn text(&mut self) -> Result<(Typed, f32), String> {
        let text = self.texts("text")?.into_iter().next().ok_or("output `text` is empty")?;
        let score = *self.floats("score")?.first().ok_or("output `score` is empty")?;
        // A mean log-probability: its exponential is the probability of a usual token.
        Ok((Typed::Text { text, score }, score.exp().clamp(0.0, 1.0)))
    }
}

fn wrong(name: &str, datatype: &str, data: &Data) -> String {
    format!("output `{name}` must be {datatype}: {}", data.datatype())
}

fn same_length(outputs: &[(&str, usize)]) -> Result<(), String> {
    let (first, length) = outputs[0];
    match outputs.iter().find(|(_, other)| *other != length) {
        None => Ok(()),
        Some((name, other)) => {
            Err(format!("outputs `{first}` and `{name}` differ in length: {length}, {other}"))
        }
    }
}

fn times(response: &ModelInferResponse) -> StageTimes {
    let stage = |name: &str| match response.parameters.get(name)?.parameter_choice.as_ref()? {
        ParameterChoice::Int64Param(micros) => u64::try_from(*micros).ok().map(Duration::from_micros),
        ParameterChoice::Uint64Param(micros) => Some(Duration::from_micros(*micros)),
        ParameterChoice::BoolParam(_) | ParameterChoice::StringParam(_) | ParameterChoice::DoubleParam(_) => {
            None
        }
    };
    StageTimes {
        preprocess: stage("nanogrid_preprocess_us"),
        queue: stage("nanogrid_queue_us"),
        inference: stage("nanogrid_inference_us"),
        postprocess: stage("nanogrid_postprocess_us"),
    }
}

#[cfg(test)]
mod tests;
