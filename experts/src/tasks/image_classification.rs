//! `image` in, `label` and `score` out, best first.

use nanogrid_onnx::{ImageLimits, ImageProcessor, Model, Package, Pixels, RunError, Times};
use nanogrid_proto::tensor::Tensor;
use nanogrid_settings::{ImageProcessorConfig, InferenceSettings};
use tokio::time::Instant;

use super::{
    image::{self, Images},
    labels::Labels,
};
use crate::{
    error::Error,
    signature::{Signature, Wanted, spec},
    task::Task,
};

pub(crate) struct ImageClassification {
    signature: Signature,
    images: Images,
    model: Model,
    labels: Labels,
}

impl ImageClassification {
    pub(crate) fn new(
        package: &Package,
        processor: ImageProcessorConfig,
        model: Model,
        limits: &InferenceSettings,
    ) -> Self {
        let image_limits =
            ImageLimits { max_bytes: limits.max_image_bytes, max_pixels: limits.max_image_pixels };
        Self {
            signature: Signature {
                inputs: vec![spec(image::INPUT, "BYTES", &[-1])],
                outputs: Labels::outputs(),
                batched: true,
            },
            images: Images::new(ImageProcessor::new(processor, image_limits), limits.workers.get()),
            model,
            labels: Labels::new(package),
        }
    }
}

impl Task for ImageClassification {
    type Prepared = Vec<Pixels>;
    type Raw = Vec<Vec<f32>>;

    fn signature(&self) -> &Signature {
        &self.signature
    }

    async fn preprocess(&self, mut inputs: Vec<Tensor>, _: &Wanted) -> Result<Self::Prepared, Error> {
        self.images.pixels(inputs.swap_remove(0)).await
    }

    async fn run(
        &self,
        rows: Vec<Pixels>,
        deadline: Option<Instant>,
    ) -> Result<(Self::Raw, Times), RunError> {
        let run = self.model.run_images(rows, deadline).await?;
        Ok((run.logits, run.times))
    }

    fn postprocess(&self, logits: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        self.labels.answer(&logits, wanted)
    }
}
