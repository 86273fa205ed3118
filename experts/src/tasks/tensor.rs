//! The model's own tensors, in and out, with no processing: any graph can be an expert.

use std::sync::Arc;

use bytes::Bytes;
use nanogrid_onnx::{Datatype, Elements, Model, Outlet, Package, RunError, TensorValue, Times};
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_settings::package::TensorSpec;
use tokio::time::Instant;

use crate::{
    classification,
    error::Error,
    signature::{Signature, Wanted, WantedOutput},
    task::Task,
};

pub(crate) struct Tensors {
    signature: Signature,
    model: Model,
    /// For `classification`; may be empty.
    labels: Arc<[String]>,
}

impl Tensors {
    pub(crate) fn new(package: &Package, model: Model) -> Self {
        let specs = |outlets: &[Outlet]| -> Vec<TensorSpec> {
            let spec = |outlet: &Outlet| TensorSpec {
                name: outlet.name.clone(),
                datatype: outlet.datatype.to_string(),
                shape: outlet.shape.clone(),
            };
            outlets.iter().map(spec).collect()
        };
        let (inputs, outputs) = (specs(model.inputs()), specs(model.outputs()));
        let batched = inputs.iter().chain(&outputs).all(|spec| spec.shape.first() == Some(&-1));
        let signature = Signature { inputs, outputs, batched };
        Self { signature, model, labels: Arc::clone(&package.labels) }
    }

    fn output(&self, tensor: &TensorValue, output: WantedOutput) -> Result<Tensor, Error> {
        let shape =
            tensor.shape.iter().map(|size| usize::try_from(*size)).collect::<Result<Vec<_>, _>>().map_err(
                |_| Error::Failed(format!("output `{}` has the shape {:?}", tensor.name, tensor.shape)),
            )?;
        let Some(n) = output.classification else {
            return Ok(Tensor { name: tensor.name.clone(), shape, data: from_elements(&tensor.elements) });
        };
        self.classified(tensor, &shape, n)
    }

    /// The best `n` of every row, or of the whole tensor where nothing counts rows.
    fn classified(&self, tensor: &TensorValue, shape: &[usize], n: usize) -> Result<Tensor, Error> {
        let scores = numbers(&from_elements(&tensor.elements)).ok_or_else(|| Error::Parameter {
            name: "classification".to_owned(),
            problem: format!("ranks numbers, and `{}` is {}", tensor.name, tensor.elements.datatype()),
        })?;
        let rows = if self.signature.batched { shape.first().copied().unwrap_or(1) } else { 1 };
        let width = scores.len() / rows.max(1);
        let best = scores.chunks(width.max(1)).flat_map(|row| {
            let entry =
                |idx: usize| classification::entry(row[idx], idx, self.labels.get(idx).map(String::as_str));
            classification::best(row, n).into_iter().map(entry)
        });
        let data = Data::Bytes(best.collect());
        let n = n.min(width);
        let shape = if self.signature.batched { vec![rows, n] } else { vec![n] };
        Ok(Tensor { name: tensor.name.clone(), shape, data })
    }
}

impl Task for Tensors {
    type Prepared = Vec<TensorValue>;
    type Raw = Vec<TensorValue>;

    fn signature(&self) -> &Signature {
        &self.signature
    }

    async fn preprocess(&self, inputs: Vec<Tensor>, _: &Wanted) -> Result<Self::Prepared, Error> {
        inputs.into_iter().map(to_value).collect()
    }

    async fn run(
        &self,
        inputs: Vec<TensorValue>,
        deadline: Option<Instant>,
    ) -> Result<(Self::Raw, Times), RunError> {
        let run = self.model.run_tensors(inputs, deadline).await?;
        Ok((run.outputs, run.times))
    }

    fn postprocess(&self, outputs: Self::Raw, wanted: &Wanted) -> Result<Vec<Tensor>, Error> {
        let tensor = |output: &WantedOutput| match outputs.get(output.idx) {
            Some(tensor) => self.output(tensor, *output),
            None => Err(Error::Failed(format!("it gave {} outputs", outputs.len()))),
        };
        wanted.outputs.iter().map(tensor).collect()
    }
}

fn to_value(tensor: Tensor) -> Result<TensorValue, Error> {
    let too_large =
        || Error::Invalid(format!("input `{}`: the shape {:?} is too large", tensor.name, tensor.shape));
    let shape = tensor.shape.iter().map(|size| i64::try_from(*size)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| too_large())?;
    let elements = to_elements(&tensor.name, tensor.data)?;
    Ok(TensorValue { name: tensor.name, shape, elements })
}

/// One row per datatype: its name here, in `onnx`, and the Rust type in between.
macro_rules! numeric {
    ($($data:ident $datatype:ident $type:ty;)*) => {
        fn to_elements(name: &str, data: Data) -> Result<Elements, Error> {
            Ok(match data {
                $(Data::$data(values) => Elements::Raw(
                    Datatype::$datatype,
                    values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                ),)*
                Data::Bool(values) => Elements::Raw(Datatype::Bool, values.into_iter().map(u8::from).collect()),
                Data::Bytes(values) => Elements::Text(
                    values.iter().enumerate().map(|(row, value)| utf8(name, row, value)).collect::<Result<_, _>>()?,
                ),
            })
        }

        fn from_elements(elements: &Elements) -> Data {
            let (datatype, bytes) = match elements {
                Elements::Raw(datatype, bytes) => (*datatype, bytes),
                Elements::Text(texts) => return Data::Bytes(texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()),
            };
            match datatype {
                $(Datatype::$datatype => Data::$data(
                    bytes.as_chunks::<{ size_of::<$type>() }>().0.iter().map(|value| <$type>::from_le_bytes(*value)).collect(),
                ),)*
                Datatype::Bool => Data::Bool(bytes.iter().map(|value| *value != 0).collect()),
                Datatype::Bytes => Data::Bytes(Vec::new()),
            }
        }
    };
}

numeric! {
    U8 Uint8 u8;
    U16 Uint16 u16;
    U32 Uint32 u32;
    U64 Uint64 u64;
    I8 Int8 i8;
    I16 Int16 i16;
    I32 Int32 i32;
    I64 Int64 i64;
    F32 Fp32 f32;
    F64 Fp64 f64;
    F16 Fp16 u16;
    Bf16 Bf16 u16;
}

fn utf8(name: &str, row: usize, bytes: &Bytes) -> Result<String, Error> {
    // ONNX strings are UTF-8.
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| Error::NotUtf8 {
        name: name.to_owned(),
        row,
        offset: error.valid_up_to(),
    })
}

/// `None` where there is nothing to rank by. Half floats are ranked by no one here: they are only bit patterns to us.
fn numbers(data: &Data) -> Option<Vec<f64>> {
    Some(match data {
        Data::F32(values) => values.iter().copied().map(f64::from).collect(),
        Data::F64(values) => values.clone(),
        Data::U8(values) => values.iter().copied().map(f64::from).collect(),
        Data::U16(values) => values.iter().copied().map(f64::from).collect(),
        Data::U32(values) => values.iter().copied().map(f64::from).collect(),
        Data::U64(values) => values.iter().map(|value| *value as f64).collect(),
        Data::I8(values) => values.iter().copied().map(f64::from).collect(),
        Data::I16(values) => values.iter().copied().map(f64::from).collect(),
        Data::I32(values) => values.iter().copied().map(f64::from).collect(),
        Data::I64(values) => values.iter().map(|value| *value as f64).collect(),
        Data::Bool(_) | Data::F16(_) | Data::Bf16(_) | Data::Bytes(_) => return None,
    })
}
