//! The broker's class path, which `deploy/kafka-jars.sh` fetches once per user, for these tests and for `braid up`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of jars, or why they could not be fetched. Asked once per test binary.
pub(super) fn class_path() -> Result<&'static Path, String> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    JARS.get_or_init(fetch).as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

fn fetch() -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka-jars.sh");
    let output = Command::new(script).output().map_err(|error| format!("cannot run {script}: {error}"))?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let first_error = printed.lines().find(|line| line.contains("ERROR")).or(printed.lines().next_back());
    Err(format!("{script} failed ({}): {}", output.status, first_error.unwrap_or("it printed no error")))
}
