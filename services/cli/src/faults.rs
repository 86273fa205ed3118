//! `nanogrid faults`: breaks calls to an expert on purpose, and ends that again. Only where the router's settings allow it.

use std::{ops::RangeInclusive, time::Duration};

use clap::{Args, Subcommand};
use comfy_table::{Attribute, Color};
use nanogrid_proto::v1::{Fault, ListFaultsResponse};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    Global,
    client::{Control, Ops},
    error::{Error, Exit},
    print::{self, cell},
};

/// Make calls to an expert slow or fail on purpose.
#[derive(Args)]
pub(crate) struct Faults {
    #[command(flatten)]
    ops: Ops,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the faults in force
    List,
    /// Set a fault, in place of the one this expert has
    Set(Set),
    /// End the faults of one expert, or of all
    Clear {
        /// End only the faults of this expert
        expert: Option<String>,
    },
}

#[derive(Args)]
#[group(id = "effect", required = true, multiple = true, args = ["delay", "code", "drop"])]
struct Set {
    /// The expert whose calls go wrong
    expert: String,
    /// Percent of its calls
    #[arg(long, default_value_t = 100.0, value_name = "PERCENT")]
    share: f64,
    /// Hold the call up, e.g. 200ms
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    delay: Option<Duration>,
    /// Then fail it with this gRPC status, e.g. unavailable
    #[arg(long, value_parser = code, conflicts_with = "drop", value_name = "STATUS")]
    code: Option<i32>,
    /// Then never answer it
    #[arg(long)]
    drop: bool,
    /// End by itself after this time, e.g. 5m
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    lasts: Option<Duration>,
}

impl Faults {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let mut control = self.ops.control().await?;
        match self.command {
            Command::List => {}
            Command::Set(set) => {
                let mut faults = others(&mut control, &set.expert).await?;
                faults.push(set.into());
                control.set_faults(faults).await?;
            }
            Command::Clear { expert: None } => control.set_faults(Vec::new()).await?,
            Command::Clear { expert: Some(expert) } => {
                let faults = others(&mut control, &expert).await?;
                control.set_faults(faults).await?;
            }
        }
        let response = control.faults().await?;
        if global.json {
            print::json(&to_json(&response));
        } else {
            print::out(&render(&response));
        }
        Ok(Exit::Done)
    }
}

/// The faults in force that are not of this expert: the router takes all of them at once.
async fn others(control: &mut Control, expert: &str) -> Result<Vec<Fault>, Error> {
    let mut faults = control.faults().await?.faults;
    faults.retain(|fault| fault.expert != expert);
    Ok(faults)
}

impl From<Set> for Fault {
    fn from(Set { expert, share, delay, code, drop, lasts }: Set) -> Self {
        // A time too long for the message is longer than any router takes; the router then says so.
        let time =
            |time: Duration| time.try_into().unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 });
        Self {
            expert,
            share,
            delay: delay.map(time),
            code: code.unwrap_or_default(),
            drop,
            lasts: lasts.map(time),
        }
    }
}

/// The name of a gRPC status in any case, or its number. The router says which numbers it takes.
fn code(text: &str) -> Result<i32, String> {
    let name = text.to_uppercase().replace('-', "_");
    let named = codes().find(|code| nanogrid_serving::status::name(Code::from_i32(*code)) == name);
    named.or_else(|| text.parse().ok().filter(|code| codes().contains(code))).ok_or_else(|| {
        "must be the name of a gRPC status, e.g. `unavailable`, or its number, 1 to 16".to_owned()
    })
}

/// Every status that is an error.
fn codes() -> RangeInclusive<i32> {
    1..=16
}

/// As `experts --json`: numbers are numbers, absent is null.
fn to_json(response: &ListFaultsResponse) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "expert": fault.expert,
            "share": fault.share,
            "delay_ms": fault.delay.and_then(millis),
            "code": (fault.code != 0).then(|| code_name(fault)),
            "drop": fault.drop,
            "lasts_ms": fault.lasts.and_then(millis),
        })
    };
    json!({ "allowed": response.allowed, "faults": response.faults.iter().map(fault).collect::<Vec<_>>() })
}

fn render(response: &ListFaultsResponse) -> String {
    if response.faults.is_empty() {
        return if response.allowed {
            "no fault: calls are left alone\n".to_owned()
        } else {
            "no fault, and none allowed: the router's setting `faults.allowed` is false\n".to_owned()
        };
    }
    let mut table = print::table();
    table.set_header(["EXPERT", "SHARE", "WHAT HAPPENS", "ENDS IN"]);
    for fault in &response.faults {
        let lasts = match &fault.lasts {
            None => "never".to_owned(),
            left => print::wire_duration(left.as_ref()),
        };
        table.add_row(vec![
            cell(&fault.expert).add_attribute(Attribute::Bold),
            cell(format!("{} %", fault.share)),
            cell(effect(fault)).fg(Color::Red),
            cell(lasts),
        ]);
    }
    print::lines(table)
}

/// e.g. `200 ms late, then fails with UNAVAILABLE`
fn effect(fault: &Fault) -> String {
    let late = fault.delay.map(|delay| format!("{} late", print::wire_duration(Some(&delay))));
    let end = match (fault.drop, fault.code) {
        (true, _) => Some("never answered".to_owned()),
        (false, 0) => None,
        (false, _) => Some(format!("fails with {}", code_name(fault))),
    };
    late.into_iter().chain(end).collect::<Vec<_>>().join(", then ")
}

fn code_name(fault: &Fault) -> &'static str {
    nanogrid_serving::status::name(Code::from_i32(fault.code))
}

fn millis(duration: prost_types::Duration) -> Option<u64> {
    Duration::try_from(duration).ok().and_then(|duration| u64::try_from(duration.as_millis()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        Fault {
            expert: "intent".to_owned(),
            share: 12.5,
            delay: seconds(2),
            code: 14,
            drop: false,
            lasts: seconds(60),
        }
    }

    #[test]
    fn a_status_is_named_or_numbered() {
        for text in ["unavailable", "UNAVAILABLE", "14"] {
            assert_eq!(code(text), Ok(14), "{text}");
        }
        assert_eq!(code("resource-exhausted"), Ok(8));
        for text in ["ok", "0", "17", "-1", "broken", ""] {
            assert!(code(text).is_err(), "{text}");
        }
    }

    #[test]
    fn faults_are_words_for_people_and_numbers_for_scripts() {
        let response = ListFaultsResponse { faults: vec![fault()], allowed: true };
        let text = render(&response);
        for word in ["intent", "12.5 %", "2.0 s late, then fails with UNAVAILABLE", "60.0 s"] {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
        let json = &to_json(&response)["faults"][0];
        assert_eq!((&json["share"], &json["delay_ms"]), (&json!(12.5), &json!(2_000)));
        assert_eq!((&json["code"], &json["lasts_ms"]), (&json!("UNAVAILABLE"), &json!(60_000)));
    }

    #[test]
    fn a_router_without_faults_says_whether_it_would_take_any() {
        let none = |allowed| render(&ListFaultsResponse { faults: Vec::new(), allowed });
        assert!(none(true).starts_with("no fault: "));
        assert!(none(false).contains("`faults.allowed` is false"));
    }
}
