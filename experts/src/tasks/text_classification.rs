//! `text` in, `label` and `score` out, best first.

use nanogrid_onnx::{Model, Package, RunError, Text, Times, Tokens};
use nanogrid_proto::tensor::Tensor;
use tokio::time::Instant;

use super::{labels::Labels, text};
use crate::{
    error::Error,
    signature::{Signature, Wanted, spec},
    task::Task,
};

pub(crate) struct TextClassification {
    signature: Signature,
    tokenizer: Text,
    model: Model,
    labels: Labels,
    max_text_bytes: usize,
}

impl TextClassification {
    pub(crate) fn load(
        package: &Package,
        model: Model,
        max_text_bytes: usize,
    ) -> Result<Self, nanogrid_onnx::Error> {
        Ok(Self {
            signature: Signature {
                inputs: vec![spec(text::INPUT, "BYTES", &[-1])],
                outputs: Labels::outputs(),
                batched: true,
            },
            tokenizer: Text::load(package)?,
            model,
            labels: Labels::new(package),
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
        self.labels.answer(&logits, wanted)
    }
}
