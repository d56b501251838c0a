//! Kafka Connect with Debezium's connector, in one process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use test_kit::{Process, free_port};

const WORKER: &str = include_str!("../../cdc/worker.properties");
const CONNECTOR: &str = include_str!("../../cdc/postgres.properties");

/// A worker of Connect, which keeps in its folder how far it has read. Dropping it kills it.
pub struct Connect {
    jars: PathBuf,
    folder: PathBuf,
    brokers: String,
    prefix: String,
    postgres: u16,
    process: Option<Process>,
}

impl Connect {
    pub(super) fn new(jars: PathBuf, folder: PathBuf, brokers: &str, prefix: &str, postgres: u16) -> Connect {
        let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
        Connect { jars, folder, brokers, prefix, postgres, process: None }
    }

    /// Starts it where it was; it writes the block that describes a record's schema into each, or not. One that runs is killed.
    pub fn start(&mut self, with_schemas: bool) -> Result<()> {
        self.kill();
        let data = self.folder.to_str().context("the folder's path is not UTF-8")?;
        let worker = WORKER
            .replace("@BROKERS@", &self.brokers)
            .replace("@SCHEMAS@", &with_schemas.to_string())
            .replace("@DATA@", data)
            .replace("@PORT@", &free_port()?.to_string());
        let connector =
            CONNECTOR.replace("@POSTGRES_PORT@", &self.postgres.to_string()).replace("@PREFIX@", &self.prefix);
        let files = ["worker.properties", "postgres.properties"].map(|name| self.folder.join(name));
        fs::write(&files[0], worker)?;
        fs::write(&files[1], connector)?;
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        // The asterisk is Java's own wildcard: all jars of the folder.
        command.arg("-cp").arg(self.jars.join("*"));
        command.arg("org.apache.kafka.connect.cli.ConnectStandalone").args(files);
        self.process = Some(Process::start("connect", command, &self.folder.join("connect.out"))?);
        Ok(())
    }

    /// Fails if it has ended.
    pub fn runs(&self) -> Result<()> {
        let ended = self.process.as_ref().context("connect was not started")?.ended()?;
        ensure!(ended.is_none(), "connect ended");
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}
