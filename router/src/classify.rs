//! Which experts suit a request? Images, audio and series say so by what they are; a text is read by a small model inside
//! the router, since a hop to another process would cost more than the answer.
//!
//! The classifier is allowed to fail, and never silently: without it the verdict is `unavailable`, which is not the
//! same as "nobody suits", it is counted, and requests that name their experts work as before.

use std::{path::Path, sync::Arc, time::Duration};

use nanogrid_onnx::{Inline, Package, Ranking, Text};
use nanogrid_settings::ExpertName;
use nanogrid_telemetry::metrics::{ClassifierProblem, RouterMetrics};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    catalog::Grid,
    request::{Kind, Payload, Request},
};

/// What is known about whom to ask, before the grid and the request's options have their say.
#[derive(Clone, Debug)]
pub enum Scores {
    /// The request names its experts.
    Named,
    /// The kind of payload decides.
    Modality,
    /// The classifier has read the text.
    Ranked {
        /// Of the classifier.
        version: u32,
        /// An expert is asked when its score reaches this.
        threshold: f32,
        /// Names of experts, and perhaps of others.
        labels: Arc<[String]>,
        /// Of each label, between 0 and 1.
        scores: Vec<f32>,
    },
    /// The classifier could not say.
    Unavailable {
        /// One sentence for people.
        why: String,
    },
}

/// The classifier, or why there is none.
#[derive(Debug)]
pub struct Classifier {
    model: Result<Model, String>,
    limit: Duration,
    metrics: RouterMetrics,
}

#[derive(Debug)]
struct Model {
    version: u32,
    threshold: f32,
    none_label: String,
    labels: Arc<[String]>,
    max_bytes: usize,
    text: Text,
    ranking: Ranking,
    session: Inline,
}

/// No token of ours stands for more bytes than this on average over a whole text, and what lies behind the last
/// token that the model can see need not be read at all.
const MAX_BYTES_PER_TOKEN: usize = 32;

impl Classifier {
    /// Loads the package in `folder`. Never fails: a grid without a classifier still answers who is named.
    pub fn load(
        folder: Option<&Path>,
        onnxruntime: Option<&Path>,
        limit: Duration,
        metrics: RouterMetrics,
    ) -> Self {
        let model = match folder {
            None => Err("no classifier is configured".to_owned()),
            Some(folder) => Model::load(folder, onnxruntime),
        };
        match &model {
            Ok(model) => info!(version = model.version, labels = model.labels.len(), "classifier loaded"),
            Err(problem) => {
                metrics.classifier_unavailable(ClassifierProblem::NotLoaded);
                warn!(%problem, "no classifier: only requests that name their experts are answered");
            }
        }
        Self { model, limit, metrics }
    }

    /// Its version, when there is one.
    pub fn version(&self) -> Option<u32> {
        self.model.as_ref().ok().map(|model| model.version)
    }

    /// Why there is none; empty when there is one.
    pub fn problem(&self) -> &str {
        self.model.as_ref().err().map_or("", String::as_str)
    }

    /// Compares its labels with a grid that has just come into use: a label that is no expert there is never asked, and an
    /// expert that is no label is asked by name only.
    pub fn compare(&self, grid: &Grid) {
        let Ok(model) = &self.model else { return };
        let labels = || model.labels.iter().filter(|label| **label != model.none_label);
        let ignored: Vec<&String> = labels().filter(|label| grid.get(label).is_none()).collect();
        self.metrics.classifier_labels_ignored(ignored.len());
        if !ignored.is_empty() {
            warn!(?ignored, "labels of the classifier that are no experts of this grid");
        }
        let takes_text = grid.experts().filter(|expert| Kind::of(expert.task) == Some(Kind::Text));
        let unknown: Vec<&ExpertName> = takes_text
            .map(|expert| &expert.name)
            .filter(|name| !labels().any(|label| *name == label.as_str()))
            .collect();
        if !unknown.is_empty() {
            warn!(experts = ?unknown, "the classifier does not know these experts: they are asked by name only");
        }
    }

    /// What is known about whom to ask.
    pub fn score(&self, request: &Request) -> Scores {
        if !request.experts.is_empty() {
            return Scores::Named;
        }
        match &request.payload {
            Payload::Text(text) => self.read(&request.instruction, text),
            Payload::Image(_) | Payload::Audio(_) | Payload::Series { .. } => Scores::Modality,
        }
    }

    fn read(&self, instruction: &str, text: &str) -> Scores {
        let model = match &self.model {
            Ok(model) => model,
            Err(why) => return self.unavailable(ClassifierProblem::NotLoaded, why.clone()),
        };
        let started = Instant::now();
        let result = if instruction.trim().is_empty() {
            model.read(text)
        } else {
            model.read(&format!("{instruction}\n{text}"))
        };
        let elapsed = started.elapsed();
        match result {
            Ok(_) if elapsed > self.limit => {
                let limit = self.limit;
                let why = format!("the classifier took {elapsed:?}, and its limit is {limit:?}");
                self.unavailable(ClassifierProblem::TooLate, why)
            }
            Ok(scores) => Scores::Ranked {
                version: model.version,
                threshold: model.threshold,
                labels: model.labels.clone(),
                scores,
            },
            Err(why) => self.unavailable(ClassifierProblem::Failed, why),
        }
    }

    fn unavailable(&self, problem: ClassifierProblem, why: String) -> Scores {
        self.metrics.classifier_unavailable(problem);
        match problem {
            // Said once, at the start.
            ClassifierProblem::NotLoaded => debug!(%why, "classifier unavailable"),
            ClassifierProblem::TooLate | ClassifierProblem::Failed => warn!(%why, "classifier unavailable"),
        }
        Scores::Unavailable { why }
    }
}

impl Model {
    fn load(folder: &Path, onnxruntime: Option<&Path>) -> Result<Self, String> {
        let package = Package::open(folder).map_err(|error| error.to_string())?;
        let classifier = package.manifest.as_ref().and_then(|manifest| manifest.classifier.as_ref());
        let Some(classifier) = classifier else {
            let folder = folder.display();
            return Err(format!(
                "{folder}: version.toml has no table `classifier`: give it `threshold` and `none-label`"
            ));
        };
        nanogrid_onnx::init(onnxruntime).map_err(|error| error.to_string())?;
        // As many as there are threads to run it: nobody ever waits for a session.
        let sessions = std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
        Ok(Self {
            version: package.version,
            threshold: classifier.threshold,
            none_label: classifier.none_label.clone(),
            labels: package.labels.clone(),
            max_bytes: package.max_tokens.get().saturating_mul(MAX_BYTES_PER_TOKEN),
            text: Text::load(&package).map_err(|error| error.to_string())?,
            ranking: Ranking::new(&package),
            session: Inline::load(&package, sessions).map_err(|error| error.to_string())?,
        })
    }

    fn read(&self, text: &str) -> Result<Vec<f32>, String> {
        let text = &text[..text.floor_char_boundary(self.max_bytes)];
        let tokens = self.text.encode(text).map_err(|error| error.to_string())?;
        let logits = self.session.run(&tokens).map_err(|error| error.to_string())?;
        let scores = self.ranking.scores(&logits);
        if scores.len() == self.labels.len() && scores.iter().all(|score| score.is_finite()) {
            Ok(scores)
        } else {
            Err("the classifier's scores are not numbers, or not one per label".to_owned())
        }
    }
}
