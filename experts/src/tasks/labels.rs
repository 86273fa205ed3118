//! `label` and `score` out, best first: what every task that classifies whole rows answers, and how clients ask for it.

use bytes::Bytes;
use nanogrid_onnx::{Package, Ranking, Scored};
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_settings::package::TensorSpec;

use crate::{
    classification,
    error::Error,
    signature::{Wanted, WantedOutput, spec},
};

pub(crate) struct Labels {
    ranking: Ranking,
    /// By index; an answer holds further references to these and no copies.
    labels: Vec<Bytes>,
}

/// Positions among the outputs.
const LABEL: usize = 0;
const SCORE: usize = 1;

const NAMES: [&str; 2] = ["label", "score"];

impl Labels {
    pub(crate) fn new(package: &Package) -> Self {
        let labels = package.labels.iter().map(|label| Bytes::copy_from_slice(label.as_bytes())).collect();
        Self { ranking: Ranking::new(package), labels }
    }

    /// The outputs of a task that answers nothing else.
    pub(crate) fn outputs() -> Vec<TensorSpec> {
        vec![spec(NAMES[LABEL], "BYTES", &[-1, -1]), spec(NAMES[SCORE], "FP32", &[-1, -1])]
    }

    /// The outputs wanted, of one row for each of `logits`.
    pub(crate) fn answer(&self, logits: &[Vec<f32>], wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        let top_k = wanted.top_k.unwrap_or(1);
        let most = wanted.outputs.iter().filter_map(|output| output.classification).fold(top_k, usize::max);
        let ranked: Vec<Vec<Scored<'_>>> = logits.iter().map(|row| self.ranking.top(row, most)).collect();
        wanted.outputs.iter().map(|output| self.output(*output, &ranked, top_k)).collect()
    }

    fn output(
        &self,
        output: WantedOutput,
        ranked: &[Vec<Scored<'_>>],
        top_k: usize,
    ) -> Result<Tensor, Error> {
        let name = NAMES[output.idx];
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
                    problem: format!("ranks numbers, and `{name}` is text: ask it of `score`"),
                });
            }
        };
        Ok(Tensor { name: name.to_owned(), shape: vec![ranked.len(), width], data })
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
