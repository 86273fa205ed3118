//! An answer as it is compared: row by row, as what its task says it is.
//!
//! Read apart from [`crate::dispatch`]'s reading, which looks for what one client asked for: here every row counts, what no
//! client reads is looked at as well, and a number that is none makes the whole answer none.

use std::fmt::Write as _;

use bytes::Bytes;
use half::{bf16, f16};
use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::{Data, Tensor, inputs, outputs},
};
use nanogrid_settings::Task;

use super::shortened::{Shortened, shortened};

/// One row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Row {
    /// Best first.
    Labels(Vec<(Bytes, f32)>),
    /// All rows of a message together: one without spans leaves no trace.
    Spans(Vec<Span>),
    /// Translated, summarised, transcribed.
    Text(String),
    /// Meaning as a direction.
    Vector(Vec<f32>),
    /// One per sample.
    Scores(Vec<f32>),
    /// A WAV file.
    Sound(Bytes),
    /// Whatever the model gives, all rows together.
    Tensors(Vec<Tensor>),
}

/// A part of a text that means something.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub(super) struct Span {
    pub(super) row: i32,
    pub(super) start: i32,
    pub(super) end: i32,
    pub(super) entity: Bytes,
    pub(super) score: f32,
}

/// Reads an answer of an expert of `task`. A client may have asked for other outputs than the task's own; then they are
/// compared as what they are. `Err` says why this is no answer at all.
pub(super) fn read(task: Task, response: ModelInferResponse) -> Result<Vec<Row>, String> {
    let tensors = outputs(response).map_err(|error| error.to_string())?;
    if let Some(tensor) = tensors.iter().find(|tensor| has_nan(&tensor.data)) {
        return Err(format!("output `{}` holds what is not a number", tensor.name));
    }
    let rows = match task {
        Task::TextClassification | Task::ImageClassification => labels(&tensors),
        Task::TokenClassification => spans(&tensors),
        Task::TextToText | Task::SpeechToText => texts(&tensors),
        Task::Embedding => floats(&tensors, "embedding", Row::Vector),
        Task::TextToSpeech => {
            bytes(&tensors, "audio").map(|(_, sounds)| sounds.iter().cloned().map(Row::Sound).collect())
        }
        Task::Series => floats(&tensors, "anomaly", Row::Scores).or_else(|| labels(&tensors)),
        Task::Tensor => None,
    };
    Ok(rows.unwrap_or_else(|| vec![Row::Tensors(tensors)]))
}

impl Row {
    /// For people, in one line that is not longer than a line. Text is what the client said in other words, so that it is
    /// shown only where that may be.
    pub(super) fn to_text(&self, may_quote: bool) -> Box<str> {
        let mut text = Shortened::default();
        let written = match self {
            Self::Labels(labels) => labels.iter().enumerate().try_for_each(|(i, (label, score))| {
                let comma = if i == 0 { "" } else { ", " };
                write!(text, "{comma}{} {score:.2}", String::from_utf8_lossy(label))
            }),
            Self::Spans(spans) if spans.is_empty() => text.write_str("no spans"),
            Self::Spans(spans) => spans.iter().enumerate().try_for_each(|(i, span)| {
                let comma = if i == 0 { "" } else { ", " };
                write!(text, "{comma}{} {}..{}", String::from_utf8_lossy(&span.entity), span.start, span.end)
            }),
            Self::Text(answer) if may_quote => text.write_str(answer),
            Self::Text(answer) => write!(text, "{} characters of text", answer.chars().count()),
            Self::Vector(values) => numbers(&mut text, values),
            Self::Scores(values) => {
                let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                write!(text, "{} scores, the highest is {highest:.3}", values.len())
            }
            Self::Sound(sound) => write!(text, "{} bytes of sound", sound.len()),
            Self::Tensors(tensors) => tensors.iter().enumerate().try_for_each(|(i, tensor)| {
                let comma = if i == 0 { "" } else { ", " };
                let Tensor { name, shape, data } = tensor;
                write!(text, "{comma}{name} {}{shape:?}", data.datatype())
            }),
        };
        // It refuses what is too long.
        let _ = written;
        text.into()
    }
}

fn numbers(text: &mut Shortened, values: &[f32]) -> std::fmt::Result {
    write!(text, "{} numbers: ", values.len())?;
    values.iter().try_for_each(|value| write!(text, "{value:.3} "))
}

/// What the client sent, for people.
pub(super) fn payload(message: ModelInferRequest) -> Box<str> {
    let Ok(tensors) = inputs(message) else { return "".into() };
    let text = tensors.iter().find_map(|tensor| {
        let Data::Bytes(rows) = &tensor.data else { return None };
        std::str::from_utf8(rows.first()?).ok()
    });
    match text {
        Some(text) => shortened(text),
        None => Row::Tensors(tensors).to_text(true),
    }
}

