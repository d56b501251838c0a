//! `braid up` where Java cannot be had: a broker inside the process replaces Kafka, unless Kafka was asked for.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The command, in a folder that holds neither a catalog nor a Java.
fn up(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.current_dir(folder).env("JAVA_HOME", folder.join("java")).stdin(Stdio::null());
    command.args(["up", "--no-traffic", "--http", "127.0.0.1:0", "--data", "data"]).args(more);
    command
}

#[test]
fn a_broker_inside_the_process_replaces_kafka() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut command = up(folder.path(), &[]);
    command.stdout(Stdio::piped()).stderr(File::create(&log).expect("a file"));
    let mut child = command.spawn().expect("it starts");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("a text");
    // If it has ended without a line, this is no error to stop at.
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let ended = child.wait().expect("it ends");
    let told = std::fs::read_to_string(log).expect("readable");
    assert!(ready.starts_with("ready http=127.0.0.1:") && ready.contains(" kafka=127.0.0.1:"), "{ready:?}\n{told}");
    assert!(ended.success(), "{ended}\n{told}");
    assert!(told.contains("a broker inside this process replaces it"), "{told}");
    assert!(!folder.path().join("data/kafka").exists(), "it keeps nothing");
}

#[test]
fn kafka_that_was_asked_for_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = up(folder.path(), &["--kafka", "child"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("error: kafka cannot be run here: "), "{told}");
    assert_eq!(refused.stdout, b"");
}
