//! Tensors as they arrive from and leave for the wire: raw little-endian bytes with a shape, checked before
//! ONNX Runtime sees them. Element types carry their Open Inference Protocol names, which manifests use as well.

use std::fmt;

use ort::value::TensorElementType;

/// One named tensor, in or out.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorValue {
    /// The graph's own name for it.
    pub name: String,
    /// Length of every axis, all known.
    pub shape: Vec<i64>,
    /// The elements, row by row.
    pub elements: Elements,
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Numbers and booleans: little-endian, without gaps.
    Raw(Datatype, Vec<u8>),
    /// Strings: ONNX knows UTF-8 only.
    Text(Vec<String>),
}

impl Elements {
    /// The element type.
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Raw(datatype, _) => *datatype,
            Self::Text(_) => Datatype::Bytes,
        }
    }
}

/// An input or output of a graph, as the graph itself declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlet {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub datatype: Datatype,
    /// Its axes; -1 where the length is known only at run time.
    pub shape: Vec<i64>,
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} {:?}", self.name, self.datatype, self.shape)
    }
}

/// Generates the type, its names and its sizes from one table, so that they cannot drift apart.
macro_rules! datatypes {
    ($($variant:ident $name:literal $size:literal $ort:ident,)*) => {
        /// An element type, by its name in the Open Inference Protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Datatype { $($variant),* }

        impl Datatype {
            /// The name in the Open Inference Protocol and in manifests.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Bytes an element takes, 0 for strings.
            pub fn size(self) -> usize {
                match self { $(Self::$variant => $size),* }
            }

            pub(crate) fn from_ort(ty: TensorElementType) -> Option<Self> {
                #[allow(clippy::wildcard_enum_match_arm, reason = "the rest has no name on the wire")]
                match ty { $(TensorElementType::$ort => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::str::FromStr for Datatype {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    other => Err(format!("`{other}` is no datatype: it must be one of {}", [$($name),*].join(", "))),
                }
            }
        }
    };
}

datatypes! {
    Bool "BOOL" 1 Bool,
    Uint8 "UINT8" 1 Uint8,
    Uint16 "UINT16" 2 Uint16,
    Uint32 "UINT32" 4 Uint32,
    Uint64 "UINT64" 8 Uint64,
    Int8 "INT8" 1 Int8,
    Int16 "INT16" 2 Int16,
    Int32 "INT32" 4 Int32,
    Int64 "INT64" 8 Int64,
    Fp16 "FP16" 2 Float16,
    Bf16 "BF16" 2 Bfloat16,
    Fp32 "FP32" 4 Float32,
    Fp64 "FP64" 8 Float64,
    Bytes "BYTES" 0 String,
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
