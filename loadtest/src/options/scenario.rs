//! `nanogrid-loadtest scenario`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{above_0, at_least_1};
use crate::scenario::{Place, Scenario, Setup};

/// Starts a small grid of its own from the programs beside this one, breaks it under load, and checks what clients see.
///
/// Exit codes: 0 = every promise was kept, 1 = one was not, 2 = a scenario could not be played.
#[derive(Clone, Debug, clap::Args)]
pub struct ScenarioOptions {
    /// Which; `all` = each of them in turn
    #[arg(required = true, value_name = "NAME", value_enum)]
    pub names: Vec<Choice>,
    /// At least so many requests
    #[arg(long, value_name = "N", default_value = "3000", value_parser = at_least_1)]
    pub requests: usize,
    /// Requests a second; fewer where that is more than half of what the grid can answer here. `overload` finds its own
    #[arg(long, value_name = "PER_SECOND", default_value = "200", value_parser = above_0)]
    pub rate: f64,
    /// Of each request
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub deadline: Duration,
    /// How long something is wrong, where that can be chosen [default: pause 5s, fail-fast 60s, overload 30s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub fault: Option<Duration>,
    /// The experts' packages
    #[arg(long, value_name = "FOLDER", default_value = "experts/catalog")]
    pub catalog: PathBuf,
    /// The router's own package
    #[arg(long, value_name = "FOLDER", default_value = "router/model/4")]
    pub classifier: PathBuf,
    /// Keep the grid files and the logs here
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// The reports as JSON
    #[arg(long)]
    pub json: bool,
}

/// One scenario, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Choice {
    One(Scenario),
    All,
}

impl ScenarioOptions {
    /// In the order given.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let of = |choice: &Choice| match choice {
            Choice::One(scenario) => vec![*scenario],
            Choice::All => Scenario::value_variants().to_vec(),
        };
        self.names.iter().flat_map(of).collect()
    }

    /// Where and how hard; the programs are those beside `program`.
    pub fn setup(&self, program: &Path) -> Setup {
        let Self { catalog, classifier, keep, .. } = self.clone();
        Setup {
            place: Place { catalog, classifier, keep, ..Place::beside(program) },
            rate: self.rate,
            requests: self.requests as u64,
            deadline: self.deadline,
            fault: self.fault,
        }
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        static CHOICES: LazyLock<Vec<Choice>> = LazyLock::new(|| {
            let each = Scenario::value_variants().iter().copied().map(Choice::One);
            each.chain([Choice::All]).collect()
        });
        &CHOICES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::One(scenario) => scenario.to_possible_value(),
            Self::All => Some(PossibleValue::new("all").help("Each of them in turn")),
        }
    }
}
