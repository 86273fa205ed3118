use std::{sync::Arc, time::Duration};

use nanogrid_settings::Task;
use tokio::time::Instant;

use super::*;
use crate::{
    catalog::Expert,
    dispatch::{Reply, StageTimes, Trail, Typed},
    error::CallError,
    plan::Call,
};

fn outcome(name: &str, result: Result<f32, CallError>) -> Outcome {
    let expert = Expert::of(name, Task::TextClassification, &[(1, 10_000, None)]);
    let reply = |confidence| Reply {
        answer: Some(Typed::Labels(vec![(name.to_owned(), confidence)])),
        confidence,
        times: StageTimes::default(),
    };
    let limit = Duration::from_secs(1);
    let deadline = Instant::now() + limit;
    let call = Call { expert: Arc::new(expert), version_idx: 0, limit, deadline, substitutes: Vec::new() };
    Outcome { call, result: result.map(reply), trail: Trail::default() }
}

fn late() -> CallError {
    CallError::TimedOut { limit: Duration::from_millis(5) }
}

/// Whose answers are kept, and who is missing.
#[track_caller]
fn check(policy: MergePolicy, outcomes: Vec<Outcome>, kept: &[&str], missing: &[&str]) -> Answer {
    let n_asked = outcomes.len();
    let answer = answer(policy, outcomes);
    let is_kept = |outcome: &&Outcome| outcome.result.as_ref().is_ok_and(|reply| reply.answer.is_some());
    let actual: Vec<_> =
        answer.outcomes.iter().filter(is_kept).map(|outcome| outcome.call.expert.name.as_str()).collect();
    assert_eq!(actual, kept);
    assert_eq!(answer.missing.iter().map(|missing| missing.expert.as_str()).collect::<Vec<_>>(), missing);
    assert_eq!(answer.outcomes.len(), n_asked, "every expert asked has its outcome");
    assert_eq!(answer.is_complete(), missing.is_empty());
    answer
}

#[test]
fn all_keeps_every_answer_and_names_what_is_missing() {
    let outcomes =
        vec![outcome("intent", Ok(0.5)), outcome("topic", Err(late())), outcome("language", Ok(0.9))];
    let answer = check(MergePolicy::All, outcomes, &["intent", "language"], &["topic"]);
    let topic = &answer.missing[0];
    assert_eq!((topic.status, topic.retryable), (CallStatus::TimedOut, true));
    assert_eq!(topic.cause, "no answer within 5ms");
    check(MergePolicy::All, Vec::new(), &[], &[]);
}

#[test]
fn best_keeps_the_most_confident_and_of_equals_the_first() {
    let best = MergePolicy::Best;
    check(best, vec![outcome("intent", Ok(0.5)), outcome("topic", Ok(0.9))], &["topic"], &[]);
    check(best, vec![outcome("intent", Ok(0.9)), outcome("topic", Ok(0.9))], &["intent"], &[]);
    check(best, vec![outcome("intent", Err(late())), outcome("topic", Ok(0.0))], &["topic"], &["intent"]);
    check(best, vec![outcome("intent", Err(late()))], &[], &["intent"]);
    check(best, vec![outcome("intent", Ok(f32::NAN)), outcome("topic", Ok(0.1))], &["topic"], &[]);
}

#[test]
fn first_lists_the_losers_as_cancelled() {
    let outcomes = vec![outcome("intent", Err(CallError::Cancelled)), outcome("topic", Ok(0.1))];
    let answer = check(MergePolicy::First, outcomes, &["topic"], &["intent"]);
    assert_eq!((answer.missing[0].status, answer.missing[0].retryable), (CallStatus::Cancelled, false));
}
