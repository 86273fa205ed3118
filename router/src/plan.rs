//! Decides which experts to ask, in which version, until when, and who stands in for one that cannot answer. Pure: no I/O
//! and no clock, so that every rule here is a row of a table in the tests. The time arrives as an argument.

use std::{fmt, sync::Arc, time::Duration};

use nanogrid_resilience::deadline;
use nanogrid_settings::{ExpertName, VersionLabel, grid};
use nanogrid_telemetry::metrics::{DecidedBy, Verdict};
use tokio::time::Instant;

use crate::{
    catalog::{Expert, Grid, Version},
    classify::{Ranked, Scores},
    error::Error,
    request::{Kind, Request, Split, SplitKey},
};

/// Whom to ask, and why.
#[derive(Debug)]
pub struct Plan {
    /// For the client to read.
    pub decision: Decision,
    /// One for every chosen candidate, in the same order.
    pub calls: Vec<Call>,
}

/// One expert to be asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who.
    pub expert: Arc<Expert>,
    /// Which of its versions, by its place in `expert.versions`.
    pub version_idx: usize,
    /// Time for the call as it was planned, tries and all.
    pub limit: Duration,
    /// When whoever answers must have answered: the request's own end, less what it takes to reply.
    pub deadline: Instant,
    /// Who answers instead when it cannot, the first one first.
    pub substitutes: Vec<Substitute>,
}

/// Who answers in place of a version that cannot.
#[derive(Clone, Debug)]
pub enum Substitute {
    /// Another version of the same expert, by its place in `expert.versions`.
    Version(usize),
    /// Another expert for the same task, and which of its versions.
    Expert(Arc<Expert>, usize),
    /// Nobody: this label.
    Label(String),
}

/// What the operators decided once for all requests.
#[derive(Clone, Debug)]
pub struct Rules {
    /// So many experts are asked at most when the request does not say.
    pub max_experts: usize,
    /// Whom a request goes to that the classifier finds nobody for.
    pub escalate_to: Option<ExpertName>,
}

/// When something must be over, and when "now" was.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Time {
    pub now: Instant,
    pub deadline: Instant,
}

/// Why these experts and no others.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What was made of the request.
    pub verdict: Verdict,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// Every expert considered, best first.
    pub candidates: Vec<Candidate>,
    /// One sentence for people.
    pub why: String,
    /// What the classifier said, where it decided.
    pub classified: Option<Classified>,
}

/// What the classifier said of a request as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classified {
    /// Of the classifier.
    pub version: u32,
    /// How sure it is that the request is for nobody here, between 0 and 1.
    pub out_of_scope: f32,
    /// The share of requests that may miss an expert they are for; absent where the request set its own bar.
    pub alpha: Option<f32>,
}

/// An expert that was considered.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Who.
    pub expert: ExpertName,
    /// Between 0 and 1.
    pub confidence: f32,
    /// Why it is asked or not.
    pub why: Why,
}

/// Why an expert is asked or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// Asked: the client said so.
    Named,
    /// Asked: it takes this kind of payload, and the classifier reads text only.
    TakesKind(Kind),
    /// Asked: as confident as it needs to be.
    Confident {
        /// From where on an expert is asked.
        threshold: f32,
    },
    /// Asked: nobody else suits, and it is there for that.
    Escalated,
    /// Not asked: not confident enough.
    Unsure {
        /// From where on an expert is asked.
        threshold: f32,
    },
    /// Not asked: the request is taken to be for nobody here.
    OutOfScope {
        /// From where on nobody is asked.
        threshold: f32,
    },
    /// Not asked: enough better ones are.
    Crowded {
        /// How many are asked at most.
        max_experts: usize,
    },
}

impl Call {
    /// The version asked.
    pub fn version(&self) -> &Version {
        &self.expert.versions[self.version_idx]
    }
}

impl Why {
    /// Is the expert asked?
    pub fn is_chosen(self) -> bool {
        match self {
            Self::Named | Self::TakesKind(_) | Self::Confident { .. } | Self::Escalated => true,
            Self::Unsure { .. } | Self::OutOfScope { .. } | Self::Crowded { .. } => false,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("the request names it"),
            Self::TakesKind(kind) => write!(f, "it takes {kind}"),
            Self::Confident { threshold } => write!(f, "the classifier is at least {threshold:.2} sure"),
            Self::Escalated => f.write_str("it is asked when nobody else suits"),
            Self::Unsure { threshold } => write!(f, "the classifier is less than {threshold:.2} sure"),
            Self::OutOfScope { threshold } => {
                write!(f, "the request is more than {threshold:.2} likely to be for nobody here")
            }
            Self::Crowded { max_experts } => {
                write!(f, "at most {max_experts} are asked, and others suit better")
            }
        }
    }
}

