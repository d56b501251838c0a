//! One Apache Kafka node, broker and controller in one process, on loopback.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_kit::{DEADLINE, Process, free_port};

use crate::binaries::target_dir;

/// 16 bytes in URL-safe base64. Every test broker is alone, so all may have the same.
const CLUSTER_ID: &str = "QnJhaWQtdGVzdHMtMDAwMA";
/// The same Kafka as that of `braid up`, except that deletions (topics, records, compaction) become visible soon.
const PROPERTIES: &str = concat!(
    include_str!("../../../braid/kafka/server.properties"),
    "log.retention.check.interval.ms=1000\nlog.initial.task.delay.ms=1000\n",
    "log.cleaner.backoff.ms=1000\nfile.delete.delay.ms=1000\n"
);
const LOG4J2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../braid/kafka/log4j2.yaml");
/// How a second node differs from the first.
const SECOND: &str = "process.roles=broker\nnode.id=2\nlisteners=PLAINTEXT://127.0.0.1:@PORT@\n";
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// A broker with its own data folder and ports, which it keeps over restarts.
pub struct Broker {
    dir: PathBuf,
    class_path: PathBuf,
    port: u16,
    controller_port: u16,
    process: Option<Process>,
}

impl Broker {
    /// Starts a broker on an empty, formatted data folder under `dir`. `more` are properties that win over those of all test brokers.
    pub(super) async fn start(dir: &Path, class_path: &Path, more: &str) -> Result<Broker> {
        let mut broker = Broker::new(dir, class_path, more)?;
        copy_dir(&formatted(class_path)?, &dir.join("data"))?;
        broker.restart().await?;
        Ok(broker)
    }

    /// The same, formatted with its own ports: a second node may learn them from its data.
    pub(super) async fn start_first(dir: &Path, class_path: &Path) -> Result<Broker> {
        let mut broker = Broker::new(dir, class_path, "")?;
        format(class_path, &dir.join("server.properties"), "--standalone")?;
        broker.restart().await?;
        Ok(broker)
    }

    /// Starts a second node of the same cluster, which holds nothing. What was there before lies on the first one alone, which is also
    /// the controller: so the second may be killed.
    pub async fn second(&self) -> Result<Broker> {
        let (dir, port, controller_port) = (self.dir.join("second"), free_port()?, self.controller_port);
        let (properties, data) = (dir.join("server.properties"), dir.join("data"));
        fs::create_dir_all(&data)?;
        write_properties(&properties, &data, port, controller_port, SECOND)?;
        format(&self.class_path, &properties, "--no-initial-controllers")?;
        let mut second = Broker { dir, class_path: self.class_path.clone(), port, controller_port, process: None };
        second.restart().await?;
        Ok(second)
    }

    /// An empty folder and properties.
    fn new(dir: &Path, class_path: &Path, more: &str) -> Result<Broker> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir.join("data"))?;
        let (port, controller_port) = (free_port()?, free_port()?);
        write_properties(&dir.join("server.properties"), &dir.join("data"), port, controller_port, more)?;
        let (dir, class_path) = (dir.to_owned(), class_path.to_owned());
        Ok(Broker { dir, class_path, port, controller_port, process: None })
    }

    /// `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the broker does not run")?.id())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops in good order.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
            process.end(STOP_DEADLINE).await?;
        }
        Ok(())
    }

    /// Keeps a copy of its data under a name. It must have been stopped.
    pub fn keep_copy(&self, name: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the broker runs");
        copy_dir(&self.dir.join("data"), &self.dir.join(name))
    }

    /// Replaces its data by the copy of that name. It must have been stopped.
    pub fn go_back_to(&self, name: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the broker runs");
        fs::remove_dir_all(self.dir.join("data"))?;
        copy_dir(&self.dir.join(name), &self.dir.join("data"))
    }

    /// Replaces a topic's partitions by those of the copy of that name: what arrived since is lost of this topic alone. It must have
    /// been stopped in good order.
    pub fn lose_tail(&self, topic: &str, copy: &str) -> Result<()> {
        ensure!(self.process.is_none(), "the broker runs");
        let (data, copy) = (self.dir.join("data"), self.dir.join(copy));
        let mut partitions = 0;
        for entry in fs::read_dir(&copy)? {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix(topic)?.strip_prefix('-')?.parse::<u32>().ok());
            if number.is_some() {
                fs::remove_dir_all(data.join(&name))?;
                copy_dir(&copy.join(&name), &data.join(&name))?;
                partitions += 1;
            }
        }
        ensure!(partitions > 0, "the copy holds nothing of {topic}");
        Ok(())
    }

    /// One of Kafka's own commands, for this broker.
    pub(super) fn tool(&self, class: &str) -> Command {
        let mut command = java(&self.class_path);
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", class, "--bootstrap-server"]);
        command.arg(self.brokers());
        command
    }

    /// A file of that name beside its data.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts again on the same data and ports; kills first what still runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = java(&self.class_path);
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "kafka.Kafka"]);
        command.arg(self.dir.join("server.properties"));
        let process = Process::start("kafka", command, &self.dir.join("kafka.out"))?;
        process.line_with("Kafka Server started", DEADLINE).await?;
        self.process = Some(process);
        Ok(())
    }
}

/// A formatted data folder to copy from: formatting takes longer than copying. Test binaries take turns.
fn formatted(class_path: &Path) -> Result<PathBuf> {
    let home = target_dir()?.join("kafka-for-tests");
    fs::create_dir_all(&home)?;
    let turn = File::create(home.join("lock"))?;
    turn.lock()?;
    let formatted = home.join("formatted");
    if formatted.exists() {
        return Ok(formatted);
    }
    // Under another name until it is whole.
    let fresh = home.join("being-formatted");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let properties = home.join("format.properties");
    write_properties(&properties, &fresh, free_port()?, free_port()?, "")?;
    format(class_path, &properties, "--standalone")?;
    fs::rename(fresh, &formatted)?;
    Ok(formatted)
}

/// Formats the data folder that properties name. `controllers` says who they are.
fn format(class_path: &Path, properties: &Path, controllers: &str) -> Result<()> {
    let mut command = java(class_path);
    command.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", controllers, "-t", CLUSTER_ID, "-c"]);
    let output = command.arg(properties).output().context("cannot run java")?;
    ensure!(output.status.success(), "cannot format a Kafka folder: {output:?}");
    Ok(())
}

fn java(class_path: &Path) -> Command {
    let mut command = Command::new("java");
    // The asterisk is Java's own wildcard: all jars of the folder.
    command.arg("-cp").arg(class_path.join("*"));
    command.arg(format!("-Dlog4j2.configurationFile={LOG4J2}"));
    command
}

fn write_properties(path: &Path, data: &Path, port: u16, controller_port: u16, more: &str) -> Result<()> {
    let text = format!("{PROPERTIES}\n{more}")
        .replace("@PORT@", &port.to_string())
        .replace("@CONTROLLER_PORT@", &controller_port.to_string())
        .replace("@DATA@", data.to_str().context("the data folder's path is not UTF-8")?);
    Ok(fs::write(path, text)?)
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
