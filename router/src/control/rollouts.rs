//! Rollouts as operators see them and ask for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nanogrid_proto::v1;
use nanogrid_rollout::{ALL, Change, Margins, Phase, Plan, Rollout, Step, Verdict};
use nanogrid_settings::ExpertName;

use crate::{
    catalog::Grid,
    error::Error,
    rollout::{Entry, Event, Kept},
    shadow::Disagreement,
};

/// The plan that a request asks for, and whose.
pub(super) fn plan(request: v1::StartRolloutRequest, grid: &Grid) -> Result<(ExpertName, Plan), Error> {
    let v1::StartRolloutRequest { expert, canary, stable, steps, alpha, disagreement, slow_from } = request;
    let expert = grid.expert(&expert)?;
    let canary = number("canary", &canary)?;
    let stable = match stable.as_str() {
        "" => {
            let idx = expert.stable_version().unwrap_or_else(|| expert.main_version());
            expert.versions[idx].number
        }
        stable => number("stable", stable)?,
    };
    let mut plan = Plan::usual(String::new(), expert.name.to_string(), stable, canary);
    if !steps.is_empty() {
        plan.steps = steps.into_iter().map(step).collect::<Result<_, _>>()?;
    }
    // 0 is what a message without the field holds.
    if alpha != 0.0 {
        plan.alpha = alpha;
    }
    if let Some(disagreement) = disagreement {
        plan.margins = Margins { disagreement, ..plan.margins };
    }
    if let Some(slow_from) = slow_from {
        plan.slow_from = slow_from;
    }
    plan.check().map_err(|reason| Error::invalid("rollout", reason))?;
    Ok((expert.name.clone(), plan))
}

fn step(step: v1::RolloutStep) -> Result<Step, Error> {
    let v1::RolloutStep { weight, least_time, least_requests } = step;
    if weight > ALL {
        return Err(Error::invalid("steps.weight", format!("must be at most {ALL} basis points: {weight}")));
    }
    let least_time = least_time.unwrap_or_default();
    let least_time = Duration::try_from(least_time)
        .map_err(|_| Error::invalid("steps.least_time", format!("must not be negative: {least_time}")))?;
    Ok(Step { weight, least_time, least_requests })
}

fn number(field: &'static str, version: &str) -> Result<u32, Error> {
    let wrong = || Error::invalid(field, format!("must be a version such as `2`: `{version}`"));
    version.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)
}

/// What to do, or that nobody said.
pub(super) fn change(change: v1::RolloutChange) -> Result<Change, Error> {
    match change {
        v1::RolloutChange::Pause => Ok(Change::Pause),
        v1::RolloutChange::Resume => Ok(Change::Resume),
        v1::RolloutChange::Advance => Ok(Change::Advance),
        v1::RolloutChange::Promote => Ok(Change::Promote),
        v1::RolloutChange::Abort => Ok(Change::Abort),
        v1::RolloutChange::Unspecified => {
            Err(Error::invalid("change", "must be one of pause, resume, advance, promote, abort"))
        }
    }
}

pub(super) fn rollout(expert: &ExpertName, kept: &Kept) -> v1::Rollout {
    let Rollout { plan, phase, step_began_ms, evidence } = &kept.rollout;
    let step = match *phase {
        Phase::Running { step } | Phase::Paused { step } => step,
        Phase::Promoted => plan.steps.len() - 1,
        Phase::RolledBack | Phase::Aborted => 0,
    };
    let seen = &evidence.step;
    let compared = nanogrid_rollout::Arms { stable: seen.floor, canary: seen.compared };
    let metrics = [
        ("errors", seen.errors, &evidence.errors),
        ("slow answers", seen.slow, &evidence.slow),
        ("other answers", compared, &evidence.disagreement),
    ];
    v1::Rollout {
        id: plan.id.clone(),
        expert: expert.to_string(),
        stable: plan.stable.to_string(),
        canary: plan.canary.to_string(),
        phase: match phase {
            Phase::Running { .. } => v1::RolloutPhase::Running,
            Phase::Paused { .. } => v1::RolloutPhase::Paused,
            Phase::Promoted => v1::RolloutPhase::Promoted,
            Phase::RolledBack => v1::RolloutPhase::RolledBack,
            Phase::Aborted => v1::RolloutPhase::Aborted,
        }
        .into(),
        steps: plan.steps.iter().map(step_outward).collect(),
        step: u32::try_from(step).unwrap_or(u32::MAX),
        weight: kept.rollout.weight(),
        started: Some(at(kept.started_ms)),
        step_began: Some(at(*step_began_ms)),
        why: kept.why.clone(),
        metrics: metrics
            .map(|(name, arms, evidence)| v1::RolloutMetric {
                name: name.to_owned(),
                stable_requests: arms.stable.n,
                stable_bad: arms.stable.bad,
                canary_requests: arms.canary.n,
                canary_bad: arms.canary.bad,
                log10_evidence: evidence.ln_e() / std::f64::consts::LN_10,
                log10_needed: plan.ln_enough() / std::f64::consts::LN_10,
            })
            .to_vec(),
    }
}

fn step_outward(step: &Step) -> v1::RolloutStep {
    let Step { weight, least_time, least_requests } = *step;
    v1::RolloutStep { weight, least_time: least_time.try_into().ok(), least_requests }
}

pub(super) fn decision(entry: &Entry) -> v1::RolloutDecision {
    let (verdict, record) = match &entry.event {
        Event::Decided(decision) => {
            let verdict = match decision.verdict {
                Verdict::Hold { .. } => "hold",
                Verdict::Advance { .. } => "advance",
                Verdict::RollBack { .. } => "roll-back",
            };
            (verdict, serde_json::to_string(decision).unwrap_or_default())
        }
        Event::Started => ("start", String::new()),
        Event::Asked(change) => (change.as_str(), String::new()),
        Event::Ended => ("abort", String::new()),
    };
    v1::RolloutDecision {
        at: Some(at(entry.at_ms)),
        rollout_id: entry.rollout_id.clone(),
        verdict: verdict.to_owned(),
        why: entry.why.clone(),
        weight_before: entry.weight_before,
        weight_after: entry.weight_after,
        record,
    }
}

pub(super) fn disagreement(disagreement: Disagreement) -> v1::Disagreement {
    let Disagreement { at, stable, canary, stable_answer, canary_answer, distance, trace_id, payload } =
        disagreement;
    v1::Disagreement {
        at: Some(at.into()),
        stable: stable.to_string(),
        canary: canary.to_string(),
        stable_answer: stable_answer.into(),
        canary_answer: canary_answer.into(),
        distance,
        trace_id: trace_id.map_or_else(String::new, |trace| trace.to_string()),
        payload: payload.map_or_else(String::new, Into::into),
    }
}

fn at(ms: u64) -> prost_types::Timestamp {
    // Far beyond the year 9999 a timestamp ends; a clock that says so is wrong anyway.
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH).into()
}
