use std::fs;
use std::path::Path;

use clap::ValueEnum;

use super::*;
use crate::scenario::Scenario;

fn command_line(arguments: &[&str]) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from([&["nanogrid-loadtest"], arguments].concat())
}

fn parse(arguments: &[&str]) -> Options {
    command_line(arguments).unwrap().run
}

#[track_caller]
fn refused(arguments: &[&str], message: &str) {
    let error = command_line(arguments).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn the_loop_is_closed_with_one_caller_unless_said_otherwise() {
    assert_eq!(parse(&[]).load().shape, Shape::Closed { concurrency: 1 });
    assert_eq!(parse(&["--concurrency", "16"]).load().shape, Shape::Closed { concurrency: 16 });
    let open = Shape::Open { rate: 250.5, arrivals: Distribution::Constant, max_in_flight: 7 };
    let arguments = ["--rate", "250.5", "--arrivals", "constant", "--max-in-flight", "7"];
    assert_eq!(parse(&arguments).load().shape, open);
}

#[test]
fn nonsense_is_refused_with_what_would_be_right() {
    refused(&["--rate", "0"], "must be a number above 0");
    refused(&["--concurrency", "0"], "must be a number of at least 1");
    refused(&["--rate", "5", "--concurrency", "5"], "cannot be used with");
    refused(&["--expert", "intent", "--explicit"], "cannot be used with");
    refused(&["--max-errors", "many"], "must be a number such as `10` or a share such as `0.1%`: `many`");
    refused(&["--max-wrong", "101%"], "must be a number");
    refused(&["--max-p99", "fast"], "--max-p99");
}

fn scenarios(arguments: &[&str]) -> ScenarioOptions {
    let command_line = command_line(&[&["scenario"], arguments].concat()).unwrap();
    match command_line.command.expect("a subcommand") {
        Subcommand::Scenario(options) => options,
    }
}

#[test]
fn scenarios_are_played_in_the_order_given() {
    assert_eq!(scenarios(&["fail-fast", "kill"]).scenarios(), [Scenario::FailFast, Scenario::Kill]);
    assert_eq!(scenarios(&["all"]).scenarios(), Scenario::value_variants());
    let setup = scenarios(&["pause", "--fault", "3s", "--requests", "2000"]).setup(Path::new("bin/loadtest"));
    assert_eq!((setup.fault, setup.requests), (Some(Duration::from_secs(3)), 2000));
    assert_eq!(setup.place.programs, Path::new("bin"));
    refused(&["scenario"], "NAME");
    refused(&["scenario", "flood"], "kill");
    refused(&["--rate", "5", "scenario", "kill"], "cannot be used with");
}

#[test]
fn limits_hold_up_to_their_value() {
    let counts = Counts { due: 1000, right: 979, wrong: 20, missing: 1, ..Counts::default() };
    let exceeded = |arguments: &[&str]| parse(arguments).limits.exceeded(&counts, Duration::from_millis(8));
    let within = ["--max-errors", "1", "--max-wrong", "2%", "--max-p99", "8ms"];
    assert!(exceeded(&within).is_empty(), "{:?}", exceeded(&within));
    let beyond = exceeded(&["--max-errors", "0", "--max-wrong", "1.9%", "--max-p99", "7ms"]);
    assert_eq!(beyond.len(), 3, "{beyond:?}");
    assert_eq!(beyond[0], "`--max-errors`: 1 of 1000 calls failed");
}

#[test]
fn a_run_without_any_answer_has_failed() {
    let counts = Counts { due: 10, errors: [("UNAVAILABLE".to_owned(), 10)].into(), ..Counts::default() };
    let exceeded = parse(&[]).limits.exceeded(&counts, Duration::ZERO);
    assert_eq!(exceeded, ["nothing was answered"]);
}

#[test]
fn inputs_are_those_of_the_expert_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.jsonl");
    let lines = r#"{"text": "a", "expert": "intent", "label": "x"}
        {"text": "b", "expert": "topic", "label": "y"}
        {"text": " ", "expert": "intent", "label": "z"}
        {"text": "c", "label": "w"}"#;
    fs::write(&path, lines).unwrap();
    let input = path.to_str().unwrap();
    let texts = |arguments: &[&str]| {
        let inputs = parse(&[&["--input", input], arguments].concat()).inputs();
        inputs.map(|inputs| inputs.iter().map(|input| input.case().input.to_string()).collect::<String>())
    };
    assert_eq!(texts(&[]).unwrap(), "abc");
    assert_eq!(texts(&["--expert", "intent"]).unwrap(), "ac");

    fs::write(&path, r#"{"text": "a", "expert": "intent"}"#).unwrap();
    let error = texts(&["--expert", "weather"]).unwrap_err().to_string();
    assert!(error.contains("for expert `weather`: give a file with `--input`"), "{error}");
}
