//! Why a message does not hold the tensors it says it holds.

use std::fmt;

use super::Datatype;

/// Why a message does not hold the tensors it says it holds. Every message names the tensor.
/// From a client all of them are INVALID_ARGUMENT.
///
/// Names are the client's: they are cut, so that an error never grows beyond what fits into a gRPC trailer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorError {
    /// In Triton's words: clients look for them.
    #[error("contents field must not be specified when using {raw} for '{tensor}' for model '{model}'", raw = side.raw_field())]
    BothForms { side: Side, tensor: String, model: String },
    /// In Triton's words.
    #[error("unable to find data for {side} tensor '{tensor}' for model '{model}' in {message}.", message = side.message())]
    NoData { side: Side, tensor: String, model: String },
    #[error("`{raw}` must have one entry per {side} tensor, which are {tensors}: {entries}", raw = side.raw_field())]
    RawEntries { side: Side, entries: usize, tensors: usize },
    #[error("tensor `{tensor}`: the name is used twice")]
    DuplicateName { tensor: String },
    #[error("tensor `{tensor}`: shared memory is not served: send the elements in the message")]
    SharedMemory { tensor: String },
    #[error("tensor `{tensor}`: unknown datatype, expected one of {known}: `{datatype}`", known = known())]
    UnknownDatatype { tensor: String, datatype: String },
    #[error("tensor `{tensor}`: shape: axis {axis} must not be negative: {size}")]
    NegativeSize { tensor: String, axis: usize, size: i64 },
    #[error("tensor `{tensor}`: shape: more elements than memory can hold: {shape}")]
    TooLarge { tensor: String, shape: String },
    #[error("tensor `{tensor}`: elements of datatype {datatype} belong into `{expected}`, found `{found}`")]
    WrongField { tensor: String, datatype: Datatype, expected: &'static str, found: &'static str },
    #[error("tensor `{tensor}`: datatype {datatype} has no typed form: send it raw")]
    OnlyRaw { tensor: String, datatype: Datatype },
    #[error("tensor `{tensor}`: the shape says {expected} elements, found {found}")]
    ElementCount { tensor: String, expected: usize, found: usize },
    #[error("tensor `{tensor}`: the shape says {expected} elements, the raw bytes end after {found}")]
    TooFewElements { tensor: String, expected: usize, found: usize },
    #[error("tensor `{tensor}`: {trailing} bytes are left after the {expected} elements that the shape says")]
    TrailingBytes { tensor: String, expected: usize, trailing: usize },
    #[error(
        "tensor `{tensor}`: the shape says {expected} elements of datatype {datatype} with {size} bytes each, found {found} bytes"
    )]
    ByteCount { tensor: String, datatype: Datatype, expected: usize, size: usize, found: usize },
    #[error("tensor `{tensor}`: element {element}: the length needs 4 bytes, {left} are left")]
    LengthCut { tensor: String, element: usize, left: usize },
    #[error("tensor `{tensor}`: element {element}: the length says {length} bytes, {left} are left")]
    LengthBeyondEnd { tensor: String, element: usize, length: u32, left: usize },
    #[error("tensor `{tensor}`: element {element}: a BOOL must be 0 or 1: {byte}")]
    BoolByte { tensor: String, element: usize, byte: u8 },
    #[error("tensor `{tensor}`: element {element}: does not fit {datatype}: {value}")]
    OutOfRange { tensor: String, datatype: Datatype, element: usize, value: i64 },
}

/// Inputs of a request or outputs of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Input,
    Output,
}

impl Side {
    const fn raw_field(self) -> &'static str {
        match self {
            Self::Input => "raw_input_contents",
            Self::Output => "raw_output_contents",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Input => "request",
            Self::Output => "response",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

impl TensorError {
    pub(super) fn both_forms(side: Side, tensor: &str, model: &str) -> Self {
        Self::BothForms { side, tensor: cut(tensor), model: cut(model) }
    }

    pub(super) fn no_data(side: Side, tensor: &str, model: &str) -> Self {
        Self::NoData { side, tensor: cut(tensor), model: cut(model) }
    }

    pub(super) fn duplicate_name(tensor: &str) -> Self {
        Self::DuplicateName { tensor: cut(tensor) }
    }

    pub(super) fn shared_memory(tensor: &str) -> Self {
        Self::SharedMemory { tensor: cut(tensor) }
    }

    pub(super) fn unknown_datatype(tensor: &str, datatype: &str) -> Self {
        Self::UnknownDatatype { tensor: cut(tensor), datatype: cut(datatype) }
    }

    pub(super) fn negative_size(tensor: &str, axis: usize, size: i64) -> Self {
        Self::NegativeSize { tensor: cut(tensor), axis, size }
    }

    pub(super) fn too_large(tensor: &str, shape: &[i64]) -> Self {
        const SHOWN: usize = 8;
        let sizes: Vec<_> = shape.iter().take(SHOWN).map(i64::to_string).collect();
        let more = if shape.len() > SHOWN { ", …" } else { "" };
        Self::TooLarge { tensor: cut(tensor), shape: format!("[{}{more}]", sizes.join(", ")) }
    }
}

/// The beginning of a name, whole characters.
pub(super) fn cut(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn known() -> String {
    Datatype::ALL.map(Datatype::as_str).join(", ")
}
