//! `nanogrid infer`: what each expert says, what is missing, and why these were asked.

use clap::Args;
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table};
use nanogrid_proto::v1::{
    Decision, InferResponse, Missing, Outcome, OutcomeStatus, Verdict, outcome::Result as Answer,
};

use crate::{
    Global,
    client::Grid,
    error::{Error, Exit},
    print::{self, DIM, cell},
    request::Ask,
};

/// Ask the grid.
#[derive(Args)]
pub(crate) struct Infer {
    #[command(flatten)]
    ask: Ask,
}

impl Infer {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let request = self.ask.request()?;
        let response = Grid::at(&global.addr).await?.infer(request).await?;
        if global.json {
            print::json(&nanogrid_proto::json::to_json("nanogrid.v1.InferResponse", &response)?);
        } else {
            print::out(&render(&response));
        }
        Ok(exit(&response))
    }
}

fn exit(response: &InferResponse) -> Exit {
    if !response.missing.is_empty() || !response.complete {
        return Exit::Partial;
    }
    // An expert that abstains has answered, and said that the request is not its own.
    let is_answered = response.outcomes.iter().any(|outcome| outcome.status() == OutcomeStatus::Answered);
    if is_answered { Exit::Done } else { Exit::NoExpert }
}

fn render(response: &InferResponse) -> String {
    let mut table = print::table();
    for outcome in &response.outcomes {
        match &outcome.result {
            Some(answer) => add_answer(&mut table, outcome, answer),
            None => add_unanswered(&mut table, outcome, &response.missing),
        }
    }
    for missing in response.missing.iter().filter(|missing| !is_listed(missing, &response.outcomes)) {
        add_missing(&mut table, missing);
    }
    let mut text = if table.is_empty() { String::new() } else { print::lines(table) };
    text.push_str(&footer(response));
    text
}

fn is_listed(missing: &Missing, outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| outcome.expert == missing.expert)
}

fn add_answer(table: &mut Table, outcome: &Outcome, answer: &Answer) {
    let times = outcome.times.as_ref();
    let mut rows = rows(answer).into_iter();
    let (best, score) = rows.next().unwrap_or_else(|| ("nothing found".to_owned(), None));
    table.add_row([
        cell(&outcome.expert),
        cell(best).add_attribute(Attribute::Bold).fg(Color::Green),
        number(score),
        dim(format!("v{}", outcome.version)),
        dim(print::wire_duration(times.and_then(|times| times.total.as_ref())))
            .set_alignment(CellAlignment::Right),
    ]);
    for (next, score) in rows {
        table.add_row([cell(""), cell(next), number(score)]);
    }
}

fn add_unanswered(table: &mut Table, outcome: &Outcome, missing: &[Missing]) {
    if let Some(missing) = missing.iter().find(|missing| missing.expert == outcome.expert) {
        return add_missing(table, missing);
    }
    let status = print::words(outcome.status().as_str_name(), "OUTCOME_STATUS");
    let why = outcome.error.as_ref().map_or("", |error| error.message.as_str());
    table.add_row([cell(&outcome.expert), cell(status).fg(Color::Yellow), cell(why)]);
}

fn add_missing(table: &mut Table, missing: &Missing) {
    let status = print::words(missing.status().as_str_name(), "OUTCOME_STATUS");
    let again = if missing.retryable { "; may succeed if sent again" } else { "" };
    table.add_row([
        cell(&missing.expert),
        cell(format!("missing: {status}: {}{again}", missing.cause)).fg(Color::Red),
    ]);
}

/// What an answer holds, best first, with a score where there is one.
fn rows(answer: &Answer) -> Vec<(String, Option<f32>)> {
    match answer {
        Answer::Labels(found) => {
            found.labels.iter().map(|label| (label.label.clone(), Some(label.score))).collect()
        }
        Answer::Spans(found) => {
            let whole = found.labels.iter().map(|label| (label.label.clone(), Some(label.score)));
            let spans = found.spans.iter().map(|span| {
                (format!("{}: {} ({}..{})", span.entity, span.text, span.start, span.end), Some(span.score))
            });
            whole.chain(spans).collect()
        }
        Answer::Text(found) => vec![(found.text.clone(), Some(found.score))],
        Answer::Audio(found) => vec![(format!("a WAV file of {} bytes: use --json", found.wav.len()), None)],
        Answer::Vector(found) => vec![(sample(&found.values), None)],
        Answer::Boxes(found) => found
            .boxes
            .iter()
            .map(|b| (format!("{} at {},{} size {}x{}", b.label, b.x, b.y, b.width, b.height), Some(b.score)))
            .collect(),
        Answer::Scores(found) => vec![(sample(&found.values), None)],
    }
}

fn sample(values: &[f32]) -> String {
    let first: Vec<String> = values.iter().take(4).map(|value| format!("{value:.4}")).collect();
    let more = if values.len() > first.len() { ", .." } else { "" };
    format!("{} values: {}{more}", values.len(), first.join(", "))
}

fn number(score: Option<f32>) -> Cell {
    let text = score.map(|score| format!("{score:.3}")).unwrap_or_default();
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn dim(text: String) -> Cell {
    cell(text).add_attribute(Attribute::Dim)
}

fn footer(response: &InferResponse) -> String {
    let mut text = String::new();
    if let Some(decision) = &response.decision {
        text.push_str(&format!("{DIM}{}{DIM:#}\n", print::printable(&sentence(decision))));
    }
    let total = response.times.as_ref().map(|times| print::wire_duration(times.total.as_ref()));
    let mut details: Vec<String> = total.into_iter().filter(|total| !total.is_empty()).collect();
    if !response.trace_id.is_empty() {
        details.push(format!("trace {}", response.trace_id));
    }
    if !details.is_empty() {
        text.push_str(&format!("{DIM}{}{DIM:#}\n", details.join(", ")));
    }
    text
}

fn sentence(decision: &Decision) -> String {
    let verdict = match decision.verdict() {
        Verdict::Abstain => "no expert of this grid suits the request",
        Verdict::Escalate => "no expert of this grid suits the request, and it goes to a bigger model",
        Verdict::Unavailable => "no expert could be chosen; name one with --expert",
        Verdict::Unspecified | Verdict::Single | Verdict::FanOut => return decision.why.clone(),
    };
    if decision.why.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", decision.why) }
}

#[cfg(test)]
mod tests;
