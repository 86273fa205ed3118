//! Names of metrics, spans, fields and labels, in one place: dashboards and alerts are written against them.
//!
//! Names of RPC telemetry are those of the OpenTelemetry semantic conventions, names of inference counters are
//! Triton's; what neither has is `nanogrid_*` (metrics) and `nanogrid.*` (attributes).

/// Attributes of spans, as OpenTelemetry's conventions (RPC, HTTP, generative AI) and our own namespace have them.
///
/// `tracing` takes field names as literals in its macros; these are for code that records them later.
pub mod attribute {
    /// Always `grpc` here.
    pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
    /// `package.Service/Method`.
    pub const RPC_METHOD: &str = "rpc.method";
    /// Name of the gRPC status, e.g. `DEADLINE_EXCEEDED`.
    pub const RPC_STATUS_CODE: &str = "rpc.status_code";
    /// Present on failures only: the status, or what else went wrong.
    pub const ERROR_TYPE: &str = "error.type";
    /// Logical host of the server asked.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// Port of the server asked.
    pub const SERVER_PORT: &str = "server.port";
    /// The peer's address on the network.
    pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// `server`, `client` or `internal`; read by the OpenTelemetry layer.
    pub const OTEL_KIND: &str = "otel.kind";
    /// The span's name in the trace; read by the OpenTelemetry layer.
    pub const OTEL_NAME: &str = "otel.name";
    /// `ok` or `error`; read by the OpenTelemetry layer.
    pub const OTEL_STATUS_CODE: &str = "otel.status_code";
    /// Name of an expert.
    pub const EXPERT: &str = "nanogrid.expert";
    /// Version of an expert's model.
    pub const MODEL_VERSION: &str = "nanogrid.model.version";
    /// sha256 of an expert's model.
    pub const MODEL_DIGEST: &str = "nanogrid.model.digest";
    /// The verdict on a request.
    pub const ROUTE_DECISION: &str = "nanogrid.route.decision";
    /// Confidence of the classifier in its first choice.
    pub const ROUTE_CONFIDENCE: &str = "nanogrid.route.confidence";
    /// Number of experts asked.
    pub const ROUTE_SET_SIZE: &str = "nanogrid.route.set_size";
    /// Who is shed first.
    pub const CRITICALITY: &str = "nanogrid.criticality";
    /// Seconds that were left when the work was done; negative = too late.
    pub const DEADLINE_SLACK: &str = "nanogrid.deadline.slack";
    /// Which try of a call this is, counted from 1.
    pub const ATTEMPT: &str = "nanogrid.attempt";
    /// Status of an HTTP answer.
    pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// The model that a generative server says has answered.
    pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Why it stopped, e.g. `stop` or `length`.
    pub const GEN_AI_RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Tokens of the prompt.
    pub const GEN_AI_USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer.
    pub const GEN_AI_USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Which degraded mode the answer was made in.
    pub const DEGRADED: &str = "nanogrid.degraded";
}

/// Names of spans that are not named after a method.
pub mod span {
    /// Deciding which experts to ask.
    pub const ROUTE: &str = "route";
    /// Waiting for a free worker.
    pub const QUEUE: &str = "queue";
    /// Inside ONNX Runtime.
    pub const ORT_RUN: &str = "ort.run";
}

/// Metrics, without the suffixes that the text format adds (`_total`, `_bucket`, unit).
pub mod metric {
    /// Histogram: calls as the server saw them.
    pub const RPC_SERVER_CALL_DURATION: &str = "rpc_server_call_duration";
    /// Histogram: calls as the client saw them.
    pub const RPC_CLIENT_CALL_DURATION: &str = "rpc_client_call_duration";
    /// Gauge: calls being answered now.
    pub const RPC_SERVER_IN_FLIGHT: &str = "nanogrid_rpc_server_in_flight";
    /// Gauge: calls waiting for an answer now.
    pub const RPC_CLIENT_IN_FLIGHT: &str = "nanogrid_rpc_client_in_flight";
    /// Counter: handlers that panicked.
    pub const PANICS: &str = "nanogrid_panics";
    /// Counter: spans that no collector took.
    pub const SPANS_LOST: &str = "nanogrid_spans_lost";

