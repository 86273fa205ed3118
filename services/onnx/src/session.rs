//! One session of ONNX Runtime: opened with the settings that suit many small models on few cores, checked against what
//! the manifest promises, and run with what arrives.

mod images;
pub(crate) mod interface;
mod tensors;

use std::{borrow::Cow, num::NonZeroUsize, path::Path, sync::Arc};

use nanogrid_settings::Task;
use ort::{
    session::{RunOptions, Session, SessionInputValue, SessionOutputs, builder::PrepackedWeights},
    value::TensorRef,
};

use self::{images::PixelValues, interface::TextInputs};
use crate::{
    Error, Outlet, Package, Pixels, RunError, TensorValue, library, text,
    worker::{Engine, Row, Stop, finite},
};

/// Of one run, by name.
pub(crate) type Inputs<'v> = Vec<(Cow<'v, str>, SessionInputValue<'v>)>;

/// A session and the buffers that its inputs are laid out in.
pub(crate) struct OrtEngine {
    session: Session,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
    text: Option<TextInputs>,
    images: Option<PixelValues>,
    n_labels: usize,
    /// One answer for each token, and not for each row.
    is_per_token: bool,
    /// Of the whole text, beside those of its tokens.
    n_text_labels: usize,
    padding: i64,
    stop: Option<Arc<RunOptions>>,
    ids: Vec<i64>,
    mask: Vec<i64>,
    zeros: Vec<i64>,
}

impl Stop for RunOptions {
    fn stop(&self) {
        // It only sets a flag; should that fail, the run goes on to its end as it would have without.
        let _ = self.terminate();
    }
}

impl OrtEngine {
    /// Opens the model, checks its interface, and runs it once so that the first request finds it warm.
    pub(crate) fn open(
        package: &Package,
        intra_op_threads: NonZeroUsize,
        weights: Option<&PrepackedWeights>,
    ) -> Result<Self, Error> {
        let path = package.model();
        let session = open(&path, intra_op_threads, weights)?;
        let inputs = interface::outlets(&path, "input", session.inputs())?;
        let outputs = interface::outlets(&path, "output", session.outputs())?;
        interface::matches_manifest(package, &inputs, &outputs)?;
        let text = match package.task {
            Task::TextClassification => Some(interface::text(package, &inputs, &outputs)?),
            Task::TokenClassification => Some(interface::tokens(package, &inputs, &outputs)?),
            Task::TextToText
            | Task::Embedding
            | Task::ImageClassification
            | Task::SpeechToText
            | Task::TextToSpeech
            | Task::Series
            | Task::Tensor => None,
        };
        let images = match &package.image_processor {
            Some(processor) => {
                interface::images(package, processor.extent, &inputs, &outputs)?;
                Some(PixelValues::new(processor))
            }
            None => None,
        };
        let padding = if text.is_some() { text::padding(package)? } else { 0 };
        let mut engine = Self {
            session,
            inputs,
            outputs,
            text,
            images,
            n_labels: package.labels.len(),
            is_per_token: package.task == Task::TokenClassification,
            n_text_labels: package.text_labels.len(),
            padding,
            stop: None,
            ids: Vec::new(),
            mask: Vec::new(),
            zeros: Vec::new(),
        };
        engine.warm_up().map_err(|problem| Error::graph(&path, format!("cannot be run: {problem}")))?;
        Ok(engine)
    }

    /// Inputs and outputs.
    pub(crate) fn outlets(&self) -> (Vec<Outlet>, Vec<Outlet>) {
        (self.inputs.clone(), self.outputs.clone())
    }

    /// Two rows, of different length where there is one, so that a graph which cannot batch or pad is found now. Tensors
    /// have shapes that only their callers know.
    fn warm_up(&mut self) -> Result<(), RunError> {
        let logits = if let Some(images) = &self.images {
            let black = images.black();
            self.images(&[&black, &black])?
        } else if self.text.is_some() {
            let token = u32::try_from(self.padding).unwrap_or(0);
            self.text(&[&[token], &[token, token]])?
        } else {
            return Ok(());
        };
        logits.iter().try_for_each(|logits| finite(logits))
    }

    /// Lays the rows out as one rectangle. Never empty: even no token at all is a padding token that is masked.
    fn lay_out(&mut self, rows: &[&[u32]]) -> [usize; 2] {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
        self.ids.clear();
        self.mask.clear();
        for row in rows {
            self.ids.extend(row.iter().map(|&id| i64::from(id)));
            self.ids.resize(self.ids.len() + width - row.len(), self.padding);
            self.mask.resize(self.mask.len() + row.len(), 1);
            self.mask.resize(self.mask.len() + width - row.len(), 0);
        }
        self.zeros.resize(self.ids.len(), 0);
        [rows.len(), width]
    }