/// Plans a request.
pub fn make(
    request: &Request,
    scores: &Scores,
    grid: &Grid,
    rules: &Rules,
    now: Instant,
) -> Result<Plan, Error> {
    let decision = escalated(decide(request, scores, grid, rules.max_experts)?, grid, rules);
    let time = Time { now, deadline: request.deadline };
    let chosen = decision.candidates.iter().filter(|candidate| candidate.why.is_chosen());
    let calls = chosen
        .map(|candidate| call(&request.split, candidate.expert.as_str(), grid, time))
        .collect::<Result<_, Error>>()?;
    Ok(Plan { decision, calls })
}

/// One call to the expert of this name, within what is left of the request's time.
pub fn call(split: &Split, expert: &str, grid: &Grid, Time { now, deadline }: Time) -> Result<Call, Error> {
    let expert = grid.expert(expert)?;
    let time_left = deadline::for_call(deadline.saturating_duration_since(now)).ok_or(Error::Expired)?;
    let version_idx = version(split, expert)?;
    Ok(Call {
        expert: expert.clone(),
        version_idx,
        limit: expert.timeout.map_or(time_left, |timeout| timeout.min(time_left)),
        deadline: now + time_left,
        substitutes: substitutes(split, expert, version_idx, grid),
    })
}

/// The client's choice, or by weight: equal keys see equal versions.
fn version(split: &Split, expert: &Expert) -> Result<usize, Error> {
    match split.version {
        Some(choice) => expert.version(choice),
        None => Ok(by_weight(split, expert)),
    }
}

fn by_weight(split: &Split, expert: &Expert) -> usize {
    match &split.key {
        SplitKey::Sticky(key) => expert.traffic.pick(key.as_bytes()),
        SplitKey::Random(key) => expert.traffic.pick(&key.to_le_bytes()),
    }
}

/// What the grid file says; and for a canary that nobody asked for, the stable version: being part of a trial must not
/// cost a client its answer.
fn substitutes(split: &Split, expert: &Expert, version_idx: usize, grid: &Grid) -> Vec<Substitute> {
    let is_trial =
        split.version.is_none() && expert.versions[version_idx].label == Some(VersionLabel::Canary);
    let stable = expert.stable_version().filter(|_| is_trial).map(Substitute::Version);
    let named = expert.policy.fallback.iter().filter_map(|fallback| match fallback {
        grid::Fallback::Version(number) => {
            let idx = expert.versions.iter().position(|version| version.number == *number)?;
            (idx != version_idx).then_some(Substitute::Version(idx))
        }
        grid::Fallback::Expert(name) => {
            let other = grid.get(name.as_str())?;
            Some(Substitute::Expert(other.clone(), by_weight(split, other)))
        }
        grid::Fallback::Label(label) => Some(Substitute::Label(label.clone())),
    });
    stable.into_iter().chain(named).collect()
}

fn decide(request: &Request, scores: &Scores, grid: &Grid, default_max: usize) -> Result<Decision, Error> {
    let max_experts = request.max_experts.map(usize::from);
    match scores {
        Scores::Named => named(request, grid, max_experts.unwrap_or(usize::MAX)),
        Scores::Modality => Ok(by_kind(request.payload.kind(), grid, max_experts.unwrap_or(default_max))),
        Scores::Ranked(ranked) => Ok(classified(request, ranked, grid, max_experts.unwrap_or(default_max))),
        Scores::Unavailable { why } => Ok(Decision {
            verdict: Verdict::Unavailable,
            decided_by: DecidedBy::Classifier,
            candidates: Vec::new(),
            why: format!("{why}; name the experts to ask, that works without it"),
            classified: None,
        }),
    }
}

/// Whom nobody suits goes to whoever is there for that. A classifier that cannot say is another thing: its outage must not send
/// everything there.
fn escalated(decision: Decision, grid: &Grid, rules: &Rules) -> Decision {
    let is_for_nobody = decision.verdict == Verdict::Abstain && decision.decided_by == DecidedBy::Classifier;
    let Some(to) = rules.escalate_to.as_ref().filter(|_| is_for_nobody) else { return decision };
    let Some(expert) = serves(grid, to.as_str()) else {
        let why =
            format!("{}; `{to}`, which it would go to, is no expert for text in this grid", decision.why);
        return Decision { why, ..decision };
    };
    let mut candidates = decision.candidates;
    // The classifier says nothing of it.
    candidates.push(Candidate { expert: expert.name.clone(), confidence: 0.0, why: Why::Escalated });
    let why = format!("{}; `{to}` is asked instead", decision.why);
    Decision { verdict: Verdict::Escalate, candidates, why, ..decision }
}

