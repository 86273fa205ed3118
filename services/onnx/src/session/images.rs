//! Pixels as an image classifier takes them: numbers, one colour after another.

use nanogrid_settings::{ImageProcessorConfig, package::Extent};

use crate::{Pixels, RunError};

/// The buffer that a batch of images is laid out in.
pub(super) struct PixelValues {
    extent: Extent,
    /// What each byte of red, green and blue becomes.
    tables: [[f32; 256]; 3],
    values: Vec<f32>,
}

impl PixelValues {
    pub(super) fn new(processor: &ImageProcessorConfig) -> Self {
        let number = |colour: usize, byte: usize| {
            let rescaled = byte as f32 * processor.rescale_factor;
            (rescaled - processor.mean[colour]) / processor.std[colour]
        };
        Self {
            extent: processor.extent,
            tables: std::array::from_fn(|colour| std::array::from_fn(|byte| number(colour, byte))),
            values: Vec::new(),
        }
    }

    /// An image without light.
    pub(super) fn black(&self) -> Pixels {
        Pixels::black(self.extent)
    }

    /// `[n, 3, height, width]`, and as many numbers.
    pub(super) fn lay_out(&mut self, rows: &[&Pixels]) -> Result<([usize; 4], &[f32]), RunError> {
        self.values.clear();
        for row in rows {
            if row.count() != self.extent.pixels() {
                return Err(RunError::Invalid("the image was prepared for another model".into()));
            }
            for (colour, table) in self.tables.iter().enumerate() {
                let bytes = row.rgb().iter().skip(colour).step_by(3);
                self.values.extend(bytes.map(|byte| table[usize::from(*byte)]));
            }
        }
        let Extent { height, width } = self.extent;
        Ok(([rows.len(), 3, height as usize, width as usize], &self.values))
    }
}
