use std::{fs, path::PathBuf};

use nanogrid_onnx::{Package, Text};
use nanogrid_testkit::{
    graphs::{FIRST_LABEL, UNKNOWN},
    packages,
};
use tempfile::{TempDir, tempdir};

fn folder() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let folder = packages::hugging_face(dir.path(), "words", &["alpha", "beta"]);
    (dir, folder)
}

fn edited(edit: impl FnOnce(&mut serde_json::Value)) -> Result<Text, String> {
    let (_dir, folder) = folder();
    let path = folder.join("tokenizer.json");
    let mut tokenizer = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut tokenizer);
    fs::write(&path, tokenizer.to_string()).unwrap();
    Text::load(&Package::open(&folder).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn words_become_tokens() {
    let text = edited(|_| {}).unwrap();
    let tokens = text.encode("Alpha and BETA").unwrap();
    assert_eq!(tokens.ids, [FIRST_LABEL, UNKNOWN, FIRST_LABEL + 1]);
    assert!(!tokens.truncated);
    assert!(text.encode("").unwrap().ids.is_empty());
}

#[test]
fn a_long_text_is_cut_to_what_the_model_sees() {
    let text = edited(|_| {}).unwrap();
    let at = |n: usize| text.encode(&"alpha ".repeat(n)).unwrap();
    assert!(!at(packages::MAX_TOKENS).truncated);
    let cut = at(packages::MAX_TOKENS + 1);
    assert_eq!((cut.ids.len(), cut.truncated), (packages::MAX_TOKENS, true));
    assert_eq!(at(100_000).ids, cut.ids);
}

#[test]
fn padding_in_the_file_is_ignored_because_a_batch_decides_it() {
    let text = edited(|tokenizer| {
        tokenizer["padding"] = serde_json::json!({
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        });
    });
    assert_eq!(text.unwrap().encode("alpha").unwrap().ids, [FIRST_LABEL]);
}

#[test]
fn odd_tokenizer_files_are_refused_and_nothing_panics() {
    let many: Vec<_> = (0..packages::MAX_TOKENS)
        .map(|_| serde_json::json!({"SpecialToken": {"id": "[UNK]", "type_id": 0}}))
        .collect();
    let crowded = move |tokenizer: &mut serde_json::Value| {
        tokenizer["post_processor"] = serde_json::json!({
            "type": "TemplateProcessing", "single": many.into_iter().chain([serde_json::json!({"Sequence": {"id": "A", "type_id": 0}})]).collect::<Vec<_>>(),
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[UNK]": {"id": "[UNK]", "ids": [1], "tokens": ["[UNK]"]}}
        });
    };
    assert!(edited(crowded).unwrap_err().contains("adds 16 special tokens, which leaves no room for text"));
    assert!(
        edited(|tokenizer| *tokenizer = serde_json::json!([])).unwrap_err().contains("is no tokenizer file")
    );
    assert!(edited(|tokenizer| tokenizer["model"]["type"] = "Nonsense".into()).is_err());
    let no_unknown = edited(|tokenizer| tokenizer["model"]["unk_token"] = "absent".into());
    assert!(no_unknown.unwrap_err().contains("cannot encode"));
}

#[test]
fn any_text_can_be_encoded() {
    let text = edited(|_| {}).unwrap();
    for odd in [
        "\u{0}",
        "\u{feff}\u{202e}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "a\u{301}\u{301}\u{301}",
        "\u{fffd}\r\n\t",
    ] {
        text.encode(odd).unwrap();
    }
}
