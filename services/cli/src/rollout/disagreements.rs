//! `nanogrid rollout disagreements`: what two versions answered to the same request, where that is not the same.

use clap::Args;
use comfy_table::Attribute;
use nanogrid_proto::v1::Disagreement;
use serde_json::{Value, json};

use super::stamp;
use crate::{
    Global,
    client::Control,
    error::{Error, Exit},
    print::{self, cell},
};

#[derive(Args)]
pub(super) struct Disagreements {
    /// Whose
    expert: String,
    /// Show so many, the newest; 0 = all that are kept
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: u32,
}

impl Disagreements {
    pub(super) async fn run(self, control: &mut Control, global: &Global) -> Result<Exit, Error> {
        let disagreements = control.disagreements(&self.expert, self.limit).await?;
        if global.json {
            print::json(&to_json(&disagreements));
        } else {
            print::out(&render(&disagreements));
        }
        Ok(Exit::Done)
    }
}

fn render(disagreements: &[Disagreement]) -> String {
    if disagreements.is_empty() {
        return "no disagreement: answers are compared while a rollout runs\n".to_owned();
    }
    // Only where the router is allowed to keep what clients sent.
    let has_payload = disagreements.iter().any(|disagreement| !disagreement.payload.is_empty());
    let mut table = print::table();
    let header = ["WHEN", "DISTANCE", "OLD VERSION", "NEW VERSION", "TRACE"].into_iter();
    table.set_header(header.chain(has_payload.then_some("REQUEST")));
    for disagreement in disagreements {
        let Disagreement { at, stable, canary, stable_answer, canary_answer, distance, trace_id, payload } =
            disagreement;
        let mut row = vec![
            cell(stamp(at.as_ref())),
            cell(format!("{distance:.2}")),
            cell(format!("{stable}: {stable_answer}")),
            cell(format!("{canary}: {canary_answer}")),
            cell(trace_id).add_attribute(Attribute::Dim),
        ];
        if has_payload {
            row.push(cell(payload));
        }
        table.add_row(row);
    }
    print::lines(table)
}

fn to_json(disagreements: &[Disagreement]) -> Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let disagreement = |disagreement: &Disagreement| {
        json!({
            "at": stamp(disagreement.at.as_ref()),
            "stable": disagreement.stable,
            "canary": disagreement.canary,
            "stable_answer": disagreement.stable_answer,
            "canary_answer": disagreement.canary_answer,
            "distance": disagreement.distance,
            "trace_id": known(&disagreement.trace_id),
            "payload": known(&disagreement.payload),
        })
    };
    json!({ "disagreements": disagreements.iter().map(disagreement).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disagreement() -> Disagreement {
        Disagreement {
            at: Some(prost_types::Timestamp { seconds: 2, nanos: 0 }),
            stable: "1".to_owned(),
            canary: "2".to_owned(),
            stable_answer: "positive".to_owned(),
            canary_answer: "negative\u{1b}[2J".to_owned(),
            distance: 1.0,
            ..Disagreement::default()
        }
    }

    #[test]
    fn both_answers_are_shown_and_what_was_sent_only_where_it_is_kept() {
        let text = anstream::adapter::strip_str(&render(&[disagreement()])).to_string();
        assert!(text.contains("1: positive") && text.contains("2: negative\u{fffd}[2J"), "{text}");
        assert!(!text.contains("REQUEST"), "{text}");
        let kept = Disagreement { payload: "a fine film".to_owned(), ..disagreement() };
        assert!(render(&[disagreement(), kept]).contains("a fine film"));
        let json = &to_json(&[disagreement()])["disagreements"][0];
        assert_eq!((&json["distance"], &json["trace_id"]), (&json!(1.0), &Value::Null));
    }
}
