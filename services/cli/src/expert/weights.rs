//! What a model file holds besides its graph: how many weights, and which of them lie in other files. Only those fields of
//! the ONNX format are described here; the others are passed over.

use std::{collections::BTreeSet, path::Path};

use prost::Message;

use crate::error::Error;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) parameters: u64,
    /// Names as the model says them, from its own folder.
    pub(crate) files: BTreeSet<String>,
}

impl Weights {
    /// Those of another graph of the same model.
    pub(crate) fn add(&mut self, other: Self) {
        self.parameters += other.parameters;
        self.files.extend(other.files);
    }
}

/// Of the model at `path`.
pub(crate) fn read(path: &Path) -> Result<Weights, Error> {
    let bytes = std::fs::read(path).map_err(Error::file("cannot read", path))?;
    let model = ModelProto::decode(bytes.as_slice()).map_err(|error| Error::Data {
        path: path.to_owned(),
        problem: format!("is no ONNX model: {error}"),
    })?;
    Ok(weights(&model.graph.unwrap_or_default()))
}

fn weights(graph: &GraphProto) -> Weights {
    let size = |tensor: &TensorProto| {
        tensor.dims.iter().fold(1_u64, |size, dim| size.saturating_mul(u64::try_from(*dim).unwrap_or(0)))
    };
    let entries = graph.initializer.iter().flat_map(|tensor| &tensor.external_data);
    Weights {
        parameters: graph.initializer.iter().map(size).fold(0, u64::saturating_add),
        files: entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_counted_and_files_beside_the_model_are_found() {
        let tensor = |dims: &[i64], location: Option<&str>| TensorProto {
            dims: dims.to_vec(),
            external_data: location
                .map(|value| StringStringEntryProto { key: "location".to_owned(), value: value.to_owned() })
                .into_iter()
                .collect(),
        };
        let graph = GraphProto {
            initializer: vec![tensor(&[3, 4], None), tensor(&[5], Some("a.bin")), tensor(&[], None)],
        };
        assert_eq!(weights(&graph), Weights { parameters: 18, files: BTreeSet::from(["a.bin".to_owned()]) });
        assert_eq!(weights(&GraphProto { initializer: vec![tensor(&[-1], None)] }).parameters, 0);
    }

    #[test]
    fn what_is_no_model_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, "not a model").expect("written");
        assert!(read(&path).expect_err("no model").to_string().contains("ONNX"));
    }
}
