//! Where the build of the running test has put its files.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// One of the project's binaries, built beside the running test.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = profile_dir()?.join(name);
    ensure!(path.exists(), "{path:?} is not built: run `cargo build --workspace` (or `make test`) first");
    Ok(path)
}

/// The target folder of the build that the running test belongs to.
pub fn target_dir() -> Result<PathBuf> {
    Ok(profile_dir()?.parent().context("a profile folder has a parent")?.to_owned())
}

/// `target/debug` of `target/debug/deps/e2e-…` or of `target/debug/bench`.
fn profile_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().with_context(|| format!("{program:?} is in no target folder"))?;
    let deps = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if deps { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}
