use super::*;
use crate::arrivals::Distribution;
use crate::cases::{Case, Input};
use crate::cpu::CpuShare;
use crate::record::{Detail, Recorder};

fn report(cores: f64, lateness: Duration) -> Report {
    use tokio::time::Instant;
    let start = Instant::now();
    let recorder = Recorder::new(start..start + Duration::from_secs(10), Detail::Seconds);
    let sent = recorder.sent(start);
    let case =
        Case { input: Input::Text("any".to_owned()), expert: None, by_name: false, expected: Vec::new() };
    recorder.ended(sent, &crate::call::Verdict::Right, &case);
    let mut record = recorder.finish();
    record.lateness.record(u64::try_from(lateness.as_micros()).unwrap()).unwrap();
    let shape = Shape::Open { rate: 50.0, arrivals: Distribution::Constant, max_in_flight: 10 };
    let load = Load {
        shape,
        warmup: Duration::ZERO,
        duration: Duration::from_secs(10),
        seed: 1,
        detail: Detail::Seconds,
    };
    let run =
        Run { record, measured: Duration::from_secs(10), cpu: Some(CpuShare { cores }), interrupted: false };
    let target = Target {
        addr: "127.0.0.1:8001".to_owned(),
        server: None,
        api: Api::Grid,
        ask: Ask::Classifier,
        connections: 1,
        threads: 1,
    };
    Report::new(Origin::here(), target, &load, run)
}

#[tokio::test(start_paused = true)]
async fn an_idle_generator_on_time_gives_no_cause_for_doubt() {
    assert!(report(0.3, Duration::from_micros(80)).warnings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_generator_at_its_limit_says_so() {
    let warnings = report(0.95, Duration::ZERO).warnings;
    assert!(warnings[0].contains("at its limit (0.95 cores, `--threads 1`)"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_is_late_says_so() {
    let warnings = report(0.3, Duration::from_millis(20)).warnings;
    assert!(warnings[0].contains("late (p99)"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn json_holds_what_is_needed_to_repeat_the_run() {
    let json = serde_json::to_value(report(0.3, Duration::ZERO)).unwrap();
    for pointer in [
        "/origin/cpu",
        "/origin/command",
        "/target/addr",
        "/loop",
        "/rate",
        "/seed",
        "/latency_ms/p99.9",
        "/counts/right",
        "/throughput",
        "/timeline/9/second",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer}: {json:#}");
    }
    assert_eq!(json["loop"], "open");
    assert_eq!(json["throughput"], 0.1);
}
