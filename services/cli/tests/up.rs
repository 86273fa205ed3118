//! `nanogrid up` keeps a grid running, whatever happens to its processes, and ends it in order.

mod harness;

use harness::{Grid, LIMIT, nanogrid, stderr, stdout, wait_for_end};
use nanogrid_proto::v1::{
    InferRequest, InferResponse, OutcomeStatus, grid_client::GridClient, infer_request::Payload,
    outcome::Result as Answer,
};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const MONEY: &str = "i need to move 200 dollars from savings to checking";

#[test]
fn up_measures_the_start_of_every_process() {
    let grid = Grid::up(&[]);
    for process in grid.state["processes"].as_array().expect("a list") {
        for served in process["serves"].as_array().expect("a list") {
            let (ready, answer) = (&served["start_up"], &served["first_answer"]);
            let nanos = |time: &Value| {
                time["secs"].as_u64().zip(time["nanos"].as_u64()).map(|(s, n)| s * 1_000_000_000 + n)
            };
            assert!(nanos(answer) > nanos(ready) && nanos(ready) > Some(0), "{process:#}");
        }
        assert!(process["memory"].as_u64().expect("a number") > 1 << 20, "{process:#}");
    }
}

#[tokio::test]
async fn an_expert_that_is_killed_under_load_costs_its_own_answers_and_comes_back() {
    let mut grid = Grid::up(&[]);
    let mut client =
        GridClient::connect(format!("http://{}", grid.addr())).await.expect("the router listens");
    let stop = CancellationToken::new();
    let load: Vec<_> = (0..8).map(|_| tokio::spawn(ask_on(client.clone(), stop.clone()))).collect();
    until(&mut client, |response| response.complete).await;

    let killed = grid.pid("intent");
    kill_process(killed, Signal::KILL).expect("it runs");
    let response = until(&mut client, |response| !response.complete).await;
    let [missing] = response.missing.as_slice() else { panic!("one is missing: {response:#?}") };
    assert_eq!(missing.expert, "intent");
    assert!(!missing.cause.is_empty(), "{missing:#?}");
    let typed = [OutcomeStatus::Failed, OutcomeStatus::TimedOut, OutcomeStatus::CircuitOpen];
    assert!(typed.contains(&missing.status()), "{missing:#?}");

    until(&mut client, |response| response.complete).await;
    stop.cancel();
    for asker in load {
        let n_answered = asker.await.expect("every answer has the part of the expert that nobody killed");
        assert!(n_answered > 0, "there was load");
    }
    grid.wait_for("its return", |state| {
        let processes = state["processes"].as_array().expect("a list");
        processes.iter().any(|process| {
            process["name"] == "intent" && process["restarts"] == 1 && !process["pid"].is_null()
        })
    });
    assert_ne!(grid.pid("intent"), killed);
    assert_eq!(grid.process("intent")["last_end"], "signal 9, SIGKILL: by hand, or out of memory");
}

/// Asks again and again; how often it was answered.
async fn ask_on(mut client: GridClient<Channel>, stop: CancellationToken) -> usize {
    let mut n_answered = 0;
    while !stop.is_cancelled() {
        ask_both(&mut client).await;
        n_answered += 1;
    }
    n_answered
}

/// One request to two experts. The one that nobody kills always answers.
async fn ask_both(client: &mut GridClient<Channel>) -> InferResponse {
    let request = InferRequest {
        payload: Some(Payload::Text(MONEY.to_owned())),
        experts: vec!["intent".to_owned(), "sentiment".to_owned()],
        ..InferRequest::default()
    };
    let response =
        client.infer(request).await.expect("a dead expert is no error of the request").into_inner();
    let sentiment =
        response.outcomes.iter().find(|outcome| outcome.expert == "sentiment").expect("it was asked");
    assert!(matches!(sentiment.result, Some(Answer::Labels(_))), "{response:#?}");
    response
}

