//! The way into a server that can do only so much at once: an adaptive limit, and in front of it a short queue.
//!
//! ```text
//! enter --room in the limit--------------------------> Permit --succeeded | dropped--> out
//!    \--room in the queue--> waits --somebody leaves-->--/
//!     \                        `--stood too long: shed; deadline passed or doomed: DeadlineExceeded
//!      `--neither: shed
//! ```
//!
//! Both the limit and the queue keep room for what is more important ([`Criticality`]), and nobody is turned away while
//! somebody less important waits. Whoever leaves makes way for the most important one who waits: the oldest of them usually,
//! the newest under overload ([`CoDel`](crate::CoDel)). Nothing here waits for
//! anything but a permit, and a future that is dropped leaves nothing behind.

#[cfg(test)]
mod simulation;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use self::state::{Entered, State};
use crate::{Criticality, LimitSettings};

/// How a gate lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// How many are inside at once.
    pub limit: LimitSettings,
    /// How many may ever wait.
    pub queue: usize,
    /// How long they may wait once the queue no longer empties.
    pub target: Duration,
}

/// A limit and the queue in front of it.
#[derive(Debug)]
pub struct Gate(Mutex<State>);

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is more work than can be done.
    Shed {
        /// Where it was turned away.
        reason: ShedReason,
        /// About when there will be room for its class.
        retry_after: Duration,
    },
    /// Its deadline passed while it waited, or is too near for any answer.
    DeadlineExceeded,
}

/// Where somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShedReason {
    /// At the door, or for somebody more important: the queue has no room for its class.
    Full,
    /// In the queue, which stood still for too long.
    Waited,
}

/// A gate at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateNow {
    /// How many may be inside.
    pub limit: usize,
    /// How many are.
    pub in_flight: usize,
    /// How many wait for that.
    pub waiting: usize,
    /// Whether the queue stands: the newest are served first, and the oldest given up.
    pub overloaded: bool,
}

/// The right to be inside. Dropped without a success it makes way. Before its deadline that teaches nothing: callers leave as
/// they like. After it, it is a missed deadline.
#[derive(Debug)]
#[must_use = "a permit dropped at once lets nobody in"]
pub struct Permit {
    /// `None` once it has been given back.
    gate: Option<Arc<Gate>>,
    asked: Instant,
    granted: Instant,
    deadline: Option<Instant>,
}

impl Gate {
    /// An empty one.
    pub fn new(settings: GateSettings) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::new(settings))))
    }

    /// Lets in, now or after a wait. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// At once when there is no room for the class, later when the wait took too long.
    pub async fn enter(
        self: &Arc<Self>,
        class: Criticality,
        deadline: Option<Instant>,
    ) -> Result<Permit, Refused> {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Refused::DeadlineExceeded);
        }
        let entered = self.state().enter(self, class, deadline, now);
        let turn = match entered {
            Entered::In(permit) => return Ok(permit),
            Entered::Out(refused) => return Err(refused),
            Entered::Waits(turn) => turn,
        };
        let answer = match deadline {
            Some(deadline) => timeout_at(deadline, turn).await.map_err(|_| Refused::DeadlineExceeded)?,
            None => turn.await,
        };
        // The other end is in this gate, which the caller holds, so it is there until it has answered.
        answer.unwrap_or(Err(Refused::DeadlineExceeded))
    }

    /// How it stands.
    pub fn now(&self) -> GateNow {
        self.state().now()
    }

    /// Held for some tens of nanoseconds, never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// How long it was waited for.
    pub fn waited(&self) -> Duration {
        self.granted.duration_since(self.asked)
    }

    /// When it was given.
    pub fn granted(&self) -> Instant {
        self.granted
    }

    /// Answered; `own` is the time that the work in it took.
    pub fn succeeded(mut self, own: Duration) {
        let Some(gate) = self.gate.take() else { return };
        let now = Instant::now();
        gate.state().succeeded(&gate, now.duration_since(self.granted), own, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.state().gave_up(&gate, self.granted, self.deadline, Instant::now());
        }
    }
}
