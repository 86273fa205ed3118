//! A scripted expert on a simulated machine: production's server around a script.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use nanogrid_serving::{Drain, Options, Server};
use nanogrid_telemetry::metrics::Registry;
use nanogrid_testkit::expert::{Behaviour, Profile, Script};
use tokio::sync::Notify;

use crate::network::{any, simulated};

/// Where experts listen.
pub(crate) const PORT: u16 = 7000;
/// How long a healthy expert thinks.
pub(crate) const USUAL: Duration = Duration::from_millis(5);

pub(crate) fn answer() -> Behaviour {
    Behaviour::labels(&[("transfer", 0.9)]).after(USUAL)
}

/// A machine with the process of a scripted expert.
pub(crate) struct Expert {
    /// Of the machine.
    pub(crate) name: String,
    pub(crate) script: Script,
    serves: &'static str,
    process: Rc<Process>,
}

/// What outlives the process.
#[derive(Default)]
struct Process {
    is_up: Cell<bool>,
    drain: RefCell<Rc<Notify>>,
    has_drained: Cell<bool>,
}

impl Expert {
    /// Up.
    pub(crate) fn new(serves: &'static str, replica: usize) -> Self {
        let script = Script::new(Profile::of(serves, 1, "text-classification"), answer());
        let process = Rc::new(Process { is_up: Cell::new(true), ..Process::default() });
        Self { name: format!("{serves}-{replica}"), script, serves, process }
    }

    /// What the machine runs each time that it is started: the process, if it is to be up.
    pub(crate) fn software(&self) -> impl Fn() -> BoxedSoftware + use<> {
        let (serves, script, process) = (self.serves, self.script.clone(), self.process.clone());
        move || Box::pin(run(serves, script.clone(), process.clone()))
    }

    pub(crate) fn n_calls(&self) -> usize {
        self.script.n_calls()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_up.get()
    }

    /// From the machine's next start on.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.process.is_up.set(is_up);
    }

    /// As SIGTERM.
    pub(crate) fn drain(&self) {
        self.process.drain.borrow().notify_one();
    }

    /// Has its process ended since this was asked last?
    pub(crate) fn has_drained(&self) -> bool {
        self.process.has_drained.take()
    }
}

type BoxedSoftware = Pin<Box<dyn Future<Output = turmoil::Result>>>;

async fn run(serves: &'static str, script: Script, process: Rc<Process>) -> turmoil::Result {
    if process.is_up.get() {
        let drain = Rc::new(Notify::new());
        process.drain.replace(drain.clone());
        let options = Options {
            listen: any(PORT),
            ops: any(PORT + 1),
            max_message: 4 << 20,
            drain: Drain { serve_on: Duration::from_secs(3), hard_stop: Duration::from_secs(20) },
        };
        let server = Server::bind_in(&simulated(), options).await?;
        server.health().set(serves, true);
        server.serve(script.services(), None, Registry::new(), drain.notified()).await?;
        process.has_drained.set(true);
    }
    // A machine without the process is still there, and refuses connections.
    std::future::pending().await
}
