//! `text` in, the spans found in it out, those of all rows one after another: `row`, `entity`, `start`, `end`, `score`. A
//! model with a second head answers `label` and `label_score` too, best first, for each row as a whole.
//!
//! A span lies in the text as it was sent, in bytes, whatever the tokenizer normalises. Texts without spans leave no trace
//! in the answer, which may be of length 0. A text that is longer than the model can see has spans in what it saw.

mod formats;

use bytes::Bytes;
use nanogrid_onnx::{Model, Package, Ranking, RunError, Tagging, Text, Times, Word, Worded};
use nanogrid_proto::tensor::{Data, Tensor};
use tokio::time::Instant;

use self::formats::{ByFormat, Told};
use super::text;
use crate::{
    error::Error,
    signature::{Signature, Wanted, WantedOutput, spec},
    task::Task,
};

pub(crate) struct TokenClassification {
    signature: Signature,
    tokenizer: Text,
    model: Model,
    tagging: Tagging,
    by_format: ByFormat,
    /// Of the whole text; `None` where the model has one head.
    whole: Option<Ranking>,
    max_text_bytes: usize,
}

/// Positions in the signature.
const ROW: usize = 0;
const ENTITY: usize = 1;
const START: usize = 2;
const END: usize = 3;
const SCORE: usize = 4;
const LABEL: usize = 5;

/// A row on its way to the model.
pub(crate) struct Row {
    worded: Worded,
    told: Vec<Told>,
}

/// A row that came back.
pub(crate) struct Answered {
    logits: Vec<f32>,
    n_tokens: usize,
    words: Vec<Word>,
    told: Vec<Told>,
}

/// A span of an answer.
struct Span<'a> {
    row: usize,
    entity: &'a str,
    start: usize,
    end: usize,
    score: f32,
}

impl TokenClassification {
    pub(crate) fn load(
        package: &Package,
        model: Model,
        max_text_bytes: usize,
    ) -> Result<Self, nanogrid_onnx::Error> {
        let mut outputs = vec![
            spec("row", "INT32", &[-1]),
            spec("entity", "BYTES", &[-1]),
            spec("start", "INT32", &[-1]),
            spec("end", "INT32", &[-1]),
            spec("score", "FP32", &[-1]),
        ];
        let whole = (!package.text_labels.is_empty()).then(|| Ranking::of_texts(package));
        if whole.is_some() {
            outputs.push(spec("label", "BYTES", &[-1, -1]));
            outputs.push(spec("label_score", "FP32", &[-1, -1]));
        }
        Ok(Self {
            signature: Signature { inputs: vec![spec(text::INPUT, "BYTES", &[-1])], outputs, batched: true },
            tokenizer: Text::load(package)?,
            model,
            tagging: Tagging::new(package)?,
            by_format: ByFormat::new(&package.formats),
            whole,
            max_text_bytes,
        })
    }
}

impl Task for TokenClassification {
    type Prepared = Vec<Row>;
    type Raw = Vec<Answered>;

    fn signature(&self) -> &Signature {
        &self.signature
    }

    async fn preprocess(&self, inputs: Vec<Tensor>, _: &Wanted) -> Result<Self::Prepared, Error> {
        let encode = |text: &str| {
            let worded = self.tokenizer.encode_words(text)?;
            Ok(Row { worded, told: self.by_format.find(text) })
        };
        text::rows(&inputs[0], self.max_text_bytes, encode, |row| &row.worded.tokens).await
    }

    async fn run(&self, rows: Vec<Row>, deadline: Option<Instant>) -> Result<(Self::Raw, Times), RunError> {
        let mut tokens = Vec::with_capacity(rows.len());
        let mut answered = Vec::with_capacity(rows.len());
        for Row { worded, told } in rows {
            let n_tokens = worded.tokens.ids.len();
            answered.push(Answered { logits: Vec::new(), n_tokens, words: worded.words, told });
            tokens.push(worded.tokens);
        }
        let run = self.model.run_text(tokens, deadline).await?;
        answered.iter_mut().zip(run.logits).for_each(|(row, logits)| row.logits = logits);
        Ok((answered, run.times))
    }

