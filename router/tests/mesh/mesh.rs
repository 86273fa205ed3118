//! A whole grid in a simulated network, and what can be done to it.

use std::{cell::RefCell, fmt::Write as _, fs, rc::Rc, time::Duration};

use nanogrid_router::RouterServer;
use nanogrid_settings::RouterSettings;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::{Sim, net::TcpStream};

use crate::{
    checker::Checked,
    expert::{Expert, PORT},
    load::{self, Load, Recorder},
    network::{any, simulated},
    panics,
};

const ROUTER: &str = "router";
const GRPC: u16 = 8001;
const OPS: u16 = 8002;
/// Simulated time moves in steps of this: long enough that a minute takes seconds, short beside every time that matters.
const TICK: Duration = Duration::from_millis(2);
/// Of a message between router and expert, each way.
const LATENCY: Duration = Duration::from_millis(1);

/// Router, experts, client, and the time between them.
pub(crate) struct Mesh {
    sim: Sim<'static>,
    pub(crate) experts: Vec<Expert>,
    recorder: Recorder,
    /// Of each client.
    deadlines: Vec<Duration>,
    folder: Rc<TempDir>,
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// An expert in the grid file, all of its settings defaults.
pub(crate) struct Entry {
    expert: &'static str,
    replicas: usize,
}

pub(crate) fn replicas(expert: &'static str, replicas: usize) -> Entry {
    Entry { expert, replicas }
}

#[expect(clippy::disallowed_methods, reason = "for whoever runs a test, and no setting")]
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("MESH_SEED").map_or(7, |seed| seed.parse().expect("MESH_SEED is a number"));
    println!("MESH_SEED={seed}");
    seed
}

impl Mesh {
    /// Everything is up, and the router has found every endpoint ready.
    pub(crate) fn start(entries: &[Entry]) -> Self {
        Self::start_seeded(seed(), entries)
    }

