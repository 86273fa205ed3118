//! Sets up the log and the tracer of a process, once.
//!
//! Log and traces have separate filters: quieting the log must not thin out the traces.

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::Error;
use crate::exporter::Exporter;

/// What to log and what to trace.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where spans go, e.g. `http://127.0.0.1:4317`. Absent: none are exported, and the context that callers send
    /// is still carried on.
    pub otlp_endpoint: Option<String>,
    /// Share of the traces begun here that are kept, 0 to 1; a caller's decision is kept to.
    pub sample: f64,
    /// What the log shows, e.g. `info` or `info,nanogrid_router=debug`.
    pub log: String,
    /// One JSON object per line instead of text for people.
    pub json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample: 1.0, log: "info".to_owned(), json: false }
    }
}

/// Keeps the tracer; hand it to `shutdown` last, or the newest spans are lost.
#[derive(Debug)]
#[must_use = "the newest spans are lost unless `shutdown` is called"]
pub struct Guard {
    provider: SdkTracerProvider,
}

/// Sets up log and traces. Call it once, in `main`, inside the tokio runtime.
///
/// A collector that cannot be reached is no error: spans are lost and counted, and the log says so once.
pub fn init(service: &'static str, version: &str, options: &Options) -> Result<Guard, Error> {
    let filter = EnvFilter::try_new(&options.log)
        .map_err(|source| Error::Filter { filter: options.log.clone(), source })?;
    let provider = provider(service, version, options)?;
    // Debug spans of our own, and those of hyper and tonic, are for the log: in a trace they would cost more than
    // they tell, and the exporter's own calls would be traced without end.
    let traced = filter_fn(|metadata| {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("nanogrid")
    });
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).with_filter(traced);
    tracing_subscriber::registry()
        .with(log(options.json).with_filter(filter))
        .with(traces)
        .try_init()
        .map_err(|_| Error::AlreadySet)?;
    Ok(Guard { provider })
}

impl Guard {
    /// Delivers what is still held, for at most this long. The collector may be down: that is logged, not returned.
    pub async fn shutdown(self, limit: Duration) {
        let (done, finished) = tokio::sync::oneshot::channel();
        // The SDK blocks here, and may do so for ever where the runtime has one thread: so it gets its own.
        std::thread::spawn(move || {
            let _ = done.send(self.provider.shutdown_with_timeout(limit));
        });
        match tokio::time::timeout(limit, finished).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not delivered"),
            Ok(Err(_)) | Err(_) => tracing::warn!(?limit, "the last spans were not delivered in time"),
        }
    }
}

fn log<S>(json: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if json {
        layer.json().flatten_event(true).boxed()
    } else {
        layer.with_ansi(std::io::stderr().is_terminal()).boxed()
    }
}

fn provider(service: &'static str, version: &str, options: &Options) -> Result<SdkTracerProvider, Error> {
    if !(0.0..=1.0).contains(&options.sample) {
        return Err(Error::Sample { ratio: options.sample });
    }
    let Some(endpoint) = &options.otlp_endpoint else {
        // Nothing begins here, so that no exemplar leads to a trace that was never exported.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(SdkTracerProvider::builder().with_sampler(sampler).build());
    };
    let exporter = Exporter::new(otlp(endpoint)?, endpoint.clone());
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample)));
    Ok(SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_resource(resource(service, version))
        .with_batch_exporter(exporter)
        .build())
}

fn otlp(endpoint: &str) -> Result<SpanExporter, Error> {
    let wrong = |problem: String| Error::Endpoint { endpoint: endpoint.to_owned(), problem };
    let uri: http::Uri = endpoint.parse().map_err(|error| wrong(format!("{error}")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(scheme) => return Err(wrong(format!("only http is spoken here, not {scheme}"))),
        // The exporter would take it for https.
        None => return Err(wrong("it has no scheme".to_owned())),
    }
    SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(|error| wrong(error.to_string()))
}

/// Attributes from `OTEL_RESOURCE_ATTRIBUTES` (pod, node, namespace: the downward API) are taken by the SDK; these
/// come on top.
fn resource(service: &'static str, version: &str) -> Resource {
    let instance = RandomIdGenerator::default().new_trace_id().to_string();
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.namespace", "nanogrid"),
            KeyValue::new("service.version", version.to_owned()),
            KeyValue::new("service.instance.id", instance),
        ])
        .build()
}

/// A batch that takes longer is lost; spans of the meantime wait in a bounded queue.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &Options, beginning: &str, end: &str) {
        let error = init("test", "0", options).expect_err("not valid").to_string();
        assert!(error.starts_with(beginning) && error.ends_with(end), "{error}");
    }

    fn endpoint(endpoint: &str) -> Options {
        Options { otlp_endpoint: Some(endpoint.to_owned()), ..Options::default() }
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let options = Options { log: "info,nanogrid_router=loud".to_owned(), ..Options::default() };
        check(&options, "log filter: ", "`info,nanogrid_router=loud`");
    }

    #[test]
    fn a_wrong_endpoint_is_named_with_what_is_wrong() {
        check(&endpoint("127.0.0.1:4317"), "OTLP endpoint: it has no scheme", "`127.0.0.1:4317`");
        check(&endpoint("https://a:4317"), "OTLP endpoint: only http is spoken here", "`https://a:4317`");
        check(&endpoint("http://"), "OTLP endpoint: ", "`http://`");
        check(&endpoint(""), "OTLP endpoint: ", "``");
    }

    #[test]
    fn a_ratio_is_from_0_to_1() {
        for sample in [-0.1, 1.1, f64::NAN] {
            check(&Options { sample, ..Options::default() }, "sampling ratio: ", &format!("{sample}"));
        }
    }
}
