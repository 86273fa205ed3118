//! Tensors of any type and shape, between the wire's bytes and ONNX Runtime. What a client sent is checked here first:
//! the runtime trusts the shape it is given.

use std::{borrow::Cow, collections::HashSet};

use half::{bf16, f16};
use ort::{
    session::{RunOptions, Session},
    value::{DynValue, PrimitiveTensorElementType, Tensor},
};

use super::Inputs;
use crate::{Datatype, Elements, Outlet, RunError, TensorValue};

pub(super) fn run(
    session: &mut Session,
    stop: Option<&RunOptions>,
    declared: &[Outlet],
    gives: &[Outlet],
    inputs: &[TensorValue],
) -> Result<Vec<TensorValue>, RunError> {
    check(declared, inputs)?;
    let failed = |error: ort::Error| RunError::Failed(error.to_string());
    let values: Inputs<'_> = inputs
        .iter()
        .map(|input| Ok((Cow::from(&*input.name), value(input).map_err(failed)?.into())))
        .collect::<Result<_, RunError>>()?;
    let outputs = super::run(session, stop, values)?;
    gives
        .iter()
        .map(|outlet| {
            let value = outputs
                .get(&outlet.name)
                .ok_or_else(|| RunError::Failed(format!("no output `{}`", outlet.name)))?;
            let (shape, elements) = elements(value, outlet.datatype).map_err(failed)?;
            Ok(TensorValue { name: outlet.name.clone(), shape, elements })
        })
        .collect()
}

/// Every input once, with the type and the axes that the graph declares, and exactly the elements its shape asks for.
fn check(declared: &[Outlet], inputs: &[TensorValue]) -> Result<(), RunError> {
    let invalid = |problem: String| Err(RunError::Invalid(problem));
    let mut seen = HashSet::new();
    for TensorValue { name, shape, elements } in inputs {
        let Some(expected) = declared.iter().find(|outlet| outlet.name == *name) else {
            return invalid(format!("input `{name}` is unknown: the model takes {}", names(declared)));
        };
        if !seen.insert(name) {
            return invalid(format!("input `{name}` is there twice"));
        }
        if elements.datatype() != expected.datatype {
            let found = elements.datatype();
            return invalid(format!(
                "input `{name}`: expected datatype {}, found {found}",
                expected.datatype
            ));
        }
        let axis = |(expected, found): (&i64, &i64)| *found >= 0 && (*expected == -1 || expected == found);
        if shape.len() != expected.shape.len() || !expected.shape.iter().zip(shape).all(axis) {
            return invalid(format!("input `{name}`: expected shape {:?}, found {shape:?}", expected.shape));
        }
        let count =
            shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(usize::try_from(axis).ok()?));
        let fits = match elements {
            Elements::Text(texts) => count == Some(texts.len()),
            Elements::Raw(datatype, bytes) => {
                count.and_then(|count| count.checked_mul(datatype.size())) == Some(bytes.len())
            }
        };
        if !fits {
            let found = match elements {
                Elements::Text(texts) => format!("{} strings", texts.len()),
                Elements::Raw(datatype, bytes) => format!("{} bytes of {datatype}", bytes.len()),
            };
            return invalid(format!("input `{name}`: shape {shape:?} does not hold {found}"));
        }
    }
    match declared.iter().find(|outlet| !seen.contains(&outlet.name)) {
        Some(missing) => {
            invalid(format!("input `{}` is missing: the model takes {}", missing.name, names(declared)))
        }
        None => Ok(()),
    }
}

fn names(outlets: &[Outlet]) -> String {
    outlets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Numbers that the wire writes as little-endian bytes.
trait Number: PrimitiveTensorElementType + Copy + std::fmt::Debug + 'static {
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {
            fn read(bytes: &[u8]) -> Self {
                // Only ever called with chunks of exactly this size.
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 i8 i16 i32 i64 f16 bf16 f32 f64 }

impl Number for bool {
    fn read(bytes: &[u8]) -> Self {
        bytes != [0]
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(self.into());
    }
}

/// Calls a function that is generic over a number with the type that a datatype stands for.
macro_rules! with_number {
    ($datatype:expr, $function:ident($($argument:expr),*), $text:expr) => {
        match $datatype {
            Datatype::Bool => $function::<bool>($($argument),*),
            Datatype::Uint8 => $function::<u8>($($argument),*),
            Datatype::Uint16 => $function::<u16>($($argument),*),
            Datatype::Uint32 => $function::<u32>($($argument),*),
            Datatype::Uint64 => $function::<u64>($($argument),*),
            Datatype::Int8 => $function::<i8>($($argument),*),
            Datatype::Int16 => $function::<i16>($($argument),*),
            Datatype::Int32 => $function::<i32>($($argument),*),
            Datatype::Int64 => $function::<i64>($($argument),*),
            Datatype::Fp16 => $function::<f16>($($argument),*),
            Datatype::Bf16 => $function::<bf16>($($argument),*),
            Datatype::Fp32 => $function::<f32>($($argument),*),
            Datatype::Fp64 => $function::<f64>($($argument),*),
            Datatype::Bytes => $text,
        }
    };
}

fn value(input: &TensorValue) -> ort::Result<DynValue> {
    match &input.elements {
        Elements::Text(texts) => Ok(Tensor::from_string_array((&input.shape[..], &texts[..]))?.into_dyn()),
        Elements::Raw(datatype, bytes) => {
            with_number!(
                datatype,
                number_value(&input.shape, bytes),
                Err(ort::Error::new("BYTES are given as text"))
            )
        }
    }
}

fn number_value<T: Number>(shape: &[i64], bytes: &[u8]) -> ort::Result<DynValue> {
    let numbers: Vec<T> = bytes.chunks_exact(size_of::<T>()).map(T::read).collect();
    Ok(Tensor::from_array((shape.to_vec(), numbers))?.into_dyn())
}

fn elements(value: &DynValue, datatype: Datatype) -> ort::Result<(Vec<i64>, Elements)> {
    let (shape, bytes) = with_number!(datatype, number_bytes(value), {
        let (shape, texts) = value.try_extract_strings()?;
        return Ok((shape.to_vec(), Elements::Text(texts)));
    })?;
    Ok((shape, Elements::Raw(datatype, bytes)))
}

fn number_bytes<T: Number>(value: &DynValue) -> ort::Result<(Vec<i64>, Vec<u8>)> {
    let (shape, numbers) = value.try_extract_tensor::<T>()?;
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    numbers.iter().for_each(|number| number.write(&mut bytes));
    Ok((shape.to_vec(), bytes))
}
