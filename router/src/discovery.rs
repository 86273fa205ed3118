//! Where the grid comes from: a file, looked at again and again. A new state is checked whole and taken whole; a broken
//! one is refused, told and counted, and the one in use stays.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nanogrid_settings::{Error, Problem, Problems, grid};
use nanogrid_telemetry::metrics::RouterMetrics;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{cache::Caches, catalog::Catalog, classify::Classifier};

/// Keeps a catalog equal to a grid file.
#[derive(Debug)]
pub struct Discovery {
    path: PathBuf,
    catalog: Arc<Catalog>,
    caches: Arc<Caches>,
    classifier: Arc<Classifier>,
    metrics: RouterMetrics,
    /// Why the newest state was refused; empty when it was not. Held while a state is taken: one at a time.
    refused: Mutex<String>,
}

impl Discovery {
    /// Takes the file's first state, without which there is nothing to serve.
    pub fn start(
        path: PathBuf,
        catalog: Arc<Catalog>,
        caches: Arc<Caches>,
        classifier: Arc<Classifier>,
        metrics: RouterMetrics,
    ) -> Result<Self, Error> {
        let discovery = Self { path, catalog, caches, classifier, metrics, refused: Mutex::default() };
        discovery.take(&discovery.read()?);
        Ok(discovery)
    }

    /// Follows the file; never returns.
    pub async fn follow(&self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A refusal is told where it happens.
            let _ = self.reload();
        }
    }

    /// Looks at the file now. `Ok` says whether it has changed.
    pub fn reload(&self) -> Result<bool, Error> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read() {
            Ok(grid) => {
                refused.clear();
                let is_new = grid.sha256 != self.catalog.now().sha256;
                if is_new {
                    self.take(&grid);
                }
                Ok(is_new)
            }
            Err(error) => {
                let problems = error.to_string();
                // The same broken file is looked at every second, and told once.
                if *refused != problems {
                    self.metrics.reload_refused();
                    warn!(path = %self.path.display(), %problems, "grid file refused: the grid in use stays");
                    *refused = problems;
                }
                Err(error)
            }
        }
    }

    /// Why the newest state of the file was refused; empty when it was not.
    pub fn refused(&self) -> String {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the grid comes from.
    pub fn source(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> Result<grid::Grid, Error> {
        let grid = grid::Grid::read(&self.path)?;
        match self
            .catalog
            .beside_the_file()
            .filter(|name| grid.experts.iter().any(|expert| expert.name == **name))
        {
            None => Ok(grid),
            Some(name) => Err(Error::Invalid(Problems(vec![Problem {
                place: self.source(),
                key: format!("expert `{name}`"),
                message: "is the name of `escalation.openai` as well: give one of them another".to_owned(),
            }]))),
        }
    }

    fn take(&self, grid: &grid::Grid) {
        let grid = self.catalog.replace(grid);
        self.caches.keep(&grid);
        info!(generation = grid.generation, experts = grid.experts().count(), "grid in use");
        self.classifier.compare(&grid);
    }
}
