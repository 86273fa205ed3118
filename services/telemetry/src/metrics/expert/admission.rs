//! How many requests an expert works on at once, whom it turns away, and how close to its deadlines it answers.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::ModelLabels;
use crate::metrics::{Criticality, Registry, label::label};
use crate::names::metric;

label! {
    /// Where an expert turned a request away.
    ExpertShed {
        /// At the door, or for somebody more important: the queue has no room for its criticality.
        Full => "full",
        /// In the queue, which stood still for too long.
        Waited => "waited",
    }
}

label! {
    /// When the time left was looked at.
    SlackAt {
        /// When its turn came.
        Turn => "turn",
        /// When it was answered, or nobody waited any more.
        End => "end",
    }
}

/// The families of all models.
#[derive(Clone, Debug)]
pub(super) struct AdmissionFamilies {
    limit: Family<ModelLabels, Gauge>,
    in_flight: Family<ModelLabels, Gauge>,
    waiting: Family<ModelLabels, Gauge>,
    shed: Family<ShedLabels, Counter>,
    slack: Family<SlackLabels, Histogram>,
}

/// The series of one version of a model.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) limit: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) waiting: Gauge,
    // Indexed by criticality, then by reason.
    shed: Vec<Vec<Counter>>,
    slack: Vec<Histogram>,
}

impl AdmissionFamilies {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            limit: registry.register(
                metric::EXPERT_LIMIT,
                "Requests that may be worked on at once",
                Family::default(),
            ),
            in_flight: registry.register(
                metric::EXPERT_IN_FLIGHT,
                "Requests being worked on now",
                Family::default(),
            ),
            waiting: registry.register(
                metric::EXPERT_WAITING,
                "Requests waiting for their turn now",
                Family::default(),
            ),
            shed: registry.register(metric::SHED, "Requests refused to stay healthy", Family::default()),
            slack: registry.register_seconds(
                metric::DEADLINE_SLACK,
                "Time left of requests with a deadline; below 0 = too late",
                Family::new_with_constructor(|| Histogram::new(SLACK_BUCKETS)),
            ),
        }
    }

    pub(super) fn model(&self, labels: &ModelLabels) -> Admission {
        let ModelLabels { model, version } = labels;
        let shed = |criticality: &Criticality, reason: &ExpertShed| {
            let labels = ShedLabels {
                model: model.clone(),
                version: version.clone(),
                criticality: *criticality,
                reason: *reason,
            };
            self.shed.get_or_create_owned(&labels)
        };
        let slack = |at: &SlackAt| {
            let labels = SlackLabels { model: model.clone(), version: version.clone(), at: *at };
            self.slack.get_or_create_owned(&labels)
        };
        Admission {
            limit: self.limit.get_or_create_owned(labels),
            in_flight: self.in_flight.get_or_create_owned(labels),
            waiting: self.waiting.get_or_create_owned(labels),
            shed: Criticality::ALL
                .iter()
                .map(|criticality| ExpertShed::ALL.iter().map(|reason| shed(criticality, reason)).collect())
                .collect(),
            slack: SlackAt::ALL.iter().map(slack).collect(),
        }
    }
}

impl Admission {
    pub(super) fn shed(&self, criticality: Criticality, reason: ExpertShed) {
        self.shed[criticality as usize][reason as usize].inc();
    }

    pub(super) fn slack(&self, at: SlackAt, left: Duration, late: Duration) {
        self.slack[at as usize].observe(left.as_secs_f64() - late.as_secs_f64());
    }
}

/// Seconds. Too late by so much is for finding out why; what is left is where the default deadline of 1 s is spent.
const SLACK_BUCKETS: [f64; 16] =
    [-1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShedLabels {
    model: String,
    version: String,
    criticality: Criticality,
    reason: ExpertShed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlackLabels {
    model: String,
    version: String,
    at: SlackAt,
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::metrics::ExpertMetrics;

    #[test]
    fn what_an_expert_takes_on_and_turns_away_stands_in_the_text() {
        let registry = Registry::new();
        let model = ExpertMetrics::new(&registry).model("intent", "1");
        model.admission(16, 3, 2);
        model.shed(Criticality::SheddablePlus, ExpertShed::Waited);
        let now = Instant::now();
        model.slack(SlackAt::Turn, now + Duration::from_millis(20));
        model.slack(SlackAt::End, now);
        model.slack(SlackAt::End, now.checked_sub(Duration::from_millis(50)).unwrap());
        let text = registry.encode();
        for line in [
            "nanogrid_limit{model=\"intent\",version=\"1\"} 16",
            "nanogrid_limit_in_flight{model=\"intent\",version=\"1\"} 3",
            "nanogrid_limit_waiting{model=\"intent\",version=\"1\"} 2",
            "nanogrid_shed_total{model=\"intent\",version=\"1\",criticality=\"SHEDDABLE_PLUS\",reason=\"waited\"} 1",
            "nanogrid_deadline_slack_seconds_bucket{le=\"0.025\",model=\"intent\",version=\"1\",at=\"turn\"} 1",
            "nanogrid_deadline_slack_seconds_bucket{le=\"-0.01\",model=\"intent\",version=\"1\",at=\"end\"} 1",
            "nanogrid_deadline_slack_seconds_bucket{le=\"0.0\",model=\"intent\",version=\"1\",at=\"end\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
        }
    }
}
