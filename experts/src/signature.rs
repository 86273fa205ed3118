//! The inputs and outputs of an expert as its clients see them, and the checks that need nothing else.
//! What passes here has the names, datatypes and shapes that the expert takes, in the expert's own order.

use nanogrid_proto::tensor::Tensor;
use nanogrid_settings::package::{NumBeams, TensorSpec};

use crate::{error::Error, wire::AskedOutput};

/// The inputs and outputs of an expert.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    /// The first axis of everything counts rows.
    pub(crate) batched: bool,
}

/// An input or output; -1 in its shape = any size.
pub(crate) fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
}

/// What an answer shall hold.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) outputs: Vec<WantedOutput>,
    /// Labels per row.
    pub(crate) top_k: Option<usize>,
    /// Hypotheses that a generation follows; `None` = as many as the package says.
    pub(crate) num_beams: Option<NumBeams>,
}

/// One output of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedOutput {
    /// Position in the signature.
    pub(crate) idx: usize,
    /// The best n as `score:index:label` in place of the numbers.
    pub(crate) classification: Option<usize>,
}

impl Signature {
    /// The inputs in the signature's order, and how many rows they have: at least one.
    pub(crate) fn check(&self, inputs: Vec<Tensor>) -> Result<(Vec<Tensor>, usize), Error> {
        let mut slots: Vec<Option<Tensor>> = self.inputs.iter().map(|_| None).collect();
        for tensor in inputs {
            let Some(idx) = self.inputs.iter().position(|spec| spec.name == tensor.name) else {
                return Err(Error::UnknownInput { name: tensor.name, expected: describe_all(&self.inputs) });
            };
            if slots[idx].is_some() {
                return Err(Error::RepeatedInput { name: tensor.name });
            }
            if !fits(&tensor, &self.inputs[idx]) {
                return Err(misfit(&tensor, &self.inputs[idx]));
            }
            slots[idx] = Some(tensor);
        }
        let mut ordered = Vec::with_capacity(slots.len());
        for (slot, spec) in slots.into_iter().zip(&self.inputs) {
            ordered.push(
                slot.ok_or_else(|| Error::MissingInput {
                    name: spec.name.clone(),
                    expected: describe(spec),
                })?,
            );
        }
        let rows = self.rows(&ordered)?;
        Ok((ordered, rows))
    }

    fn rows(&self, inputs: &[Tensor]) -> Result<usize, Error> {
        let Some(first) = inputs.first().filter(|_| self.batched) else { return Ok(1) };
        let rows = first.shape[0];
        if rows == 0 {
            return Err(Error::NoRows { name: first.name.clone() });
        }
        match inputs.iter().find(|tensor| tensor.shape[0] != rows) {
            Some(odd) => Err(Error::Misfit {
                name: odd.name.clone(),
                found: format!("{} rows", odd.shape[0]),
                expected: format!("the {rows} rows of `{}`", first.name),
            }),
            None => Ok(rows),
        }
    }

    /// The outputs asked for, in the order asked for; all of them where none is named.
    pub(crate) fn outputs(&self, asked: &[AskedOutput]) -> Result<Vec<WantedOutput>, Error> {
        if asked.is_empty() {
            return Ok((0..self.outputs.len())
                .map(|idx| WantedOutput { idx, classification: None })
                .collect());
        }
        asked
            .iter()
            .map(|output| match self.outputs.iter().position(|spec| spec.name == output.name) {
                Some(idx) => Ok(WantedOutput { idx, classification: output.classification }),
                None => Err(Error::UnknownOutput {
                    name: output.name.clone(),
                    expected: describe_all(&self.outputs),
                }),
            })
            .collect()
    }
}

fn fits(tensor: &Tensor, spec: &TensorSpec) -> bool {
    tensor.data.datatype() == spec.datatype
        && tensor.shape.len() == spec.shape.len()
        && tensor
            .shape
            .iter()
            .zip(&spec.shape)
            .all(|(size, wanted)| *wanted < 0 || usize::try_from(*wanted) == Ok(*size))
}

fn misfit(tensor: &Tensor, spec: &TensorSpec) -> Error {
    Error::Misfit {
        name: tensor.name.clone(),
        found: format!("{} {:?}", tensor.data.datatype(), tensor.shape),
        expected: format!("{} {:?}", spec.datatype, spec.shape),
    }
}

fn describe(spec: &TensorSpec) -> String {
    format!("`{}` {} {:?}", spec.name, spec.datatype, spec.shape)
}

fn describe_all(specs: &[TensorSpec]) -> String {
    specs.iter().map(describe).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
