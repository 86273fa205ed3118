//! What the graphs of an encoder-decoder model take and give, by the names that Hugging Face's exports have. Models that do
//! not fit are refused when they are loaded.
//!
//! ```text
//! encoder_model.onnx             input_ids, attention_mask -> present.{i}.encoder.{key,value}
//! decoder_with_past_model.onnx   input_ids, encoder_attention_mask, past_key_values.{i}.{decoder,encoder}.{key,value}
//!                                                          -> logits, present.{i}.decoder.{key,value}
//! ```
//!
//! Optimum's exports differ in who computes what the decoder sees of the source: their encoder gives `last_hidden_state`,
//! and a second copy of the decoder, `decoder_model.onnx`, makes keys and values of it in the first step. Both are served.

use std::path::Path;

use crate::{Datatype, Error, Outlet};

pub(super) const HIDDEN: &str = "last_hidden_state";

/// One tensor of the attention's memory, of one layer.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// As an input.
    pub(super) past: String,
    /// As an output.
    pub(super) present: String,
    pub(super) heads: usize,
    pub(super) width: usize,
}

/// Which layers there are, of the decoder's own text and of the source.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) own: Vec<Slot>,
    pub(super) source: Vec<Slot>,
}

/// Names, types and shapes of the decoder that has a past.
pub(super) fn decoder(path: &Path, inputs: &[Outlet], outputs: &[Outlet]) -> Result<Slots, Error> {
    let wrong = |problem: String| {
        Error::graph(
            path,
            format!("{problem}; export it with keys and values (`text2text-generation-with-past`)"),
        )
    };
    let slots = Slots { own: slots(path, inputs, "decoder")?, source: slots(path, inputs, "encoder")? };
    if slots.own.is_empty() || slots.own.len() != slots.source.len() {
        return Err(wrong(format!(
            "expected `past_key_values.{{i}}.decoder.key`, `.value`, and the same of `encoder`, for every layer, found {}",
            listed(inputs)
        )));
    }
    let known = |input: &Outlet| {
        ["input_ids", "encoder_attention_mask"].contains(&&*input.name)
            || slots.own.iter().chain(&slots.source).any(|slot| slot.past == input.name)
    };
    if let Some(unknown) = inputs.iter().find(|input| !known(input)) {
        return Err(wrong(format!("takes {unknown}, which is no part of a step")));
    }
    for name in ["input_ids", "encoder_attention_mask"] {
        has(path, inputs, name, Datatype::Int64, 2)?;
    }
    has(path, outputs, "logits", Datatype::Fp32, 3)?;
    for slot in &slots.own {
        has(path, outputs, &slot.present, Datatype::Fp32, 4)?;
    }
    Ok(slots)
}

/// The encoder; returns whether it gives `last_hidden_state` instead of keys and values.
pub(super) fn encoder(
    path: &Path,
    inputs: &[Outlet],
    outputs: &[Outlet],
    slots: &Slots,
) -> Result<bool, Error> {
    takes_exactly(path, inputs, &["input_ids", "attention_mask"])?;
    for name in ["input_ids", "attention_mask"] {
        has(path, inputs, name, Datatype::Int64, 2)?;
    }
    if outputs.iter().any(|output| output.name == HIDDEN) {
        return has(path, outputs, HIDDEN, Datatype::Fp32, 3).map(|()| true);
    }
    for slot in &slots.source {
        has(path, outputs, &slot.present, Datatype::Fp32, 4)?;
    }
    Ok(false)
}

/// Optimum's decoder of the first step.
pub(super) fn first_decoder(
    path: &Path,
    inputs: &[Outlet],
    outputs: &[Outlet],
    slots: &Slots,
) -> Result<(), Error> {
    takes_exactly(path, inputs, &["input_ids", "encoder_hidden_states", "encoder_attention_mask"])?;
    has(path, outputs, "logits", Datatype::Fp32, 3)?;
    for slot in slots.own.iter().chain(&slots.source) {
        has(path, outputs, &slot.present, Datatype::Fp32, 4)?;
    }
    Ok(())
}

/// The memory of the layers, from 0 without a gap; `of` is whose text is remembered.
fn slots(path: &Path, inputs: &[Outlet], of: &str) -> Result<Vec<Slot>, Error> {
    let mut slots = Vec::new();
    for layer in 0.. {
        for part in ["key", "value"] {
            let past = format!("past_key_values.{layer}.{of}.{part}");
            let Some(input) = inputs.iter().find(|input| input.name == past) else { return Ok(slots) };
            let size = |axis: usize| input.shape.get(axis).and_then(|size| usize::try_from(*size).ok());
            let (Some(heads), Some(width), Datatype::Fp32, [-1, _, -1, _]) =
                (size(1), size(3), input.datatype, &input.shape[..])
            else {
                return Err(Error::graph(
                    path,
                    format!(
                        "expected `{past}` FP32 [-1, heads, -1, width] with numbers for heads and width, found {input}; \
                         export it with dynamic axes for batch and tokens only"
                    ),
                ));
            };
            slots.push(Slot { past, present: format!("present.{layer}.{of}.{part}"), heads, width });
        }
    }
    Ok(slots)
}

fn takes_exactly(path: &Path, inputs: &[Outlet], names: &[&str]) -> Result<(), Error> {
    let is_known = |input: &Outlet| names.contains(&&*input.name);
    if inputs.len() == names.len() && inputs.iter().all(is_known) {
        return Ok(());
    }
    let problem =
        format!("expected the inputs {}, found {}; export it again", names.join(", "), listed(inputs));
    Err(Error::graph(path, problem))
}

fn has(path: &Path, outlets: &[Outlet], name: &str, datatype: Datatype, n_axes: usize) -> Result<(), Error> {
    let fits =
        |outlet: &Outlet| outlet.name == name && outlet.datatype == datatype && outlet.shape.len() == n_axes;
    if outlets.iter().any(fits) {
        return Ok(());
    }
    let problem =
        format!("expected `{name}` {datatype} of {n_axes} axes, found {}; export it again", listed(outlets));
    Err(Error::graph(path, problem))
}

fn listed(outlets: &[Outlet]) -> String {
    outlets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
