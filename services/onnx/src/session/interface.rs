//! What a graph takes and gives, held against what its manifest, its labels and its task say. A model that does not fit is
//! refused when it is loaded, not when somebody asks it something.

use std::path::Path;

use nanogrid_settings::package::{Extent, TensorSpec};

use crate::{Datatype, Error, Outlet, Package};

/// Which of the inputs that text models differ in this one has.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextInputs {
    pub(super) attention_mask: bool,
    pub(super) token_type_ids: bool,
}

/// The graph's own declaration. `side` is `input` or `output`.
pub(crate) fn outlets(
    path: &Path,
    side: &str,
    declared: &[ort::value::Outlet],
) -> Result<Vec<Outlet>, Error> {
    let outlet = |outlet: &ort::value::Outlet| {
        let (name, found) = (outlet.name(), outlet.dtype());
        let datatype = found.tensor_type().and_then(Datatype::from_ort);
        match (datatype, found.tensor_shape()) {
            (Some(datatype), Some(shape)) => {
                Ok(Outlet { name: name.into(), datatype, shape: shape.to_vec() })
            }
            (None, _) | (_, None) => Err(Error::graph(
                path,
                format!(
                    "{side} `{name}`: expected a tensor of a type that the wire has, found {found}; export it without"
                ),
            )),
        }
    };
    declared.iter().map(outlet).collect()
}

/// Names, types and shapes as in version.toml. Where the graph leaves a length open the manifest may fix it.
pub(crate) fn matches_manifest(
    package: &Package,
    inputs: &[Outlet],
    outputs: &[Outlet],
) -> Result<(), Error> {
    let Some(manifest) = &package.manifest else { return Ok(()) };
    let path = package.model();
    for (side, promised, found) in
        [("inputs", &manifest.inputs, inputs), ("outputs", &manifest.outputs, outputs)]
    {
        let fits = promised.len() == found.len()
            && promised.iter().all(|promise| found.iter().any(|outlet| fits(promise, outlet)));
        if !fits {
            let promised: Vec<_> = promised
                .iter()
                .map(|promise| format!("`{}` {} {:?}", promise.name, promise.datatype, promise.shape))
                .collect();
            return Err(Error::graph(
                &path,
                format!(
                    "{side}: version.toml promises {}, the graph has {}; correct version.toml, or export the model again",
                    promised.join(", "),
                    listed(found)
                ),
            ));
        }
    }
    Ok(())
}

fn fits(promise: &TensorSpec, found: &Outlet) -> bool {
    promise.name == found.name
        && promise.datatype == found.datatype.as_str()
        && promise.shape.len() == found.shape.len()
        && promise.shape.iter().zip(&found.shape).all(|(promise, found)| found == promise || *found == -1)
}

/// A text classifier: token ids in any number of rows and columns in, one logit for each label out.
pub(super) fn text(package: &Package, inputs: &[Outlet], outputs: &[Outlet]) -> Result<TextInputs, Error> {
    let names = text_inputs(package, inputs)?;
    gives(package, outputs, "logits", &[-1], package.labels.len(), "a sequence classifier")?;
    Ok(names)
}

/// A token classifier: one logit for each label and token, and where the package has labels of the whole text, one for
/// each of these and text.
pub(super) fn tokens(package: &Package, inputs: &[Outlet], outputs: &[Outlet]) -> Result<TextInputs, Error> {
    let names = text_inputs(package, inputs)?;
    gives(package, outputs, "logits", &[-1, -1], package.labels.len(), "a token classifier")?;
    if !package.text_labels.is_empty() {
        let n_labels = package.text_labels.len();
        gives(package, outputs, "text_logits", &[-1], n_labels, "both heads, or remove `text_id2label`")?;
    }
    Ok(names)
}

/// The one input of an image classifier.
pub(super) const PIXEL_VALUES: &str = "pixel_values";

/// An image classifier: any number of images of one extent in, one logit for each label out.
pub(super) fn images(
    package: &Package,
    Extent { height, width }: Extent,
    inputs: &[Outlet],
    outputs: &[Outlet],
) -> Result<(), Error> {
    let is_or_any = |found: i64, expected: u32| found == -1 || found == i64::from(expected);
    let fits = |input: &Outlet| {
        let [n, colours, found_height, found_width] = input.shape[..] else { return false };
        input.name == PIXEL_VALUES
            && input.datatype == Datatype::Fp32
            && n == -1
            && is_or_any(colours, 3)
            && is_or_any(found_height, height)
            && is_or_any(found_width, width)
    };
    match inputs {
        [input] if fits(input) => {}
        _ => {
            let problem = format!(
                "expected `{PIXEL_VALUES}` FP32 [-1, 3, {height}, {width}], which is what preprocessor_config.json makes of an \
                 image, found {}; correct that file, or export the model with a dynamic axis for the batch",
                listed(inputs)
            );
            return Err(Error::graph(package.model(), problem));
        }
    }
    gives(package, outputs, "logits", &[-1], package.labels.len(), "an image classifier")
}

fn text_inputs(package: &Package, inputs: &[Outlet]) -> Result<TextInputs, Error> {
    let path = package.model();
    let has = |name| inputs.iter().any(|input| input.name == name);
    let open_matrix = |input: &Outlet| input.datatype == Datatype::Int64 && input.shape == [-1, -1];
    let known = |input: &Outlet| ["input_ids", "attention_mask", "token_type_ids"].contains(&&*input.name);
    if !has("input_ids") || !inputs.iter().all(|input| known(input) && open_matrix(input)) {
        return Err(Error::graph(
            &path,
            format!(
                "expected `input_ids` and at most `attention_mask` and `token_type_ids`, each INT64 [-1, -1], found {}; \
                 export it with dynamic axes for batch and tokens",
                listed(inputs)
            ),
        ));
    }
    Ok(TextInputs { attention_mask: has("attention_mask"), token_type_ids: has("token_type_ids") })
}

/// Whether `outputs` has `name`, as FP32 with these axes and one more for the labels.
fn gives(
    package: &Package,
    outputs: &[Outlet],
    name: &str,
    axes: &[i64],
    n_labels: usize,
    instead: &str,
) -> Result<(), Error> {
    let n_labels = n_labels as i64;
    let fits = |output: &&Outlet| {
        let Some((width, others)) = output.shape.split_last() else { return false };
        output.name == name
            && output.datatype == Datatype::Fp32
            && others == axes
            && (*width == -1 || *width == n_labels)
    };
    match outputs.iter().find(fits) {
        Some(_) => Ok(()),
        None => Err(Error::graph(
            package.model(),
            format!(
                "expected `{name}` FP32 {:?}, one for each label of config.json, found {}; \
                 correct the labels, or export {instead}",
                [axes, &[n_labels]].concat(),
                listed(outputs)
            ),
        )),
    }
}

fn listed(outlets: &[Outlet]) -> String {
    outlets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
