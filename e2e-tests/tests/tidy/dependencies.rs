//! What crates may bring with them, read from `cargo metadata`. Which crate may depend on which stands in `floors`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What only tests may use, and the one crate that is nothing but tests.
const ONLY_IN_TESTS: &str = "test-kit";
const ALL_TESTS: &str = "e2e-tests";
/// Anything with which a crate could do input or output.
const NOT_IN_SHARED_LOGIC: [&str; 8] =
    ["tokio", "rdkafka", "redis", "axum", "deltalake", "object_store", "reqwest", "hyper"];
/// What only the fuzz targets need.
const ONLY_IN_FUZZ: [&str; 3] = ["fuzz", "libfuzzer-sys", "arbitrary"];
/// The engine of the plan. What it brings for its own file readers is not reachable from our code.
const ENGINE: &str = "polars";

/// The workspace and what it resolves to.
pub(super) struct Graph {
    /// Names by package id.
    names: BTreeMap<String, String>,
    /// Normal dependencies (not those of tests or build scripts) by package id.
    normal: BTreeMap<String, Vec<String>>,
    members: BTreeSet<String>,
}

#[test]
fn the_test_kit_is_a_dependency_of_tests_only() -> Result<()> {
    let graph = Graph::read()?;
    for name in graph.members().filter(|name| *name != ALL_TESTS) {
        ensure!(
            !graph.members_below(name)?.any(|below| below == ONLY_IN_TESTS),
            "{name} depends on {ONLY_IN_TESTS}, which only tests may use: move it to its [dev-dependencies]"
        );
    }
    Ok(())
}

#[test]
fn shared_logic_can_do_no_input_or_output() -> Result<()> {
    let graph = Graph::read()?;
    let mut open = vec![graph.id("shared-logic")?.to_owned()];
    let mut reached = BTreeSet::new();
    while let Some(package) = open.pop() {
        let name = &graph.names[&package];
        ensure!(
            !NOT_IN_SHARED_LOGIC.contains(&name.as_str()),
            "shared-logic pulls in {name} (`cargo tree -p shared-logic -i {name}`): it is pure, take values as arguments"
        );
        if name != ENGINE && reached.insert(package.clone()) {
            open.extend(graph.normal.get(&package).into_iter().flatten().cloned());
        }
    }
    Ok(())
}

#[test]
fn the_fuzz_targets_run_what_ships() -> Result<()> {
    let (ours, fuzzed) = (locked("Cargo.lock")?, locked("fuzz/Cargo.lock")?);
    let mut strangers = fuzzed.difference(&ours).filter(|(name, _)| !ONLY_IN_FUZZ.contains(&name.as_str()));
    let stranger = strangers.next();
    ensure!(stranger.is_none(), "fuzz/Cargo.lock has {stranger:?} and Cargo.lock has not: copy that file over it");
    Ok(())
}

/// Names and versions of a lock file.
fn locked(path: &str) -> Result<BTreeSet<(String, String)>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))?;
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches(['"', ' ', '=']).to_owned());
    let lines: Vec<&str> = text.lines().collect();
    let package = |pair: &[&str]| Some((value(pair[0], "name")?, value(pair[1], "version")?));
    let packages: BTreeSet<_> = lines.windows(2).filter_map(package).collect();
    ensure!(!packages.is_empty(), "{path} has another form");
    Ok(packages)
}

impl Graph {
    pub(super) fn read() -> Result<Graph> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        // `cargo test` has fetched all that this platform needs.
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform=host-tuple"])
            .args(["--manifest-path", manifest])
            .output()?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let packages =
            array(&metadata["packages"])?.iter().map(|package| Ok((text(&package["id"])?, text(&package["name"])?)));
        let nodes = array(&metadata["resolve"]["nodes"])?.iter().map(|node| {
            let normal = array(&node["deps"])?.iter().filter(|dependency| is_normal(dependency));
            Ok((text(&node["id"])?, normal.map(|dependency| text(&dependency["pkg"])).collect::<Result<_>>()?))
        });
        let members = array(&metadata["workspace_members"])?.iter().map(text);
        Ok(Graph {
            names: packages.collect::<Result<_>>()?,
            normal: nodes.collect::<Result<_>>()?,
            members: members.collect::<Result<_>>()?,
        })
    }

    fn id(&self, name: &str) -> Result<&str> {
        let member = self.members.iter().find(|id| self.names[*id] == name);
        member.map(String::as_str).with_context(|| format!("the workspace has no member {name}"))
    }

    /// The names of the workspace's crates.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|id| self.names[id].as_str())
    }

    /// The names of the workspace's crates that this one depends on.
    pub(super) fn members_below(&self, name: &str) -> Result<impl Iterator<Item = &str>> {
        let below = self.normal[self.id(name)?].iter().filter(|id| self.members.contains(*id));
        Ok(below.map(|id| self.names[id].as_str()))
    }
}

fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("cargo metadata has another shape")
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("cargo metadata has another shape")?.to_owned())
}
