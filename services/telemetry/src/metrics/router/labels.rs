//! What the router's metrics tell apart. Each set is small and fixed, or comes from the grid file.

use prometheus_client::encoding::EncodeLabelSet;

use crate::metrics::label::label;

label! {
    /// What the router made of a request.
    Verdict {
        /// One expert suits it.
        Single => "single",
        /// Several do.
        FanOut => "fan_out",
        /// None does.
        Abstain => "abstain",
        /// It goes to a bigger model.
        Escalate => "escalate",
        /// The classifier could not answer.
        Unavailable => "unavailable",
    }
}

label! {
    /// Who took the decision.
    DecidedBy {
        /// The router's own model.
        Classifier => "classifier",
        /// The request named its experts.
        Client => "client",
        /// Only one kind of expert takes such a payload.
        Modality => "modality",
    }
}

label! {
    /// Where the router spends its time.
    RouterStage {
        /// Looking at the request.
        Classify => "classify",
        /// Choosing experts and versions.
        Plan => "plan",
        /// Waiting for experts.
        Dispatch => "dispatch",
        /// Making one answer.
        Merge => "merge",
    }
}

label! {
    /// How much of the answer a reply holds.
    Answered {
        /// Every expert asked has answered.
        Complete => "complete",
        /// Some have.
        Partial => "partial",
        /// None has.
        Nothing => "nothing",
    }
}

label! {
    /// What became of a call to an expert.
    CallStatus {
        /// It answered.
        Answered => "answered",
        /// It could not be reached, or answered with an error.
        Failed => "failed",
        /// No answer before the deadline.
        TimedOut => "timed_out",
        /// Refused by a side that protects itself.
        Shed => "shed",
        /// Every breaker was open.
        CircuitOpen => "circuit_open",
        /// The expert says the input is not its to answer.
        Abstained => "abstained",
        /// Another answer came first.
        Cancelled => "cancelled",
    }
}

label! {
    /// What a client said of an answer.
    FeedbackKind {
        /// It was right.
        Right => "right",
        /// The right expert gave a wrong answer.
        WrongAnswer => "wrong_answer",
        /// The request should not have gone to this expert.
        WrongExpert => "wrong_expert",
    }
}

label! {
    /// Why the classifier gave no verdict.
    ClassifierProblem {
        /// There is none.
        NotLoaded => "not_loaded",
        /// The grid in use lacks experts that it knows.
        NotServed => "not_served",
        /// It did not answer within its time.
        TooLate => "too_late",
        /// It failed.
        Failed => "failed",
    }
}

label! {
    /// What the router knows of an endpoint.
    EndpointState {
        /// No working connection yet, or again.
        Connecting => "connecting",
        /// Can be picked.
        Ready => "ready",
        /// Reached, and does not serve.
        NotServing => "not_serving",
        /// Reached, and not what the grid file says.
        Refused => "refused",
        /// Could be picked, and rests: its calls failed too often.
        Ejected => "ejected",
        /// No part of the grid any more; calls on their way finish.
        Draining => "draining",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DecisionLabels {
    pub(super) verdict: Verdict,
    pub(super) decided_by: DecidedBy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StageLabels {
    pub(super) stage: RouterStage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AnswerLabels {
    pub(super) answered: Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EscalationLabels {
    pub(super) status: CallStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: ClassifierProblem,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VersionLabels {
    pub(super) expert: String,
    pub(super) version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) expert: String,
    pub(super) version: String,
    pub(super) status: CallStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FeedbackLabels {
    pub(super) expert: String,
    pub(super) version: String,
    pub(super) kind: FeedbackKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointLabels {
    pub(super) expert: String,
    pub(super) version: String,
    pub(super) endpoint: String,
    pub(super) state: EndpointState,
}
