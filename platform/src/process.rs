//! How a process begins and ends: what every layer's binary does around its own work.

use std::path::PathBuf;

use crate::failpoints::{self, FailScenario};
use crate::settings::{Settings, SettingsArgs, SettingsError};
use crate::telemetry::{self, TelemetryError};

/// What a layer's binary begins with. Keep it until the process ends: the fail points are armed as long as it lives.
pub struct Process {
    /// The settings from the file, the environment and the flags.
    pub settings: Settings,
    /// The text of the catalog file; this crate does not know what a catalog means.
    pub catalog: String,
    _fail_points: FailScenario<'static>,
}

/// Why a process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings could not be loaded.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Logs and counters could not be started.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The catalog file could not be read.
    #[error("cannot read the catalog {}", path.display())]
    Catalog {
        /// The file that the setting `catalog.path` names.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl Process {
    /// Loads the settings, starts logs and counters, arms the fail points and reads the catalog file.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(flags: &SettingsArgs) -> Result<Process, StartError> {
        let settings = flags.load()?;
        telemetry::init(&settings.telemetry)?;
        let fail_points = failpoints::setup();
        let path = &settings.catalog.path;
        let catalog =
            std::fs::read_to_string(path).map_err(|source| StartError::Catalog { path: path.clone(), source })?;
        Ok(Process { settings, catalog, _fail_points: fail_points })
    }
}

/// Runs a process to the end of `future`. Blocking calls that are still running then, because a deadline has passed, are
/// abandoned: dropping the runtime would wait for them, however long they take.
///
/// # Errors
///
/// If no runtime can be created.
pub fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    run(tokio::runtime::Runtime::new()?, future)
}

/// The same with that many threads for tasks, unless the environment says how many, by tokio's `TOKIO_WORKER_THREADS`.
///
/// # Errors
///
/// If no runtime can be created.
pub fn block_on_threads<F: Future>(threads: usize, future: F) -> std::io::Result<F::Output> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(threads);
    }
    run(builder.enable_all().build()?, future)
}

fn run<F: Future>(runtime: tokio::runtime::Runtime, future: F) -> std::io::Result<F::Output> {
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
