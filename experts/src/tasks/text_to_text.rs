//! `text` in; `text` and `score` out, the mean log-probability of the tokens given. A model that answers a text with nothing
//! has answered it with an empty text. A text that is longer than the model can see is answered as far as it saw it.

use bytes::Bytes;
use nanogrid_onnx::{Generated, Model, Package, RunError, Text, Times, Tokens};
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_settings::package::NumBeams;
use tokio::time::Instant;

use super::text;
use crate::{
    error::Error,
    signature::{Signature, Wanted, WantedOutput, spec},
    task::Task,
};

pub(crate) struct TextToText {
    signature: Signature,
    tokenizer: Text,
    model: Model,
    /// Where a request does not say.
    num_beams: NumBeams,
    max_text_bytes: usize,
}

/// Position in the signature.
const TEXT: usize = 0;

/// A request on its way to the model.
pub(crate) struct Prompts {
    rows: Vec<Tokens>,
    num_beams: NumBeams,
}

impl TextToText {
    pub(crate) fn load(
        package: &Package,
        model: Model,
        max_text_bytes: usize,
    ) -> Result<Self, nanogrid_onnx::Error> {
        Ok(Self {
            signature: Signature {
                inputs: vec![spec(text::INPUT, "BYTES", &[-1])],
                outputs: vec![spec("text", "BYTES", &[-1]), spec("score", "FP32", &[-1])],
                batched: true,
            },
            tokenizer: Text::load(package)?,
            model,
            num_beams: package.generation.map_or(NumBeams::GREEDY, |generation| generation.num_beams),
            max_text_bytes,
        })
    }
}

impl Task for TextToText {
    type Prepared = Prompts;
    type Raw = Vec<Generated>;

    fn signature(&self) -> &Signature {
        &self.signature
    }

    async fn preprocess(&self, inputs: Vec<Tensor>, wanted: &Wanted) -> Result<Self::Prepared, Error> {
        let rows = text::tokens(&self.tokenizer, &inputs[0], self.max_text_bytes).await?;
        Ok(Prompts { rows, num_beams: wanted.num_beams.unwrap_or(self.num_beams) })
    }

    async fn run(&self, prompts: Prompts, deadline: Option<Instant>) -> Result<(Self::Raw, Times), RunError> {
        let generation = self.model.generate(prompts.rows, prompts.num_beams, deadline).await?;
        Ok((generation.texts, generation.times))
    }

    fn postprocess(&self, texts: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        wanted.outputs.iter().map(|output| self.output(*output, &texts)).collect()
    }
}

impl TextToText {
    fn output(&self, output: WantedOutput, texts: &[Generated]) -> Result<Tensor, Error> {
        let name = self.signature.outputs[output.idx].name.clone();
        if output.classification.is_some() {
            let problem = format!("ranks labels, and `{name}` is of a text: leave it out");
            return Err(Error::Parameter { name: "classification".to_owned(), problem });
        }
        let decode = |text: &Generated| {
            let decoded =
                self.tokenizer.decode(&text.ids).map_err(|error| Error::Failed(error.to_string()))?;
            Ok(Bytes::from(decoded))
        };
        let data = match output.idx {
            TEXT => Data::Bytes(texts.iter().map(decode).collect::<Result<_, Error>>()?),
            _ => Data::F32(texts.iter().map(|text| text.score).collect()),
        };
        Ok(Tensor { name, shape: vec![texts.len()], data })
    }
}
