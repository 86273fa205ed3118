//! `nanogrid route`: the decision by itself, for whoever asks why an expert was asked or was not.

use clap::Args;
use comfy_table::{Attribute, Cell, CellAlignment, Color};
use nanogrid_proto::v1::{Candidate, Decision, PlannedCall, RouteResponse, Verdict};

use crate::{
    Global,
    client::Grid,
    error::{Error, Exit},
    print::{self, BOLD, DIM, cell},
    request::Ask,
};

/// Show which experts would be asked, and why.
#[derive(Args)]
pub(crate) struct Route {
    #[command(flatten)]
    ask: Ask,
}

impl Route {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let request = self.ask.request()?;
        let response = Grid::at(&global.addr).await?.route(request).await?;
        if global.json {
            print::json(&nanogrid_proto::json::to_json("nanogrid.v1.RouteResponse", &response)?);
        } else {
            print::out(&render(&response));
        }
        Ok(if response.calls.is_empty() { Exit::NoExpert } else { Exit::Done })
    }
}

fn render(response: &RouteResponse) -> String {
    let mut text = String::new();
    if let Some(decision) = &response.decision {
        text.push_str(&verdict(decision));
        let mut table = print::table();
        for candidate in &decision.candidates {
            table.add_row(row(candidate, &response.calls));
        }
        if !table.is_empty() {
            text.push_str(&print::lines(table));
        }
    }
    if let Some(times) = &response.times {
        let classify = print::wire_duration(times.classify.as_ref());
        let total = print::wire_duration(times.total.as_ref());
        text.push_str(&format!("{DIM}classified in {classify}, decided in {total}{DIM:#}\n"));
    }
    text
}

fn verdict(decision: &Decision) -> String {
    let verdict = match decision.verdict() {
        Verdict::Unspecified => "undecided",
        Verdict::Single => "one expert",
        Verdict::FanOut => "several experts",
        Verdict::Abstain => "no expert suits it",
        Verdict::Escalate => "for a bigger model",
        Verdict::Unavailable => "no decision",
    };
    let by = print::words(decision.decided_by().as_str_name(), "DECIDED_BY");
    let version = match decision.classifier_version.as_str() {
        "" => String::new(),
        version => format!(" v{version}"),
    };
    let why = print::printable(&decision.why);
    format!("{BOLD}{verdict}{BOLD:#}, decided by {by}{version}: {why}\n")
}

fn row(candidate: &Candidate, calls: &[PlannedCall]) -> Vec<Cell> {
    let call = calls.iter().find(|call| call.expert == candidate.expert);
    let (mark, color) = if candidate.chosen { ("ask", Color::Green) } else { ("no", Color::DarkGrey) };
    let plan = call.map(|call| {
        let limit = print::wire_duration(call.time_limit.as_ref());
        let over =
            if call.endpoints.is_empty() { "no endpoint".to_owned() } else { call.endpoints.join(", ") };
        format!("v{} within {limit} over {over}", call.version)
    });
    vec![
        Cell::new(mark).fg(color),
        cell(&candidate.expert).add_attribute(Attribute::Bold),
        Cell::new(format!("{:.3}", candidate.confidence)).set_alignment(CellAlignment::Right),
        cell(&candidate.why),
        cell(plan.unwrap_or_default()).add_attribute(Attribute::Dim),
    ]
}
