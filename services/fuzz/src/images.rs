use std::num::NonZeroUsize;

use nanogrid_onnx::{ImageLimits, ImageProcessor};
use nanogrid_settings::{
    ImageProcessorConfig,
    package::{Extent, Resample, Resize, ResizeTo},
};

/// A file of an image, for a model that sees the middle of it, and for one that sees all.
///
/// # Panics
/// When an image has another number of pixels than the model sees, or a refusal has no words.
pub fn images(bytes: &[u8]) {
    let number = |n| NonZeroUsize::new(n).expect("not zero");
    let limits = ImageLimits { max_bytes: number(1 << 16), max_pixels: number(1 << 16) };
    let extent = Extent { height: 8, width: 12 };
    for (to, resample, crop) in [
        (ResizeTo::ShortestEdge(16), Resample::Bicubic, Some(extent)),
        (ResizeTo::Exactly(extent), Resample::Bilinear, None),
    ] {
        let resize = Some(Resize { to, resample });
        let (mean, std) = ([0.0; 3], [1.0; 3]);
        let config = ImageProcessorConfig { resize, crop, extent, rescale_factor: 1.0, mean, std };
        match ImageProcessor::new(config, limits).process(bytes) {
            Ok(pixels) => assert_eq!(pixels.count(), extent.pixels()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
