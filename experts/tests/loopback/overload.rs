//! More work than can be done, and work that nobody waits for any more.

use std::time::Duration;

use nanogrid_proto::inference::ModelInferRequest;
use nanogrid_settings::ExpertSettings;
use nanogrid_testkit::packages;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tonic::{Code, Request, Status};

use crate::host::{Client, Running, assert_refused, infer, int, metrics, serve_with, settings, texts};

/// `weather`, with these changes to the settings.
async fn host(change: impl FnOnce(&mut ExpertSettings)) -> (TempDir, Running) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]);
    change(&mut settings);
    let host = serve_with(&settings).await;
    (dir, host)
}

fn with_limit(limit: usize, queue: usize, target: Duration) -> impl FnOnce(&mut ExpertSettings) {
    move |settings| {
        let limit = limit.try_into().unwrap();
        settings.limit.initial = Some(limit);
        (settings.limit.min, settings.limit.max) = (limit, limit);
        settings.limit.target = target;
        settings.inference.queue = queue.try_into().unwrap();
    }
}

/// So long that no test is shed for having waited.
const PATIENT: Duration = Duration::from_secs(3600);

fn of(criticality: &'static str, message: ModelInferRequest) -> Request<ModelInferRequest> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-nanogrid-criticality", criticality.parse().unwrap());
    request
}

/// Asks for what never ends.
fn hang(client: &Client, criticality: &'static str) -> JoinHandle<Status> {
    let mut client = client.clone();
    let request = of(criticality, texts("weather", &["forever"]));
    tokio::spawn(async move { client.model_infer(request).await.expect_err("it never ends by itself") })
}

/// Asks so often for what never ends, and returns how many of them were refused, and what the first of these was told.
/// The others stay.
async fn hang_and_count(
    host: &Running,
    hanging: &mut Vec<JoinHandle<Status>>,
    criticality: &'static str,
    n: usize,
    expected: usize,
) -> Option<Status> {
    let mut told = None;
    let mut asked: Vec<_> = (0..n).map(|_| hang(&host.client, criticality)).collect();
    wait_for(host, &shed_line(criticality, expected)).await;
    // The answers of those that were counted are on their way.
    for _ in 0..expected {
        let (status, _, rest) = futures::future::select_all(asked).await;
        told = Some(status.unwrap());
        asked = rest;
    }
    hanging.extend(asked);
    told
}

fn shed_line(criticality: &str, n: usize) -> String {
    format!(
        "nanogrid_shed_total{{model=\"weather\",version=\"1\",criticality=\"{criticality}\",reason=\"full\"}} {n}"
    )
}

#[tokio::test]
async fn the_least_critical_are_shed_first_and_told_when_to_come_back() {
    let (_dir, host) = host(with_limit(4, 8, PATIENT)).await;
    let mut hanging = Vec::new();
    // Half of the 4 places and of the 8 in the queue are for them.
    let told = hang_and_count(&host, &mut hanging, "SHEDDABLE", 8, 2).await.expect("refused");
    assert_refused::<()>(
        Err(told.clone()),
        Code::ResourceExhausted,
        &["`weather`", "SHEDDABLE", "elsewhere"],
    );
    let pushback = told.metadata().get("grpc-retry-pushback-ms").expect("when to come back");
    assert!((1..=1000).contains(&pushback.to_str().unwrap().parse::<u64>().unwrap()), "{pushback:?}");
    assert_eq!(told.metadata().get("x-nanogrid-expert").unwrap(), "weather");
    // The other two places, and all of the queue: those who wait in it make way.
    hang_and_count(&host, &mut hanging, "CRITICAL", 12, 2).await.expect("refused");
    wait_for(&host, &shed_line("SHEDDABLE", 6)).await;
    for line in ["nanogrid_limit", "nanogrid_limit_in_flight"] {
        wait_for(&host, &format!("{line}{{model=\"weather\",version=\"1\"}} 4")).await;
    }
    wait_for(&host, "nanogrid_limit_waiting{model=\"weather\",version=\"1\"} 8").await;

    hanging.iter().for_each(JoinHandle::abort);
    until_answered(&host, texts("weather", &["rain"])).await;
    wait_for(&host, "nanogrid_limit_in_flight{model=\"weather\",version=\"1\"} 0").await;
    host.stop().await;
}