async fn until(client: &mut GridClient<Channel>, is_it: impl Fn(&InferResponse) -> bool) -> InferResponse {
    let asking = async {
        loop {
            let response = ask_both(client).await;
            if is_it(&response) {
                return response;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("the load sees it")
}

#[test]
fn a_second_up_says_who_is_in_the_way() {
    let grid = Grid::up(&[]);
    let pid = grid.state["pid"].to_string();

    let same_folder = nanogrid(&["up", "--run"]).arg(grid.folder.path()).output().expect("runs");
    assert_eq!(same_folder.status.code(), Some(1));
    assert!(
        stderr(&same_folder).contains(&pid) && stderr(&same_folder).contains("nanogrid down"),
        "{same_folder:?}"
    );

    let other_folder = tempfile::tempdir().expect("a folder");
    let same_address =
        nanogrid(&["up", "--addr", grid.addr(), "--run"]).arg(other_folder.path()).output().expect("runs");
    assert_eq!(same_address.status.code(), Some(1));
    let router = grid.process("router")["pid"].to_string();
    assert!(
        stderr(&same_address).contains(&router) && stderr(&same_address).contains("--addr"),
        "{same_address:?}"
    );
}

#[test]
fn settings_in_the_environment_reach_the_processes_that_know_them() {
    let run = tempfile::tempdir().expect("a folder");
    let up = nanogrid(&["up", "--detach", "--addr", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--run"])
        .arg(run.path())
        .env("NANOGRID__INFERENCE__WORKERS", "2")
        .env("NANOGRID__REQUEST__MAX_EXPERTS", "2")
        .output()
        .expect("runs");
    let down = nanogrid(&["down", "--run"]).arg(run.path()).output().expect("runs");
    assert_eq!((up.status.code(), down.status.code()), (Some(0), Some(0)), "{up:?}");
}

#[test]
fn ctrl_c_drains_every_process_and_ends_well() {
    let mut grid = Grid::up(&[]);
    let pids = grid.pids();
    grid.signal(Signal::INT);
    assert_eq!(grid.wait(), Some(0), "{}", grid.logs());
    for pid in pids {
        assert!(rustix::process::test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn killing_up_itself_leaves_no_process_behind() {
    let grid = Grid::up(&[]);
    grid.signal(Signal::KILL);
    for pid in grid.pids() {
        wait_for_end(pid);
    }
}

#[test]
fn detach_leaves_a_grid_that_down_stops() {
    let run = tempfile::tempdir().expect("a folder");
    let up =
        nanogrid(&["up", "--detach", "--json", "--addr", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--run"])
            .arg(run.path())
            .output()
            .expect("runs");
    assert_eq!(up.status.code(), Some(0), "{up:?}");
    let state: Value = serde_json::from_slice(&up.stdout).expect("JSON");
    let addr = state["addr"].as_str().expect("an address");
    let answer = nanogrid(&["infer", MONEY, "--addr", addr]).output().expect("runs");
    assert!(stdout(&answer).contains("transfer"), "{answer:?}");

    let down = nanogrid(&["down", "--run"]).arg(run.path()).output().expect("runs");
    assert_eq!(down.status.code(), Some(0), "{down:?}");
    let again = nanogrid(&["down", "--run"]).arg(run.path()).output().expect("runs");
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(stderr(&again).contains("nothing to stop"), "{again:?}");
}

#[test]
fn a_broken_package_costs_its_own_expert_and_not_the_grid() {
    let catalog = catalog_with_a_broken_expert();
    for arguments in [&[][..], &["--one-process"]] {
        let run = tempfile::tempdir().expect("a folder");
        let up =
            nanogrid(&["up", "--detach", "--json", "--addr", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--run"])
                .arg(run.path())
                .arg("--catalog")
                .arg(catalog.path())
                .args(arguments)
                .output()
                .expect("runs");
        assert_eq!(up.status.code(), Some(3), "{up:?}");
        assert!(stderr(&up).contains("sentiment") || stderr(&up).contains("experts"), "{up:?}");
        let state: Value = serde_json::from_slice(&up.stdout).expect("JSON");
        let addr = state["addr"].as_str().expect("an address");
        let answer =
            nanogrid(&["infer", MONEY, "--expert", "intent", "--addr", addr]).output().expect("runs");
        assert!(stdout(&answer).contains("transfer"), "{answer:?}");
        let both = ["infer", MONEY, "--expert", "intent", "--expert", "sentiment", "--addr", addr];
        let partial = nanogrid(&both).output().expect("runs");
        assert_eq!(partial.status.code(), Some(3), "{partial:?}");
        assert!(stdout(&partial).contains("missing"), "{partial:?}");
        let down = nanogrid(&["down", "--run"]).arg(run.path()).output().expect("runs");
        assert_eq!(down.status.code(), Some(0), "{down:?}");
    }
}

/// The experts `intent` and `sentiment`; the model of the second is not the one that its manifest speaks of.
fn catalog_with_a_broken_expert() -> tempfile::TempDir {
    let catalog = tempfile::tempdir().expect("a folder");
    for name in ["intent", "sentiment"] {
        harness::copy(&harness::root().join("experts/catalog").join(name), &catalog.path().join(name));
    }
    let broken = catalog.path().join("sentiment");
    let model = broken.join(harness::default_version(&broken).to_string()).join("model.onnx");
    let mut bytes = std::fs::read(&model).expect("a model");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&model, bytes).expect("written");
    catalog
}