    pub(crate) fn start_seeded(seed: u64, entries: &[Entry]) -> Self {
        panics::count();
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3_600))
            .min_message_latency(LATENCY)
            .max_message_latency(LATENCY)
            // Segments in a socket's buffer: never what a test is about.
            .tcp_capacity(4_096)
            .build();
        let folder = Rc::new(tempfile::tempdir().expect("a folder"));
        let recorder = Recorder::default();
        let mut mesh = Self { sim, experts: Vec::new(), recorder, deadlines: Vec::new(), folder };
        for entry in entries {
            for replica in 1..=entry.replicas {
                mesh.add_expert(entry.expert, replica);
            }
        }
        mesh.write(entries);
        mesh.add_router();
        mesh.pass(Duration::from_millis(200));
        mesh
    }

    /// The grid file.
    pub(crate) fn write(&self, entries: &[Entry]) {
        let mut file = String::new();
        for Entry { expert, replicas } in entries {
            let endpoints: Vec<String> =
                (1..=*replicas).map(|replica| format!("static://{expert}-{replica}:{PORT}")).collect();
            writeln!(file, "[[expert]]\nname = \"{expert}\"\ntask = \"text-classification\"").unwrap();
            writeln!(file, "[[expert.version]]\nversion = 1\nendpoints = {endpoints:?}").unwrap();
        }
        fs::write(self.folder.path().join("grid.toml"), file).expect("writable");
    }

    /// One more machine; its index is that in `experts`.
    pub(crate) fn add_expert(&mut self, expert: &'static str, replica: usize) {
        let expert = Expert::new(expert, replica);
        self.sim.host(expert.name.as_str(), expert.software());
        self.experts.push(expert);
    }

    fn add_router(&mut self) {
        let folder = self.folder.clone();
        self.sim.host(ROUTER, move || {
            let mut settings = RouterSettings {
                grid_file: folder.path().join("grid.toml"),
                classifier: None,
                ..RouterSettings::default()
            };
            settings.server.listen = any(GRPC);
            settings.server.ops = any(OPS);
            async move {
                let server = RouterServer::bind_in(simulated(), &settings).await?;
                server.serve(std::future::pending()).await?;
                Ok(())
            }
        });
    }

    /// One more client, from now on until [`Self::end`].
    pub(crate) fn load(&mut self, load: Load) {
        let recorder = self.recorder.clone();
        let address = format!("{ROUTER}:{GRPC}");
        self.deadlines.push(load.deadline);
        let client = format!("client-{}", self.deadlines.len());
        self.sim.client(client.as_str(), async move { load::run(&address, load, recorder).await });
        // Between them the network costs nothing, so that times are the router's.
        self.sim.set_link_latency(client.as_str(), ROUTER, Duration::ZERO);
    }

    /// Lets the grid run for so long; returns how many calls each expert saw in that time.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<usize> {
        let before: Vec<usize> = self.experts.iter().map(Expert::n_calls).collect();
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.sim.step().expect("no host ends with an error");
            for i in 0..self.experts.len() {
                if self.experts[i].has_drained() {
                    self.kill(i);
                }
            }
        }
        let calls = before.iter().zip(&self.experts).map(|(before, expert)| expert.n_calls() - before);
        calls.collect()
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// No further requests; every one of those sent has kept what is promised.
    pub(crate) fn end(mut self) -> (Checked, Vec<Expert>) {
        self.recorder.stopped.set(true);
        // Longer than any client waits.
        for _ in 0..60 {
            self.pass(Duration::from_millis(200));
            if self.recorder.in_flight.get() == 0 {
                break;
            }
        }
        assert_eq!(self.recorder.in_flight.get(), 0, "requests without an end");
        assert_eq!(panics::counted(), 0, "a task of router or expert has panicked");
        let longest = self.deadlines.iter().max();
        for call in self.experts.iter().flat_map(|expert| expert.script.seen()) {
            let limit =
                nanogrid_serving::deadline::parse(&call.metadata.into_headers()).expect("well-formed");
            assert!(limit.is_some() && limit.as_ref() <= longest, "told {limit:?} of {longest:?}");
        }
        (Checked::all(self.recorder.records.take()), self.experts)
    }

    /// The sum over all labels of a counter of the router, read as Prometheus does.
    pub(crate) fn counter(&mut self, name: &'static str) -> f64 {
        let read = Rc::new(RefCell::new(None));
        let (written, address) = (read.clone(), format!("{ROUTER}:{OPS}"));
        self.sim.client(format!("prometheus-{}", self.sim.elapsed().as_millis()), async move {
            let mut connection = TcpStream::connect(address).await?;
            connection
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: router\r\nconnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            written.replace(Some(answer));
            Ok(())
        });
        self.pass(ms(100));
        let metrics = read.take().expect("the router answers within that time");
        assert!(metrics.contains(&format!("# TYPE {name} ")), "there is no such metric: {name}\n{metrics}");
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        metrics.lines().filter(|line| line.starts_with(&format!("{name}_total"))).filter_map(value).sum()
    }

    /// As `kill -9`: the machine is there and refuses connections.
    pub(crate) fn kill(&mut self, i: usize) {
        self.experts[i].set_up(false);
        self.sim.bounce(self.experts[i].name.as_str());
    }

    /// The process again, on its machine, whether that is on or off.
    pub(crate) fn restart(&mut self, i: usize) {
        self.experts[i].set_up(true);
        self.sim.bounce(self.experts[i].name.as_str());
    }

    /// The machine is off: whoever asks it hears nothing.
    pub(crate) fn crash(&mut self, i: usize) {
        self.sim.crash(self.experts[i].name.as_str());
    }

    /// Nothing arrives, in either direction; what was on its way is lost.
    pub(crate) fn partition(&self, i: usize) {
        self.sim.partition(ROUTER, self.experts[i].name.as_str());
    }

    /// The expert hears, and nobody hears it.
    pub(crate) fn mute(&self, i: usize) {
        self.sim.partition_oneway(self.experts[i].name.as_str(), ROUTER);
    }

    pub(crate) fn repair(&self, i: usize) {
        self.sim.repair(ROUTER, self.experts[i].name.as_str());
    }

    /// Nothing arrives until `release`, and then everything does.
    pub(crate) fn hold(&self, i: usize) {
        self.sim.hold(ROUTER, self.experts[i].name.as_str());
    }

    pub(crate) fn release(&self, i: usize) {
        self.sim.release(ROUTER, self.experts[i].name.as_str());
    }
}
