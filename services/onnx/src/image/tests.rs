use image::{ImageEncoder as _, codecs::jpeg::JpegEncoder};

use super::*;

/// Odd sides, slopes, and hard edges that overshoot.
fn picture() -> RgbImage {
    RgbImage::from_fn(37, 23, |x, y| {
        let check = if (x / 5 + y / 4) % 2 == 1 { 255 } else { 0 };
        image::Rgb([(x * 7 + y * 3) as u8, (x * y) as u8, check])
    })
}

fn limits() -> ImageLimits {
    let number = |n| NonZeroUsize::new(n).unwrap();
    ImageLimits { max_bytes: number(1 << 16), max_pixels: number(10_000) }
}

fn extent(height: u32, width: u32) -> Extent {
    Extent { height, width }
}

fn processor(resize: Option<Resize>, crop: Option<Extent>) -> ImageProcessor {
    let config = ImageProcessorConfig {
        resize,
        crop,
        extent: extent(1, 1),
        rescale_factor: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    ImageProcessor::new(config, limits())
}

/// Every pixel as it is.
fn untouched() -> ImageProcessor {
    processor(None, None)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// Eight bytes of a resized picture, from its middle on, as Pillow 13 makes them.
#[track_caller]
fn resized_as_pillow(resample: Resample, to: Extent, expected: &[u8], sum: u64) {
    let resize = Resize { to: ResizeTo::Exactly(to), resample };
    let pixels = processor(Some(resize), None).process(&png(picture())).unwrap();
    let middle = pixels.rgb().len() / 2;
    let found = &pixels.rgb()[middle..middle + 8];
    let close = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(*expected) <= 1);
    assert!(close, "{found:?}, Pillow has {expected:?}");
    let found: u64 = pixels.rgb().iter().map(|byte| u64::from(*byte)).sum();
    assert!(
        found.abs_diff(sum) <= pixels.rgb().len() as u64 / 50,
        "the sum is {found}, that of Pillow {sum}"
    );
}

#[test]
fn pixels_are_those_of_pillow_whatever_the_filter() {
    use Resample::{Bicubic, Bilinear, Box, Hamming, Lanczos, Nearest};
    resized_as_pillow(Nearest, extent(11, 8), &[173, 220, 0, 208, 19, 255, 243, 74], 30_861);
    resized_as_pillow(Lanczos, extent(11, 8), &[174, 223, 102, 214, 77, 141, 214, 47], 30_951);
    resized_as_pillow(Lanczos, extent(48, 64), &[33, 0, 51, 36, 3, 51, 41, 10], 1_077_697);
    resized_as_pillow(Bilinear, extent(11, 8), &[175, 198, 108, 208, 92, 139, 203, 71], 30_961);
    resized_as_pillow(Bilinear, extent(48, 64), &[34, 0, 61, 37, 4, 61, 41, 10], 1_077_674);
    resized_as_pillow(Bicubic, extent(11, 8), &[175, 214, 105, 211, 82, 140, 213, 57], 30_931);
    resized_as_pillow(Bicubic, extent(48, 64), &[33, 0, 49, 36, 3, 49, 41, 10], 1_077_742);
    resized_as_pillow(Box, extent(11, 8), &[177, 204, 106, 208, 87, 136, 240, 69], 31_050);
    resized_as_pillow(Hamming, extent(11, 8), &[175, 210, 98, 208, 79, 144, 219, 69], 30_924);
}

#[test]
fn the_shortest_edge_keeps_proportions_and_the_middle_is_kept() {
    let resize = Resize { to: ResizeTo::ShortestEdge(10), resample: Resample::Nearest };
    // 37 x 23 becomes 16 x 10.
    assert_eq!(processor(Some(resize), None).process(&png(picture())).unwrap().count(), 16 * 10);
    let cropped = processor(None, Some(extent(3, 5))).process(&png(picture())).unwrap();
    let expected: Vec<u8> =
        (10..13).flat_map(|y| (16..21).flat_map(move |x| picture().get_pixel(x, y).0)).collect();
    assert_eq!(cropped.rgb(), expected);
}

#[test]
fn what_is_smaller_than_the_crop_gets_a_black_border() {
    let white = RgbImage::from_pixel(1, 2, image::Rgb([255; 3]));
    let pixels = processor(None, Some(extent(5, 4))).process(&png(white)).unwrap();
    let lit: Vec<usize> = (0..20).filter(|at| pixels.rgb()[3 * at] == 255).collect();
    // Hugging Face puts what cannot be halved above and to the left.
    assert_eq!(lit, [2 * 4 + 2, 3 * 4 + 2]);
}

#[test]
fn every_kind_of_png_becomes_rgb_and_what_shines_through_is_dropped() {
    let red = [200, 30, 40];
    let half = image::Rgba([200, 30, 40, 100]);
    let rgb = |image: DynamicImage| untouched().process(&png(image)).unwrap().rgb().to_vec();
    assert_eq!(rgb(image::RgbaImage::from_pixel(1, 1, half).into()), red);
    let wide = image::ImageBuffer::from_pixel(1, 1, image::Rgb([200_u16 * 257, 30 * 257, 40 * 257]));
    assert_eq!(rgb(wide.into()), red);
    assert_eq!(rgb(image::GrayImage::from_pixel(1, 1, image::Luma([7])).into()), [7; 3]);
    let grey = image::GrayAlphaImage::from_pixel(1, 1, image::LumaA([7, 0]));
    assert_eq!(rgb(grey.into()), [7; 3]);
    let grey = image::ImageBuffer::from_pixel(1, 1, image::Luma([7_u16 * 257]));
    assert_eq!(rgb(grey.into()), [7; 3]);
}

#[test]
fn jpegs_are_read_in_colour_in_grey_and_in_cmyk() {
    let jpeg = |image: DynamicImage| encoded(image, ImageFormat::Jpeg);
    let close = |file: &[u8], expected: [u8; 3]| {
        let pixels = untouched().process(file).unwrap();
        let is_close =
            pixels.rgb()[..3].iter().zip(expected).all(|(found, wanted)| found.abs_diff(wanted) <= 3);
        assert!(is_close, "{:?} for {expected:?}", &pixels.rgb()[..3]);
    };
    close(&jpeg(RgbImage::from_pixel(8, 8, image::Rgb([200, 30, 40])).into()), [200, 30, 40]);
    close(&jpeg(image::GrayImage::from_pixel(8, 8, image::Luma([90])).into()), [90; 3]);
    close(include_bytes!("cmyk.jpg"), [200, 30, 40]);
}

#[test]
fn a_picture_taken_sideways_is_turned_upright() {
    let left_is_white = RgbImage::from_fn(16, 8, |x, _| image::Rgb([if x < 8 { 255 } else { 0 }; 3]));
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new(&mut file);
    // Little-endian TIFF with one entry: orientation 6, to be turned to the right by a quarter.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    encoder.encode_image(&left_is_white).unwrap();
    let pixels = untouched().process(&file).unwrap();
    assert_eq!(pixels.count(), 8 * 16);
    // What was left is above.
    assert!(pixels.rgb()[0] > 250 && pixels.rgb()[3 * 8 - 1] > 250, "{:?}", &pixels.rgb()[..24]);
    assert!(pixels.rgb()[3 * 8 * 15] < 5);
}

#[track_caller]
fn check(file: &[u8], says: &[&str]) {
    let message = untouched().process(file).expect_err("it is to be refused").to_string();
    for part in says {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn what_is_no_image_is_refused_with_what_it_is() {
    check(b"", &["is empty", "PNG or JPEG"]);
    check(b"GIF89a\x01\0\x01\0", &["Gif", "PNG or JPEG"]);
    check(b"RIFF\x24\0\0\0WEBPVP8 ", &["WebP", "PNG or JPEG"]);
    check(b"hello", &["no image file", "[68, 65, 6c, 6c]"]);
    check(&vec![0; (1 << 16) + 1], &["65537", "65536", "inference.max-image-bytes"]);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let file = encoded(picture(), format);
        // A PNG may lose its last chunk, which holds nothing.
        let needed = if format == ImageFormat::Png { file.len() - 12 } else { file.len() };
        for n in 8..needed {
            check(&file[..n], &["broken"]);
        }
    }
    let mut flipped = png(picture());
    flipped[60] ^= 0x55;
    check(&flipped, &["PNG", "broken"]);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let bomb = |sides: [u32; 2]| {
        let mut png = png(picture());
        // Width and height, and the checksum of the header.
        png[16..24].copy_from_slice(sides.map(u32::to_be_bytes).as_flattened());
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        png
    };
    check(&bomb([101, 100]), &["101 x 100", "10000", "inference.max-image-pixels"]);
    // One line of it is too much already.
    check(&bomb([1 << 30, 1 << 30]), &["10000", "inference.max-image-pixels"]);
    let mut jpeg = encoded(picture(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    check(&jpeg, &["65535 x 65535", "10000", "inference.max-image-pixels"]);
}

/// As PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_ribbon_that_would_grow_beyond_the_limit_is_refused() {
    let resize = Resize { to: ResizeTo::ShortestEdge(64), resample: Resample::Bilinear };
    let ribbon = png(RgbImage::new(1, 1000));
    let refused = processor(Some(resize), Some(extent(8, 8))).process(&ribbon).expect_err("64 x 64000");
    assert_eq!(refused, ImageError::TooLong { width: 1, height: 1000, edge: 64, limit: 10_000 });
    // To a fixed size it takes no more memory than both together.
    let resize = Resize { to: ResizeTo::Exactly(extent(2, 4000)), resample: Resample::Bilinear };
    assert_eq!(processor(Some(resize), None).process(&ribbon).unwrap().count(), 8000);
}
