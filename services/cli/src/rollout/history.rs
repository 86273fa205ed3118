//! `nanogrid rollout history`: what was decided, by whom, and on what. With `--replay` each decision is taken again here, from
//! its record: another verdict means that the router which took it ran other code.

use clap::Args;
use comfy_table::{Attribute, Color};
use nanogrid_proto::v1::RolloutDecision;
use nanogrid_rollout::{Decision, Verdict};
use serde_json::{Value, json};

use super::{percent, stamp};
use crate::{
    Global,
    client::Control,
    error::{Error, Exit},
    print::{self, cell},
};

#[derive(Args)]
pub(super) struct History {
    /// Whose
    expert: String,
    /// Show so many, the newest; 0 = all that are kept
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: u32,
    /// Take each decision again from its record, and say whether it is the same
    #[arg(long)]
    replay: bool,
}

/// A decision that was taken again.
#[derive(Debug, PartialEq)]
enum Replayed {
    /// Somebody asked for it: there is nothing to take again.
    ByHand,
    Same,
    /// What it would be now, or why it cannot be taken.
    Otherwise(String),
}

impl History {
    pub(super) async fn run(self, control: &mut Control, global: &Global) -> Result<Exit, Error> {
        let decisions = control.history(&self.expert, self.limit).await?;
        let replayed: Option<Vec<Replayed>> = self.replay.then(|| decisions.iter().map(replay).collect());
        if global.json {
            print::json(&to_json(&decisions, replayed.as_deref()));
        } else {
            print::out(&render(&decisions, replayed.as_deref()));
        }
        let is_otherwise = |replayed: &Replayed| matches!(replayed, Replayed::Otherwise(_));
        let all_same = !replayed.iter().flatten().any(is_otherwise);
        Ok(if all_same { Exit::Done } else { Exit::Failed })
    }
}

fn replay(decision: &RolloutDecision) -> Replayed {
    if decision.record.is_empty() {
        return Replayed::ByHand;
    }
    let record: Decision = match serde_json::from_str(&decision.record) {
        Ok(record) => record,
        Err(error) => return Replayed::Otherwise(format!("its record cannot be read: {error}")),
    };
    let now = record.replay();
    if now == record.verdict { Replayed::Same } else { Replayed::Otherwise(words(&now)) }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Hold { why } => format!("hold: {why}"),
        Verdict::Advance { why } => format!("advance: {why}"),
        Verdict::RollBack { why } => format!("roll back: {why}"),
    }
}

impl Replayed {
    fn as_str(&self) -> &str {
        match self {
            Self::ByHand => "by hand",
            Self::Same => "the same",
            Self::Otherwise(how) => how,
        }
    }
}

fn render(decisions: &[RolloutDecision], replayed: Option<&[Replayed]>) -> String {
    if decisions.is_empty() {
        return "no rollout yet: `nanogrid rollout start EXPERT VERSION` begins one\n".to_owned();
    }
    let mut table = print::table();
    let header = ["WHEN", "ROLLOUT", "DECISION", "SHARE", "WHY"].into_iter();
    table.set_header(header.chain(replayed.map(|_| "TAKEN AGAIN")));
    for (idx, decision) in decisions.iter().enumerate() {
        let color = match decision.verdict.as_str() {
            "roll-back" | "abort" => Color::Red,
            "advance" | "promote" => Color::Green,
            _ => Color::Reset,
        };
        let mut row = vec![
            cell(stamp(decision.at.as_ref())),
            cell(&decision.rollout_id).add_attribute(Attribute::Dim),
            cell(&decision.verdict).fg(color),
            cell(share(decision)),
            cell(&decision.why),
        ];
        if let Some(replayed) = replayed.and_then(|replayed| replayed.get(idx)) {
            let color = match replayed {
                Replayed::Otherwise(_) => Color::Red,
                Replayed::ByHand | Replayed::Same => Color::Reset,
            };
            row.push(cell(replayed.as_str()).fg(color));
        }
        table.add_row(row);
    }
    print::lines(table)
}

/// e.g. `5 % -> 25 %`, or where nothing changed `5 %`
fn share(decision: &RolloutDecision) -> String {
    let (before, after) = (percent(decision.weight_before), percent(decision.weight_after));
    if before == after { after } else { format!("{before} -> {after}") }
}

fn to_json(decisions: &[RolloutDecision], replayed: Option<&[Replayed]>) -> Value {
    let decision = |(idx, decision): (usize, &RolloutDecision)| {
        json!({
            "at": stamp(decision.at.as_ref()),
            "rollout_id": decision.rollout_id,
            "verdict": decision.verdict,
            "why": decision.why,
            "weight_before": decision.weight_before,
            "weight_after": decision.weight_after,
            "record": serde_json::from_str::<Value>(&decision.record).ok(),
            "replayed": replayed.and_then(|replayed| replayed.get(idx)).map(Replayed::as_str),
        })
    };
    json!({ "decisions": decisions.iter().enumerate().map(decision).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use nanogrid_rollout::{Gate, Plan, Rollout};

    use super::*;

    fn decision(change: impl FnOnce(&mut Decision)) -> RolloutDecision {
        let plan = Plan::usual("intent-2-1".to_owned(), "intent".to_owned(), 1, 2);
        let rollout = Rollout::start(plan, 1_000).expect("a good plan");
        let gates = vec![Gate::InvalidAnswer("3 of them".to_owned())];
        let mut record = Decision::take(&rollout, Vec::new(), gates, 2_000);
        change(&mut record);
        RolloutDecision {
            at: Some(prost_types::Timestamp { seconds: 2, nanos: 0 }),
            rollout_id: "intent-2-1".to_owned(),
            verdict: "roll-back".to_owned(),
            why: words(&record.verdict),
            weight_before: 500,
            weight_after: 0,
            record: serde_json::to_string(&record).expect("plain"),
        }
    }

    #[test]
    fn a_decision_is_taken_again_from_its_record() {
        assert_eq!(replay(&decision(|_| {})), Replayed::Same);
        let other = replay(&decision(|record| record.gates.clear()));
        let Replayed::Otherwise(how) = other else { panic!("{other:?}") };
        assert!(how.starts_with("hold: "), "{how}");
        let broken = RolloutDecision { record: "{}".to_owned(), ..decision(|_| {}) };
        assert!(matches!(replay(&broken), Replayed::Otherwise(how) if how.contains("cannot be read")));
        let by_hand = RolloutDecision { record: String::new(), ..decision(|_| {}) };
        assert_eq!(replay(&by_hand), Replayed::ByHand);
    }

    #[test]
    fn a_history_says_what_changed_and_why() {
        let decisions = [decision(|_| {})];
        let text = anstream::adapter::strip_str(&render(&decisions, Some(&[Replayed::Same]))).to_string();
        for words in ["1970-01-01T00:00:02Z", "roll-back", "5 % -> 0 %", "3 of them", "the same"] {
            assert!(text.contains(words), "`{words}` is not in:\n{text}");
        }
        let json = &to_json(&decisions, None)["decisions"][0];
        assert_eq!(json["record"]["verdict"]["verdict"], "roll-back");
        assert_eq!(json["replayed"], Value::Null);
        assert!(render(&[], None).contains("nanogrid rollout start"));
    }
}
