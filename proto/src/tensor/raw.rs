//! The raw form: little-endian, row-major, no padding; a BYTES element is its length as u32 and then its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Data, Datatype, TensorError, error::cut};

const LENGTH_SIZE: usize = size_of::<u32>();

/// Reads `n` elements that must be all of `bytes`.
pub(super) fn read(kind: Datatype, name: &str, n: usize, bytes: Bytes) -> Result<Data, TensorError> {
    Ok(match kind {
        Datatype::Bool => Data::Bool(bools(name, fixed(kind, name, n, &bytes)?)?),
        Datatype::U8 => Data::U8(numbers(kind, name, n, &bytes, u8::from_le_bytes)?),
        Datatype::U16 => Data::U16(numbers(kind, name, n, &bytes, u16::from_le_bytes)?),
        Datatype::U32 => Data::U32(numbers(kind, name, n, &bytes, u32::from_le_bytes)?),
        Datatype::U64 => Data::U64(numbers(kind, name, n, &bytes, u64::from_le_bytes)?),
        Datatype::I8 => Data::I8(numbers(kind, name, n, &bytes, i8::from_le_bytes)?),
        Datatype::I16 => Data::I16(numbers(kind, name, n, &bytes, i16::from_le_bytes)?),
        Datatype::I32 => Data::I32(numbers(kind, name, n, &bytes, i32::from_le_bytes)?),
        Datatype::I64 => Data::I64(numbers(kind, name, n, &bytes, i64::from_le_bytes)?),
        Datatype::F32 => Data::F32(numbers(kind, name, n, &bytes, f32::from_le_bytes)?),
        Datatype::F64 => Data::F64(numbers(kind, name, n, &bytes, f64::from_le_bytes)?),
        Datatype::F16 => Data::F16(numbers(kind, name, n, &bytes, u16::from_le_bytes)?),
        Datatype::Bf16 => Data::Bf16(numbers(kind, name, n, &bytes, u16::from_le_bytes)?),
        Datatype::Bytes => Data::Bytes(elements(name, n, bytes)?),
    })
}

fn numbers<T, const SIZE: usize>(
    kind: Datatype,
    name: &str,
    n: usize,
    bytes: &[u8],
    number: impl Fn([u8; SIZE]) -> T,
) -> Result<Vec<T>, TensorError> {
    Ok(fixed::<SIZE>(kind, name, n, bytes)?.iter().map(|&element| number(element)).collect())
}

fn fixed<'a, const SIZE: usize>(
    kind: Datatype,
    name: &str,
    n: usize,
    bytes: &'a [u8],
) -> Result<&'a [[u8; SIZE]], TensorError> {
    let (elements, rest) = bytes.as_chunks::<SIZE>();
    if elements.len() != n || !rest.is_empty() {
        return Err(TensorError::ByteCount {
            tensor: cut(name),
            datatype: kind,
            expected: n,
            size: SIZE,
            found: bytes.len(),
        });
    }
    Ok(elements)
}

fn bools(name: &str, bytes: &[[u8; 1]]) -> Result<Vec<bool>, TensorError> {
    let bool = |(element, &[byte]): (usize, &[u8; 1])| match byte {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(TensorError::BoolByte { tensor: cut(name), element, byte }),
    };
    bytes.iter().enumerate().map(bool).collect()
}

fn elements(name: &str, n: usize, mut bytes: Bytes) -> Result<Vec<Bytes>, TensorError> {
    // Even an empty element needs its length: `n` is a claim, what is allocated follows from what is there.
    let mut elements = Vec::with_capacity(n.min(bytes.len() / LENGTH_SIZE));
    for element in 0..n {
        if bytes.is_empty() {
            return Err(TensorError::TooFewElements { tensor: cut(name), expected: n, found: element });
        }
        let left = bytes.len();
        let Ok(length) = bytes.try_get_u32_le() else {
            return Err(TensorError::LengthCut { tensor: cut(name), element, left });
        };
        let left = bytes.len();
        match usize::try_from(length) {
            Ok(length) if length <= left => elements.push(bytes.split_to(length)),
            _ => return Err(TensorError::LengthBeyondEnd { tensor: cut(name), element, length, left }),
        }
    }
    match bytes.len() {
        0 => Ok(elements),
        trailing => Err(TensorError::TrailingBytes { tensor: cut(name), expected: n, trailing }),
    }
}

/// The elements in the raw form.
pub(super) fn write(data: Data) -> Bytes {
    match data {
        // Already what it should be.
        Data::U8(values) => values.into(),
        Data::Bool(values) => values.into_iter().map(u8::from).collect(),
        Data::I8(values) => joined(&values, i8::to_le_bytes),
        Data::U16(values) | Data::F16(values) | Data::Bf16(values) => joined(&values, u16::to_le_bytes),
        Data::U32(values) => joined(&values, u32::to_le_bytes),
        Data::U64(values) => joined(&values, u64::to_le_bytes),
        Data::I16(values) => joined(&values, i16::to_le_bytes),
        Data::I32(values) => joined(&values, i32::to_le_bytes),
        Data::I64(values) => joined(&values, i64::to_le_bytes),
        Data::F32(values) => joined(&values, f32::to_le_bytes),
        Data::F64(values) => joined(&values, f64::to_le_bytes),
        Data::Bytes(values) => with_lengths(&values),
    }
}

fn joined<T: Copy, const SIZE: usize>(values: &[T], bytes: impl Fn(T) -> [u8; SIZE]) -> Bytes {
    let mut joined = Vec::with_capacity(values.len() * SIZE);
    for &value in values {
        joined.extend_from_slice(&bytes(value));
    }
    joined.into()
}

fn with_lengths(values: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(values.iter().map(|value| LENGTH_SIZE + value.len()).sum());
    for value in values {
        joined.put_u32_le(u32::try_from(value.len()).expect("a gRPC message ends at 4 GiB"));
        joined.put_slice(value);
    }
    joined.freeze()
}
