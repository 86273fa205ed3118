use tempfile::TempDir;

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const EXPERT: &str = r#"name = "intent"
task = "text-classification"
title = "what a user of an assistant asks for"
description = "Says what a user wants. One of 150 intents, or `oos`."
default-version = 1
[limits]
max-batch-tokens = 2048
"#;

fn version_toml() -> String {
    format!(
        r#"version = 1
created = "2026-11-23"
licence = "Apache-2.0"
architecture = "hashed character 1-5-grams"
max-tokens = 256
temperature = 1.07
activation = "softmax"
out-of-scope = {{ label = "oos", threshold = 0.42 }}
[files]
"model.onnx" = "{SHA}"
"tokenizer.json" = "{SHA}"
[[inputs]]
name = "input_ids"
datatype = "INT64"
shape = [-1, -1]
[[outputs]]
name = "logits"
datatype = "FP32"
shape = [-1, 151]
[size]
bytes = 123
parameters = 45
[[cost]]
tokens = 32
cpu-us = 123.0
[[training-data]]
name = "clinc150"
licence = "CC BY 3.0"
rows = 15216
source = "github.com/clinc/oos-eval"
[[accuracy]]
data = "clinc150/dev"
metric = "accuracy"
value = 0.951
low = 0.945
high = 0.957
n = 3095
[classifier]
none-label = "none"
labels-sha256 = "{SHA}"
data-sha256 = "{SHA}"
[[classifier.promise]]
alpha = 0.02
threshold = 0.5
out-of-scope = 0.9
[[classifier.promise]]
alpha = 0.1
threshold = 0.8
out-of-scope = 0.7
"#
    )
}

fn folder(file: &str, text: &str) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join(file), text).expect("writable");
    folder
}

