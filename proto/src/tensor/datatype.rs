//! The datatypes of the protocol, their names and how much room an element takes.

use std::{fmt, str::FromStr};

/// A datatype of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Datatype {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    Bf16,
    Bytes,
}

impl Datatype {
    /// Every datatype.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
        Self::Bf16,
        Self::Bytes,
    ];

    /// The protocol's name, e.g. `FP32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "UINT8",
            Self::U16 => "UINT16",
            Self::U32 => "UINT32",
            Self::U64 => "UINT64",
            Self::I8 => "INT8",
            Self::I16 => "INT16",
            Self::I32 => "INT32",
            Self::I64 => "INT64",
            Self::F16 => "FP16",
            Self::F32 => "FP32",
            Self::F64 => "FP64",
            Self::Bf16 => "BF16",
            Self::Bytes => "BYTES",
        }
    }

    /// The list of `InferTensorContents` that holds it; the two half-precision types have none.
    pub(super) const fn typed_field(self) -> Option<&'static str> {
        match self {
            Self::Bool => Some("bool_contents"),
            Self::I8 | Self::I16 | Self::I32 => Some("int_contents"),
            Self::I64 => Some("int64_contents"),
            Self::U8 | Self::U16 | Self::U32 => Some("uint_contents"),
            Self::U64 => Some("uint64_contents"),
            Self::F32 => Some("fp32_contents"),
            Self::F64 => Some("fp64_contents"),
            Self::Bytes => Some("bytes_contents"),
            Self::F16 | Self::Bf16 => None,
        }
    }
}

impl FromStr for Datatype {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|datatype| datatype.as_str() == name).ok_or(())
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
