//! `text` in, `label` and `score` out, best first.

use bytes::Bytes;
use nanogrid_onnx::{Model, Package, Ranking, RunError, Scored, Text, Times, Tokens};
use nanogrid_proto::tensor::{Data, Tensor};
use tokio::time::Instant;

use super::text;
use crate::{
    classification,
    error::Error,
    signature::{Signature, Wanted, WantedOutput, spec},
    task::Task,
};

pub(crate) struct TextClassification {
    signature: Signature,
    tokenizer: Text,
    model: Model,
    ranking: Ranking,
    /// By index; an answer holds further references to these and no copies.
    labels: Vec<Bytes>,
    max_text_bytes: usize,
}

/// Positions in the signature.
const LABEL: usize = 0;
const SCORE: usize = 1;

impl TextClassification {
    pub(crate) fn load(
        package: &Package,
        model: Model,
        max_text_bytes: usize,
    ) -> Result<Self, nanogrid_onnx::Error> {
        Ok(Self {
            signature: Signature {
                inputs: vec![spec(text::INPUT, "BYTES", &[-1])],
                outputs: vec![spec("label", "BYTES", &[-1, -1]), spec("score", "FP32", &[-1, -1])],
                batched: true,
            },
            tokenizer: Text::load(package)?,
            model,
            ranking: Ranking::new(package),
            labels: package.labels.iter().map(|label| Bytes::copy_from_slice(label.as_bytes())).collect(),
            max_text_bytes,
        })
    }
}

impl Task for TextClassification {
    type Prepared = Vec<Tokens>;
    type Raw = Vec<Vec<f32>>;

    fn signature(&self) -> &Signature {
        &self.signature
    }

    async fn preprocess(&self, inputs: Vec<Tensor>, _: &Wanted) -> Result<Self::Prepared, Error> {
        text::tokens(&self.tokenizer, &inputs[0], self.max_text_bytes).await
    }

    async fn run(
        &self,
        rows: Vec<Tokens>,
        deadline: Option<Instant>,
    ) -> Result<(Self::Raw, Times), RunError> {
        let run = self.model.run_text(rows, deadline).await?;
        Ok((run.logits, run.times))
    }

    fn postprocess(&self, logits: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        let top_k = wanted.top_k.unwrap_or(1);
        let most = wanted.outputs.iter().filter_map(|output| output.classification).fold(top_k, usize::max);
        let ranked: Vec<Vec<Scored<'_>>> = logits.iter().map(|row| self.ranking.top(row, most)).collect();
        wanted.outputs.iter().map(|output| self.output(*output, &ranked, top_k)).collect()
    }
}

impl TextClassification {
    fn output(
        &self,
        output: WantedOutput,
        ranked: &[Vec<Scored<'_>>],
        top_k: usize,
    ) -> Result<Tensor, Error> {
        let spec = &self.signature.outputs[output.idx];
        let n = output.classification.unwrap_or(top_k);
        // A tensor is a rectangle: every row has as many labels as the shortest.
        let width = ranked.iter().map(|row| row.len().min(n)).min().unwrap_or(0);
        let best = ranked.iter().flat_map(|row| &row[..width]);
        let data = match (output.idx, output.classification) {
            (LABEL, None) => Data::Bytes(best.map(|scored| self.label(scored)).collect()),
            (SCORE, None) => Data::F32(best.map(|scored| scored.score).collect()),
            (SCORE, Some(_)) => Data::Bytes(best.map(|scored| self.entry(scored)).collect()),
            _ => {
                return Err(Error::Parameter {
                    name: "classification".to_owned(),
                    problem: format!("ranks numbers, and `{}` is text: ask it of `score`", spec.name),
                });
            }
        };
        Ok(Tensor { name: spec.name.clone(), shape: vec![ranked.len(), width], data })
    }

    fn label(&self, scored: &Scored<'_>) -> Bytes {
        match scored.index.and_then(|idx| self.labels.get(idx)) {
            Some(label) => label.clone(),
            None => Bytes::copy_from_slice(scored.label.as_bytes()),
        }
    }

    fn entry(&self, scored: &Scored<'_>) -> Bytes {
        // A label for "out of scope" that the model itself does not know counts as one more.
        let idx = scored.index.unwrap_or(self.labels.len());
        classification::entry(f64::from(scored.score), idx, Some(scored.label))
    }
}