/// The problems with `text` as `file`, one a line, without the folder in front.
fn problems<T>(file: &str, text: &str, read: impl Fn(&Path) -> Result<T, Error>) -> String {
    let folder = folder(file, text);
    let Err(error) = read(folder.path()) else { panic!("accepted:\n{text}") };
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[track_caller]
fn check_version(from: &str, to: &str, expected: &str) {
    let text = version_toml();
    assert!(text.contains(from), "nothing to replace: {from}");
    let actual = problems("version.toml", &text.replacen(from, to, 1), VersionManifest::read);
    assert_eq!(actual, expected, "\n{actual}");
}

#[track_caller]
fn check_expert(from: &str, to: &str, expected: &str) {
    assert!(EXPERT.contains(from), "nothing to replace: {from}");
    let actual = problems("expert.toml", &EXPERT.replacen(from, to, 1), ExpertManifest::read);
    assert_eq!(actual, expected, "\n{actual}");
}

#[track_caller]
fn check_config(text: &str, expected: &str) {
    let actual = problems("config.json", text, HfConfig::read);
    assert_eq!(actual, expected, "\n{actual}");
}

#[test]
fn an_expert_manifest_is_read() {
    let folder = folder("expert.toml", EXPERT);
    let manifest = ExpertManifest::read(folder.path()).expect("good").expect("there");
    assert_eq!(manifest.name, "intent");
    assert_eq!(manifest.task, Task::TextClassification);
    assert_eq!(manifest.default_version, 1);
    assert_eq!(manifest.limits.max_batch_tokens, NonZeroUsize::new(2048));
}

#[test]
fn a_cost_is_of_a_text_or_of_an_image() {
    let costs = |of: &str| {
        let folder = folder("version.toml", &version_toml().replace("tokens = 32", of));
        VersionManifest::read(folder.path()).expect("good").expect("there").cost
    };
    let image = Cost { row: RowSize::Pixels(1024), beams: None, cpu_us: 123.0, machine: None };
    assert_eq!(costs("pixels = 1024"), [image]);
    let machine = Some("2 vCPU".to_owned());
    let translation = Cost { row: RowSize::Tokens(8), beams: Some(4), cpu_us: 123.0, machine };
    assert_eq!(costs("tokens = 8\nbeams = 4\nmachine = \"2 vCPU\""), [translation]);
    let one = "tokens: must be there, or `pixels` where a row is an image, and not both";
    check_version("tokens = 32\n", "", &format!("version.toml:23: cost #1: {one}"));
    check_version("tokens = 32", "tokens = 32\npixels = 9", &format!("version.toml:24: cost 32: {one}"));
}

#[test]
fn a_version_manifest_is_read() {
    let folder = folder("version.toml", &version_toml());
    let manifest = VersionManifest::read(folder.path()).expect("good").expect("there");
    assert_eq!(manifest.created, "2026-11-23");
    assert_eq!(manifest.out_of_scope, Some(OutOfScope { label: "oos".into(), threshold: 0.42 }));
    assert_eq!(manifest.files["model.onnx"], SHA);
    assert_eq!(manifest.outputs[0].shape, [-1, 151]);
    assert_eq!(manifest.size, Size { bytes: 123, parameters: 45 });
    assert_eq!(manifest.cost, [Cost { row: RowSize::Tokens(32), beams: None, cpu_us: 123.0, machine: None }]);
    assert_eq!(manifest.accuracy[0].n, 3095);
    let classifier = manifest.classifier.expect("there");
    assert_eq!(classifier.none_label, "none");
    assert_eq!(
        classifier.promises,
        [
            Promise { alpha: 0.02, threshold: 0.5, out_of_scope: 0.9 },
            Promise { alpha: 0.1, threshold: 0.8, out_of_scope: 0.7 }
        ]
    );
}

#[test]
fn what_may_be_left_out_has_a_default() {
    let text = format!(
        "version = 2\ncreated = \"2026-11-23\"\nlicence = \"MIT\"\narchitecture = \"tiny\"\nfiles = {{ \"model.onnx\" = \"{SHA}\" }}\n\
         [size]\nbytes = 1\nparameters = 1\n\
         [[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\nshape = []\n[[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\nshape = [3]\n"
    );
    let folder = folder("version.toml", &text);
    let manifest = VersionManifest::read(folder.path()).expect("good").expect("there");
    assert_eq!(manifest.max_tokens, DEFAULT_MAX_TOKENS);
    assert_eq!(manifest.temperature, 1.0);
    assert_eq!(manifest.activation, Activation::Softmax);
    assert_eq!(manifest.out_of_scope, None);
    assert_eq!(manifest.classifier, None);
}

#[test]
fn a_folder_without_manifests_has_none() {
    let folder = TempDir::new().expect("a temporary folder");
    assert_eq!(ExpertManifest::read(folder.path()).expect("no error"), None);
    assert_eq!(VersionManifest::read(folder.path()).expect("no error"), None);
    assert_eq!(HfConfig::read(folder.path()).expect("no error"), None);
}

#[test]
fn expert_manifests_are_checked() {
    check_expert(
        "\"intent\"",
        "\"auto\"",
        "expert.toml:1: name: is reserved (as a model name, `auto` asks the classifier): choose another: `auto`",
    );
    check_expert("title = \"what a user of an assistant asks for\"", "", "expert.toml:1: title: missing");
    check_expert(
        "default-version = 1",
        "default-version = -1",
        "expert.toml:5: default-version: must be a positive integer: -1",
    );
    check_expert("2048", "0", "expert.toml:7: limits: max-batch-tokens: must be at least 1: 0");
    check_expert(
        "max-batch-tokens",
        "max-tokens",
        "expert.toml:7: limits: max-tokens: unknown key, expected one of `max-batch-tokens`, `max-batch-pixels`",
    );
    check_expert(
        "default-version",
        "default_version",
        "expert.toml:1: default-version: missing\n\
         expert.toml:5: default_version: unknown key, expected one of `name`, `task`, `title`, `description`, `default-version`, `limits`",
    );
}

#[test]
fn numbers_of_a_version_manifest_are_checked() {
    check_version(
        "version = 1",
        "version = 4294967296",
        "version.toml:1: version: must be a positive integer: 4294967296",
    );
    check_version(
        "\"2026-11-23\"",
        "\"yesterday\"",
        "version.toml:2: created: must be a date such as \"2026-11-23\": `yesterday`",
    );
    check_version("\"Apache-2.0\"", "\" \"", "version.toml:3: licence: must be text, not empty: ` `");
    check_version("256", "0", "version.toml:5: max-tokens: must be at least 1: 0");
    for temperature in ["0", "-1.5", "1e-60"] {
        let expected = format!("version.toml:6: temperature: must be above 0 and finite: {temperature}");
        check_version("1.07", temperature, &expected);
    }
    check_version("1.07", "inf", "version.toml:6: temperature: must be a finite number: inf");
    check_version(
        "\"softmax\"",
        "\"relu\"",
        "version.toml:7: activation: must be `softmax` or `sigmoid`: `relu`",
    );
    check_version("0.42", "1.5", "version.toml:8: out-of-scope: threshold: must be between 0 and 1: 1.5");
    check_version(
        "threshold = 0.5",
        "threshold = nan",
        "version.toml:44: classifier: promise 0.02: threshold: must be a finite number: nan",
    );
    check_version(
        "alpha = 0.1",
        "alpha = 1.0",
        "version.toml:47: classifier: promise 1.0: alpha: must be above 0 and below 1: 1.0",
    );
    check_version(
        "alpha = 0.1",
        "alpha = 0.02",
        "version.toml:47: classifier: promise 0.02: alpha: is used twice: 0.02",
    );
    check_version("123.0", "-1", "version.toml:25: cost 32: cpu-us: must be 0 or more: -1");
    check_version(
        "15216",
        "-5",
        "version.toml:29: training-data `clinc150`: rows: must be a number of things, 0 or more: -5",
    );
    check_version(
        "low = 0.945",
        "low = 0.96",
        "version.toml:34: accuracy `clinc150/dev`: value: must lie between `low` and `high`, 0.96 and 0.957: 0.951",
    );
}

#[test]
fn files_stay_in_their_folder_and_have_a_digest() {
    for name in ["../model.onnx", "..", "", "a/b", "C:\\\\model.onnx"] {
        let shown = name.replace("\\\\", "\\");
        check_version(
            "\"model.onnx\"",
            &format!("\"{name}\""),
            &format!(
                "version.toml:10: files: `{shown}`: must be the name of a file in this folder, without separators"
            ),
        );
    }
    check_version(
        SHA,
        "0123",
        "version.toml:10: files: `model.onnx`: must be a sha256, 64 lower-case hexadecimal digits: `0123`",
    );
    let files = format!("\"model.onnx\" = \"{SHA}\"\n\"tokenizer.json\" = \"{SHA}\"\n");
    check_version(
        &files,
        "",
        "version.toml:9: files: must not be empty: list every file of the folder but this one, with its sha256",
    );
}

#[test]
fn tensors_have_a_name_a_datatype_and_a_shape() {
    check_version(
        "INT64",
        "LONG",
        "version.toml:14: inputs `input_ids`: datatype: must be one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, \
         INT32, INT64, FP16, FP32, FP64, BF16, BYTES: `LONG`",
    );
    check_version(
        "[-1, 151]",
        "[-2, 0]",
        "version.toml:19: outputs `logits`: shape: must be the size of an axis, at least 1, or -1 = any: -2\n\
         version.toml:19: outputs `logits`: shape: must be the size of an axis, at least 1, or -1 = any: 0",
    );
    check_version(
        "shape = [-1, -1]",
        "",
        "version.toml:12: inputs `input_ids`: shape: missing: list the sizes of the axes, -1 = any",
    );
    check_version(
        "[[outputs]]\nname = \"logits\"",
        "[[inputs]]\nname = \"input_ids\"",
        "version.toml:1: outputs: missing: add [[outputs]] with `name`, `datatype` and `shape`\n\
         version.toml:17: inputs `input_ids`: name: is used twice: `input_ids`",
    );
}

#[test]
fn labels_come_in_the_order_of_their_ids() {
    let mut ids: Vec<String> = (0..12).map(|id| format!("\"{id}\": \"label {id}\"")).collect();
    ids.reverse();
    let text = format!(
        "{{\"id2label\": {{{}}}, \"problem_type\": \"multi_label_classification\", \"max_position_embeddings\": 512, \"hidden\": 1}}",
        ids.join(", ")
    );
    let folder = folder("config.json", &text);
    let config = HfConfig::read(folder.path()).expect("good").expect("there");
    assert_eq!(config.labels[2], "label 2");
    assert_eq!(config.labels[11], "label 11");
    assert_eq!(config.activation, Activation::Sigmoid);
    assert_eq!(config.max_tokens, NonZeroUsize::new(512));
}

#[test]
fn labels_have_no_gap_and_no_twin() {
    check_config(
        "{\"id2label\": {\"0\": \"a\", \"2\": \"b\"}}",
        "config.json: id2label: ids must be \"0\" to \"1\" without a gap: `2`",
    );
    check_config(
        "{\"id2label\": {\"0\": \"a\", \"01\": \"b\"}}",
        "config.json: id2label: ids must be \"0\" to \"1\" without a gap: `01`",
    );
    check_config(
        "{\"id2label\": {\"0\": \"a\", \"1\": \"a\"}}",
        "config.json: id2label: the label of id 1 is used twice: `a`",
    );
    check_config("{\n\"id2label\": 5}", "config.json:2: invalid type: integer `5`, expected a map");
    check_config("{", "config.json:1: EOF while parsing an object");
}

#[test]
fn a_file_that_is_not_text_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("version.toml"), [0xff, 0xfe]).expect("writable");
    let error = VersionManifest::read(folder.path()).expect_err("not text").to_string();
    assert!(error.ends_with("version.toml: cannot be read: stream did not contain valid UTF-8"), "{error}");
}

