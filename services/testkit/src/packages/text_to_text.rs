//! Packages around the translator of [`graphs::encoder_decoder`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{MAX_TOKENS, seal, write};
use crate::graphs::{
    self,
    encoder_decoder::{self as translator, END, START, WORDS},
};

/// Writes `dir/<name>/` with `expert.toml` and version 1. `generation` is laid over the keys of `generation_config.json`:
/// one hypothesis, and [`MAX_TOKENS`] tokens at most.
pub fn translator(dir: &Path, name: &str, generation: &Value) -> PathBuf {
    let expert = dir.join(name);
    let manifest = format!(
        "name = {name:?}\ntask = \"text-to-text\"\ntitle = \"translates words\"\n\
         description = \"Translates a few words. For tests.\"\ndefault-version = 1\n"
    );
    write(&expert.join("expert.toml"), manifest);
    let folder = hugging_face_translator(&expert, "1", generation);
    let text = "datatype = \"INT64\"\nshape = [-1, -1]\n";
    let mut interface =
        format!("[[inputs]]\nname = \"input_ids\"\n{text}[[inputs]]\nname = \"attention_mask\"\n{text}");
    for layer in 0..translator::LAYERS {
        for part in ["key", "value"] {
            interface += &format!(
                "[[outputs]]\nname = \"present.{layer}.encoder.{part}\"\ndatatype = \"FP32\"\nshape = [-1, 1, -1, 1]\n"
            );
        }
    }
    seal(&folder, 1, "", &interface);
    expert
}

/// The same as an export: no manifests at all.
pub fn hugging_face_translator(dir: &Path, name: &str, generation: &Value) -> PathBuf {
    let folder = dir.join(name);
    write(&folder.join("encoder_model.onnx"), translator::encoder());
    rest(&folder, generation);
    folder
}

/// The same as optimum lays it out: keys and values of the source are made in the decoder's first step.
pub fn optimum_translator(dir: &Path, name: &str, generation: &Value) -> PathBuf {
    let folder = dir.join(name);
    write(&folder.join("encoder_model.onnx"), translator::hidden_encoder());
    write(&folder.join("decoder_model.onnx"), translator::first_decoder());
    rest(&folder, generation);
    folder
}

fn rest(folder: &Path, generation: &Value) {
    write(&folder.join("decoder_with_past_model.onnx"), translator::decoder());
    write(&folder.join("tokenizer.json"), tokenizer().to_string());
    write(&folder.join("config.json"), json!({ "max_position_embeddings": MAX_TOKENS }).to_string());
    let mut keys = json!({
        "decoder_start_token_id": START,
        "eos_token_id": END,
        "pad_token_id": graphs::PAD,
        "max_length": MAX_TOKENS,
        "num_beams": 1,
    });
    for (key, value) in generation.as_object().into_iter().flatten() {
        keys[key] = value.clone();
    }
    write(&folder.join("generation_config.json"), keys.to_string());
}

/// That of the text classifiers, with the end token behind each source.
fn tokenizer() -> Value {
    const END_OF_TEXT: &str = "</s>";
    let words: Vec<&str> = [END_OF_TEXT].into_iter().chain(WORDS).collect();
    let mut file = super::tokenizer(&words);
    let end = |kind: &str| json!({ kind: { "id": END_OF_TEXT, "type_id": 0 } });
    let sequence = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [sequence("A"), end("SpecialToken")],
        "pair": [sequence("A"), sequence("B"), end("SpecialToken")],
        "special_tokens": { END_OF_TEXT: { "id": END_OF_TEXT, "ids": [END], "tokens": [END_OF_TEXT] } },
    });
    file
}
