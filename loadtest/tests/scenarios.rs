//! What the grid promises, kept by real processes: this build's router and experts, killed, paused and restarted under
//! load. The same scenarios as `nanogrid-loadtest scenario`, as short as their promises allow, one at a time: beside each
//! other they would overload a small machine, and then it is right that requests are shed. `overload` is not among them,
//! since an unoptimised build has no peak worth holding; nor are the canaries that take minutes, which the router's own tests
//! hold to the same.

use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use nanogrid_loadtest::scenario::{Place, Scenario, Setup};
use tokio::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Requests a second, at most: the scenarios send fewer where the machine is too slow for so many. The promises are about what is
/// lost, not about how much is done.
const RATE: f64 = 100.0;

/// Plays `scenario` with `requests` at least, and fails with its whole report when a promise was not kept.
async fn check(scenario: Scenario, requests: u64) {
    let _turn = ONE_AT_A_TIME.lock().await;
    build_the_others();
    let program = Path::new(env!("CARGO_BIN_EXE_nanogrid-loadtest"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the workspace");
    let beside = Place::beside(program);
    let setup = Setup {
        place: Place {
            catalog: root.join(&beside.catalog),
            classifier: root.join(&beside.classifier),
            ..beside
        },
        requests,
        rate: RATE,
        // These tests are about what is lost, not about how fast an unoptimised build is beside others.
        deadline: Duration::from_secs(5),
        // Long enough for breakers and budgets to notice.
        fault: Some(Duration::from_secs(4)),
    };
    let report = scenario.run(&setup).await.expect("the scenario can be played");
    assert!(report.broken().is_empty(), "{report}");
}

/// `cargo test --workspace` has built the programs that are started here; `cargo test -p nanogrid-loadtest` has not.
fn build_the_others() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let this = Path::new(env!("CARGO_BIN_EXE_nanogrid-loadtest"));
        if ["nanogrid-router", "nanogrid-expert"].iter().all(|name| this.with_file_name(name).is_file()) {
            return;
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--package", "nanogrid-router", "--package", "nanogrid-experts"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo runs").success());
    });
}

#[tokio::test]
async fn killing_one_of_two_replicas_fails_no_request() {
    check(Scenario::Kill, 2000).await;
}

#[tokio::test]
async fn pausing_one_of_two_replicas_fails_no_request() {
    check(Scenario::Pause, 2000).await;
}

// One restart alone is the first half of this.
#[tokio::test]
async fn restarting_both_replicas_in_turn_fails_no_request() {
    check(Scenario::Rolling, 2000).await;
}

#[tokio::test]
async fn killing_the_only_replica_costs_its_own_part_until_it_is_back() {
    check(Scenario::Single, 2000).await;
}

#[tokio::test]
async fn one_of_three_replicas_that_fails_fast_is_hardly_noticed() {
    check(Scenario::FailFast, 2000).await;
}

#[tokio::test]
async fn retries_do_not_multiply_the_load_on_what_is_down() {
    check(Scenario::Down, 1250).await;
}

#[tokio::test]
async fn clients_with_hopeless_deadlines_eject_nobody() {
    check(Scenario::Deadlines, 1000).await;
}

#[tokio::test]
async fn an_upgrade_fails_no_request_and_others_do_not_notice() {
    check(Scenario::Upgrade, 10_000).await;
}

#[tokio::test]
async fn a_version_that_errs_is_taken_back() {
    check(Scenario::CanaryErring, 1000).await;
}
