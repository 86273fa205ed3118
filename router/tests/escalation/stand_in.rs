//! A server with an OpenAI-compatible HTTP API on port 0, that answers as it is told and remembers what it was asked.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct StandIn {
    address: String,
    state: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

/// What it answers.
#[derive(Clone)]
pub(crate) enum Reply {
    /// At once.
    Now { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// When it is told to.
    Later(String),
}

/// One request.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

struct Shared {
    reply: Mutex<Reply>,
    seen: Mutex<Vec<Seen>>,
    n_left: AtomicUsize,
    go_on: Notify,
}

/// Counts a request whose sender has left.
struct Waiting(Arc<Shared>, bool);

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.1 {
            self.0.n_left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A chat completion with this text.
pub(crate) fn completion(text: &str) -> String {
    json!({
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "model": "large-1-of-today",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 },
    })
    .to_string()
}

impl Reply {
    pub(crate) fn text(text: &str) -> Self {
        Self::of(200, completion(text))
    }

    pub(crate) fn of(status: u16, body: impl Into<String>) -> Self {
        Self::Now { status, headers: Vec::new(), body: body.into() }
    }

    /// As such servers tell what is wrong.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::of(status, json!({ "error": { "message": message, "type": "x", "code": null } }).to_string())
    }

    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Now { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Now { status, headers, body }
            }
            later @ Self::Later(_) => later,
        }
    }
}

impl StandIn {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Shared {
            reply: Mutex::new(reply),
            seen: Mutex::default(),
            n_left: AtomicUsize::new(0),
            go_on: Notify::new(),
        });
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(state.clone());
        let serving = tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self { address, state, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn says(&self, reply: Reply) {
        *self.state.reply.lock().unwrap() = reply;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn n_seen(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// Requests whose sender went away before the answer.
    pub(crate) fn n_left(&self) -> usize {
        self.state.n_left.load(Ordering::SeqCst)
    }

    /// One of those that wait is answered.
    pub(crate) fn go_on(&self) {
        self.state.go_on.notify_one();
    }
}

async fn answer(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    state.seen.lock().unwrap().push(Seen { headers, body });
    let reply = state.reply.lock().unwrap().clone();
    match reply {
        Reply::Now { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        Reply::Later(text) => {
            let mut waiting = Waiting(state.clone(), false);
            state.go_on.notified().await;
            waiting.1 = true;
            Response::new(Body::from(completion(&text)))
        }
    }
}
