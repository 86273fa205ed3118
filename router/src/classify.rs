//! Which experts suit a request? Images, audio and series say so by what they are; a text is read by a small model inside
//! the router, since a hop to another process would cost more than the answer.
//!
//! The classifier is allowed to fail, and never silently: without it the verdict is `unavailable`, which is not the
//! same as "nobody suits", it is counted, and requests that name their experts work as before.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use nanogrid_onnx::{Inline, Package, Ranking, Text};
use nanogrid_settings::{
    ExpertName, RouterSettings,
    package::{ClassifierManifest, Promise},
};
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
    Ranked(Ranked),
    /// The classifier could not say.
    Unavailable {
        /// One sentence for people.
        why: String,
    },
}

/// What the classifier makes of a text.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Of the classifier.
    pub version: u32,
    /// From which scores on somebody or nobody is asked.
    pub promise: Promise,
    /// Names of experts, and what stands for none of them.
    pub labels: Arc<[String]>,
    /// Which of them stands for none.
    pub none_idx: usize,
    /// Of each label, between 0 and 1.
    pub scores: Vec<f32>,
    /// Of the expert that scores best, served or not.
    pub best: f32,
    /// How likely it is that the text is for none of them: that nobody suits, and that the best expert does not.
    pub out_of_scope: f32,
}

/// The classifier, or why there is none.
#[derive(Debug)]
pub struct Classifier {
    model: Result<Model, String>,
    /// Why it cannot speak for the grid in use; absent when it can.
    misfit: ArcSwapOption<String>,
    optional: Vec<ExpertName>,
    escalate_to: Option<ExpertName>,
    limit: Duration,
    metrics: RouterMetrics,
}

#[derive(Debug)]
struct Model {
    version: u32,
    promise: Promise,
    labels: Arc<[String]>,
    /// Among the labels.
    none_idx: usize,
    max_bytes: usize,
    text: Text,
    ranking: Ranking,
    session: Inline,
}

/// No token of ours stands for more bytes than this on average over a whole text, and what lies behind the last
/// token that the model can see need not be read at all.
const MAX_BYTES_PER_TOKEN: usize = 32;

impl Classifier {
    /// Loads the package that `settings` name. Never fails: a grid without a classifier still answers who is named.
    pub fn load(settings: &RouterSettings, metrics: RouterMetrics) -> Self {
        let model = match &settings.classifier {
            None => Err("no classifier is configured".to_owned()),
            Some(folder) => Model::load(folder, settings.onnxruntime.as_deref(), settings.classify_alpha),
        };
        match &model {
            Ok(Model { version, labels, promise, .. }) => {
                info!(version, labels = labels.len(), alpha = promise.alpha, "classifier loaded");
            }
            Err(problem) => {
                metrics.classifier_unavailable(ClassifierProblem::NotLoaded);
                warn!(%problem, "no classifier: only requests that name their experts are answered");
            }
        }
        let (optional, limit) = (settings.classify_optional.clone(), settings.classify_limit);
        let escalate_to = settings.escalation.as_ref().map(|escalation| escalation.name().clone());
        Self { model, misfit: ArcSwapOption::empty(), optional, escalate_to, limit, metrics }
    }

    /// Its version, when there is one that can be asked.
    pub fn version(&self) -> Option<u32> {
        let model = self.model.as_ref().ok()?;
        self.misfit.load().is_none().then_some(model.version)
    }

    /// Why there is none; empty when there is one.
    pub fn problem(&self) -> String {
        match &self.model {
            Ok(_) => self.misfit.load().as_deref().cloned().unwrap_or_default(),
            Err(problem) => problem.clone(),
        }
    }

