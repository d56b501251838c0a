//! Programs that are none of ours: what they do is an error that says what to do.

use std::path::{Path, PathBuf};

use platform::settings::Span;
use test_kit::{DEADLINE, Progress, wait_for};

use super::*;

fn cluster(program: &Path) -> Cluster {
    let settings = settings::Cluster { program: program.to_owned(), attempts: 1, ..Default::default() };
    Cluster { scheduler: "localhost:1".to_owned(), settings, store: settings::Store::default() }
}

fn query() -> Query {
    Query { name: "m 2026-04-24".to_owned(), sql: "SELECT 1".to_owned(), rows_at_once: 1, tables: Vec::new() }
}

#[test]
fn there_is_a_cluster_if_the_engine_names_one() {
    let mut settings = Settings::default();
    assert!(Cluster::of(&settings).is_none());
    settings.reconcile.engine = "ballista://host:7".parse().expect("an engine");
    let cluster = Cluster::of(&settings).expect("one is named");
    assert_eq!(cluster.scheduler, "host:7");
    assert!(cluster.is_worth(1_000_000) && !cluster.is_worth(999_999));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_with_what_to_do() {
    let missing = cluster(Path::new("braid-cluster-that-is-not-built")).ask(&query()).await;
    let error = missing.expect_err("it is not there");
    assert!(matches!(error, ClusterError::NoProgram { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["braid-cluster-that-is-not-built", "cluster/Cargo.toml", "`cluster.program`", "`reconcile.engine`"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[tokio::test]
async fn what_a_program_says_when_it_fails_is_told() {
    // It takes `query` for a file, which is not there.
    let failed = cluster(Path::new("/bin/sh")).ask(&query()).await.expect_err("there is no such file");
    assert!(matches!(failed, ClusterError::Failed { .. }), "{failed:?}");
    let text = failed.to_string();
    let (before, said) = text.split_once("m 2026-04-24: ").expect("the query is named");
    assert!(before.ends_with("did not compute ") && said.contains("query") && said.contains("scheduler"), "{text}");
}

#[tokio::test]
async fn a_program_that_ends_well_without_a_result_has_not_answered() {
    let nothing = cluster(Path::new("true")).ask(&query()).await;
    assert!(matches!(nothing, Err(ClusterError::NotWhole { .. })), "{nothing:?}");
    // What it writes is no result either.
    let words = cluster(Path::new("echo")).ask(&query()).await;
    assert!(matches!(words, Err(ClusterError::NotWhole { .. })), "{words:?}");
}

/// A script that adds a line to that file each time, and then does that. Another process writes it: one that is still open for writing, as by a
/// process that another test begins at this moment, cannot be run.
fn script(folder: &Path, then: &str) -> (PathBuf, PathBuf) {
    let (script, noted) = (folder.join("script"), folder.join("noted"));
    let text = format!("#!/bin/sh\necho \"$1\" >> '{}'\n{then}\n", noted.display());
    let mut writer = std::process::Command::new("/bin/sh");
    writer.args(["-c", r#"printf %s "$2" > "$1" && chmod 700 "$1""#, "sh"]).arg(&script).arg(text);
    assert!(writer.status().expect("a shell").success());
    (script, noted)
}

#[tokio::test]
async fn a_query_that_fails_is_asked_so_often_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let (script, noted) = script(folder.path(), "cat > /dev/null; echo 'no scheduler' >&2; exit 1");
    let mut cluster = cluster(&script);
    cluster.settings.attempts = 2;
    let failed = cluster.ask(&query()).await.expect_err("it always fails");
    assert!(failed.to_string().contains("no scheduler"), "{failed}");
    assert_eq!(std::fs::read_to_string(noted).expect("noted"), "query\n".repeat(2));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up_and_its_program_hears_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    // What it writes fails once nobody reads it.
    let then = "trap '' PIPE\nwhile echo waits 2> /dev/null; do sleep 0.01; done\n: > \"$0.over\"";
    let (script, _) = script(folder.path(), then);
    let mut cluster = cluster(&script);
    (cluster.settings.attempts, cluster.settings.timeout) = (2, Span::from_millis(50));
    let late = cluster.ask(&query()).await.expect_err("it does not end");
    assert!(matches!(late, ClusterError::Late { .. }) && late.to_string().contains("`cluster.timeout`"), "{late}");
    let over = script.with_extension("over");
    let ended =
        wait_for("the program to end by itself", DEADLINE, async || Ok(Progress::when(over.exists(), "it goes on")));
    ended.await.expect("it ends");
}