    fn postprocess(&self, rows: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        let spans: Vec<Span<'_>> =
            rows.iter().enumerate().flat_map(|(row, answered)| self.spans(row, answered)).collect();
        wanted.outputs.iter().map(|output| self.output(*output, &spans, &rows, wanted.top_k)).collect()
    }
}

impl TokenClassification {
    /// In the order of the text.
    fn spans<'a>(&'a self, row: usize, answered: &'a Answered) -> Vec<Span<'a>> {
        let found = self.tagging.spans(answered.of_tokens(&self.tagging), &answered.words);
        // What its format tells needs no opinion.
        let disputed =
            |start: usize, end: usize| answered.told.iter().any(|told| start < told.end && told.start < end);
        let found = found.into_iter().filter(|found| !disputed(found.start, found.end)).map(|found| Span {
            row,
            entity: found.entity,
            start: found.start,
            end: found.end,
            score: found.score,
        });
        let told = answered.told.iter().map(|told| Span {
            row,
            entity: self.by_format.entity(told.kind),
            start: told.start,
            end: told.end,
            score: 1.0,
        });
        let mut spans: Vec<Span<'_>> = found.chain(told).collect();
        spans.sort_by_key(|span| span.start);
        spans
    }

    fn output(
        &self,
        output: WantedOutput,
        spans: &[Span<'_>],
        rows: &[Answered],
        top_k: Option<usize>,
    ) -> Result<Tensor, Error> {
        let name = self.signature.outputs[output.idx].name.clone();
        if output.classification.is_some() {
            let problem = format!(
                "ranks the labels of an image or a text, and `{name}` is a part of spans: leave it out"
            );
            return Err(Error::Parameter { name: "classification".to_owned(), problem });
        }
        let place = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
        let data = match output.idx {
            ROW => Data::I32(spans.iter().map(|span| place(span.row)).collect()),
            ENTITY => {
                Data::Bytes(spans.iter().map(|span| Bytes::copy_from_slice(span.entity.as_bytes())).collect())
            }
            START => Data::I32(spans.iter().map(|span| place(span.start)).collect()),
            END => Data::I32(spans.iter().map(|span| place(span.end)).collect()),
            SCORE => Data::F32(spans.iter().map(|span| span.score).collect()),
            _ => return Ok(self.whole(name, output.idx, rows, top_k.unwrap_or(1))),
        };
        Ok(Tensor { name, shape: vec![spans.len()], data })
    }

    fn whole(&self, name: String, idx: usize, rows: &[Answered], top_k: usize) -> Tensor {
        let ranked: Vec<_> = self
            .whole
            .iter()
            .flat_map(|ranking| rows.iter().map(|row| ranking.top(row.of_text(&self.tagging), top_k)))
            .collect();
        let width = ranked.iter().map(Vec::len).min().unwrap_or(0);
        let best = ranked.iter().flat_map(|row| &row[..width]);
        let data = match idx {
            LABEL => {
                Data::Bytes(best.map(|scored| Bytes::copy_from_slice(scored.label.as_bytes())).collect())
            }
            _ => Data::F32(best.map(|scored| scored.score).collect()),
        };
        Tensor { name, shape: vec![ranked.len(), width], data }
    }
}

impl Answered {
    fn of_tokens(&self, tagging: &Tagging) -> &[f32] {
        &self.logits[..self.end(tagging)]
    }

    fn of_text(&self, tagging: &Tagging) -> &[f32] {
        &self.logits[self.end(tagging)..]
    }

    /// Where the logits of its tokens end, and those of the whole text begin.
    fn end(&self, tagging: &Tagging) -> usize {
        (self.n_tokens * tagging.n_labels()).min(self.logits.len())
    }
}
