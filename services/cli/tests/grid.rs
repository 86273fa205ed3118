//! The grid as a person meets it: real processes, the catalog's own experts, and the commands of the README.

mod harness;

use std::process::Output;

use bytes::Bytes;
use harness::{Grid, LIMIT, nanogrid, wait_for_end};
use nanogrid_proto::{
    inference::{ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    tensor::{self, Data, Tensor},
    v1::{
        InferRequest, InferResponse, OutcomeStatus, grid_client::GridClient, infer_request::Payload,
        outcome::Result as Answer,
    },
};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tonic::transport::Channel;

const MONEY: &str = "i need to move 200 dollars from savings to checking";
const GERMAN: &str = "Das Wetter ist heute wunderbar";
const REVIEW: &str = "a gripping film with wonderful actors, i loved every minute";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The best label of `expert` in an answer as JSON.
#[track_caller]
fn label<'a>(answer: &'a Value, expert: &str) -> &'a str {
    let outcomes = answer["outcomes"].as_array().expect("a list");
    let outcome =
        outcomes.iter().find(|outcome| outcome["expert"] == expert).unwrap_or_else(|| panic!("{answer:#}"));
    outcome["labels"]["labels"][0]["label"].as_str().unwrap_or_else(|| panic!("{answer:#}"))
}

#[test]
fn the_first_requests_of_the_readme_are_answered() {
    let grid = Grid::up(&[]);

    assert_eq!(label(&grid.json(0, &["infer", MONEY]), "intent"), "transfer");
    assert_eq!(label(&grid.json(0, &["infer", GERMAN]), "language"), "de");
    assert_eq!(label(&grid.json(0, &["infer", REVIEW]), "sentiment"), "positive");

    let both = grid.json(0, &["infer", REVIEW, "--expert", "language", "--expert", "sentiment"]);
    assert_eq!((label(&both, "language"), label(&both, "sentiment")), ("en", "positive"));
    assert_eq!(both["complete"], true, "{both:#}");

    let text = grid.run(&["infer", MONEY]);
    assert!(stdout(&text).contains("transfer"), "{text:?}");
    assert!(!stdout(&text).contains('\x1b'), "no colours where there is no terminal: {text:?}");
}

#[test]
fn route_explains_what_infer_would_do() {
    let grid = Grid::up(&[]);
    let route = grid.json(0, &["route", MONEY]);
    assert_eq!(route["decision"]["verdict"], "VERDICT_SINGLE", "{route:#}");
    assert_eq!(route["decision"]["candidates"][0]["expert"], "intent", "{route:#}");
    assert_eq!(route["calls"][0]["expert"], "intent", "{route:#}");
    assert!(!route["decision"]["why"].as_str().expect("text").is_empty(), "{route:#}");
    let text = stdout(&grid.run(&["route", MONEY]));
    assert!(text.contains("intent") && text.contains("ask"), "{text}");
}