    /// Requests answered.
    pub const NV_REQUEST_SUCCESS: &str = "nv_inference_request_success";
    /// Requests not answered, by reason.
    pub const NV_REQUEST_FAILURE: &str = "nv_inference_request_failure";
    /// Rows inferred.
    pub const NV_COUNT: &str = "nv_inference_count";
    /// Batches run.
    pub const NV_EXEC_COUNT: &str = "nv_inference_exec_count";
    /// Requests waiting or being answered.
    pub const NV_PENDING: &str = "nv_inference_pending_request_count";
    /// Time of requests, in all.
    pub const NV_REQUEST_DURATION: &str = "nv_inference_request_duration_us";
    /// Time in the queue.
    pub const NV_QUEUE_DURATION: &str = "nv_inference_queue_duration_us";
    /// Time before the model: tokenising, decoding.
    pub const NV_INPUT_DURATION: &str = "nv_inference_compute_input_duration_us";
    /// Time in the model.
    pub const NV_INFER_DURATION: &str = "nv_inference_compute_infer_duration_us";
    /// Time after the model: ranking, encoding.
    pub const NV_OUTPUT_DURATION: &str = "nv_inference_compute_output_duration_us";
    /// How long the model took to load and warm up.
    pub const NV_LOAD_DURATION: &str = "nv_model_load_duration_secs";
    /// Histogram: seconds per stage of an expert.
    pub const EXPERT_STAGE_DURATION: &str = "nanogrid_expert_stage_duration";
    /// Histogram: rows per batch.
    pub const BATCH_ROWS: &str = "nanogrid_batch_rows";
    /// Gauge: requests to an expert that may be worked on at once.
    pub const EXPERT_LIMIT: &str = "nanogrid_limit";
    /// Gauge: requests to an expert that are worked on now.
    pub const EXPERT_IN_FLIGHT: &str = "nanogrid_limit_in_flight";
    /// Gauge: requests to an expert that wait for their turn.
    pub const EXPERT_WAITING: &str = "nanogrid_limit_waiting";
    /// Histogram: seconds left to a deadline at an expert's begin and end; below 0 = too late.
    pub const DEADLINE_SLACK: &str = "nanogrid_deadline_slack";
    /// Gauge: 1 when the model is loaded and warm.
    pub const EXPERT_READY: &str = "nanogrid_expert_ready";
    /// Counter: packages given to the process that cannot be served.
    pub const PACKAGES_REFUSED: &str = "nanogrid_packages_refused";

    /// Counter: decisions by verdict and by who decided.
    pub const DECISIONS: &str = "nanogrid_decisions";
    /// Histogram: seconds per stage of the router.
    pub const ROUTER_STAGE_DURATION: &str = "nanogrid_router_stage_duration";
    /// Counter: replies, by how much of the answer is there.
    pub const ANSWERS: &str = "nanogrid_answers";
    /// Counter: calls to experts, by what became of them.
    pub const OUTCOMES: &str = "nanogrid_outcomes";
    /// Histogram: seconds of calls to experts.
    pub const CALL_DURATION: &str = "nanogrid_call_duration";
    /// Counter: what clients said about answers.
    pub const FEEDBACK: &str = "nanogrid_feedback";
    /// Counter: requests that the classifier could not look at.
    pub const CLASSIFIER_UNAVAILABLE: &str = "nanogrid_classifier_unavailable";
    /// Counter: requests that went to the bigger model, by what became of them.
    pub const ESCALATIONS: &str = "nanogrid_router_escalations";
    /// Gauge: labels of the classifier that are no experts of the grid in use.
    pub const CLASSIFIER_LABELS_IGNORED: &str = "nanogrid_classifier_labels_ignored";
    /// Gauge: 1 for the state an endpoint is in.
    pub const ENDPOINT_STATE: &str = "nanogrid_endpoint_state";
    /// Gauge: a canary's share of the live traffic, 0 to 1.
    pub const ROLLOUT_WEIGHT: &str = "nanogrid_rollout_weight";
    /// Gauge: evidence that a canary is worse, as a decimal logarithm.
    pub const ROLLOUT_EVIDENCE: &str = "nanogrid_rollout_log10_evidence";
    /// Counter: what rollouts did, by event.
    pub const ROLLOUT_EVENTS: &str = "nanogrid_rollout_events";
    /// Counter: states of rollouts that could not be saved.
    pub const ROLLOUT_SAVE_FAILED: &str = "nanogrid_rollout_save_failed";
    /// Gauge: 1 on the router that decides on rollouts that several share.
    pub const ROLLOUT_LEADER: &str = "nanogrid_rollout_leader";
    /// Gauge: counts the grids accepted.
    pub const GRID_GENERATION: &str = "nanogrid_grid_generation";
    /// Counter: new grid files that were not valid.
    pub const GRID_RELOAD_REFUSED: &str = "nanogrid_grid_reload_refused";

