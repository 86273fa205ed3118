//! As much of onnx.proto (field numbers of IR version 8) as the graphs here need.

use prost::Message;

/// Element types by their numbers in onnx.proto.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(super) enum Element {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    Text = 8,
    Bool = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    Bf16 = 16,
}

impl Element {
    /// Every type, by its name on the wire.
    pub(super) const ALL: [(&str, Self); 14] = [
        ("BOOL", Self::Bool),
        ("UINT8", Self::U8),
        ("UINT16", Self::U16),
        ("UINT32", Self::U32),
        ("UINT64", Self::U64),
        ("INT8", Self::I8),
        ("INT16", Self::I16),
        ("INT32", Self::I32),
        ("INT64", Self::I64),
        ("FP16", Self::F16),
        ("BF16", Self::Bf16),
        ("FP32", Self::F32),
        ("FP64", Self::F64),
        ("BYTES", Self::Text),
    ];
}

/// A whole model file. Opset 18 with IR version 8: new enough for axes as inputs, old enough for every runtime.
pub(super) fn encode(graph: Graph) -> Vec<u8> {
    Model {
        ir_version: 8,
        producer: "nanogrid-testkit".into(),
        graph: Some(graph),
        opsets: vec![Opset { domain: String::new(), version: 18 }],
    }
    .encode_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opsets: Vec<Opset>,
}

#[derive(Clone, PartialEq, Message)]
struct Opset {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(super) inputs: Vec<Outlet>,
    #[prost(message, repeated, tag = "12")]
    pub(super) outputs: Vec<Outlet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "4")]
    op: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

impl Node {
    pub(super) fn new(op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { inputs: owned(inputs), outputs: owned(outputs), op: op.into(), attributes: Vec::new() }
    }

    pub(super) fn with(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    int: i64,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

impl Attribute {
    pub(super) fn int(name: &str, int: i64) -> Self {
        Self { name: name.into(), int, graph: None, kind: 2 }
    }

    pub(super) fn graph(name: &str, graph: Graph) -> Self {
        Self { name: name.into(), int: 0, graph: Some(graph), kind: 5 }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    shape: Vec<i64>,
    #[prost(int32, tag = "2")]
    element: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
}

impl Tensor {
    fn new(name: &str, element: Element, shape: &[i64], raw: Vec<u8>) -> Self {
        Self { shape: shape.to_vec(), element: element as i32, name: name.into(), raw }
    }

    pub(super) fn f32(name: &str, shape: &[i64], values: &[f32]) -> Self {
        Self::new(name, Element::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(super) fn i64(name: &str, shape: &[i64], values: &[i64]) -> Self {
        Self::new(name, Element::I64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(super) fn bool(name: &str, value: bool) -> Self {
        Self::new(name, Element::Bool, &[], vec![u8::from(value)])
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Outlet {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
struct Kind {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorKind {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Message)]
struct Axis {
    #[prost(oneof = "Length", tags = "1, 2")]
    length: Option<Length>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Length {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

impl Outlet {
    /// Axes of unknown length, by name.
    pub(super) fn new(name: &str, element: Element, axes: &[&str]) -> Self {
        let axes = axes.iter().map(|axis| Axis { length: Some(Length::Named((*axis).into())) }).collect();
        let tensor = TensorKind { element: element as i32, shape: Some(Shape { axes }) };
        Self { name: name.into(), kind: Some(Kind { tensor: Some(tensor) }) }
    }

    /// One more axis, of known length.
    pub(super) fn with_length(self, length: usize) -> Self {
        self.with(Length::Fixed(length as i64))
    }

    /// One more axis, of unknown length.
    pub(super) fn with_axis(self, name: &str) -> Self {
        self.with(Length::Named(name.into()))
    }

    fn with(mut self, length: Length) -> Self {
        let axis = Axis { length: Some(length) };
        let shape =
            self.kind.as_mut().and_then(|kind| kind.tensor.as_mut()).and_then(|tensor| tensor.shape.as_mut());
        shape.expect("set by `new`").axes.push(axis);
        self
    }
}
