//! Experts and routers that are told to stop while they are asked: nobody notices.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::{
    future::{join, join_all},
    stream::{FuturesUnordered, StreamExt},
};
use nanogrid_serving::{Drain, Error, Health, Options, Server};
use nanogrid_telemetry::metrics::Registry;
use nanogrid_testkit::expert::{Behaviour, Profile, Script, own_host};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::support::*;

/// An expert behind the server that every expert has, with its drain.
struct Draining {
    address: SocketAddr,
    script: Script,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Error>>,
}

/// Enough for the news to cross the loopback interface, and for nothing else.
const SERVE_ON: Duration = Duration::from_millis(5);
/// Later than anything here takes.
const HARD_STOP: Duration = Duration::from_secs(60);

impl Draining {
    async fn start(listen: SocketAddr) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let drain = Drain { serve_on: SERVE_ON, hard_stop: HARD_STOP };
        let server = Server::bind(Options { listen, ops: any, max_message: 1 << 20, drain }).await.unwrap();
        let (address, health): (_, Health) = (server.local_addr(), server.health());
        health.set("intent", true);
        // Slow enough that calls are in flight at every moment.
        let answer = Behaviour::labels(&[("transfer", 0.9)]).after(Duration::from_millis(2));
        let script = Script::new(Profile::of("intent", 1, "text-classification"), answer);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(script.services(), None, Registry::new(), async {
            let _ = stopped.await;
        }));
        Self { address, script, stop, served }
    }

    /// Drains, and starts again on the same address; returns once it is asked again.
    async fn restarted(self) -> Self {
        let Self { address, script: _, stop, served } = self;
        let begun = Instant::now();
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        assert!(begun.elapsed() < HARD_STOP, "the connection did not end by itself");
        let again = Self::start(address).await;
        eventually("asked after a restart", || again.script.n_calls() > 0).await;
        again
    }
}

const N_DRAINS: usize = 1_000;
/// Two of each pair take turns, so that one of each pair is always there.
const N_PAIRS: usize = 12;
const N_CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_drains_under_load_lose_no_call() {
    let experts = join_all((0..2 * N_PAIRS).map(|_| Draining::start((own_host(), 0).into()))).await;
    let addresses = experts.iter().map(|expert| expert.address.to_string()).collect();
    let grid = Grid::start(&[entry_at("intent", addresses)]).await;

    let (done, n_drains, n_calls) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let client = async || {
        while !done.load(Ordering::Relaxed) {
            let answer = grid.infer(text_for(&["intent"])).await.expect("an answer");
            let drained = n_drains.load(Ordering::Relaxed);
            assert!(answer.missing.is_empty(), "after {drained} drains: {:?}", answer.missing);
            n_calls.fetch_add(1, Ordering::Relaxed);
            // A client thinks, too; without this the test is about the machine.
            sleep(Duration::from_millis(5)).await;
        }
    };
    let operator = async |[mut one, mut other]: [Draining; 2]| {
        while n_drains.fetch_add(1, Ordering::Relaxed) < N_DRAINS {
            one = one.restarted().await;
            std::mem::swap(&mut one, &mut other);
        }
        [one, other]
    };
    let mut experts = experts.into_iter();
    let pairs = std::iter::from_fn(|| Some([experts.next()?, experts.next()?]));
    let operators: FuturesUnordered<_> = pairs.map(operator).collect();
    let operators = async {
        // An expert that is dropped ends, and some clients are still to get their last answer.
        let experts: Vec<_> = operators.collect().await;
        done.store(true, Ordering::Relaxed);
        experts
    };
    let _experts = join(operators, join_all((0..N_CLIENTS).map(|_| client()))).await;
    assert!(n_calls.load(Ordering::Relaxed) > N_DRAINS, "that was no load");
}