#[test]
fn a_classifier_must_promise_something() {
    let text = version_toml();
    let without = text.split("[[classifier.promise]]").next().expect("what is before it");
    assert_eq!(
        problems("version.toml", without, VersionManifest::read),
        "version.toml:38: classifier: promise: missing: add [[classifier.promise]] with `alpha`, `threshold` and `out-of-scope`"
    );
}

#[test]
fn what_is_told_by_its_format_has_a_name_of_its_own() {
    let formats = "[formats]\niban = \"IBAN_CODE\"\ncard-number = \"CREDIT_CARD\"\n";
    let folder = folder("version.toml", &format!("{}{formats}", version_toml()));
    let manifest = VersionManifest::read(folder.path()).expect("good").expect("there");
    assert_eq!(manifest.formats.iban.as_deref(), Some("IBAN_CODE"));
    assert_eq!(manifest.formats.card_number.as_deref(), Some("CREDIT_CARD"));
    assert_eq!((manifest.formats.ip_address, manifest.formats.email_address), (None, None));
}

#[test]
fn an_export_says_what_it_is_for() {
    #[track_caller]
    fn check(config: &str, expected: Option<Task>) {
        let folder = folder("config.json", config);
        assert_eq!(HfConfig::read(folder.path()).expect("good").expect("there").task, expected);
    }
    let words = Some(Task::TokenClassification);
    check(r#"{"architectures": ["BertForTokenClassification"], "id2label": {"0": "PER"}}"#, words);
    check(r#"{"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}"#, words);
    let text = Some(Task::TextClassification);
    check(
        r#"{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "O", "1": "I-A"}}"#,
        text,
    );
    check(r#"{"architectures": ["ViTForImageClassification"]}"#, Some(Task::ImageClassification));
    check(r#"{"id2label": {"0": "I-don't-know", "1": "yes"}}"#, None);
}

#[test]
fn a_second_head_has_labels_of_its_own() {
    let folder =
        folder("config.json", r#"{"id2label": {"0": "O"}, "text_id2label": {"0": "play", "1": "book"}}"#);
    let config = HfConfig::read(folder.path()).expect("good").expect("there");
    assert_eq!(config.text_labels, ["play", "book"]);
    check_config(
        r#"{"text_id2label": {"1": "play"}}"#,
        "config.json: text_id2label: ids must be \"0\" to \"0\" without a gap: `1`",
    );
}

const GENERATION: &str =
    r#"{"decoder_start_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "max_length": 64}"#;

#[test]
fn how_texts_are_generated_is_read_and_the_rest_is_other_peoples() {
    let read =
        |text: &str| GenerationConfig::read(folder("generation_config.json", text).path()).expect("good");
    let config = read(GENERATION);
    assert_eq!((config.start_token, config.end_token, config.pad_token, config.max_length), (2, 1, 0, 64));
    assert_eq!(
        (config.num_beams, config.length_penalty, config.early_stopping),
        (NumBeams::GREEDY, 1.0, false)
    );
    let more = r#""num_beams": 4, "length_penalty": 0.6, "early_stopping": true, "top_p": null, "transformers_version": "4""#;
    let config = read(&GENERATION.replace('}', &format!(", {more}}}")));
    assert_eq!((config.num_beams.get(), config.length_penalty, config.early_stopping), (4, 0.6, true));
}

#[test]
fn everything_wrong_with_how_texts_are_generated_is_said_at_once() {
    let read = |folder: &std::path::Path| GenerationConfig::read(folder).map(Some);
    assert_eq!(
        problems(
            "generation_config.json",
            r#"{"decoder_start_token_id": null, "eos_token_id": [1, 2], "pad_token_id": -1, "max_length": 1, "num_beams": 9,
                "length_penalty": "long", "early_stopping": "never"}"#,
            read
        ),
        "generation_config.json: decoder_start_token_id: is missing: add it, the number of a token, as the model was trained\n\
         generation_config.json: eos_token_id: must be the number of one token: [1,2]\n\
         generation_config.json: pad_token_id: must be the number of a token: -1\n\
         generation_config.json: max_length: must be a number of tokens, at least 2: 1\n\
         generation_config.json: num_beams: must be a number from 1 to 8: 9\n\
         generation_config.json: length_penalty: must be a finite number: \"long\"\n\
         generation_config.json: early_stopping: must be true or false: \"never\""
    );
    let message =
        GenerationConfig::read(TempDir::new().expect("a folder").path()).expect_err("none").to_string();
    assert!(message.contains("generation_config.json: cannot be read"), "{message}");
}
