//! What tests run that Cargo does not build: a script fetches it, once per user, and prints where it lies.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

/// The path that a script of the repository prints, or why it failed.
pub fn by(script: &str) -> Result<PathBuf, String> {
    by_with(script, &[])
}

/// The same of a script that takes arguments.
pub fn by_with(script: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let script = format!("{}/../{script}", env!("CARGO_MANIFEST_DIR"));
    let output =
        Command::new(&script).args(arguments).output().map_err(|error| format!("cannot run {script}: {error}"))?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let first_error = printed.lines().find(|line| line.contains("ERROR")).or(printed.lines().next_back());
    Err(format!("{script} failed ({}): {}", output.status, first_error.unwrap_or("it printed no error")))
}

/// Fails where all of it is required.
pub fn refuse_in_ci(what: &str, why: &str) -> Result<()> {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    ensure!(!in_ci, "with CI=true the real {what} is required: {why}");
    Ok(())
}

/// Prints past the test runner, which keeps the output of tests that pass to itself.
pub fn notice(text: &str) {
    let _ = writeln!(std::io::stderr(), "NOTICE: {text}");
}
