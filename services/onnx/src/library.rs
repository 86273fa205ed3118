//! ONNX Runtime's shared library.
use std::path::Path;
use crate::Error;
/// The oldest ONNX Runtime that is accepted.
pub const OLDEST: &str = "1.24";
/// Loads.
pub fn init(_library: Option<&Path>) -> Result<(), Error> { unimplemented!() }
