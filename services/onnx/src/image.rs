//! Image files to pixels, as Pillow and the Hugging Face image processors do it: a model that was trained on their pixels
//! must see the same ones here. The numbers that the pixels become are made where the batch is laid out: until then an image
//! takes a fourth of the memory.
//!
//! What a file says of itself is not believed before it is checked: its pixels are counted in the header, before memory is
//! taken for them.

#[cfg(test)]
mod tests;

use std::{fmt, io::Cursor, num::NonZeroUsize};

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use nanogrid_settings::{
    ImageProcessorConfig,
    package::{Extent, Resample, Resize, ResizeTo},
};

/// Turns the files of images into what one model sees. Any number of threads may use it at once.
#[derive(Debug, Clone, Copy)]
pub struct ImageProcessor {
    config: ImageProcessorConfig,
    limits: ImageLimits,
}

/// How large an image may be.
#[derive(Debug, Clone, Copy)]
pub struct ImageLimits {
    /// Of the file.
    pub max_bytes: NonZeroUsize,
    /// Width times height, as the file says. Decoding takes up to 16 bytes for each, for a short time.
    pub max_pixels: NonZeroUsize,
}

/// An image as one model sees it: a byte of red, green and blue for each pixel, line by line.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels(Vec<u8>);

/// Why a file is no image that can be read here. The same file will never be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImageError {
    #[error("the image is empty: send the bytes of a PNG or JPEG file")]
    Empty,
    #[error("the image has {bytes} bytes; the limit is {limit} (setting `inference.max-image-bytes`)")]
    TooManyBytes { bytes: usize, limit: usize },
    #[error("the image is {found}: send the bytes of a PNG or JPEG file")]
    Format { found: String },
    #[error(
        "the image has {width} x {height} pixels; the limit is {limit} altogether (setting `inference.max-image-pixels`)"
    )]
    TooManyPixels { width: u32, height: u32, limit: usize },
    #[error(
        "decoding the image would take more memory than {limit} pixels may (setting `inference.max-image-pixels`)"
    )]
    TooMuchMemory { limit: usize },
    #[error(
        "the image has {width} x {height} pixels, which is too long: its shorter side is to become {edge}, and then it has more \
         than {limit} pixels (setting `inference.max-image-pixels`)"
    )]
    TooLong { width: u32, height: u32, edge: u32, limit: usize },
    #[error("the {format} file is broken: {problem}")]
    Broken { format: &'static str, problem: String },
}

impl ImageProcessor {
    /// For the model that `config` belongs to.
    pub fn new(config: ImageProcessorConfig, limits: ImageLimits) -> Self {
        Self { config, limits }
    }

    /// What the model sees of the PNG or JPEG in `file`. Takes from half a millisecond to a fifth of a second, by the size of the image: not to be called where
    /// others wait.
    ///
    /// # Errors
    /// When it is too large, no PNG or JPEG, or broken; a JPEG that is cut off as well, although most of it could be seen.
    pub fn process(&self, file: &[u8]) -> Result<Pixels, ImageError> {
        let mut image = self.decode(file)?;
        if let Some(Resize { to, resample }) = self.config.resize {
            let extent = self.resized(to, &image)?;
            let resized = resize(&image, extent, resample)
                .map_err(|error| ImageError::Broken { format: "image", problem: error.to_string() })?;
            image = resized;
        }
        Ok(match self.config.crop {
            Some(extent) => center_crop(&image, extent),
            None => Pixels(image.into_raw()),
        })
    }

    /// Upright, and in RGB whatever it was: what shines through is dropped, as Pillow does it.
    fn decode(&self, file: &[u8]) -> Result<RgbImage, ImageError> {
        let format = self.format(file)?;
        let name = if format == ImageFormat::Png { "PNG" } else { "JPEG" };
        let limit = self.limits.max_pixels.get();
        let broken = |error: image::ImageError| {
            if matches!(error, image::ImageError::Limits(_)) {
                return ImageError::TooMuchMemory { limit };
            }
            ImageError::Broken { format: name, problem: error.to_string() }
        };
        let mut reader = ImageReader::with_format(Cursor::new(file), format);
        let mut limits = Limits::no_limits();
        // 16 bits of each colour and of what shines through, and as much again for what else is in the file.
        limits.max_alloc = Some((limit as u64).saturating_mul(16));
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > limit as u64 {
            return Err(ImageError::TooManyPixels { width, height, limit });
        }
        if width == 0 || height == 0 {
            return Err(ImageError::Broken { format: name, problem: "it has no pixels".to_owned() });
        }
        if format == ImageFormat::Jpeg && !has_its_end(file) {
            return Err(ImageError::Broken { format: name, problem: "its end is missing".to_owned() });
        }
        let orientation = decoder.orientation().map_err(broken)?;
        let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
        let mut upright = DynamicImage::from(decoded.into_rgb8());
        upright.apply_orientation(orientation);
        Ok(upright.into_rgb8())
    }

