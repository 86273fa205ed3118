//! Complete package folders around the tiny graphs, as an operator would find them on disk.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::graphs;

mod image_classification;
mod text_to_text;

pub use image_classification::{COLOURS, hugging_face_image_classifier, image_classifier};
pub use text_to_text::{hugging_face_translator, optimum_translator, translator};

/// Texts of a [`text_classifier`] are cut to this many tokens.
pub const MAX_TOKENS: usize = 16;

/// Writes `dir/<name>/` with `expert.toml` and version 1, and returns that folder. See [`graphs`] for what it answers.
pub fn text_classifier(dir: &Path, name: &str, labels: &[&str]) -> PathBuf {
    let expert = dir.join(name);
    let manifest = format!(
        "name = {name:?}\ntask = \"text-classification\"\ntitle = \"counts words\"\n\
         description = \"Counts the words of a text that are labels. For tests.\"\ndefault-version = 1\n"
    );
    write(&expert.join("expert.toml"), manifest);
    text_classifier_version(&expert, 1, labels);
    expert
}

/// Adds one more version to an expert made by [`text_classifier`], and returns the version's folder.
pub fn text_classifier_version(expert: &Path, version: u32, labels: &[&str]) -> PathBuf {
    let folder = hugging_face(expert, &version.to_string(), labels);
    let text = "datatype = \"INT64\"\nshape = [-1, -1]\n";
    let interface = format!(
        "[[inputs]]\nname = \"input_ids\"\n{text}[[inputs]]\nname = \"attention_mask\"\n{text}\
         [[outputs]]\nname = \"logits\"\ndatatype = \"FP32\"\nshape = [-1, {}]\n",
        labels.len()
    );
    seal(&folder, version, "", &interface);
    folder
}

/// Writes `dir/<name>/` with version 1 of a token classifier: see [`graphs::token_classifier`]. The first label is that of
/// words that are none. `formats` is what stands under `[formats]`.
pub fn token_classifier(
    dir: &Path,
    name: &str,
    labels: &[&str],
    text_labels: &[&str],
    formats: &str,
) -> PathBuf {
    let expert = dir.join(name);
    let manifest = format!(
        "name = {name:?}\ntask = \"token-classification\"\ntitle = \"finds words\"\n\
         description = \"Finds the words of a text that are labels. For tests.\"\ndefault-version = 1\n"
    );
    write(&expert.join("expert.toml"), manifest);
    let folder = hugging_face_tagger(&expert, "1", labels, text_labels);
    let text = "datatype = \"INT64\"\nshape = [-1, -1]\n";
    let mut interface = format!(
        "[formats]\n{formats}\n[[inputs]]\nname = \"input_ids\"\n{text}[[inputs]]\nname = \"attention_mask\"\n{text}\
         [[outputs]]\nname = \"logits\"\ndatatype = \"FP32\"\nshape = [-1, -1, {}]\n",
        labels.len()
    );
    if !text_labels.is_empty() {
        let _ = writeln!(
            interface,
            "[[outputs]]\nname = \"text_logits\"\ndatatype = \"FP32\"\nshape = [-1, {}]",
            text_labels.len()
        );
    }
    seal(&folder, 1, "", &interface);
    expert
}

/// Writes `dir/<name>/` as an export of a token classifier from the Hugging Face ecosystem looks. `text_labels` are those of
/// a second head, which such an export has only by a hand of ours.
pub fn hugging_face_tagger(dir: &Path, name: &str, labels: &[&str], text_labels: &[&str]) -> PathBuf {
    let folder = dir.join(name);
    write(&folder.join("model.onnx"), graphs::token_classifier(labels.len(), text_labels.len()));
    let words: Vec<String> = labels.iter().chain(text_labels).map(|label| label.to_lowercase()).collect();
    let mut file = tokenizer(&words.iter().map(String::as_str).collect::<Vec<_>>());
    // Removes and replaces characters, so that places in the text are not places in what the model reads.
    file["normalizer"] = json!({ "type": "Sequence", "normalizers": [
        { "type": "NFKC" },
        { "type": "Replace", "pattern": { "Regex": "\\p{Cf}" }, "content": "" },
        { "type": "Lowercase" },
    ]});
    write(&folder.join("tokenizer.json"), file.to_string());
    let by_id = |labels: &[&str]| -> serde_json::Map<_, _> {
        labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect()
    };
    let mut config = json!({
        "architectures": ["BertForTokenClassification"],
        "id2label": by_id(labels),
        "max_position_embeddings": MAX_TOKENS,
    });
    if !text_labels.is_empty() {
        config["text_id2label"] = by_id(text_labels).into();
    }
    write(&folder.join("config.json"), config.to_string());
    folder
}

