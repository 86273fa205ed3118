//! `nanogrid rollout`: tries a new version of an expert on a growing share of its requests, shows what speaks against it,
//! and how it came to where it is.

mod disagreements;
mod history;
mod picture;
mod start;
mod status;

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use nanogrid_proto::v1::RolloutChange;

use self::{disagreements::Disagreements, history::History, start::Start, status::Status};
use crate::{
    Global,
    client::Ops,
    error::{Error, Exit},
};

/// Try a new version of an expert on a growing share of its requests; a worse one is taken back by itself.
#[derive(Args)]
pub(crate) struct Rollout {
    #[command(flatten)]
    ops: Ops,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin to try a version
    Start(Start),
    /// Show where rollouts stand, and what speaks against the new versions
    Status(Status),
    /// Keep the share as it is; a version that is found worse is still taken back
    Pause(Named),
    /// Go on after a pause
    Resume(Named),
    /// Take the next step now, whatever the evidence says
    Advance(Named),
    /// Give the new version every request now
    Promote(Named),
    /// Give the old version every request now
    Abort(Named),
    /// Show what was decided, and why
    History(History),
    /// Show requests that both versions answered, each in its own way
    Disagreements(Disagreements),
}

#[derive(Args)]
struct Named {
    /// Whose rollout
    expert: String,
}

impl Rollout {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let mut control = self.ops.control().await?;
        let (change, named) = match self.command {
            Command::Start(start) => {
                let started = control.start_rollout(start.into()).await?;
                status::show(global, &[started]);
                return Ok(Exit::Done);
            }
            Command::Status(status) => return status.run(&mut control, global).await,
            Command::History(history) => return history.run(&mut control, global).await,
            Command::Disagreements(disagreements) => return disagreements.run(&mut control, global).await,
            Command::Pause(named) => (RolloutChange::Pause, named),
            Command::Resume(named) => (RolloutChange::Resume, named),
            Command::Advance(named) => (RolloutChange::Advance, named),
            Command::Promote(named) => (RolloutChange::Promote, named),
            Command::Abort(named) => (RolloutChange::Abort, named),
        };
        let changed = control.change_rollout(&named.expert, change).await?;
        status::show(global, &[changed]);
        Ok(Exit::Done)
    }
}

/// e.g. `5 %`, of basis points
fn percent(weight: u32) -> String {
    format!("{} %", f64::from(weight) / 100.0)
}

/// `None` when the router did not say, or when no calendar has it.
fn time(at: Option<&prost_types::Timestamp>) -> Option<SystemTime> {
    at.and_then(|at| SystemTime::try_from(*at).ok())
}

/// e.g. `2026-03-01T12:00:00Z`; empty when it is not known.
fn stamp(at: Option<&prost_types::Timestamp>) -> String {
    time(at).map(|at| humantime::format_rfc3339_seconds(at).to_string()).unwrap_or_default()
}

/// e.g. `12m 30s`
fn since(at: Option<&prost_types::Timestamp>, now: SystemTime) -> String {
    // The router's clock may be ahead of ours.
    let elapsed = time(at).and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(elapsed.as_secs())).to_string()
}
