//! The broker's class path, fetched by Maven into `target/kafka-for-tests/` and kept there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::binaries::target_dir;

const POM: &str = include_str!("../../kafka/pom.xml");

/// The folder of jars, or why Maven could not fetch them. Asked once per test binary.
pub(super) fn class_path() -> Result<std::result::Result<&'static Path, String>> {
    static JARS: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    if JARS.get().is_none() {
        let fetched = fetch_once()?;
        let _ = JARS.set(fetched);
    }
    let jars = JARS.get().context("set above")?;
    Ok(jars.as_ref().map(PathBuf::as_path).map_err(Clone::clone))
}

/// The folder in which everything about the test broker is kept.
pub(super) fn home() -> Result<PathBuf> {
    Ok(target_dir()?.join("kafka-for-tests"))
}

/// Takes turns with other test binaries until the returned file is dropped.
pub(super) fn lock() -> Result<File> {
    let home = home()?;
    fs::create_dir_all(&home)?;
    let file = File::create(home.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn fetch_once() -> Result<std::result::Result<PathBuf, String>> {
    let _turn = lock()?;
    let jars = home()?.join("jars");
    // Written last: it says that these are all the jars, and which versions.
    let stamp = jars.join("fetched-by.pom.xml");
    if fs::read_to_string(&stamp).is_ok_and(|fetched_by| fetched_by == POM) {
        return Ok(Ok(jars));
    }
    if jars.exists() {
        fs::remove_dir_all(&jars)?;
    }
    let fetched = fetch(&jars);
    if fetched.is_ok() {
        fs::write(stamp, POM)?;
    }
    Ok(fetched.map(|()| jars))
}

fn fetch(jars: &Path) -> std::result::Result<(), String> {
    let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/pom.xml");
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .output()
        .map_err(|error| format!("cannot run mvn: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let first_error = printed.lines().find(|line| line.contains("ERROR")).unwrap_or("it printed no error");
    Err(format!("mvn failed ({}): {first_error}", output.status))
}
