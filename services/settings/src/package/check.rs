//! The rules of `expert.toml` and `version.toml`.

use std::collections::BTreeMap;

use toml::{de::DeValue, value::Datetime};

use super::{
    Accuracy, Activation, ClassifierManifest, Cost, DEFAULT_MAX_TOKENS, ExpertManifest, Formats, Limits,
    OutOfScope, Promise, RowSize, Size, TensorSpec, TrainingData, VersionManifest,
};
use crate::document::{
    Table,
    value::{self, must_be},
};

/// `expert.toml`
pub(super) fn expert(file: &Table<'_>) -> Option<ExpertManifest> {
    let name = file.required("name", value::parsed);
    let task = file.required("task", value::parsed);
    let title = file.required("title", value::text);
    let description = file.required("description", value::text);
    let default_version = file.required("default-version", value::version);
    let limits = file.table("limits", |table| {
        Some(Limits {
            max_batch_tokens: table.optional("max-batch-tokens", value::at_least_one),
            max_batch_pixels: table.optional("max-batch-pixels", value::at_least_one),
        })
    });
    Some(ExpertManifest {
        name: name?,
        task: task?,
        title: title?,
        description: description?,
        default_version: default_version?,
        limits: limits.unwrap_or_default(),
    })
}

/// `version.toml`
pub(super) fn version(file: &Table<'_>) -> Option<VersionManifest> {
    // All keys are read before the first `?`: one that is wrong must not hide the next.
    let version = file.required("version", value::version);
    let created = file.required("created", date);
    let licence = file.required("licence", value::text);
    let architecture = file.required("architecture", value::text);
    let max_tokens = file.optional("max-tokens", value::at_least_one);
    let temperature = file.optional("temperature", value::above_zero);
    let activation = file.optional("activation", activation);
    let out_of_scope = file.table("out-of-scope", out_of_scope);
    let formats = file.table("formats", |table| {
        Some(Formats {
            card_number: table.optional("card-number", value::text),
            iban: table.optional("iban", value::text),
            ip_address: table.optional("ip-address", value::text),
            email_address: table.optional("email-address", value::text),
        })
    });
    let files = files(file);
    let inputs = tensors(file, "inputs");
    let outputs = tensors(file, "outputs");
    let size = required_table(file, "size", size);
    let cost = file.tables("cost", "tokens", cost);
    let training_data = file.tables("training-data", "name", training_data);
    let accuracy = file.tables("accuracy", "data", accuracy);
    let classifier = file.table("classifier", classifier);
    Some(VersionManifest {
        version: version?,
        created: created?,
        licence: licence?,
        architecture: architecture?,
        max_tokens: max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        temperature: temperature.unwrap_or(1.0),
        activation: activation.unwrap_or_default(),
        out_of_scope,
        formats: formats.unwrap_or_default(),
        files: files?,
        inputs,
        outputs,
        size: size?,
        cost,
        training_data,
        accuracy,
        classifier,
    })
}

