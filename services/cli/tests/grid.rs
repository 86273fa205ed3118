//! The grid as a person meets it: real processes, the catalog's own experts, and the commands of the README.

mod harness;

use std::{process::Output, time::Duration};

use bytes::Bytes;
use harness::{Grid, nanogrid, stderr, stdout};
use nanogrid_proto::{
    inference::{ModelInferRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    tensor::{self, Data, Tensor},
};
use nanogrid_testkit::{images, packages};
use serde_json::Value;
use tonic::Request;

const MONEY: &str = "i need to move 200 dollars from savings to checking";
const GERMAN: &str = "Das Wetter ist heute wunderbar";
const REVIEW: &str = "a gripping film with wonderful actors, i loved every minute";
const WEATHER: &str = "The weather is beautiful today.";

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

    let translated = grid.json(0, &["infer", WEATHER, "--instruction", "translate to German"]);
    assert_eq!(translated["outcomes"][0]["expert"], "translate-en-de", "{translated:#}");
    let german = translated["outcomes"][0]["text"]["text"].as_str().expect("a text");
    assert!(german.contains("Wetter"), "{translated:#}");

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
fn an_image_is_seen_by_whoever_takes_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = folder.path().join("catalog");
    packages::image_classifier(&catalog, "colour");
    packages::text_classifier(&catalog, "weather", &["sun", "rain"]);
    let grid = Grid::up(&["--catalog", catalog.to_str().expect("UTF-8")]);
    let served = &grid.process("colour")["serves"][0];
    assert!(!served["first_answer"].is_null(), "{served:#}");

    let photo = folder.path().join("sky.png");
    std::fs::write(&photo, images::png([0, 40, 250])).expect("written");
    let photo = photo.to_str().expect("UTF-8");
    let answer = grid.json(0, &["infer", "--image", photo, "--top-k", "2"]);
    assert_eq!(label(&answer, "colour"), "blue");
    assert_eq!(answer["outcomes"].as_array().expect("a list").len(), 1, "{answer:#}");

    let gif = folder.path().join("sky.gif");
    std::fs::write(&gif, b"GIF89a").expect("written");
    let refused = grid.json(3, &["infer", "--image", gif.to_str().expect("UTF-8")]);
    let cause = refused["missing"][0]["cause"].as_str().expect("text");
    assert!(cause.contains("Gif") && cause.contains("PNG or JPEG"), "{refused:#}");
    assert_eq!(refused["missing"][0]["retryable"], false, "{refused:#}");
}

#[tokio::test]
async fn one_process_and_one_process_each_answer_byte_for_byte_alike() {
    let (each, one) = (Grid::up(&[]), Grid::up(&["--one-process"]));
    assert_eq!(one.pids().len(), 2, "the router, and all experts");
    let texts =
        [MONEY, GERMAN, REVIEW, "x", "\u{1f600} \u{fb01}ne", "wo ist der bahnhof", &"long ".repeat(500)];
    for expert in ["intent", "language", "sentiment", "translate-en-de"] {
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
    let mut request = Request::new(request);
    // A long text is translated token by token, on whatever processor time other tests leave.
    request.set_timeout(Duration::from_secs(10));
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