/// Makes the version in `folder` a classifier for a router, calibrated for `labels`: per promise its alpha, the score from which an
/// expert is asked, and the score of `none` above which nobody is.
pub fn calibrate(folder: &Path, labels: &[&str], promises: &[(f32, f32, f32)]) {
    let digest = Sha256::digest(labels.join("\n"));
    let mut table = format!(
        "\n[classifier]\nnone-label = \"none\"\nlabels-sha256 = \"{digest:x}\"\ndata-sha256 = \"{digest:x}\"\n"
    );
    for (alpha, threshold, out_of_scope) in promises {
        let _ = writeln!(
            table,
            "[[classifier.promise]]\nalpha = {alpha}\nthreshold = {threshold:?}\nout-of-scope = {out_of_scope:?}"
        );
    }
    let path = folder.join("version.toml");
    let manifest = fs::read_to_string(&path).expect("the version was just written");
    write(&path, manifest + &table);
}

/// Writes `dir/<name>/` as an export from the Hugging Face ecosystem looks: no manifests at all.
pub fn hugging_face(dir: &Path, name: &str, labels: &[&str]) -> PathBuf {
    let folder = dir.join(name);
    let id2label: serde_json::Map<_, _> =
        labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect();
    write(&folder.join("model.onnx"), graphs::text_classifier(labels.len()));
    write(&folder.join("tokenizer.json"), tokenizer(labels).to_string());
    write(
        &folder.join("config.json"),
        json!({ "id2label": id2label, "max_position_embeddings": MAX_TOKENS }).to_string(),
    );
    folder
}

/// Writes `dir/<name>/` for the task `tensor`: adds `a` and `b`.
pub fn add(dir: &Path, name: &str) -> PathBuf {
    let vector = "datatype = \"FP32\"\nshape = [-1]\n";
    let interface = format!(
        "[[inputs]]\nname = \"a\"\n{vector}[[inputs]]\nname = \"b\"\n{vector}[[outputs]]\nname = \"sum\"\n{vector}"
    );
    tensor(dir, name, graphs::add(), &interface)
}

/// Writes `dir/<name>/` for the task `tensor`: gives back one tensor of every element type.
pub fn echo(dir: &Path, name: &str) -> PathBuf {
    let mut interface = String::new();
    for (table, suffix) in [("inputs", ""), ("outputs", "_out")] {
        for datatype in graphs::datatypes() {
            let _ = writeln!(
                interface,
                "[[{table}]]\nname = \"{datatype}{suffix}\"\ndatatype = \"{datatype}\"\nshape = [-1]"
            );
        }
    }
    tensor(dir, name, graphs::echo(), &interface)
}

fn tensor(dir: &Path, name: &str, model: Vec<u8>, interface: &str) -> PathBuf {
    let expert = dir.join(name);
    let manifest = format!(
        "name = {name:?}\ntask = \"tensor\"\ntitle = \"tensors\"\ndescription = \"For tests.\"\ndefault-version = 1\n"
    );
    write(&expert.join("expert.toml"), manifest);
    let folder = expert.join("1");
    write(&folder.join("model.onnx"), model);
    seal(&folder, 1, "", interface);
    expert
}

/// Writes `version.toml` over whatever the folder holds now, with the right sha256 of each file. `extra` are more
/// top-level keys, `interface` the tables of inputs and outputs.
pub fn seal(folder: &Path, version: u32, extra: &str, interface: &str) {
    let mut files = String::new();
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder was just written")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name != "version.toml")
        .collect();
    names.sort();
    for name in names {
        let digest = Sha256::digest(fs::read(folder.join(&name)).expect("the file was just written"));
        let _ = writeln!(files, "{name:?} = \"{digest:x}\"");
    }
    let manifest = format!(
        "version = {version}\ncreated = \"2026-01-01\"\nlicence = \"Apache-2.0\"\narchitecture = \"for tests\"\n\
         max-tokens = {MAX_TOKENS}\ntemperature = 1.0\nactivation = \"softmax\"\n{extra}\n[files]\n{files}\n{interface}\n\
         [size]\nbytes = 1\nparameters = 1\n"
    );
    write(&folder.join("version.toml"), manifest);
}

/// Lower-cases, splits at blanks, and looks words up.
fn tokenizer(labels: &[&str]) -> serde_json::Value {
    let special = [
        ("[PAD]", graphs::PAD),
        ("[UNK]", graphs::UNKNOWN),
        ("forever", graphs::FOREVER),
        ("nan", graphs::NAN),
    ];
    let labels = labels.iter().zip(graphs::FIRST_LABEL..).map(|(label, id)| (*label, id));
    let vocabulary: serde_json::Map<_, _> =
        special.into_iter().chain(labels).map(|(word, id)| (word.to_owned(), json!(id))).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    })
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("the folder can be made");
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
