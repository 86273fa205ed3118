//! Keys and values of the attention, one tensor for each layer and each of the two. They stay ONNX Runtime's: what a step
//! gives out is what the next one takes in. Only when rows change places, or leave, are they copied.

use ort::value::{DynValue, Tensor};

use super::interface::Slot;
use crate::RunError;

/// One tensor for each slot, in their order.
pub(super) struct Memory(Vec<DynValue>);

impl Memory {
    /// Of rows that have read nothing yet.
    pub(super) fn empty(slots: &[Slot], n_rows: usize) -> Result<Self, RunError> {
        let empty = |slot: &Slot| {
            let shape = [n_rows, slot.heads, 0, slot.width];
            Ok(Tensor::from_array((shape, Vec::<f32>::new())).map_err(failed)?.into_dyn())
        };
        slots.iter().map(empty).collect::<Result<_, _>>().map(Self)
    }

    /// What a run gave out under the slots' names.
    pub(super) fn take(
        outputs: &mut ort::session::SessionOutputs<'_>,
        slots: &[Slot],
    ) -> Result<Self, RunError> {
        let take = |slot: &Slot| {
            outputs
                .remove(&slot.present)
                .ok_or_else(|| RunError::Failed(format!("the graph gave no `{}`", slot.present)))
        };
        slots.iter().map(take).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &DynValue> {
        self.0.iter()
    }

    /// The rows of the next step: each is one of these.
    pub(super) fn select(&mut self, rows: &[usize]) -> Result<(), RunError> {
        for value in &mut self.0 {
            *value = select(value, rows)?;
        }
        Ok(())
    }
}

fn select(value: &DynValue, rows: &[usize]) -> Result<DynValue, RunError> {
    let (shape, numbers) = value.try_extract_tensor::<f32>().map_err(failed)?;
    let mut shape = shape.to_vec();
    let n_rows = usize::try_from(shape[0]).unwrap_or(0);
    let width = numbers.len().checked_div(n_rows).unwrap_or(0);
    let mut selected = Vec::with_capacity(rows.len() * width);
    for row in rows {
        let row = numbers.get(row * width..(row + 1) * width);
        selected
            .extend_from_slice(row.ok_or_else(|| RunError::Failed(format!("the graph gave {n_rows} rows")))?);
    }
    shape[0] = rows.len() as i64;
    Ok(Tensor::from_array((shape, selected)).map_err(failed)?.into_dyn())
}

pub(super) fn failed(error: ort::Error) -> RunError {
    RunError::Failed(error.to_string())
}
