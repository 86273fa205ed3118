//! How an image becomes what a model sees: what is used of a Hugging Face `preprocessor_config.json`. Unknown keys are
//! other people's; but a known one that would change the pixels, and is not done here, is refused.

use serde_json::Value;

use super::hugging_face::Keys;
use crate::Problems;

/// What nanogrid reads of a Hugging Face `preprocessor_config.json`: the steps in their order. Every image ends with the same
/// extent, whatever it began with. Colours are always RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageProcessorConfig {
    /// `size`, where `do_resize` is true.
    pub resize: Option<Resize>,
    /// `crop_size`, where `do_center_crop` is true: the middle is kept, and what is smaller gets a black border.
    pub crop: Option<Extent>,
    /// Of what the model sees.
    pub extent: Extent,
    /// `rescale_factor`: bytes are multiplied by it; 1 where `do_rescale` is false.
    pub rescale_factor: f32,
    /// `image_mean`, of red, green and blue; 0 where `do_normalize` is false.
    pub mean: [f32; 3],
    /// `image_std`, never 0; 1 where `do_normalize` is false.
    pub std: [f32; 3],
}

/// `size` and `resample`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// What the image becomes.
    pub to: ResizeTo,
    /// How pixels are computed.
    pub resample: Resample,
}

/// `size`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeTo {
    /// Whatever its proportions were.
    Exactly(Extent),
    /// The shorter side becomes this; proportions are kept.
    ShortestEdge(u32),
}

/// In pixels; neither is 0 nor above [`Extent::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Extent {
    pub height: u32,
    pub width: u32,
}

/// `resample`, by Pillow's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Resample {
    Nearest,
    Lanczos,
    Bilinear,
    Bicubic,
    Box,
    Hamming,
}

impl Extent {
    /// No model of ours sees more of an image, along one side.
    pub const MOST: u32 = 4096;

    /// Height times width.
    pub fn pixels(self) -> usize {
        self.height as usize * self.width as usize
    }
}

pub(super) fn config(source: &str, text: &str) -> Result<ImageProcessorConfig, Problems> {
    let mut file = Keys::read(source, text)?;
    let crop = crop(&mut file);
    let resize = resize(&mut file, crop.is_some());
    refuse_others(&mut file);
    let rescale = file.optional("do_rescale", "true or false", Value::as_bool).unwrap_or(true);
    let factor = file.optional("rescale_factor", "a number above 0", |value| {
        value.as_f64().filter(|factor| *factor > 0.0).map(|factor| factor as f32)
    });
    let normalize = file.required("do_normalize", "true or false", Value::as_bool);
    let (mean, std) = match normalize {
        Some(true) => (
            file.required("image_mean", "three numbers", |value| three(value, f32::is_finite)),
            file.required("image_std", "three numbers above 0", |value| {
                three(value, |std| std.is_finite() && std > 0.0)
            }),
        ),
        Some(false) | None => (Some([0.0; 3]), Some([1.0; 3])),
    };
    let extent = match (crop, resize) {
        (Some(crop), _) => Some(crop),
        (None, Some(Resize { to: ResizeTo::Exactly(extent), .. })) => Some(extent),
        (None, Some(Resize { to: ResizeTo::ShortestEdge(_), .. }) | None) => None,
    };
    match (extent, mean, std) {
        (Some(extent), Some(mean), Some(std)) if file.problems.is_empty() => Ok(ImageProcessorConfig {
            resize,
            crop,
            extent,
            // The same in every processor of the library.
            rescale_factor: if rescale { factor.unwrap_or(1.0 / 255.0) } else { 1.0 },
            mean,
            std,
        }),
        _ => Err(Problems(file.problems)),
    }
}

fn crop(file: &mut Keys<'_>) -> Option<Extent> {
    let expected = "{\"height\": .., \"width\": ..} or a number, each from 1 to 4096";
    match file.optional("do_center_crop", "true or false", Value::as_bool) {
        Some(true) => file.required("crop_size", expected, |value| square(value).or_else(|| extent(value))),
        Some(false) => None,
        None if file.is_left_out("crop_size") => None,
        None => {
            let message =
                "is there, and `do_center_crop` does not say whether it is used: add it, true or false";
            file.note("crop_size", message.to_owned());
            None
        }
    }
}

fn resize(file: &mut Keys<'_>, is_cropped: bool) -> Option<Resize> {
    if !file.required("do_resize", "true or false", Value::as_bool)? {
        if !is_cropped && file.problems.is_empty() {
            let message = "is false, and nothing else gives all images one size: add \"do_center_crop\": true and `crop_size`";
            file.note("do_resize", message.to_owned());
        }
        return None;
    }
    let resample = file.required("resample", "a filter of Pillow, 0 to 5", |value| {
        Some(match value.as_u64()? {
            0 => Resample::Nearest,
            1 => Resample::Lanczos,
            2 => Resample::Bilinear,
            3 => Resample::Bicubic,
            4 => Resample::Box,
            5 => Resample::Hamming,
            _ => return None,
        })
    });
    let expected = "{\"height\": .., \"width\": ..} or {\"shortest_edge\": ..}, each from 1 to 4096; a number alone, which \
                    means a square, only without \"do_center_crop\": true";
    let to = file.required("size", expected, |value| match (square(value), is_cropped) {
        (Some(extent), false) => Some(ResizeTo::Exactly(extent)),
        // Some processors mean a square by a number alone, and some the shortest edge.
        (Some(_), true) => None,
        (None, _) => extent(value).map(ResizeTo::Exactly).or_else(|| shortest_edge(value)),
    });
    if matches!(to, Some(ResizeTo::ShortestEdge(_))) && !is_cropped && file.problems.is_empty() {
        let message = "gives images of different sizes: add \"do_center_crop\": true and `crop_size`, or give `height` and \
                       `width`";
        file.note("size", message.to_owned());
    }
    Some(Resize { to: to?, resample: resample? })
}

