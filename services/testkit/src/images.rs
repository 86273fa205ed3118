//! Files of images in one colour.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A PNG of 20 x 10 pixels.
///
/// # Panics
/// Never: memory takes every image.
pub fn png(colour: [u8; 3]) -> Vec<u8> {
    encoded((20, 10), colour, ImageFormat::Png)
}

/// A PNG of so many pixels a side.
///
/// # Panics
/// Never: memory takes every image.
pub fn png_of(side: u32, colour: [u8; 3]) -> Vec<u8> {
    encoded((side, side), colour, ImageFormat::Png)
}

/// A JPEG of 20 x 10 pixels.
///
/// # Panics
/// Never: memory takes every image.
pub fn jpeg(colour: [u8; 3]) -> Vec<u8> {
    encoded((20, 10), colour, ImageFormat::Jpeg)
}

fn encoded((width, height): (u32, u32), colour: [u8; 3], format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let image = DynamicImage::from(RgbImage::from_pixel(width, height, Rgb(colour)));
    image.write_to(&mut file, format).expect("memory takes every image");
    file.into_inner()
}
