//! A bigger model behind an OpenAI-compatible HTTP API (`POST /v1/chat/completions`), as an expert of the task `text-to-text`.
//!
//! What comes in and goes out are messages of the Open Inference Protocol, and gRPC statuses: for the rest of the router this
//! is one more connection to an expert. It has the deadline, the breaker, the metrics and the place in an answer that every
//! expert has. Three things are its own, since each call costs money and takes seconds: a bound on the requests that are on
//! their way, no second try of what the server may have seen, and a rest when the server says for how long to stay away.

mod chat;
mod refusal;

use std::{
    error::Error as StdError,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::TokioExecutor,
};
use nanogrid_proto::inference::{ModelInferRequest, ModelInferResponse};
use nanogrid_settings::{ApiKey, OpenAiSettings};
use nanogrid_telemetry::{names::attribute, propagation};
use rustls::{ClientConfig, RootCertStore};
use tokio::{sync::Semaphore, time::Instant};
use tonic::{ConnectError, Response, Status};
use tracing::{Span, field::Empty, info_span, warn};

/// The server, the model and the key. One for the whole process: it holds the connections.
#[derive(Debug)]
pub struct OpenAi {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    /// `host:port`
    address: Arc<str>,
    host: String,
    port: u16,
    headers: HeaderMap,
    key: Option<ApiKey>,
    asked: chat::Model,
    max_response_bytes: usize,
    places: Semaphore,
    /// The server said not to ask before.
    not_before: ArcSwapOption<Instant>,
}

/// For a client that finds every place taken. How long the answers on their way will take, nobody knows.
const FULL_FOR: Duration = Duration::from_secs(1);

