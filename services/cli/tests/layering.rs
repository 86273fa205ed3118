//! The order of the crates, from `cargo metadata`: who may use whom. What is written down here cannot erode by accident.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, camino::Utf8Path};

/// A crate may use crates of a lower level, and none of its own.
const LEVELS: &[(&str, u8)] = &[
    ("nanogrid-proto", 0),
    ("nanogrid-resilience", 0),
    ("nanogrid-rollout", 0),
    ("nanogrid-evaluation", 0),
    ("nanogrid-settings", 0),
    ("nanogrid-telemetry", 0),
    ("nanogrid-serving", 1),
    ("nanogrid-onnx", 1),
    // For tests only: it is made of the services that it stands in for.
    ("nanogrid-testkit", 2),
    // For tests only: what reads the bytes of strangers.
    ("nanogrid-fuzz", 2),
    ("nanogrid-router", 2),
    ("nanogrid-experts", 2),
    ("nanogrid", 2),
    ("nanogrid-loadtest", 2),
];

/// Outside crates that are used in one place only, so that they can be replaced there.
const OWNED: &[(&str, &str)] = &[
    ("ort", "nanogrid-onnx"),
    ("tokenizers", "nanogrid-onnx"),
    ("opentelemetry_sdk", "nanogrid-telemetry"),
    ("opentelemetry-otlp", "nanogrid-telemetry"),
    ("prometheus-client", "nanogrid-telemetry"),
    ("config", "nanogrid-settings"),
    ("kube", "nanogrid-router"),
    ("k8s-openapi", "nanogrid-router"),
];

/// Two versions of these would not understand each other's types.
const ONE_VERSION: &[&str] = &[
    "tonic",
    "prost",
    "prost-types",
    "http",
    "http-body",
    "hyper",
    "h2",
    "bytes",
    "tokio",
    "tower",
    "axum",
    "opentelemetry",
    "opentelemetry_sdk",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
    "ort",
    "tokenizers",
    "ndarray",
    "rustix",
];

/// Names that would take in anything, and so say nothing.
const NAMELESS: &[&str] =
    &["common", "util", "utils", "core", "helper", "helpers", "manager", "misc", "shared"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("`cargo metadata` reads the workspace")
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// What `package` uses in what it ships; with `tests`, also what its tests use.
fn used(package: &Package, tests: bool) -> BTreeSet<&str> {
    let is_wanted = |kind| kind != DependencyKind::Development || tests;
    package.dependencies.iter().filter(|used| is_wanted(used.kind)).map(|used| used.name.as_str()).collect()
}

#[test]
fn every_crate_has_its_level() {
    let metadata = metadata();
    let found: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let listed: BTreeSet<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed, "a new crate gets its level here, and in the picture of the README");
}

#[test]
fn a_crate_uses_only_lower_levels() {
    for package in metadata().workspace_packages() {
        let own = level(&package.name).unwrap_or_else(|| panic!("{} has no level", package.name));
        for name in used(package, false) {
            if let Some(other) = level(name) {
                assert!(other < own, "{} (level {own}) must not use {name} (level {other})", package.name);
            }
        }
    }
}

#[test]
fn router_and_experts_meet_in_the_wire_and_nowhere_else() {
    let metadata = metadata();
    for (one, other) in [("nanogrid-router", "nanogrid-experts"), ("nanogrid-experts", "nanogrid-router")] {
        let packages = metadata.workspace_packages();
        let package = packages.iter().find(|package| package.name == one).expect("a crate of the workspace");
        assert!(!used(package, true).contains(other), "{one} must not know {other}, not even in its tests");
    }
}

#[test]
fn the_load_generator_knows_the_wire_alone() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let loadtest = packages
        .iter()
        .find(|package| package.name == "nanogrid-loadtest")
        .expect("a crate of the workspace");
    let own: BTreeSet<&str> =
        used(loadtest, false).into_iter().filter(|name| level(name).is_some()).collect();
    assert!(own.is_subset(&BTreeSet::from(["nanogrid-proto"])), "a client has nothing else either: {own:?}");
}

#[test]
fn the_testkit_is_in_nothing_that_ships() {
    for package in metadata().workspace_packages() {
        assert!(!used(package, false).contains("nanogrid-testkit"), "{}: for tests only", package.name);
    }
}

#[test]
fn replaceable_crates_have_one_user() {
    for package in metadata().workspace_packages() {
        for (crate_name, owner) in OWNED {
            let uses = used(package, false).contains(crate_name);
            assert!(
                !uses || package.name == *owner,
                "{} uses {crate_name}, which belongs to {owner}",
                package.name
            );
        }
    }
}

#[test]
fn no_crate_and_no_module_has_a_name_that_says_nothing() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let words = package.name.split('-');
        assert!(!words.clone().any(|word| NAMELESS.contains(&word)), "{} says nothing", package.name);
        let source = package.manifest_path.parent().expect("a manifest lies in a folder").join("src");
        for path in sources(&source) {
            let name = path.file_stem().unwrap_or_default();
            assert!(!NAMELESS.contains(&name), "{path} says nothing");
        }
    }
}

fn sources(folder: &Utf8Path) -> Vec<cargo_metadata::camino::Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().expect("a folder of sources") {
        let path = entry.expect("readable").into_path();
        if path.is_dir() {
            found.extend(sources(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn crates_that_meet_in_types_are_there_once() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("resolved");
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for node in &resolve.nodes {
        let package = &metadata[&node.id];
        versions.entry(package.name.as_str()).or_default().insert(package.version.to_string());
    }
    for name in ONE_VERSION {
        let found = versions.get(name).cloned().unwrap_or_default();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}
