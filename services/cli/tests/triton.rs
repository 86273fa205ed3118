//! The public Python clients against an expert and against the router: whoever speaks the Open Inference Protocol, health
//! or reflection talks to this grid without knowing of it.

mod harness;

use std::process::Command;

use harness::{Grid, root};

/// The Python with the clients, prepared here when `make test` has not.
fn python() -> String {
    let prepare = root().join("services/cli/tests/python/prepare");
    let output = Command::new(&prepare).output().expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a path").trim().to_owned()
}

#[track_caller]
fn check(grid: &Grid, address: &str, arguments: &[&str]) {
    let output = Command::new(python())
        .arg(root().join("services/cli/tests/python/triton_client.py"))
        .arg(address)
        .args(arguments)
        .output()
        .expect("python runs");
    let (said, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{problem}\n{}", grid.logs());
}

#[test]
fn tritonclient_is_at_home_with_an_expert() {
    let grid = Grid::up(&[]);
    let address = grid.process("intent")["address"].as_str().expect("an address").to_owned();
    check(&grid, &address, &["intent", "--health-of-each"]);
}

#[test]
fn tritonclient_is_at_home_with_all_experts_in_one_process() {
    let grid = Grid::up(&["--one-process"]);
    let address = grid.process("experts")["address"].as_str().expect("an address").to_owned();
    check(&grid, &address, &["intent", "language", "sentiment", "--health-of-each"]);
}

#[test]
fn tritonclient_is_at_home_with_the_router() {
    let grid = Grid::up(&[]);
    check(&grid, grid.addr(), &["intent", "language", "sentiment"]);
}