    /// Logits of each row of token ids, in order.
    pub(crate) fn text(&mut self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>, RunError> {
        let Some(names) = self.text else {
            return Err(RunError::Invalid("this model takes no text".into()));
        };
        let shape @ [n_rows, width] = self.lay_out(rows);
        let failed = |error: ort::Error| RunError::Failed(error.to_string());
        let mut inputs: Inputs<'_> = Vec::with_capacity(3);
        for (name, present, values) in [
            ("input_ids", true, &self.ids),
            ("attention_mask", names.attention_mask, &self.mask),
            ("token_type_ids", names.token_type_ids, &self.zeros),
        ] {
            if present {
                inputs.push((
                    name.into(),
                    TensorRef::from_array_view((shape, &values[..])).map_err(failed)?.into(),
                ));
            }
        }
        let outputs = run(&mut self.session, self.stop.as_deref(), inputs)?;
        if !self.is_per_token {
            let logits = logits(&outputs, "logits", &[n_rows, self.n_labels])?;
            return Ok(logits.chunks_exact(self.n_labels).map(<[f32]>::to_vec).collect());
        }
        let of_tokens = logits(&outputs, "logits", &[n_rows, width, self.n_labels])?;
        // The tokens of the row itself; what follows is padding.
        let mut answers: Vec<Vec<f32>> = rows
            .iter()
            .zip(of_tokens.chunks_exact(width * self.n_labels))
            .map(|(row, logits)| logits[..row.len() * self.n_labels].to_vec())
            .collect();
        if self.n_text_labels > 0 {
            let of_texts = logits(&outputs, "text_logits", &[n_rows, self.n_text_labels])?;
            for (answer, logits) in answers.iter_mut().zip(of_texts.chunks_exact(self.n_text_labels)) {
                answer.extend_from_slice(logits);
            }
        }
        Ok(answers)
    }

    fn images(&mut self, rows: &[&Pixels]) -> Result<Vec<Vec<f32>>, RunError> {
        let Some(images) = &mut self.images else {
            return Err(RunError::Invalid("this model takes no images".into()));
        };
        let failed = |error: ort::Error| RunError::Failed(error.to_string());
        let (shape, values) = images.lay_out(rows)?;
        let values = TensorRef::from_array_view((shape, values)).map_err(failed)?;
        let inputs: Inputs<'_> = vec![(interface::PIXEL_VALUES.into(), values.into())];
        let outputs = run(&mut self.session, self.stop.as_deref(), inputs)?;
        let logits = logits(&outputs, "logits", &[rows.len(), self.n_labels])?;
        Ok(logits.chunks_exact(self.n_labels).map(<[f32]>::to_vec).collect())
    }
}

impl Engine for OrtEngine {
    fn prepare(&mut self) -> Result<Arc<dyn Stop>, RunError> {
        fresh_stop(&mut self.stop)
    }

    fn logits(&mut self, rows: &[&Row]) -> Result<Vec<Vec<f32>>, RunError> {
        let texts = rows.iter().map(|row| match row {
            Row::Text(tokens) => Some(&tokens.ids[..]),
            Row::Image(_) => None,
        });
        let images = rows.iter().map(|row| match row {
            Row::Image(pixels) => Some(pixels),
            Row::Text(_) => None,
        });
        match (texts.collect::<Option<Vec<_>>>(), images.collect::<Option<Vec<_>>>()) {
            (Some(texts), _) => self.text(&texts),
            (None, Some(images)) => self.images(&images),
            (None, None) => Err(RunError::Invalid("texts and images cannot be run together".into())),
        }
    }

    fn tensors(&mut self, inputs: &[TensorValue]) -> Result<Vec<TensorValue>, RunError> {
        tensors::run(&mut self.session, self.stop.as_deref(), &self.inputs, &self.outputs, inputs)
    }
}

/// What stops the next run. Fresh for every run: a caller who leaves late must not stop the run after the one it was in.
pub(crate) fn fresh_stop(stop: &mut Option<Arc<RunOptions>>) -> Result<Arc<dyn Stop>, RunError> {
    let options = Arc::new(RunOptions::new().map_err(|error| RunError::Failed(error.to_string()))?);
    Ok(stop.insert(options).clone())
}

/// One run, which `stop` ends.
pub(crate) fn run<'s>(
    session: &'s mut Session,
    stop: Option<&'s RunOptions>,
    inputs: Inputs<'_>,
) -> Result<SessionOutputs<'s>, RunError> {
    let outputs = match stop {
        Some(stop) => session.run_with_options(inputs, stop),
        None => session.run(inputs),
    };
    outputs.map_err(|error| RunError::Failed(error.to_string()))
}

/// An output whose shape is what it has to be.
fn logits<'a>(
    outputs: &'a SessionOutputs<'_>,
    name: &str,
    expected: &[usize],
) -> Result<&'a [f32], RunError> {
    let output = outputs.get(name).ok_or_else(|| RunError::Failed(format!("the graph gave no `{name}`")))?;
    let (shape, logits) =
        output.try_extract_tensor::<f32>().map_err(|error| RunError::Failed(error.to_string()))?;
    let fits = shape.len() == expected.len()
        && shape.iter().zip(expected).all(|(found, expected)| usize::try_from(*found) == Ok(*expected));
    match fits {
        true => Ok(logits),
        false => Err(RunError::Failed(format!("{name}: expected shape {expected:?}, found {shape:?}"))),
    }
}

/// A session with the settings that suit many small models on few cores.
pub(crate) fn open(
    path: &Path,
    intra_op_threads: NonZeroUsize,
    weights: Option<&PrepackedWeights>,
) -> Result<Session, Error> {
    let environment = library::environment()?;
    let build = || -> ort::Result<Session> {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(intra_op_threads.get())?
            .with_inter_threads(1)?
            // Spinning threads would take the core from the other experts on it.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // Plans memory for one shape; every batch here has another. The arena stays: it keeps what the largest batch
            // needed, which the limit on padded tokens bounds, and without it a batch of a transformer takes a third
            // longer and more memory at its peak.
            .with_memory_pattern(false)?
            .with_log_level(ort::logging::LogLevel::Warning)?;
        if let Some(weights) = weights {
            builder = builder.with_prepacked_weights(weights)?;
        }
        builder.commit_from_file(path)
    };
    build().map_err(|error| {
        Error::graph(path, format!("ONNX Runtime cannot load it: {}", first_line(&error.to_string())))
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