impl OpenAi {
    /// Reads the key, and connects to nobody yet. Fails with one sentence for people when the server cannot be asked like this.
    pub fn new(settings: &OpenAiSettings) -> Result<Self, String> {
        let uri: Uri = format!("{}/v1/chat/completions", settings.url)
            .parse()
            .map_err(|error| format!("url: is no URL: {error}"))?;
        let authority = uri.authority().ok_or("url: must have a host")?;
        // Not told what it is: that would tell the password.
        if authority.as_str().contains('@') {
            return Err("url: must hold no name and password: use `api-key` or `api-key-file`".to_owned());
        }
        if uri.query().is_some() {
            return Err(format!("url: must end with a path: `{}`", settings.url));
        }
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let host = authority.host().to_owned();
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let key = settings.api_key().map_err(|error| error.to_string())?;
        if key.is_some() && !is_https {
            warn!(%host, "the API key of `escalation.openai` is sent without encryption: use an https:// URL");
        }
        let connector = HttpsConnectorBuilder::new().with_tls_config(trust(is_https)?);
        let connector = connector.https_or_http().enable_all_versions().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address: format!("{host}:{port}").into(),
            host,
            port,
            headers: headers(key.as_ref())?,
            key,
            asked: chat::Model {
                name: settings.model.clone(),
                system: settings.system.clone(),
                max_tokens: settings.max_tokens.get(),
            },
            max_response_bytes: settings.max_response_bytes.get(),
            places: Semaphore::new(settings.max_in_flight.get().min(Semaphore::MAX_PERMITS)),
            not_before: ArcSwapOption::empty(),
            uri,
        })
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// One line for tables.
    pub(crate) fn title(&self) -> String {
        format!("the model `{}`, for what nobody here suits", self.asked.name)
    }

    /// The span of the `number`-th try, as OpenTelemetry's conventions for generative AI have it.
    pub(crate) fn span(&self, number: u32, kind: &'static str) -> Span {
        info_span!(
            "attempt",
            otel.name = format!("chat {}", self.asked.name),
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "openai",
            gen_ai.request.model = self.asked.name,
            gen_ai.request.max_tokens = self.asked.max_tokens,
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            http.request.method = "POST",
            http.response.status_code = Empty,
            rpc.status_code = Empty,
            server.address = self.host,
            server.port = self.port,
            nanogrid.attempt = number,
            nanogrid.attempt.kind = kind,
        )
    }

    /// One chat completion for the one text in `message`. Dropped, it ends the HTTP request.
    ///
    /// A failure has the code that an expert would have given: UNAVAILABLE where another try later may help,
    /// RESOURCE_EXHAUSTED where too many are on their way from here, FAILED_PRECONDITION where the settings are to blame,
    /// INVALID_ARGUMENT where the text is, INTERNAL where the server broke.
    pub(crate) async fn infer(
        &self,
        message: ModelInferRequest,
        span: &Span,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.may_ask_now()?;
        let _place = self.places.try_acquire().map_err(|_| {
            let words = "as many requests as `escalation.openai.max-in-flight` allows are on their way to it";
            refusal::later(Status::resource_exhausted(words), FULL_FOR)
        })?;
        let question = chat::question(&message)?;
        let request = self.request(&question, span)?;
        let started = Instant::now();
        let (head, body) = self.client.request(request).await.map_err(not_reached)?.into_parts();
        span.record(attribute::HTTP_RESPONSE_STATUS_CODE, head.status.as_u16());
        let body = self.read(body).await;
        if !head.status.is_success() {
            // What a refusal says besides its status is told when it can be read, and else left out.
            return Err(self.refused(head.status, &head.headers, &body.unwrap_or_default()));
        }
        let completion = chat::completion(&body?)?;
        record(span, &completion);
        completion.into_response(message, started.elapsed()).map(Response::new)
    }

    fn request(&self, question: &chat::Question, span: &Span) -> Result<Request<Full<Bytes>>, Status> {
        let body = self.asked.request(question)?;
        let mut request = Request::post(self.uri.clone())
            .body(Full::from(body))
            .map_err(|error| Status::internal(error.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        propagation::inject(span, request.headers_mut());
        Ok(request)
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Status> {
        match Limited::new(body, self.max_response_bytes).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(broken("the answer broke off", Arc::new(*error))),
                Err(_too_long) => Err(Status::internal(format!(
                    "its answer is longer than `escalation.openai.max-response-bytes`: {}",
                    self.max_response_bytes
                ))),
            },
        }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Status {
        let wait = refusal::retry_after(headers, SystemTime::now());
        if let Some(wait) = wait.filter(|_| refusal::is_for_now(status)) {
            self.not_before.store(Some(Arc::new(Instant::now() + wait)));
        }
        refusal::status(status, wait, body, self.key.as_ref())
    }

    fn may_ask_now(&self) -> Result<(), Status> {
        let not_before = self.not_before.load();
        let left = not_before.as_ref().map(|at| at.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            None => Ok(()),
            Some(left) => {
                let words = format!("it asked not to be asked again so soon: {left:.0?} are left");
                Err(refusal::later(Status::unavailable(words), left))
            }
        }
    }
}

fn headers(key: Option<&ApiKey>) -> Result<HeaderMap, String> {
    let json = HeaderValue::from_static("application/json");
    let agent = HeaderValue::from_static(concat!("nanogrid/", env!("CARGO_PKG_VERSION")));
    let mut headers =
        HeaderMap::from_iter([(CONTENT_TYPE, json.clone()), (ACCEPT, json), (USER_AGENT, agent)]);
    if let Some(key) = key {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()));
        let mut value = value.map_err(|_| "api-key: holds what no HTTP header can: check where it ends")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// What this machine trusts; nobody where nothing is encrypted, so that a machine without certificates can do that.
fn trust(is_https: bool) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder();
    if !is_https {
        return Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    match config.try_with_platform_verifier() {
        Ok(config) => Ok(config.with_no_client_auth()),
        Err(error) => {
            Err(format!("url: nothing to know a server by: {error}; SSL_CERT_FILE can name certificates"))
        }
    }
}

/// No connection: nobody has seen the request. Anything else may have happened after it was read.
fn not_reached(error: ClientError) -> Status {
    if error.is_connect() {
        broken("no connection", Arc::new(ConnectError(error.into())))
    } else {
        broken("the connection broke", Arc::new(error))
    }
}

fn broken(what: &str, source: Arc<dyn StdError + Send + Sync>) -> Status {
    let mut innermost: &(dyn StdError + 'static) = &*source;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let mut status = Status::unavailable(format!("{what}: {innermost}"));
    status.set_source(source);
    status
}

fn record(span: &Span, completion: &chat::Completion) {
    span.record(attribute::GEN_AI_RESPONSE_MODEL, completion.model());
    span.record(attribute::GEN_AI_RESPONSE_FINISH_REASONS, completion.finish_reason());
    if let Some(usage) = completion.usage() {
        span.record(attribute::GEN_AI_USAGE_INPUT_TOKENS, usage.prompt_tokens);
        span.record(attribute::GEN_AI_USAGE_OUTPUT_TOKENS, usage.completion_tokens);
    }
}
