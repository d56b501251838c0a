//! The whole platform in one process: `braid up`.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use test_kit::{DEADLINE, Process};

use crate::answer::Client;
use crate::binaries::binary;
use crate::deployment::word;

/// A running `braid up`.
pub struct Up {
    process: Process,
    /// Asks its HTTP interface.
    pub client: Client,
    /// Its Kafka: the one that it was given, or its own.
    pub brokers: String,
    catalog: PathBuf,
    redis: String,
}

impl Up {
    /// Starts `braid up --no-traffic` on the data folder `data` and waits until it serves. Its log is written to `log`.
    pub async fn start(catalog: &Path, data: &Path, more: &[&str], log: &Path) -> Result<Up> {
        let mut command = Command::new(binary("braid")?);
        command.args(["up", "--no-traffic", "--http", "127.0.0.1:0", "--catalog"]).arg(catalog);
        command.arg("--data").arg(data).args(more);
        command.env("BRAID__ARCHIVE__LINGER", "300ms").env("BRAID__SERVING__REFRESH", "100ms");
        // A killed platform's partitions are free for the next one soon.
        command.env("BRAID__KAFKA__SESSION_TIMEOUT", "1s");
        let process = Process::start("braid-up", command, log)?;
        let ready = process.line("ready http=", DEADLINE).await?;
        let part =
            |prefix| word(&ready, prefix).map(str::to_owned).with_context(|| format!("no {prefix} in {ready:?}"));
        let (client, brokers, redis) = (Client::new(&part("http=")?), part("kafka=")?, part("redis=")?);
        Ok(Up { process, client, brokers, catalog: catalog.to_owned(), redis })
    }

    /// Starts `braid send`, which sends the lines of `file` to a source's topic as fast as it can.
    pub fn send(&self, source: &str, file: &Path, log: &Path) -> Result<Process> {
        let mut command = Command::new(binary("braid")?);
        command.args(["send", "--source", source, "--kafka", &self.brokers, "--catalog"]).arg(&self.catalog).arg(file);
        Process::start("braid-send", command, log)
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.process.kill();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.process.kill();
        // Its Redis leads a process group of its own and may have survived the kill, which the next start must cope with.
        // At the scenario's end it must be stopped here. An error means that it has ended.
        let address = self.redis.trim_start_matches("redis://").split('/').next().unwrap_or_default();
        if let Ok(mut connection) = TcpStream::connect(address) {
            let _ = connection.write_all(b"SHUTDOWN NOSAVE\r\n");
        }
    }
}