#[tokio::test]
async fn who_waits_in_a_queue_that_stands_is_shed_long_before_its_deadline() {
    let (_dir, host) = host(with_limit(1, 8, Duration::from_millis(1))).await;
    let running = hang(&host.client, "CRITICAL");
    wait_for(&host, "nanogrid_limit_in_flight{model=\"weather\",version=\"1\"} 1").await;
    let mut waits = hang(&host.client, "CRITICAL");
    let others = async {
        loop {
            let mut next = texts("weather", &["rain"]);
            next.parameters.insert("timeout".into(), int(10_000));
            let _ = infer(&host.client, next).await;
        }
    };
    let told = tokio::select! {
        told = &mut waits => told.unwrap(),
        () = others => unreachable!("a loop"),
    };
    assert_refused::<()>(Err(told), Code::ResourceExhausted, &["stood still"]);
    running.abort();
    until_answered(&host, texts("weather", &["rain"])).await;
    host.stop().await;
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_is_named_so() {
    let (_dir, host) = host(with_limit(1, 8, PATIENT)).await;
    let running = hang(&host.client, "CRITICAL");
    wait_for(&host, "nanogrid_limit_in_flight{model=\"weather\",version=\"1\"} 1").await;
    let mut late = Request::new(texts("weather", &["rain"]));
    late.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    let answer = host.client_without_timer().model_infer(late).await;
    assert_refused(answer, Code::DeadlineExceeded, &["deadline"]);
    running.abort();
    until_answered(&host, texts("weather", &["rain"])).await;
    host.stop().await;
}

#[tokio::test]
async fn a_criticality_that_nobody_knows_is_ordinary() {
    let (_dir, host) = host(|_| ()).await;
    host.client.clone().model_infer(of("urgent", texts("weather", &["rain"]))).await.expect("answered");
    host.stop().await;
}

/// Finding: a cancelled call stops its handler, and in most servers the inference runs on to its end.
#[tokio::test]
async fn a_cancelled_call_stops_its_inference_and_so_does_a_deadline() {
    let (_dir, host) = host(with_limit(1, 8, PATIENT)).await;
    for _ in 0..10 {
        let cancelled = hang(&host.client, "CRITICAL");
        wait_for(&host, "nanogrid_limit_in_flight{model=\"weather\",version=\"1\"} 1").await;
        cancelled.abort();
        // On the model's one thread: were the run still on, this would wait for ever.
        until_answered(&host, texts("weather", &["rain"])).await;

        let mut late = Request::new(texts("weather", &["forever"]));
        late.metadata_mut().insert("grpc-timeout", "20m".parse().unwrap());
        let answer = host.client_without_timer().model_infer(late).await;
        assert_refused(answer, Code::DeadlineExceeded, &["deadline"]);
        until_answered(&host, texts("weather", &["rain"])).await;
    }
    host.stop().await;
}

/// Each request is 256 runs of one row, several milliseconds: a model that two users keep busy, and 16 more load.
#[tokio::test]
async fn under_real_overload_users_are_answered_and_batch_work_is_shed() {
    let (_dir, host) = host(|settings| settings.inference.max_batch_rows = 1.try_into().unwrap()).await;
    let slow = || texts("weather", &["rain"; 256]);
    let mut batch_work = JoinSet::new();
    for _ in 0..16 {
        let mut client = host.client.clone();
        batch_work.spawn(async move {
            loop {
                if let Err(refused) = client.model_infer(of("SHEDDABLE", slow())).await {
                    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
                    let pushback =
                        refused.metadata().get("grpc-retry-pushback-ms").expect("when to come back");
                    let pushback = pushback.to_str().unwrap().parse().unwrap();
                    tokio::time::sleep(Duration::from_millis(pushback)).await;
                }
            }
        });
    }
    let mut users = JoinSet::new();
    for _ in 0..2 {
        let mut client = host.client.clone();
        users.spawn(async move {
            for _ in 0..50 {
                let mut request = of("CRITICAL", slow());
                request.set_timeout(Duration::from_secs(10));
                client.model_infer(request).await.expect("users are answered");
            }
        });
    }
    users.join_all().await;
    batch_work.shutdown().await;
    let page = metrics(host.ops).await;
    let shed = |criticality: &str| -> u64 {
        let of = format!("criticality=\"{criticality}\"");
        let counters =
            page.lines().filter(|line| line.starts_with("nanogrid_shed_total{") && line.contains(&of));
        counters.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert!(shed("SHEDDABLE") > 0, "{page}");
    assert_eq!(shed("CRITICAL"), 0, "{page}");
    assert!(
        page.contains(
            "nanogrid_deadline_slack_seconds_count{model=\"weather\",version=\"1\",at=\"end\"} 100"
        ),
        "{page}"
    );
    host.stop().await;
}

/// Until those who have left are noticed, there may be no room.
async fn until_answered(host: &Running, message: ModelInferRequest) {
    let answered = async { while infer(&host.client, message.clone()).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), answered).await.expect("the model is free again");
}

/// Reads `/metrics` until the line is there.
async fn wait_for(host: &Running, line: &str) {
    let found = async {
        while !metrics(host.ops).await.lines().any(|seen| seen == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap_or_else(|_| panic!("no `{line}` in /metrics"));
}
