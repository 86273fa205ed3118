//! The API server: started once for all tests of this program, and gone with it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::json;

/// See the module.
#[derive(Debug)]
pub(crate) struct ApiServer {
    answer: Answer,
    /// It ends when its standard input does: with this process.
    _child: Child,
}

/// What it prints once it is ready.
#[derive(Debug, Deserialize)]
struct Answer {
    url: String,
    ca: PathBuf,
    token: String,
}

impl ApiServer {
    /// Builds it where that has not been done, which takes minutes; starts it with the first test.
    pub(crate) fn get() -> &'static Self {
        static SERVER: OnceLock<ApiServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let prepare = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/apiserver/prepare");
        let prepared = Command::new(prepare).stderr(Stdio::inherit()).output().expect("python3 is there");
        assert!(prepared.status.success(), "the API server cannot be built");
        let program = String::from_utf8(prepared.stdout).expect("a path");
        // The server removes it.
        let folder = tempfile::tempdir().expect("a folder").keep();
        let mut child = Command::new(program.trim())
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the API server starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("readable");
        let answer = serde_json::from_str(&line).expect("it says where it answers");
        Self { answer, _child: child }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.answer.url.strip_prefix("https://").expect("always so")
    }

    /// How somebody with this token, the administrator without one, reaches it at `address`.
    pub(crate) fn kubeconfig(&self, address: &str, namespace: &str, token: Option<&str>) -> String {
        let cluster =
            json!({ "server": format!("https://{address}"), "certificate-authority": self.answer.ca });
        let user = json!({ "token": token.unwrap_or(&self.answer.token) });
        let context = json!({ "cluster": "test", "user": "test", "namespace": namespace });
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": user }],
            "contexts": [{ "name": "test", "context": context }],
            "current-context": "test",
        })
        .to_string()
    }

    pub(crate) async fn client(&self, namespace: &str, token: Option<&str>) -> Client {
        let kubeconfig = self.kubeconfig(self.address(), namespace, token);
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).expect("JSON is YAML");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("complete")).expect("usable")
    }

    /// A namespace that no other test uses.
    pub(crate) async fn namespace(&self) -> String {
        static N_NAMESPACES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test-{}", N_NAMESPACES.fetch_add(1, Ordering::Relaxed));
        let namespaces: Api<Namespace> = Api::all(self.client("default", None).await);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("created");
        name
    }
}