#[test]
fn experts_lists_who_is_there() {
    let grid = Grid::up(&[]);
    let experts = grid.json(0, &["experts"]);
    for name in ["intent", "language", "sentiment"] {
        let listed =
            experts["experts"].as_array().expect("a list").iter().find(|expert| expert["name"] == name);
        let expert = listed.unwrap_or_else(|| panic!("{name}: {experts:#}"));
        assert_eq!(expert["task"], "text-classification");
        assert_eq!(expert["ready"], true);
        let endpoint = &expert["endpoints"][0];
        assert_eq!(endpoint["pid"], grid.process(name)["pid"], "{endpoint:#}");
        assert_eq!(endpoint["address"], grid.process(name)["address"], "{endpoint:#}");
        assert!(endpoint["memory"].as_u64().expect("a number") > 1 << 20, "{endpoint:#}");
    }
}

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
async fn an_expert_that_is_killed_costs_its_own_answers_and_comes_back() {
    let mut grid = Grid::up(&[]);
    let mut client =
        GridClient::connect(format!("http://{}", grid.addr())).await.expect("the router listens");
    let mut ask = async || ask_both(&mut client).await;
    assert!(ask().await.complete, "both are there");

    let killed = grid.pid("intent");
    kill_process(killed, Signal::KILL).expect("it runs");
    let missing = until(&mut ask, |response| !response.complete).await;
    assert_eq!(missing.missing.len(), 1, "{missing:#?}");
    assert_eq!(missing.missing[0].expert, "intent");
    assert!(!missing.missing[0].cause.is_empty(), "{missing:#?}");
    let typed = [OutcomeStatus::Failed, OutcomeStatus::TimedOut, OutcomeStatus::CircuitOpen];
    assert!(typed.contains(&missing.missing[0].status()), "{missing:#?}");

    until(&mut ask, |response| response.complete).await;
    grid.wait_for("a restart", |state| {
        state["processes"].as_array().is_some_and(|all| all.iter().any(|p| p["restarts"] == 1))
    });
    grid.wait_for("its pid", |state| {
        state["processes"].as_array().is_some_and(|all| all.iter().all(|process| !process["pid"].is_null()))
    });
    assert_ne!(grid.pid("intent"), killed);
    assert_eq!(grid.process("intent")["last_end"], "signal 9, SIGKILL: by hand, or out of memory");
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

async fn until(
    ask: &mut impl AsyncFnMut() -> InferResponse,
    is_it: impl Fn(&InferResponse) -> bool,
) -> InferResponse {
    let asking = async {
        loop {
            let response = ask().await;
            if is_it(&response) {
                return response;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("the load sees it")
}

#[tokio::test]
async fn one_process_and_one_process_each_answer_byte_for_byte_alike() {
    let (each, one) = (Grid::up(&[]), Grid::up(&["--one-process"]));
    assert_eq!(one.pids().len(), 2, "the router, and all experts");
    let texts =
        [MONEY, GERMAN, REVIEW, "x", "\u{1f600} \u{fb01}ne", "wo ist der bahnhof", &"long ".repeat(500)];
    for expert in ["intent", "language", "sentiment"] {
        for rows in texts.windows(1).chain(texts.windows(3)) {
            let (first, second) = (infer(&each, expert, rows).await, infer(&one, expert, rows).await);
            assert_eq!(first, second, "{expert}: {rows:?}");
        }
    }
}

/// The outputs of one model: names, shapes and bytes.
async fn infer(grid: &Grid, expert: &str, rows: &[&str]) -> (Vec<(String, Vec<i64>)>, Vec<Bytes>) {
    let address = format!("http://{}", grid.addr());
    let mut client = GrpcInferenceServiceClient::connect(address).await.expect("the router listens");
    let mut request = ModelInferRequest { model_name: expert.to_owned(), ..ModelInferRequest::default() };
    let data = Data::Bytes(rows.iter().map(|row| Bytes::copy_from_slice(row.as_bytes())).collect());
    tensor::set_inputs(&mut request, vec![Tensor { name: "text".to_owned(), shape: vec![rows.len()], data }]);
    let response = client.model_infer(request).await.expect("an answer").into_inner();
    let shapes = response.outputs.into_iter().map(|output| (output.name, output.shape)).collect();
    (shapes, response.raw_output_contents)
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let grid = Grid::up(&[]);
    #[track_caller]
    fn check(output: &Output, code: i32, says: &str) {
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(stderr(output).contains(says), "{output:?}");
    }
    check(&grid.run(&["infer", MONEY]), 0, "");
    check(&grid.run(&["infer", MONEY, "--expert", "no-such-expert"]), 1, "no-such-expert");
    check(&grid.run(&["infer", " "]), 1, "text");
    check(&grid.run(&["infer", MONEY, "--deadline", "soon"]), 2, "--deadline");
    check(&grid.run(&["infer"]), 2, "--image");
    check(&grid.run(&["infer", MONEY, "--min-confidence", "1"]), 4, "");
    check(&grid.run(&["infer", "--image", "/nowhere.png"]), 1, "/nowhere.png");
    check(&nanogrid(&["infer", "hello", "--addr", "127.0.0.1:1"]).output().expect("runs"), 1, "nanogrid up");
    check(&nanogrid(&["infer", "hello", "--addr", "nonsense"]).output().expect("runs"), 1, "host:port");
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
    let model = catalog.path().join("sentiment/1/model.onnx");
    let mut bytes = std::fs::read(&model).expect("a model");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&model, bytes).expect("written");
    catalog
}
