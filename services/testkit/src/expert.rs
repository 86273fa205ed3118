//! Scripted experts: servers that answer whatever a test wants, and remember what they were asked.
//!
//! A [`Script`] is what such an expert does; a simulation serves it in its own network. A [`ScriptedExpert`] serves one on a
//! real port, on a runtime of its own, so that [`ScriptedExpert::kill`] is as sudden as `kill -9`: every socket closes,
//! nobody says goodbye.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use nanogrid_proto::{
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::{Data, Tensor},
    v1::PackageInfo,
};
use nanogrid_serving::Services;
use tokio::{runtime::Runtime, sync::watch};
use tonic::{Status, metadata::MetadataMap};

mod service;

/// A script that is served on a real port.
#[derive(Debug)]
pub struct ScriptedExpert {
    address: SocketAddr,
    script: Script,
    runtime: Option<Runtime>,
}

/// What an expert does, and what it has seen. Clones share both.
#[derive(Clone, Debug)]
pub struct Script(Arc<Shared>);

/// What a scripted expert says it is.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Served by the process, in its own words.
    pub packages: Vec<PackageInfo>,
    /// Answers `ExpertInfo`; other people's servers do not.
    pub has_info: bool,
    /// Answers gRPC health; some servers do not.
    pub has_health: bool,
}

/// How a scripted expert answers a call.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Waits this long first.
    pub delay: Duration,
    /// Then does this.
    pub reply: Reply,
}

/// What a scripted expert gives back.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These outputs, and these stage times as parameters (name, microseconds).
    Tensors(Vec<Tensor>),
    /// This message as it is.
    Message(Box<ModelInferResponse>),
    /// An error.
    Status(Status),
    /// Nothing, ever.
    Hang,
}

/// A call as the expert saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The message.
    pub message: ModelInferRequest,
    /// Its metadata.
    pub metadata: MetadataMap,
}

#[derive(Debug)]
struct Shared {
    profile: Mutex<Profile>,
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    serving: watch::Sender<bool>,
    n_answered: AtomicUsize,
    n_dropped: AtomicUsize,
    n_connections: AtomicUsize,
}

impl Profile {
    /// One version of one expert, in nanogrid's own way.
    pub fn of(name: &str, version: u32, task: &str) -> Self {
        let package = PackageInfo {
            name: name.to_owned(),
            version: version.to_string(),
            task: task.to_owned(),
            model_sha256: digest(name, version),
            ready: true,
            ..PackageInfo::default()
        };
        Self { packages: vec![package], has_info: true, has_health: true }
    }
}

/// The digest that [`Profile::of`] gives a model: 64 hex digits that mean nothing.
pub fn digest(name: &str, version: u32) -> String {
    let word = name.bytes().fold(u64::from(version), |word, byte| word.wrapping_mul(31) + u64::from(byte));
    format!("{word:064x}")
}

impl Behaviour {
    /// Labels with scores for one row, best first.
    pub fn labels(labels: &[(&str, f32)]) -> Self {
        let names = labels.iter().map(|(label, _)| Bytes::copy_from_slice(label.as_bytes())).collect();
        let scores = labels.iter().map(|(_, score)| *score).collect();
        Self::tensors(vec![
            Tensor { name: "label".to_owned(), shape: vec![1, labels.len()], data: Data::Bytes(names) },
            Tensor { name: "score".to_owned(), shape: vec![1, labels.len()], data: Data::F32(scores) },
        ])
    }

    /// These outputs.
    pub fn tensors(outputs: Vec<Tensor>) -> Self {
        Reply::Tensors(outputs).into()
    }

    /// This error.
    pub fn fails(status: Status) -> Self {
        Reply::Status(status).into()
    }

    /// No answer, ever.
    pub fn hangs() -> Self {
        Reply::Hang.into()
    }

    /// The same, so much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

impl From<Reply> for Behaviour {
    fn from(reply: Reply) -> Self {
        Self { delay: Duration::ZERO, reply }
    }
}

impl ScriptedExpert {
    /// Serves on a host of its own.
    ///
    /// # Panics
    /// When it has no free port.
    pub fn start(profile: Profile, behaviour: Behaviour) -> Self {
        Self::start_on(own_host(), profile, behaviour)
    }

    /// The same on this one of the machine's addresses.
    ///
    /// # Panics
    /// When the address is not this machine's, or has no free port.
    pub fn start_on(host: Ipv4Addr, profile: Profile, behaviour: Behaviour) -> Self {
        let script = Script::new(profile, behaviour);
        let (address, runtime) = listen(SocketAddr::from((host, 0)), &script);
        Self { address, script, runtime: Some(runtime) }
    }

    /// `host:port`; the same after a restart.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Closes every socket at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Serves again, on the same port. The system may take a moment to free it.
    ///
    /// # Panics
    /// When the port stays taken.
    pub fn restart(&mut self) {
        self.kill();
        self.runtime = Some(listen(self.address, &self.script).1);
    }
}

impl Deref for ScriptedExpert {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}

impl Script {
    /// Not served yet.
    pub fn new(profile: Profile, behaviour: Behaviour) -> Self {
        Self(Arc::new(Shared {
            profile: Mutex::new(profile),
            behaviour: Mutex::new(behaviour),
            seen: Mutex::default(),
            serving: watch::Sender::new(true),
            n_answered: AtomicUsize::new(0),
            n_dropped: AtomicUsize::new(0),
            n_connections: AtomicUsize::new(0),
        }))
    }

    /// To be served as production serves; health is then the server's own.
    pub fn services(&self) -> Services {
        service::services(self)
    }

    /// From the next call on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.0.behaviour) = behaviour;
    }

    /// From the next connection on.
    pub fn be(&self, profile: Profile) {
        *lock(&self.0.profile) = profile;
    }

    /// What its health says, to those who watch as well.
    pub fn set_serving(&self, serving: bool) {
        self.0.serving.send_replace(serving);
    }

    /// Every call so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.0.seen).clone()
    }

    /// Calls so far.
    pub fn n_calls(&self) -> usize {
        lock(&self.0.seen).len()
    }

    /// Calls that got an answer.
    pub fn n_answered(&self) -> usize {
        self.0.n_answered.load(Ordering::SeqCst)
    }

    /// Connections that were ever made.
    pub fn n_connections(&self) -> usize {
        self.0.n_connections.load(Ordering::SeqCst)
    }

    /// Calls whose caller left before the answer.
    pub fn n_dropped(&self) -> usize {
        self.0.n_dropped.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedExpert {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the many addresses of the loopback interface, given out once. Whoever restarts there finds its port free: the
/// system gives the ports of 127.0.0.1 to everybody's connections, and nobody ever those of another address.
pub fn own_host() -> Ipv4Addr {
    static N_GIVEN: AtomicU32 = AtomicU32::new(0);
    let n_given = N_GIVEN.fetch_add(1, Ordering::Relaxed);
    // 127.64.0.0 to 127.127.255.255; programs that run at the same time begin far from each other.
    let offset = std::process::id().wrapping_mul(7919).wrapping_add(n_given) % (1 << 22);
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 0).to_bits() + offset)
}

fn listen(address: SocketAddr, script: &Script) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    // A killed runtime closes its sockets in the background.
    let listener =
        (0..1_000).find_map(|_| TcpListener::bind(address).inspect_err(|_| std::thread::yield_now()).ok());
    let listener = listener.unwrap_or_else(|| panic!("{address} is taken"));
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    runtime.spawn(service::serve(listener, script.clone()));
    (address, runtime)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