fn named(request: &Request, grid: &Grid, max_experts: usize) -> Result<Decision, Error> {
    let kind = request.payload.kind();
    let mut candidates = Vec::with_capacity(request.experts.len());
    for (idx, name) in request.experts.iter().enumerate() {
        let expert = grid.expert(name)?;
        match Kind::of(expert.task) {
            Some(takes) if takes == kind => {}
            Some(takes) => {
                let reason = format!("names `{name}`, which takes {takes}, and the payload is {kind}");
                return Err(Error::invalid("experts", reason));
            }
            None => {
                let reason =
                    format!("names `{name}`, which takes tensors: ask it over the Open Inference Protocol");
                return Err(Error::invalid("experts", reason));
            }
        }
        let why = if idx < max_experts { Why::Named } else { Why::Crowded { max_experts } };
        candidates.push(Candidate { expert: expert.name.clone(), confidence: 1.0, why });
    }
    Ok(decision(DecidedBy::Client, candidates, None, String::new))
}

fn by_kind(kind: Kind, grid: &Grid, max_experts: usize) -> Decision {
    let suited = grid.experts().filter(|expert| Kind::of(expert.task) == Some(kind));
    let candidates = suited.enumerate().map(|(idx, expert)| Candidate {
        expert: expert.name.clone(),
        confidence: 1.0,
        why: if idx < max_experts { Why::TakesKind(kind) } else { Why::Crowded { max_experts } },
    });
    decision(DecidedBy::Modality, candidates.collect(), None, || {
        format!("no expert of this grid takes {kind}")
    })
}

/// The set that was promised to hold the experts a request is for, or nobody where it looks like none of theirs. A request
/// that sets its own bar gets just that.
fn classified(request: &Request, ranked: &Ranked, grid: &Grid, max_experts: usize) -> Decision {
    let Ranked { version, promise, best, out_of_scope, .. } = *ranked;
    let threshold = request.min_confidence.unwrap_or(promise.threshold * best);
    let is_outside = request.min_confidence.is_none() && out_of_scope > promise.out_of_scope;
    let scores = ranked.labels.iter().zip(&ranked.scores);
    let mut known: Vec<_> =
        scores.filter_map(|(label, score)| Some((serves(grid, label)?.name.clone(), *score))).collect();
    known.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    let candidates = known.into_iter().enumerate().map(|(idx, (expert, confidence))| {
        let why = if is_outside {
            Why::OutOfScope { threshold: promise.out_of_scope }
        } else if confidence < threshold {
            Why::Unsure { threshold }
        } else if idx >= max_experts {
            Why::Crowded { max_experts }
        } else {
            Why::Confident { threshold }
        };
        Candidate { expert, confidence, why }
    });
    let classified = Classified {
        version,
        out_of_scope,
        alpha: request.min_confidence.is_none().then_some(promise.alpha),
    };
    decision(DecidedBy::Classifier, candidates.collect(), Some(classified), || match unserved(ranked, grid) {
        _ if is_outside => Why::OutOfScope { threshold: promise.out_of_scope }.to_string(),
        Some((label, score)) if score >= threshold => {
            format!("the classifier is {score:.2} sure of `{label}`, which this grid does not serve")
        }
        Some(_) | None => format!("the classifier is not {threshold:.2} sure of any expert"),
    })
}

fn serves<'a>(grid: &'a Grid, label: &str) -> Option<&'a Arc<Expert>> {
    grid.get(label).filter(|expert| Kind::of(expert.task) == Some(Kind::Text))
}

/// The best among the experts that the grid does without. The label for nobody is none of them.
fn unserved<'a>(ranked: &'a Ranked, grid: &Grid) -> Option<(&'a str, f32)> {
    let labels = ranked.labels.iter().zip(&ranked.scores).enumerate();
    let unserved =
        labels.filter(|(idx, (label, _))| *idx != ranked.none_idx && serves(grid, label).is_none());
    unserved
        .map(|(_, (label, score))| (label.as_str(), *score))
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
}

fn decision(
    decided_by: DecidedBy,
    candidates: Vec<Candidate>,
    classified: Option<Classified>,
    why_nobody: impl FnOnce() -> String,
) -> Decision {
    let mut chosen = candidates.iter().filter(|candidate| candidate.why.is_chosen());
    let (verdict, why) = match (chosen.next(), chosen.count()) {
        (None, _) => (Verdict::Abstain, why_nobody()),
        (Some(only), 0) => (Verdict::Single, format!("`{}` is asked: {}", only.expert, only.why)),
        (Some(best), more) => {
            let why = format!("`{}` and {more} more are asked: {}", best.expert, best.why);
            (Verdict::FanOut, why)
        }
    };
    Decision { verdict, decided_by, candidates, why, classified }
}

#[cfg(test)]
mod tests;
