//! A server that is a child process, and keeps its port and its folder over restarts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::Process;

/// The process, once it was started, its port and its folder. Dropping it kills it.
pub struct ChildServer {
    name: &'static str,
    stop_within: Duration,
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
    /// The folder, if it is to be removed together with this; declared last, so that the process ends before.
    _temporary: Option<TempDir>,
}

impl ChildServer {
    /// One that does not run yet, with its data and output in that folder, or in a temporary one. It may take so long to stop.
    pub(crate) fn new(name: &'static str, folder: Option<&Path>, stop_within: Duration) -> Result<ChildServer> {
        let (folder, temporary) = match folder {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&folder)?;
        Ok(ChildServer { name, stop_within, process: None, port: free_port()?, folder, _temporary: temporary })
    }

    /// Starts `command`; kills first what still runs.
    pub(crate) fn launch(&mut self, command: Command) -> Result<Process> {
        self.kill();
        let process = Process::start(self.name, command, &self.folder.join(format!("{}.out", self.name)))?;
        self.process = Some(process.clone());
        Ok(process)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its data and its output lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.running()?.id())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Freezes it: it answers no request and closes no connection.
    pub fn suspend(&self) -> Result<()> {
        self.running()?.suspend()
    }

    /// Thaws it.
    pub fn resume(&self) -> Result<()> {
        self.running()?.resume()
    }

    /// Stops in good order.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
            process.end(self.stop_within).await?;
        }
        Ok(())
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }
}