    /// Compares its labels with a grid that has just come into use. A label without an expert makes the classifier
    /// unavailable, unless operators said that the grid may lack it: what it was measured to do, it does among the experts
    /// it knows. An expert that is no label is asked by name only.
    pub fn compare(&self, grid: &Grid) {
        let Ok(model) = &self.model else { return };
        let experts = || model.experts();
        let is_served =
            |label: &str| grid.get(label).is_some_and(|expert| Kind::of(expert.task) == Some(Kind::Text));
        let unserved: Vec<&String> = experts().filter(|label| !is_served(label)).collect();
        self.metrics.classifier_labels_ignored(unserved.len());
        let is_optional = |label: &&String| self.optional.iter().any(|name| *name == label.as_str());
        let (optional, missed): (Vec<&String>, Vec<&String>) = unserved.into_iter().partition(is_optional);
        if !optional.is_empty() {
            info!(experts = ?optional, "the classifier knows these experts, and the grid does without them");
        }
        let misfit = (!missed.is_empty()).then(|| {
            let missed = missed.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            format!(
                "the classifier was made for a grid with experts that this one does not serve: {missed}; add them to the \
                 grid file, or list them in `classifier.optional`"
            )
        });
        if let Some(problem) = &misfit {
            self.metrics.classifier_unavailable(ClassifierProblem::NotServed);
            warn!(%problem, "no classifier for this grid: only requests that name their experts are answered");
        }
        self.misfit.store(misfit.map(Arc::new));
        if let Some(expert) = self.escalate_to.as_ref().filter(|expert| !is_served(expert.as_str())) {
            warn!(%expert, "requests that nobody suits should go to this expert, and the grid has none of its name for text");
        }
        let takes_text = grid.experts().filter(|expert| Kind::of(expert.task) == Some(Kind::Text));
        let unknown: Vec<&ExpertName> = takes_text
            .map(|expert| &expert.name)
            .filter(|name| !experts().any(|label| *name == label.as_str()))
            .filter(|name| self.escalate_to.as_ref() != Some(*name))
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
        if let Some(why) = self.misfit.load().as_deref() {
            return self.unavailable(ClassifierProblem::NotServed, why.clone());
        }
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
            Ok(scores) => Scores::Ranked(Ranked::new(model, scores)),
            Err(why) => self.unavailable(ClassifierProblem::Failed, why),
        }
    }

    fn unavailable(&self, problem: ClassifierProblem, why: String) -> Scores {
        self.metrics.classifier_unavailable(problem);
        match problem {
            // Said once, at the start and when a grid comes into use.
            ClassifierProblem::NotLoaded | ClassifierProblem::NotServed => {
                debug!(%why, "classifier unavailable")
            }
            ClassifierProblem::TooLate | ClassifierProblem::Failed => warn!(%why, "classifier unavailable"),
        }
        Scores::Unavailable { why }
    }
}

impl Ranked {
    fn new(Model { version, promise, labels, none_idx, .. }: &Model, scores: Vec<f32>) -> Self {
        let experts = scores.iter().enumerate().filter(|(idx, _)| idx != none_idx).map(|(_, score)| *score);
        let best = experts.fold(0.0, f32::max);
        Self {
            version: *version,
            promise: *promise,
            labels: labels.clone(),
            none_idx: *none_idx,
            out_of_scope: scores[*none_idx] * (1.0 - best),
            best,
            scores,
        }
    }
}

impl Model {
    fn load(folder: &Path, onnxruntime: Option<&Path>, alpha: f32) -> Result<Self, String> {
        let package = Package::open(folder).map_err(|error| error.to_string())?;
        let classifier = package.manifest.as_ref().and_then(|manifest| manifest.classifier.as_ref());
        let Some(classifier) = classifier else {
            let folder = folder.display();
            return Err(format!(
                "{folder}: version.toml has no table `classifier`, which says what its scores are worth: this is no classifier \
                 for a router"
            ));
        };
        let in_package = |problem: String| format!("{}: {problem}", folder.display());
        let promise = promise(classifier, alpha).map_err(in_package)?;
        let none_idx = package.labels.iter().position(|label| *label == classifier.none_label);
        let none_idx = none_idx.ok_or_else(|| {
            in_package(format!(
                "version.toml: classifier: none-label: is no label of config.json: `{}`",
                classifier.none_label
            ))
        })?;
        nanogrid_onnx::init(onnxruntime).map_err(|error| error.to_string())?;
        // As many as there are threads to run it: nobody ever waits for a session.
        let sessions = std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
        Ok(Self {
            version: package.version,
            promise,
            none_idx,
            labels: package.labels.clone(),
            max_bytes: package.max_tokens.get().saturating_mul(MAX_BYTES_PER_TOKEN),
            text: Text::load(&package).map_err(|error| error.to_string())?,
            ranking: Ranking::new(&package),
            session: Inline::load(&package, sessions).map_err(|error| error.to_string())?,
        })
    }

    /// The labels that are names of experts.
    fn experts(&self) -> impl Iterator<Item = &String> {
        let labels = self.labels.iter().enumerate();
        labels.filter(|(idx, _)| *idx != self.none_idx).map(|(_, label)| label)
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

/// What was measured for this `alpha`. Nothing is reckoned between two of them: a promise is one that was kept.
fn promise(classifier: &ClassifierManifest, alpha: f32) -> Result<Promise, String> {
    classifier.promises.iter().find(|promise| promise.alpha == alpha).copied().ok_or_else(|| {
        let known = classifier
            .promises
            .iter()
            .map(|promise| promise.alpha.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        format!("promises nothing for `classifier.alpha` = {alpha}: choose from {known}")
    })
}
