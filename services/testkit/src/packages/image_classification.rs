//! Packages around the classifier of [`graphs::images`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{seal, write};
use crate::graphs;

/// The labels.
pub const COLOURS: [&str; 3] = ["red", "green", "blue"];
/// Images become squares of so many pixels a side.
const SIDE: usize = 8;

/// Writes `dir/<name>/` with `expert.toml` and version 1: it says which of [`COLOURS`] an image has most of.
pub fn image_classifier(dir: &Path, name: &str) -> PathBuf {
    let expert = dir.join(name);
    let manifest = format!(
        "name = {name:?}\ntask = \"image-classification\"\ntitle = \"sees colours\"\n\
         description = \"Says which colour an image has most of. For tests.\"\ndefault-version = 1\n"
    );
    write(&expert.join("expert.toml"), manifest);
    let folder = hugging_face_image_classifier(&expert, "1", &json!({}));
    let interface = "[[inputs]]\nname = \"pixel_values\"\ndatatype = \"FP32\"\nshape = [-1, 3, -1, -1]\n\
                     [[outputs]]\nname = \"logits\"\ndatatype = \"FP32\"\nshape = [-1, 3]\n";
    seal(&folder, 1, "", interface);
    expert
}

/// The same as an export: no manifests at all. `processor` is laid over the keys of `preprocessor_config.json`.
pub fn hugging_face_image_classifier(dir: &Path, name: &str, processor: &Value) -> PathBuf {
    let folder = dir.join(name);
    write(&folder.join("model.onnx"), graphs::images::classifier());
    let config = json!({
        "architectures": ["ViTForImageClassification"],
        "id2label": { "0": COLOURS[0], "1": COLOURS[1], "2": COLOURS[2] },
    });
    write(&folder.join("config.json"), config.to_string());
    let mut keys = json!({
        "image_processor_type": "ViTImageProcessor",
        "do_resize": true,
        "size": { "height": SIDE, "width": SIDE },
        "resample": 2,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    });
    for (key, value) in processor.as_object().into_iter().flatten() {
        keys[key] = value.clone();
    }
    write(&folder.join("preprocessor_config.json"), keys.to_string());
    folder
}
