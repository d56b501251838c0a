//! Folders of servers that all scenarios of a test binary share.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::binaries::target_dir;

/// The folder of a server whose folders begin so: two test processes at once have one each. Those of test processes that have ended
/// are removed.
pub(crate) fn shared_folder(prefix: &str) -> Result<PathBuf> {
    let all = target_dir()?.join("e2e");
    for entry in std::fs::read_dir(&all).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix(prefix) else { continue };
        if !Path::new("/proc").join(id).exists() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(all.join(format!("{prefix}{}", std::process::id())))
}