fn required_table<T>(
    file: &Table<'_>,
    key: &'static str,
    check: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Option<T> {
    if !file.has(key) {
        file.note(key, "missing");
    }
    file.table(key, check)
}

fn date(value: &DeValue<'_>) -> Result<String, String> {
    let time =
        value.as_str().and_then(|text| text.parse::<Datetime>().ok()).filter(|time| time.time.is_none());
    time.and_then(|day| day.date)
        .map(|date| date.to_string())
        .ok_or_else(|| must_be("a date such as \"2026-11-23\"", value))
}

fn activation(value: &DeValue<'_>) -> Result<Activation, String> {
    match value.as_str() {
        Some("softmax") => Ok(Activation::Softmax),
        Some("sigmoid") => Ok(Activation::Sigmoid),
        _ => Err(must_be("`softmax` or `sigmoid`", value)),
    }
}

fn out_of_scope(table: &Table<'_>) -> Option<OutOfScope> {
    let label = table.required("label", value::text);
    let threshold = table.required("threshold", value::fraction);
    Some(OutOfScope { label: label?, threshold: threshold? })
}

fn files(file: &Table<'_>) -> Option<BTreeMap<String, String>> {
    let files = required_table(file, "files", |table| {
        table.each(|name, sha256| {
            if is_plain_file_name(name) {
                Ok((name.to_owned(), value::sha256(sha256)?))
            } else {
                Err("must be the name of a file in this folder, without separators".to_owned())
            }
        })
    })?;
    if files.is_empty() {
        file.note("files", "must not be empty: list every file of the folder but this one, with its sha256");
        return None;
    }
    Some(files.into_iter().collect())
}

/// A manifest must not make anybody read outside of its folder; a backslash separates elsewhere.
fn is_plain_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

fn tensors(file: &Table<'_>, key: &'static str) -> Vec<TensorSpec> {
    let mut names = Vec::new();
    let tensors = file.tables(key, "name", |table| {
        let name = table.required("name", value::text);
        let datatype = table.required("datatype", datatype);
        if !table.has("shape") {
            table.note("shape", "missing: list the sizes of the axes, -1 = any");
        }
        let shape = table.list("shape", axis);
        let spec = TensorSpec { name: name?, datatype: datatype?, shape: shape? };
        if names.contains(&spec.name) {
            table.note("name", format!("is used twice: `{}`", spec.name));
        }
        names.push(spec.name.clone());
        Some(spec)
    });
    if file.count(key) == 0 {
        file.note(key, format!("missing: add [[{key}]] with `name`, `datatype` and `shape`"));
    }
    tensors
}

/// As the Open Inference Protocol has them.
fn datatype(value: &DeValue<'_>) -> Result<String, String> {
    const KNOWN: [&str; 14] = [
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
        "FP64", "BF16", "BYTES",
    ];
    let expected = || format!("one of {}", KNOWN.join(", "));
    let known = value.as_str().filter(|name| KNOWN.contains(name));
    known.map(str::to_owned).ok_or_else(|| must_be(&expected(), value))
}

fn axis(value: &DeValue<'_>) -> Result<i64, String> {
    let expected = "the size of an axis, at least 1, or -1 = any";
    match value::integer(expected, value)? {
        0 | ..=-2 => Err(must_be(expected, value)),
        size => Ok(size),
    }
}

fn size(table: &Table<'_>) -> Option<Size> {
    let bytes = table.required("bytes", value::count);
    let parameters = table.required("parameters", value::count);
    Some(Size { bytes: bytes?, parameters: parameters? })
}

fn cost(table: &Table<'_>) -> Option<Cost> {
    let tokens = table.optional("tokens", value::count).map(RowSize::Tokens);
    let pixels = table.optional("pixels", value::count).map(RowSize::Pixels);
    if table.has("tokens") == table.has("pixels") {
        table.note("tokens", "must be there, or `pixels` where a row is an image, and not both");
    }
    let cpu_us = table.required("cpu-us", value::not_negative);
    let beams = table.optional("beams", value::count);
    let machine = table.optional("machine", value::text);
    Some(Cost { row: tokens.xor(pixels)?, beams, cpu_us: cpu_us?, machine })
}

fn training_data(table: &Table<'_>) -> Option<TrainingData> {
    let name = table.required("name", value::text);
    let licence = table.required("licence", value::text);
    let rows = table.required("rows", value::count);
    let source = table.required("source", value::text);
    Some(TrainingData { name: name?, licence: licence?, rows: rows?, source: source? })
}

fn accuracy(table: &Table<'_>) -> Option<Accuracy> {
    let data = table.required("data", value::text);
    let metric = table.required("metric", value::text);
    let value = table.required("value", value::number);
    let low = table.required("low", value::number);
    let high = table.required("high", value::number);
    let n = table.required("n", value::count);
    let (value, low, high) = (value?, low?, high?);
    if !(low <= value && value <= high) {
        table.note("value", format!("must lie between `low` and `high`, {low} and {high}: {value}"));
    }
    Some(Accuracy { data: data?, metric: metric?, value, low, high, n: n? })
}

fn classifier(table: &Table<'_>) -> Option<ClassifierManifest> {
    let none_label = table.required("none-label", value::text);
    let labels_sha256 = table.required("labels-sha256", value::sha256);
    let data_sha256 = table.required("data-sha256", value::sha256);
    let mut alphas = Vec::new();
    let promises = table.tables("promise", "alpha", |table| {
        let promise = promise(table)?;
        if alphas.contains(&promise.alpha) {
            table.note("alpha", format!("is used twice: {}", promise.alpha));
        }
        alphas.push(promise.alpha);
        Some(promise)
    });
    if table.count("promise") == 0 {
        let missing = "missing: add [[classifier.promise]] with `alpha`, `threshold` and `out-of-scope`";
        table.note("promise", missing);
    }
    Some(ClassifierManifest {
        none_label: none_label?,
        labels_sha256: labels_sha256?,
        data_sha256: data_sha256?,
        promises,
    })
}

fn promise(table: &Table<'_>) -> Option<Promise> {
    let alpha = table.required("alpha", value::between_0_and_1);
    let threshold = table.required("threshold", value::fraction);
    let out_of_scope = table.required("out-of-scope", value::fraction);
    Some(Promise { alpha: alpha?, threshold: threshold?, out_of_scope: out_of_scope? })
}
