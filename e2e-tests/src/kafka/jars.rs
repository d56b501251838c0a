//! The broker's class path, which `deploy/kafka-jars.sh` fetches once per user, for these tests and for `braid up`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::fetched;

/// The folder of jars, or why they could not be fetched. Asked once per test binary.
pub(super) fn class_path() -> Result<&'static Path, String> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let jars = JARS.get_or_init(|| fetched::by("deploy/kafka-jars.sh"));
    jars.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}