    fn format(&self, file: &[u8]) -> Result<ImageFormat, ImageError> {
        if file.is_empty() {
            return Err(ImageError::Empty);
        }
        let limit = self.limits.max_bytes.get();
        if file.len() > limit {
            return Err(ImageError::TooManyBytes { bytes: file.len(), limit });
        }
        let found = match image::guess_format(file) {
            Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => return Ok(format),
            Ok(other) => format!("a file of the format {other:?}"),
            Err(_) => format!("no image file: it begins with the bytes {:02x?}", &file[..file.len().min(4)]),
        };
        Err(ImageError::Format { found })
    }

    fn resized(&self, to: ResizeTo, image: &RgbImage) -> Result<Extent, ImageError> {
        let (width, height) = image.dimensions();
        let edge = match to {
            ResizeTo::Exactly(extent) => return Ok(extent),
            ResizeTo::ShortestEdge(edge) => edge,
        };
        // Rounded down, as Hugging Face does it.
        let longer = |long: u32, short: u32| u64::from(edge) * u64::from(long) / u64::from(short);
        let (new_width, new_height) = if width <= height {
            (edge.into(), longer(height, width))
        } else {
            (longer(width, height), edge.into())
        };
        let limit = self.limits.max_pixels.get();
        let too_long = ImageError::TooLong { width, height, edge, limit };
        match (u32::try_from(new_width), u32::try_from(new_height)) {
            (Ok(width), Ok(height)) if new_width * new_height <= limit as u64 => Ok(Extent { height, width }),
            _ => Err(too_long),
        }
    }
}

impl Pixels {
    pub(crate) fn black(extent: Extent) -> Self {
        Self(vec![0; 3 * extent.pixels()])
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len() / 3
    }

    /// Red, green and blue of each pixel, line by line.
    pub fn rgb(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pixels({})", self.count())
    }
}

/// A JPEG ends with a marker behind its last scan; that of a thumbnail stands before the first. Decoders paint grey what is
/// missing, and a model would give its opinion on grey.
fn has_its_end(jpeg: &[u8]) -> bool {
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|bytes| bytes == marker);
    match (last([0xff, 0xda]), last([0xff, 0xd9])) {
        (Some(scan), Some(end)) => scan < end,
        (None, _) | (_, None) => false,
    }
}

/// In two steps, each rounded to bytes, the lines first: that is how Pillow comes to its pixels. The other way round where
/// only so nothing in between is larger than both images.
fn resize(image: &RgbImage, to: Extent, resample: Resample) -> Result<RgbImage, ResizeError> {
    let (width, height) = image.dimensions();
    let between =
        if to.width > width && to.height < height { (width, to.height) } else { (to.width, height) };
    let lines = step(image, between, resample)?;
    step(&lines, (to.width, to.height), resample)
}

fn step(image: &RgbImage, (width, height): (u32, u32), resample: Resample) -> Result<RgbImage, ResizeError> {
    if image.dimensions() == (width, height) {
        return Ok(image.clone());
    }
    let algorithm = match resample {
        Resample::Nearest => ResizeAlg::Nearest,
        Resample::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        Resample::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Resample::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Resample::Box => ResizeAlg::Convolution(FilterType::Box),
        Resample::Hamming => ResizeAlg::Convolution(FilterType::Hamming),
    };
    let kind = PixelType::U8x3;
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), kind)
        .expect("three bytes for each pixel, by the type");
    let mut resized = Image::new(width, height, kind);
    Resizer::new().resize(&source, &mut resized, &ResizeOptions::new().resize_alg(algorithm))?;
    Ok(RgbImage::from_raw(width, height, resized.into_vec())
        .expect("three bytes for each pixel, by its kind"))
}

/// The middle, with a black border where the image is smaller.
fn center_crop(image: &RgbImage, to: Extent) -> Pixels {
    // Rounded towards the top left, also where it is negative.
    let offset = |of: u32, to: u32| (i64::from(of) - i64::from(to)).div_euclid(2);
    let (left, top) = (offset(image.width(), to.width), offset(image.height(), to.height));
    let mut pixels = Pixels::black(to);
    for (line, y) in pixels.0.chunks_exact_mut(3 * to.width as usize).zip(top..) {
        for (pixel, x) in line.chunks_exact_mut(3).zip(left..) {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(seen) = image.get_pixel_checked(x, y)
            {
                pixel.copy_from_slice(&seen.0);
            }
        }
    }
    pixels
}