/// What changes pixels and is not done here.
fn refuse_others(file: &mut Keys<'_>) {
    for key in
        ["crop_pct", "do_pad", "do_flip_channel_order", "do_thumbnail", "do_align_long_axis", "include_top"]
    {
        file.optional(
            key,
            "left out, null or false: it changes the pixels in a way that is not known here",
            |value| (value == &Value::Bool(false)).then_some(()),
        );
    }
}

fn side(value: &Value) -> Option<u32> {
    let side = u32::try_from(value.as_u64()?).ok()?;
    (1..=Extent::MOST).contains(&side).then_some(side)
}

fn square(value: &Value) -> Option<Extent> {
    side(value).map(|side| Extent { height: side, width: side })
}

fn extent(value: &Value) -> Option<Extent> {
    Some(Extent { height: side(value.get("height")?)?, width: side(value.get("width")?)? })
}

fn shortest_edge(value: &Value) -> Option<ResizeTo> {
    // A longest edge beside it would bound the other side.
    let alone = value.as_object()?.len() == 1;
    side(value.get("shortest_edge")?).filter(|_| alone).map(ResizeTo::ShortestEdge)
}

fn three(value: &Value, fits: impl Fn(f32) -> bool) -> Option<[f32; 3]> {
    let numbers = value.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32));
    let numbers: Option<Vec<f32>> = numbers.collect();
    numbers?.try_into().ok().filter(|numbers: &[f32; 3]| numbers.iter().all(|number| fits(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIT: &str = r#"{"do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.25, 0.5], "image_processor_type": "ViTImageProcessor", "resample": 2,
        "rescale_factor": 0.00392156862745098, "size": {"height": 96, "width": 64}}"#;

    fn read(text: &str) -> ImageProcessorConfig {
        config("preprocessor_config.json", text).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Refused once `from` is `to`, and what is said begins like this.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        assert!(VIT.contains(from), "nothing to replace: {from}");
        let problems = config("p.json", &VIT.replace(from, to)).expect_err("it is to be refused").to_string();
        assert!(problems.starts_with(expected), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }

    #[test]
    fn what_exporters_write_is_read() {
        let vit = read(VIT);
        let extent = Extent { height: 96, width: 64 };
        let resize = Resize { to: ResizeTo::Exactly(extent), resample: Resample::Bilinear };
        assert_eq!((vit.resize, vit.crop, vit.extent), (Some(resize), None, extent));
        assert_eq!((vit.rescale_factor, vit.mean, vit.std), (1.0 / 255.0, [0.5; 3], [0.5, 0.25, 0.5]));

        let mobile_net = read(
            r#"{"do_resize": true, "size": {"shortest_edge": 256}, "resample": 3, "do_center_crop": true, "crop_size": 224,
                "do_rescale": false, "do_normalize": false, "do_convert_rgb": null, "do_flip_channel_order": false}"#,
        );
        let extent = Extent { height: 224, width: 224 };
        let resize = Resize { to: ResizeTo::ShortestEdge(256), resample: Resample::Bicubic };
        assert_eq!(
            (mobile_net.resize, mobile_net.crop, mobile_net.extent),
            (Some(resize), Some(extent), extent)
        );
        assert_eq!((mobile_net.rescale_factor, mobile_net.mean, mobile_net.std), (1.0, [0.0; 3], [1.0; 3]));

        let old =
            read(&VIT.replace(r#"{"height": 96, "width": 64}"#, "48").replace(r#""do_rescale": true,"#, ""));
        assert_eq!((old.extent, old.rescale_factor), (Extent { height: 48, width: 48 }, 1.0 / 255.0));
    }

    #[test]
    fn what_is_missing_or_not_done_here_is_refused_with_the_way_out() {
        let missing = "p.json: image_mean: is missing: add it, three numbers, as the model was trained";
        check(r#""image_mean": [0.5, 0.5, 0.5],"#, "", missing);
        check(r#""resample": 2,"#, "", "p.json: resample: is missing");
        check(
            r#""resample": 2"#,
            r#""resample": 7"#,
            "p.json: resample: must be a filter of Pillow, 0 to 5: 7",
        );
        check(
            r#""do_resize": true"#,
            r#""do_resize": false"#,
            "p.json: do_resize: is false, and nothing else gives",
        );
        check(
            r#""height": 96, "width": 64"#,
            r#""shortest_edge": 64"#,
            "p.json: size: gives images of different",
        );
        check(r#""height": 96"#, r#""height": 5000"#, "p.json: size: must be {\"height\": ..");
        check(r#""width": 64"#, r#""longest_edge": 64, "shortest_edge": 64"#, "p.json: size: must be");
        check("0.25", "0", "p.json: image_std: must be three numbers above 0: [0.5,0,0.5]");
        check("[0.5, 0.5, 0.5]", "[0.5]", "p.json: image_mean: must be three numbers: [0.5]");
        check(
            "{\"do",
            "{\"crop_size\": 32, \"do",
            "p.json: crop_size: is there, and `do_center_crop` does not",
        );
        check("{\"do", "{\"crop_pct\": 0.875, \"do", "p.json: crop_pct: must be left out, null or false");
        check(
            "{\"do",
            "{\"do_flip_channel_order\": true, \"do",
            "p.json: do_flip_channel_order: must be left out",
        );
        let cropped = r#""do_center_crop": true, "crop_size": 32, "size": 48"#;
        check(r#""size": {"height": 96, "width": 64}"#, cropped, "p.json: size: must be {\"height\"");
        check("}}", "}", "p.json:3: EOF");
    }
}
