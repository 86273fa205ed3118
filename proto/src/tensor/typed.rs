//! The typed form: one of the eight lists of `InferTensorContents`, which one follows from the datatype.

use super::{Data, Datatype, TensorError, error::cut};
use crate::inference::InferTensorContents;

/// Are all lists empty?
pub(super) fn is_empty(contents: &InferTensorContents) -> bool {
    lengths(contents).iter().all(|&(_, length)| length == 0)
}

/// Reads `n` elements that must be all of `contents`.
pub(super) fn read(
    kind: Datatype,
    name: &str,
    n: usize,
    contents: InferTensorContents,
) -> Result<Data, TensorError> {
    let Some(expected) = kind.typed_field() else {
        return Err(TensorError::OnlyRaw { tensor: cut(name), datatype: kind });
    };
    for (field, length) in lengths(&contents) {
        if length > 0 && field != expected {
            return Err(TensorError::WrongField {
                tensor: cut(name),
                datatype: kind,
                expected,
                found: field,
            });
        }
        if field == expected && length != n {
            return Err(TensorError::ElementCount { tensor: cut(name), expected: n, found: length });
        }
    }
    Ok(match kind {
        Datatype::Bool => Data::Bool(contents.bool_contents),
        Datatype::I8 => Data::I8(narrow(kind, name, contents.int_contents)?),
        Datatype::I16 => Data::I16(narrow(kind, name, contents.int_contents)?),
        Datatype::I32 => Data::I32(contents.int_contents),
        Datatype::I64 => Data::I64(contents.int64_contents),
        Datatype::U8 => Data::U8(narrow(kind, name, contents.uint_contents)?),
        Datatype::U16 => Data::U16(narrow(kind, name, contents.uint_contents)?),
        Datatype::U32 => Data::U32(contents.uint_contents),
        Datatype::U64 => Data::U64(contents.uint64_contents),
        Datatype::F32 => Data::F32(contents.fp32_contents),
        Datatype::F64 => Data::F64(contents.fp64_contents),
        Datatype::Bytes => Data::Bytes(contents.bytes_contents),
        Datatype::F16 | Datatype::Bf16 => {
            return Err(TensorError::OnlyRaw { tensor: cut(name), datatype: kind });
        }
    })
}

fn lengths(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    // Every list is named: one that is added must be thought of here.
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    [
        ("bool_contents", bool_contents.len()),
        ("int_contents", int_contents.len()),
        ("int64_contents", int64_contents.len()),
        ("uint_contents", uint_contents.len()),
        ("uint64_contents", uint64_contents.len()),
        ("fp32_contents", fp32_contents.len()),
        ("fp64_contents", fp64_contents.len()),
        ("bytes_contents", bytes_contents.len()),
    ]
}

fn narrow<Wide, Narrow>(kind: Datatype, name: &str, values: Vec<Wide>) -> Result<Vec<Narrow>, TensorError>
where
    Wide: Copy + Into<i64>,
    Narrow: TryFrom<Wide>,
{
    let narrow = |(element, value): (usize, Wide)| {
        Narrow::try_from(value).map_err(|_| TensorError::OutOfRange {
            tensor: cut(name),
            datatype: kind,
            element,
            value: value.into(),
        })
    };
    values.into_iter().enumerate().map(narrow).collect()
}
