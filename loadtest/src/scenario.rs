//! Breaks a grid on purpose, under load, and says whether it kept its promises.
//!
//! Each scenario starts a small grid of its own from the programs beside this one: real processes, real signals, default
//! settings. What is promised is checked with what clients see; what the router counts of itself is shown beside it.

mod canary;
mod capacity;
mod deadlines;
mod down;
mod fail_fast;
mod front;
mod grid;
mod metrics;
mod overload;
mod process;
mod replicas;
pub mod report;
mod single;
mod steady;
mod upgrade;

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use canary::Trial;
use capacity::capacity;
use grid::Grid;
pub use grid::Place;
use replicas::Blow;
use report::Report;
use steady::SteadyLoad;

use crate::Error;
use crate::call::{Api, Ask, Prepared};
use crate::cases::{self, Case};

/// Of the run that finds the capacity.
const CAPACITY_OVER: Duration = Duration::from_secs(1);
/// What is left is room for retries, for starting processes, and for a machine that is busier later on.
const MOST_OF_CAPACITY: f64 = 0.5;

/// What is done to the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// `kill -9` of one of two replicas
    Kill,
    /// SIGSTOP of one of two replicas, SIGCONT some seconds later
    Pause,
    /// One of two replicas is restarted with SIGTERM
    Restart,
    /// Both replicas are restarted, one after the other
    Rolling,
    /// `kill -9` of the only replica
    Single,
    /// One of three replicas fails every call at once
    FailFast,
    /// All replicas fail, then all processes are gone
    Down,
    /// Three times as many requests as the grid can answer
    Overload,
    /// Clients with hopeless deadlines beside usual ones
    Deadlines,
    /// One expert goes from one version to the next
    Upgrade,
    /// A good version is tried against another
    CanaryGood,
    /// A version that refuses a tenth of its calls is tried
    CanaryErring,
    /// A version that is slow is tried
    CanarySlow,
}

/// Where and how hard.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the parts of the grid are found.
    pub place: Place,
    /// Requests a second, or fewer where the machine is too slow for them; some scenarios find their own.
    pub rate: f64,
    /// At least so many.
    pub requests: u64,
    /// Of each request.
    pub deadline: Duration,
    /// How long the fault lasts; `None` = as long as the scenario is meant to.
    pub fault: Option<Duration>,
}

impl Scenario {
    /// Starts a grid, breaks it, and tells what came of it.
    pub async fn run(self, setup: &Setup) -> Result<Report, Error> {
        let mut report = match self {
            Self::Kill => replicas::run(Blow::Kill, setup).await?,
            Self::Pause => replicas::run(Blow::Pause, setup).await?,
            Self::Restart => replicas::run(Blow::Restart, setup).await?,
            Self::Rolling => replicas::run(Blow::Rolling, setup).await?,
            Self::Single => single::run(setup).await?,
            Self::FailFast => fail_fast::run(setup).await?,
            Self::Down => down::run(setup).await?,
            Self::Overload => overload::run(setup).await?,
            Self::Deadlines => deadlines::run(setup).await?,
            Self::Upgrade => upgrade::run(setup).await?,
            Self::CanaryGood => canary::run(Trial::Good, setup).await?,
            Self::CanaryErring => canary::run(Trial::Erring, setup).await?,
            Self::CanarySlow => canary::run(Trial::Slow, setup).await?,
        };
        let value = self.to_possible_value().expect("no scenario is hidden");
        report.scenario = value.get_name().to_owned();
        Ok(report)
    }
}

impl Setup {
    /// With the programs beside `program`, as gentle as a machine of two cores needs it.
    pub fn beside(program: &Path) -> Self {
        Self {
            place: Place::beside(program),
            rate: 200.0,
            requests: 3000,
            deadline: Duration::from_secs(1),
            fault: None,
        }
    }

    /// The golden cases of `expert`, at least one.
    fn cases(&self, expert: &str) -> Result<Vec<Case>, Error> {
        let mut cases = cases::golden(&self.place.catalog, Some(expert))?;
        cases.retain(|case| !case.input.is_blank());
        if cases.is_empty() {
            let path = self.place.catalog.clone();
            return Err(Error::NoCases { path, expert: Some(expert.to_owned()) });
        }
        Ok(cases)
    }

    /// The same as messages, each asking for those `beside` it as well.
    fn inputs(&self, expert: &str, beside: &[&str]) -> Result<Vec<Prepared>, Error> {
        let ask = Ask::Beside(beside.iter().map(|name| (*name).to_owned()).collect());
        let cases = self.cases(expert)?;
        Ok(cases.into_iter().map(|case| Prepared::new(case, Api::Grid, &ask)).collect())
    }

    /// As messages whose answers may be any: two versions answer, each in its own way.
    fn unchecked_inputs(&self, expert: &str) -> Result<Vec<Prepared>, Error> {
        let mut cases = self.cases(expert)?;
        cases.iter_mut().for_each(|case| case.expected.clear());
        Ok(cases.into_iter().map(|case| Prepared::new(case, Api::Grid, &Ask::EachItsOwn)).collect())
    }

    /// As much load as is asked for, or as `grid` can bear with ease where that is less: what fails for want of processor
    /// time fails no promise of a grid.
    async fn load(&self, grid: &Grid, inputs: Vec<Prepared>) -> Result<SteadyLoad, Error> {
        let capacity = capacity(grid, inputs.clone(), self.deadline, CAPACITY_OVER).await?;
        let rate = self.rate.min((capacity * MOST_OF_CAPACITY).max(1.0).floor());
        Ok(SteadyLoad { inputs, rate, requests: self.requests, deadline: self.deadline })
    }
}