fn tensor<'a>(tensors: &'a [Tensor], name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|tensor| tensor.name == name)
}

fn bytes<'a>(tensors: &'a [Tensor], name: &str) -> Option<(&'a [usize], &'a [Bytes])> {
    let Tensor { shape, data: Data::Bytes(values), .. } = tensor(tensors, name)? else { return None };
    Some((shape, values))
}

fn f32s<'a>(tensors: &'a [Tensor], name: &str) -> Option<(&'a [usize], &'a [f32])> {
    let Tensor { shape, data: Data::F32(values), .. } = tensor(tensors, name)? else { return None };
    Some((shape, values))
}

fn i32s<'a>(tensors: &'a [Tensor], name: &str) -> Option<&'a [i32]> {
    let Data::I32(values) = &tensor(tensors, name)?.data else { return None };
    Some(values)
}

/// Elements of one row: what is behind the first axis. A tensor of one axis is one row.
fn width(shape: &[usize], n: usize) -> usize {
    match shape {
        [rows, _, ..] if *rows > 0 => (n / rows).max(1),
        _ => n.max(1),
    }
}

fn labels(tensors: &[Tensor]) -> Option<Vec<Row>> {
    let ((shape, labels), (_, scores)) = (bytes(tensors, "label")?, f32s(tensors, "score")?);
    let (n, width) = (labels.len(), width(shape, labels.len()));
    let row = |(labels, scores): (&[Bytes], &[f32])| {
        Row::Labels(labels.iter().cloned().zip(scores.iter().copied()).collect())
    };
    (n == scores.len()).then(|| labels.chunks(width).zip(scores.chunks(width)).map(row).collect())
}

fn spans(tensors: &[Tensor]) -> Option<Vec<Row>> {
    let (_, entities) = bytes(tensors, "entity")?;
    let (starts, ends) = (i32s(tensors, "start")?, i32s(tensors, "end")?);
    let (_, scores) = f32s(tensors, "score")?;
    let n = entities.len();
    // Where there is one row only, some leave it out.
    let none = vec![0; n];
    let rows = i32s(tensors, "row").unwrap_or(&none);
    let span = |i: usize| Span {
        row: rows[i],
        start: starts[i],
        end: ends[i],
        entity: entities[i].clone(),
        score: scores[i],
    };
    let is_rectangle = [starts.len(), ends.len(), scores.len(), rows.len()].iter().all(|len| *len == n);
    let whole = wholes(tensors);
    is_rectangle.then(|| vec![Row::Spans((0..n).map(span).chain(whole).collect())])
}

/// What an expert with two heads says of the texts themselves, each as a span of no length: of two versions that find the
/// same and say something else of the text, one is wrong as well.
fn wholes(tensors: &[Tensor]) -> Vec<Span> {
    let (Some((shape, labels)), Some((_, scores))) = (bytes(tensors, "label"), f32s(tensors, "label_score"))
    else {
        return Vec::new();
    };
    let width = width(shape, labels.len());
    let best = labels.iter().step_by(width).zip(scores.iter().step_by(width));
    let whole = |(row, (label, score)): (i32, (&Bytes, &f32))| Span {
        row,
        start: 0,
        end: 0,
        entity: label.clone(),
        score: *score,
    };
    (0..).zip(best).map(whole).collect()
}

fn texts(tensors: &[Tensor]) -> Option<Vec<Row>> {
    let (_, texts) = bytes(tensors, "text")?;
    // Blanks around a text are nobody's business.
    let row = |text: &Bytes| std::str::from_utf8(text).ok().map(|text| Row::Text(text.trim().to_owned()));
    texts.iter().map(row).collect()
}

fn floats(tensors: &[Tensor], name: &str, row: fn(Vec<f32>) -> Row) -> Option<Vec<Row>> {
    let (shape, values) = f32s(tensors, name)?;
    Some(values.chunks(width(shape, values.len())).map(|values| row(values.to_vec())).collect())
}

fn has_nan(data: &Data) -> bool {
    match data {
        Data::F32(values) => values.iter().any(|value| value.is_nan()),
        Data::F64(values) => values.iter().any(|value| value.is_nan()),
        Data::F16(values) => values.iter().any(|value| f16::from_bits(*value).is_nan()),
        Data::Bf16(values) => values.iter().any(|value| bf16::from_bits(*value).is_nan()),
        Data::Bool(_) | Data::U8(_) | Data::U16(_) | Data::U32(_) | Data::U64(_) => false,
        Data::I8(_) | Data::I16(_) | Data::I32(_) | Data::I64(_) | Data::Bytes(_) => false,
    }
}

#[cfg(test)]
mod tests;
