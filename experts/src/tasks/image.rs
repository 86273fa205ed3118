//! Images as they arrive: files, which are decoded off the threads that serve connections.
//!
//! A photo takes tens of milliseconds of one core. So rows are decoded one after another on tokio's threads for blocking
//! work, no more at a time than the package has workers: nobody else's request waits for a photo, and many large ones at once
//! do not need the memory of all of them. A caller who leaves costs no more than the row at hand.

use std::sync::Arc;

use bytes::Bytes;
use nanogrid_onnx::{ImageError, ImageProcessor, Pixels};
use nanogrid_proto::tensor::{Data, Tensor};
use tokio::sync::Semaphore;
use tracing::Span;

use crate::error::Error;

/// Name of the input, in every task that takes images.
pub(crate) const INPUT: &str = "image";

pub(crate) struct Images {
    processor: ImageProcessor,
    at_once: Arc<Semaphore>,
}

impl Images {
    pub(crate) fn new(processor: ImageProcessor, at_once: usize) -> Self {
        Self { processor, at_once: Arc::new(Semaphore::new(at_once)) }
    }

    /// The pixels of every row.
    pub(crate) async fn pixels(&self, input: Tensor) -> Result<Vec<Pixels>, Error> {
        let Data::Bytes(files) = input.data else {
            return Err(Error::Misfit {
                name: input.name,
                found: input.data.datatype().to_owned(),
                expected: "BYTES".to_owned(),
            });
        };
        let mut rows = Vec::with_capacity(files.len());
        for (row, file) in files.into_iter().enumerate() {
            let pixels = self.one(file).await?;
            let unreadable = |problem| Error::Image { name: input.name.clone(), row, problem };
            rows.push(pixels.map_err(unreadable)?);
        }
        Ok(rows)
    }

    async fn one(&self, file: Bytes) -> Result<Result<Pixels, ImageError>, Error> {
        // Never closed.
        let permit = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (processor, span) = (self.processor, Span::current());
        #[expect(
            clippy::disallowed_methods,
            reason = "an image of 224 x 224 takes ten times what the call costs"
        )]
        let decoding = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            let pixels = processor.process(&file);
            // Held to the end, also when nobody waits any more.
            drop(permit);
            pixels
        });
        decoding.await.map_err(|error| Error::Failed(format!("decoding the image ended early: {error}")))
    }
}
