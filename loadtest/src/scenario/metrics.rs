//! The ops side of router and experts: what they count of themselves, read from `/metrics` as Prometheus reads it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use http_body_util::BodyExt;
use nanogrid_proto::v1::control_client::ControlClient;
use prometheus_parse::{Scrape, Value};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

use crate::Error;

/// The ops side of one process.
#[derive(Clone, Debug)]
pub(crate) struct Ops {
    address: SocketAddr,
    // The ops side speaks HTTP/2 as well, so the client of the load will do.
    channel: Channel,
}

/// All counters and gauges at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Ops {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).expect("an address is a host and a port");
        Self { address, channel: endpoint.connect_lazy() }
    }

    /// Where a router is steered.
    pub(crate) fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone())
    }

    pub(crate) async fn scrape(&self) -> Result<Snapshot, Error> {
        let failed = |problem: String| Error::Metrics { address: self.address, problem };
        let uri = format!("http://{}/metrics", self.address);
        let request = axum::http::Request::get(uri).body(Body::empty()).expect("a URI of an address");
        let mut channel = self.channel.clone();
        let asked = async { channel.ready().await?.call(request).await };
        let response = asked.await.map_err(|error| failed(error.to_string()))?;
        let body = response.into_body().collect().await.map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(body.to_bytes().into()).map_err(|error| failed(error.to_string()))?;
        Snapshot::parse(&text).map_err(|error| failed(error.to_string()))
    }
}

impl Snapshot {
    fn parse(text: &str) -> io::Result<Self> {
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
        let samples = scrape.samples.into_iter().filter_map(|sample| {
            let value = match sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
                Value::Histogram(_) | Value::Summary(_) => return None,
            };
            let labels = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
            Some((sample.metric, labels.collect(), value))
        });
        Ok(Self { samples: samples.collect() })
    }

    /// A counter's value summed over its labels; 0 for one that is not there.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        // Not `sum`, which is -0 for nothing.
        self.values(name).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// A counter's values by one of its labels; empty for one that is not there.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.values(name) {
            let key = labels.get(label).cloned().unwrap_or_default();
            *sums.entry(key).or_default() += value;
        }
        sums
    }

    /// Does the process count this at all?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// What was counted since `earlier`, for counters.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str, labels: &BTreeMap<String, String>| {
            let same = earlier.samples.iter().find(|(other, at, _)| other == name && at == labels);
            same.map_or(0.0, |(_, _, value)| *value)
        };
        let samples = self
            .samples
            .iter()
            .map(|(name, labels, value)| (name.clone(), labels.clone(), value - before(name, labels)));
        Self { samples: samples.collect() }
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        let is_it = move |sample: &&(String, BTreeMap<String, String>, f64)| sample.0 == name;
        self.samples.iter().filter(is_it).map(|(_, labels, value)| (labels, *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP nanogrid_attempts Tries.
# TYPE nanogrid_attempts counter
nanogrid_attempts_total{expert="a",version="1",kind="first"} 10 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 1.0
nanogrid_attempts_total{expert="b",version="1",kind="first"} 5
nanogrid_attempts_total{expert="b",version="1",kind="retry"} 2
# TYPE nanogrid_limit gauge
nanogrid_limit 8
# EOF
"#;

    #[test]
    fn counters_are_summed_by_the_label_asked_for() {
        let snapshot = Snapshot::parse(TEXT).unwrap();
        assert_eq!(snapshot.sum("nanogrid_attempts_total"), 17.0);
        let by_kind = snapshot.by("nanogrid_attempts_total", "kind");
        assert_eq!(by_kind, [("first".to_owned(), 15.0), ("retry".to_owned(), 2.0)].into());
        assert_eq!(snapshot.sum("nanogrid_limit"), 8.0);
        assert!(!snapshot.has("nanogrid_hedges_total"));
        assert_eq!(snapshot.sum("nanogrid_hedges_total"), 0.0);
    }

    #[test]
    fn what_was_counted_in_between_is_the_difference() {
        let earlier = Snapshot::parse(&TEXT.replace(" 5\n", " 4\n")).unwrap();
        let between = Snapshot::parse(TEXT).unwrap().since(&earlier);
        assert_eq!(between.sum("nanogrid_attempts_total"), 1.0);
    }
}
