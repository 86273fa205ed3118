//! Which spans a request leaves, and whose children they are.

use std::sync::{Arc, Mutex, OnceLock};

use nanogrid_testkit::packages;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

use crate::host::{infer, serve, texts};

#[tokio::test]
async fn the_stages_are_children_of_the_call() {
    let spans = spans();
    let dir = tempfile::tempdir().unwrap();
    // The other tests of this process leave spans too: these are told apart by the expert's name.
    let host = serve(&[packages::text_classifier(dir.path(), "traced", &["sun", "rain"])]).await;
    infer(&host.client, texts("traced", &["rain", "sun"])).await.unwrap();
    host.stop().await;

    let spans = spans.lock().unwrap();
    let call =
        spans.iter().find(|span| span.has("nanogrid.expert", "traced")).expect("the call knows its expert");
    assert_eq!(call.name, "call");
    assert!(call.has("nanogrid.model.version", "1"));
    for stage in ["preprocess", "queue", "ort.run"] {
        let n = spans.iter().filter(|span| span.parent == Some(call.id) && span.name == stage).count();
        assert_eq!(n, 1, "{stage}");
    }
    let run = spans.iter().find(|span| span.parent == Some(call.id) && span.name == "ort.run").unwrap();
    assert!(run.has("batch_rows", "2"), "{:?}", run.fields);
}

struct Seen {
    id: u64,
    name: &'static str,
    parent: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl Seen {
    fn has(&self, key: &str, value: &str) -> bool {
        self.fields.iter().any(|(name, seen)| *name == key && seen == value)
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }
}

type Spans = Arc<Mutex<Vec<Seen>>>;

/// Every span of this process from now on. Worker threads make some, so it cannot be a thread's own subscriber.
fn spans() -> Spans {
    static SPANS: OnceLock<Spans> = OnceLock::new();
    let set_up = || {
        let spans = Spans::default();
        tracing_subscriber::registry().with(Recorder(Arc::clone(&spans))).init();
        spans
    };
    Arc::clone(SPANS.get_or_init(set_up))
}

struct Recorder(Spans);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().map(|parent| parent.id().into_u64());
        let mut seen = Seen { id: id.into_u64(), name: span.name(), parent, fields: Vec::new() };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push(seen);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        // Ids are used again once a span is closed: the newest is meant.
        if let Some(seen) = spans.iter_mut().rfind(|seen| seen.id == id.into_u64()) {
            values.record(seen);
        }
    }
}
