//! `nanogrid experts`: who is in the grid, and who of them could answer now, as the router sees it.

use std::{pin::pin, time::Duration};

use clap::Args;
use comfy_table::{Attribute, Cell, CellAlignment, Color};
use nanogrid_proto::v1::{Endpoint, EndpointState, Expert, ListExpertsResponse, Version};
use serde_json::{Value, json};

use crate::{
    Global,
    client::Grid,
    error::{Error, Exit},
    print::{self, cell},
};

const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// List the experts with their versions and endpoints.
#[derive(Args)]
pub(crate) struct Experts {
    /// Show them again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Experts {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let mut grid = Grid::at(&global.addr).await?;
        let mut stop = pin!(nanogrid_serving::shutdown_signal());
        loop {
            let response = grid.experts().await?;
            if global.json {
                print::out(&format!("{}\n", to_json(&response)));
            } else {
                let clear = if self.watch { print::clear_screen() } else { "" };
                print::out(&format!("{clear}{}", render(&response)));
            }
            if !self.watch {
                return Ok(Exit::Done);
            }
            tokio::select! {
                () = tokio::time::sleep(REDRAW_EVERY) => {}
                () = &mut stop => return Ok(Exit::Done),
            }
        }
    }
}

/// Not the protobuf mapping: numbers are numbers, states are words, unknown is null.
fn to_json(response: &ListExpertsResponse) -> Value {
    json!({ "experts": response.experts.iter().map(expert_json).collect::<Vec<_>>() })
}

fn expert_json(expert: &Expert) -> Value {
    json!({
        "name": expert.name,
        "task": expert.task,
        "title": expert.title,
        "ready": expert.ready,
        "versions": expert.versions.iter().map(version_json).collect::<Vec<_>>(),
        "endpoints": expert.endpoints.iter().map(endpoint_json).collect::<Vec<_>>(),
    })
}

fn version_json(version: &Version) -> Value {
    json!({
        "version": version.version,
        "weight": version.weight,
        "label": version.label,
        "model_sha256": version.model_sha256,
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    json!({
        "address": endpoint.address,
        "version": endpoint.version,
        "state": state(endpoint),
        "ready": endpoint.ready,
        "pid": (endpoint.pid != 0).then_some(endpoint.pid),
        "memory": (endpoint.memory != 0).then_some(endpoint.memory),
        "reason": endpoint.reason,
    })
}

fn render(response: &ListExpertsResponse) -> String {
    if response.experts.is_empty() {
        return "the grid knows no expert\n".to_owned();
    }
    let mut table = print::table();
    table.set_header(["EXPERT", "TASK", "VERSIONS", "ENDPOINT", "STATE", "PID", "MEMORY", "TITLE"]);
    for expert in &response.experts {
        let versions: Vec<String> = expert.versions.iter().map(version).collect();
        let mut about = vec![
            cell(&expert.name).add_attribute(Attribute::Bold),
            cell(&expert.task),
            cell(versions.join(", ")),
        ];
        let mut title = expert.title.as_str();
        for endpoint in &expert.endpoints {
            about.extend(columns(endpoint));
            about.push(cell(title).add_attribute(Attribute::Dim));
            table.add_row(about);
            about = vec![cell(""), cell(""), cell("")];
            title = "";
        }
        if expert.endpoints.is_empty() {
            about.push(cell("none").fg(Color::Red));
            table.add_row(about);
        }
    }
    print::lines(table)
}

fn columns(endpoint: &Endpoint) -> [Cell; 4] {
    let color = if endpoint.ready { Color::Green } else { Color::Red };
    let state = match endpoint.reason.as_str() {
        "" => state(endpoint).to_owned(),
        reason => format!("{}: {reason}", state(endpoint)),
    };
    let pid = if endpoint.pid == 0 { String::new() } else { endpoint.pid.to_string() };
    [
        cell(&endpoint.address),
        cell(state).fg(color),
        cell(pid).set_alignment(CellAlignment::Right),
        cell(print::memory(endpoint.memory)).set_alignment(CellAlignment::Right),
    ]
}

/// e.g. `1`, or with a share of the traffic and a role `2 (canary, 5 %)`
fn version(version: &Version) -> String {
    let share = (version.weight != 10_000).then(|| format!("{} %", f64::from(version.weight) / 100.0));
    let label = (!version.label.is_empty()).then(|| version.label.clone());
    let details: Vec<String> = label.into_iter().chain(share).collect();
    if details.is_empty() {
        version.version.clone()
    } else {
        format!("{} ({})", version.version, details.join(", "))
    }
}

fn state(endpoint: &Endpoint) -> &'static str {
    match endpoint.state() {
        EndpointState::Unspecified => "unknown",
        EndpointState::Connecting => "connecting",
        EndpointState::Ready => "ready",
        EndpointState::NotServing => "not-serving",
        EndpointState::Refused => "refused",
        EndpointState::Ejected => "ejected",
        EndpointState::Draining => "draining",
    }
}

#[cfg(test)]
mod tests;
