//! Development only: scripted experts, a whole grid in one process, tiny ONNX graphs.

pub mod expert;
pub mod graphs;
pub mod images;
pub mod packages;

/// Loads ONNX Runtime from where `make` puts it. Any number of tests may call this.
///
/// # Panics
/// With the way out when the library is missing.
pub fn init_onnxruntime() {
    if let Err(error) = nanogrid_onnx::init(None) {
        panic!("{error}");
    }
}
