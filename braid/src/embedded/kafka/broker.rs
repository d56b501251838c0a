//! Apache Kafka as a child of this process: one node, broker and controller at once, on loopback.
//!
//! It listens where it did last time if that port is free. It is ready once it names a usable broker and the id of its cluster,
//! without which another Kafka that listens there could be taken for it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use platform::{kafka, settings};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::folder::Folder;
use super::format::format;
use super::runtime::Runtime;
use crate::embedded::child::Server;
use crate::embedded::lock::lock;
use crate::embedded::port::{free_port, is_free};

/// How long Kafka may take to check its log. It takes 3 to 6 s if the log is short.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long Kafka may take to close its log. It checks more of it at the next start if it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long one question to Kafka may take while it starts.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// How many ports are tried: another process may take a free port before Kafka does.
const PORTS_TRIED_MAX: usize = 5;

/// A running Kafka. It is killed when this is dropped.
pub struct Broker {
    server: Server,
    folder: Folder,
    port: u16,
}

impl Broker {
    /// Starts Kafka with its files in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// If Kafka does not start, or another process uses the folder.
    pub async fn start(folder: &Path, runtime: &Runtime) -> Result<Broker> {
        let folder = Folder::at(folder)?;
        let lock = lock(folder.path()).await?;
        format(&folder, runtime, &lock).await?;
        let last_port = folder.last_port();
        let mut remembered = last_port.filter(|port| is_free(*port));
        for _ in 0..PORTS_TRIED_MAX {
            let port = match remembered.take() {
                Some(port) => port,
                None => free_port()?,
            };
            let mut broker = Broker::spawn(&folder, runtime, port, lock.try_clone()?).await?;
            match broker.wait_until_it_answers().await? {
                Started::Answers => {
                    if let Some(last_port) = last_port.filter(|last_port| *last_port != port) {
                        warn!(
                            port,
                            last_port, "another program uses kafka's last port: producers have to use the new one"
                        );
                    }
                    folder.note_port(port)?;
                    return Ok(broker);
                }
                Started::PortTaken => {
                    debug!(port, "another process took the port, taking the next one");
                    broker.server.kill().await;
                }
            }
        }
        bail!("found no free port for kafka in {PORTS_TRIED_MAX} tries")
    }

    /// `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Resolves when Kafka has ended by itself, with the reason. May be cancelled.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.server.ended().await {
            Ok(status) => anyhow!("kafka ended by itself ({status}); {}", self.folder.end_of_output()),
            Err(error) => anyhow!(error).context("cannot tell whether kafka runs"),
        }
    }

    /// Stops Kafka: it closes its log, and is killed if that takes too long.
    pub async fn stop(self) {
        self.server.stop(STOP_WITHIN).await;
    }

    async fn spawn(folder: &Folder, runtime: &Runtime, port: u16, lock: File) -> Result<Broker> {
        let controller_port = match free_port()? {
            same if same == port => free_port()?,
            other => other,
        };
        let mut command = folder.command(runtime, "kafka.Kafka", &folder.log(), port, controller_port)?;
        command.arg(folder.properties());
        let server = Server::start("kafka", command, lock).await.context("cannot run java")?;
        Ok(Broker { server, folder: folder.clone(), port })
    }

    async fn wait_until_it_answers(&mut self) -> Result<Started> {
        let settings = settings::Kafka { brokers: self.brokers(), ..settings::Kafka::default() };
        let id = self.folder.cluster_id()?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            if let Some(status) = self.server.has_ended()? {
                if self.folder.output().contains("Address already in use") {
                    return Ok(Started::PortTaken);
                }
                bail!("kafka ended ({status}) at its start; {}", self.folder.end_of_output());
            }
            // While nothing listens there, no client needs to be started.
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                match kafka::cluster(&settings, ANSWER_WITHIN).await? {
                    Some(cluster) if cluster.id != id => return Ok(Started::PortTaken),
                    Some(cluster) if cluster.brokers > 0 => return Ok(Started::Answers),
                    _ => {}
                }
            }
            if Instant::now() >= deadline {
                bail!("kafka did not answer within {} s; {}", START_WITHIN.as_secs(), self.folder.end_of_output());
            }
            sleep(POLL_EVERY).await;
        }
    }
}

enum Started {
    Answers,
    PortTaken,
}
