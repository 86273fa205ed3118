//! An image classifier that says which colour an image has most of.

use super::{
    WEIGHT,
    onnx::{self, Attribute, Element, Graph, Node, Outlet, Tensor},
};

/// `pixel_values` -> `logits`: three labels, for red, green and blue; of each, [`WEIGHT`] times the mean of its values.
pub fn classifier() -> Vec<u8> {
    let graph = Graph {
        name: "colours".into(),
        nodes: vec![
            Node::new("ReduceMean", &["pixel_values", "axes"], &["means"])
                .with(Attribute::int("keepdims", 0)),
            Node::new("Mul", &["means", "weight"], &["logits"]),
        ],
        initializers: vec![Tensor::i64("axes", &[2], &[2, 3]), Tensor::f32("weight", &[], &[WEIGHT])],
        inputs: vec![Outlet::new("pixel_values", Element::F32, &["batch", "colours", "height", "width"])],
        outputs: vec![Outlet::new("logits", Element::F32, &["batch"]).with_length(3)],
    };
    onnx::encode(graph)
}
