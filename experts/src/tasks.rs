//! One file per task.

pub(crate) mod image;
pub(crate) mod image_classification;
pub(crate) mod labels;
pub(crate) mod tensor;
pub(crate) mod text;
pub(crate) mod text_classification;
pub(crate) mod text_to_text;
pub(crate) mod token_classification;