    /// Counter: tries of calls, by kind.
    pub const ATTEMPTS: &str = "nanogrid_attempts";
    /// Counter: retries that were not made, by reason.
    pub const RETRIES_DENIED: &str = "nanogrid_retries_denied";
    /// Counter: second endpoints for slow calls, by what became of them.
    pub const HEDGES: &str = "nanogrid_hedges";
    /// Counter: breakers of endpoints that opened.
    pub const EJECTIONS: &str = "nanogrid_ejections";
    /// Gauge: 1 while a version is not asked.
    pub const CIRCUIT_OPEN: &str = "nanogrid_circuit_open";
    /// Counter: circuits of versions that opened.
    pub const CIRCUITS_OPENED: &str = "nanogrid_circuits_opened";
    /// Counter: calls answered by somebody else than was asked for.
    pub const FALLBACKS: &str = "nanogrid_fallbacks";
    /// Counter: calls that could not have been answered in time.
    pub const DOOMED: &str = "nanogrid_doomed";
    /// Counter: calls held back because the expert sheds most of them.
    pub const THROTTLED: &str = "nanogrid_throttled";

    /// Gauge: requests that the router answers now.
    pub const REQUESTS_IN_FLIGHT: &str = "nanogrid_requests_in_flight";
    /// Gauge: requests that the router answers at the same time, at most.
    pub const REQUESTS_LIMIT: &str = "nanogrid_requests_limit";
    /// Gauge: bytes of the requests that the router reads and answers now.
    pub const REQUEST_BYTES: &str = "nanogrid_request_bytes";
    /// Counter: requests refused to stay healthy, by criticality and reason.
    pub const SHED: &str = "nanogrid_shed";
    /// Counter: calls to experts whose answers are kept, by where the answer came from.
    pub const CACHE: &str = "nanogrid_cache";
    /// Gauge: bytes of the answers kept.
    pub const CACHE_BYTES: &str = "nanogrid_cache_bytes";
    /// Counter: copies of live calls to a version that is being tried, by what became of them.
    pub const SHADOW: &str = "nanogrid_shadow";
    /// Histogram: time of such copies as multiples of the live call's.
    pub const SHADOW_LATENCY_RATIO: &str = "nanogrid_shadow_latency_ratio";
    /// Counter: calls to experts that were made slow or failed on purpose.
    pub const FAULTS_INJECTED: &str = "nanogrid_faults_injected";
}

/// The name of a gRPC status code; codes that gRPC does not define read as `UNKNOWN`, as gRPC wants it.
pub fn status_code(code: i32) -> &'static str {
    STATUS_CODES[status_index(code)]
}

/// Where the code stands in `STATUS_CODES`.
pub(crate) fn status_index(code: i32) -> usize {
    const UNKNOWN: usize = 2;
    usize::try_from(code).ok().filter(|code| *code < STATUS_CODES.len()).unwrap_or(UNKNOWN)
}

/// Is this status the server's fault? The OpenTelemetry conventions mark a server span as failed for these only.
pub fn is_server_error(code: i32) -> bool {
    matches!(
        status_code(code),
        "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS"
    )
}

/// Indexed by the number on the wire.
pub(crate) const STATUS_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
