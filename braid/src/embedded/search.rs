//! An OpenSearch as a child of this process, with its files in the data folder.
//!
//! Its part of the folder: `data/`, what it keeps; `config/`, which is empty; `search.log` and `search.log.1`, what it printed since its last
//! start and since the start before; `port`, where it listened last, so that whoever searches without Braid finds it there again; `lock`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::child::{Server, tail};
use super::java::{Jars, Java};
use super::lock::lock;
use super::port::{free_port, is_free};

const NAME: &str = "opensearch";
const JARS: Jars = Jars {
    name: NAME,
    // The version that the script fetches.
    version: "2.19.6",
    variable: "BRAID_SEARCH_JARS",
    script: "deploy/search-jars.sh",
};
/// How long it may take to recover its indexes. It takes 3 s if it has none.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to close them. It reads more of its translogs at the next start if it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How many ports are tried: another process may take a free port before it does.
const PORTS_TRIED_MAX: usize = 5;

/// A running OpenSearch. It is killed when this is dropped.
pub struct EmbeddedSearch {
    server: Server,
    folder: PathBuf,
    port: u16,
}

enum Started {
    Ready,
    PortTaken,
}

impl EmbeddedSearch {
    /// Starts an OpenSearch on a loopback port, with its files in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// What is missing here, and how to get it; if it does not start, or another process uses the folder.
    pub async fn start(folder: &Path) -> Result<EmbeddedSearch> {
        let java = Java::find(&JARS).await.context("opensearch cannot be run here")?;
        let classes = java.jars.join("classes");
        ensure!(
            classes.is_dir(),
            "there is no folder {} with the program that starts opensearch: {} compiles it",
            classes.display(),
            JARS.script
        );
        let folder = std::path::absolute(folder).with_context(|| format!("cannot use {}", folder.display()))?;
        let lock = lock(&folder).await?;
        fs::create_dir_all(folder.join("config")).with_context(|| format!("cannot write {}", folder.display()))?;
        let mut last_port = last_port(&folder).filter(|port| is_free(*port));
        for _ in 0..PORTS_TRIED_MAX {
            let port = match last_port.take() {
                Some(port) => port,
                None => free_port()?,
            };
            let command = command(&java, &folder, port)?;
            let server = Server::start(NAME, command, lock.try_clone()?).await.context("cannot run java")?;
            let mut search = EmbeddedSearch { server, folder: folder.clone(), port };
            match search.wait_until_it_listens().await? {
                Started::Ready => {
                    fs::write(port_file(&folder), format!("{port}\n")).context("cannot note opensearch's port")?;
                    return Ok(search);
                }
                Started::PortTaken => debug!(port, "another process took the port, taking the next one"),
            }
        }
        bail!("found no free port for opensearch in {PORTS_TRIED_MAX} tries")
    }

    /// The server's address, `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Resolves when the server has ended by itself, with the reason. May be cancelled.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.server.ended().await {
            Ok(status) => anyhow!("opensearch ended by itself ({status}); {}", end_of_output(&self.folder)),
            Err(error) => anyhow!(error).context("cannot tell whether opensearch runs"),
        }
    }

    /// Stops the server: it closes its indexes, and is killed if that takes too long.
    pub async fn stop(self) {
        self.server.stop(STOP_WITHIN).await;
    }

    async fn wait_until_it_listens(&mut self) -> Result<Started> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let ended = self.server.has_ended()?;
            let output = String::from_utf8_lossy(&fs::read(output_file(&self.folder))?).into_owned();
            if output.lines().any(|line| line == "ready") {
                return Ok(Started::Ready);
            }
            if let Some(status) = ended {
                if output.contains("Address already in use") {
                    return Ok(Started::PortTaken);
                }
                bail!("opensearch ended ({status}) at its start; {}", end_of_output(&self.folder));
            }
            if Instant::now() >= deadline {
                bail!("opensearch did not listen within {} s; {}", START_WITHIN.as_secs(), end_of_output(&self.folder));
            }
            sleep(POLL_EVERY).await;
        }
    }
}

fn command(java: &Java, folder: &Path, port: u16) -> Result<Command> {
    // The asterisk is Java's own wildcard: all jars of the folder.
    let mut class_path = OsString::from(java.jars.join("classes"));
    class_path.push(":");
    class_path.push(java.jars.join("*"));
    let mut command = java.command(&class_path, folder);
    command.args(["-Dorg.apache.logging.log4j.level=WARN", "Search", &port.to_string()]).arg(folder);
    let output = new_output(folder)?;
    command.stdout(output.try_clone()?).stderr(output);
    Ok(command)
}

fn new_output(folder: &Path) -> Result<File> {
    let file = output_file(folder);
    // An error means that there is none to keep.
    let _ = fs::rename(&file, folder.join("search.log.1"));
    File::create(&file).with_context(|| format!("cannot create {}", file.display()))
}

fn output_file(folder: &Path) -> PathBuf {
    folder.join("search.log")
}

fn end_of_output(folder: &Path) -> String {
    let file = output_file(folder);
    format!("its log, {}:\n{}", file.display(), tail(&file))
}

fn last_port(folder: &Path) -> Option<u16> {
    fs::read_to_string(port_file(folder)).ok()?.trim().parse().ok()
}

fn port_file(folder: &Path) -> PathBuf {
    folder.join("port")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POM: &str = include_str!("../../search/pom.xml");

    #[test]
    fn the_version_is_the_one_that_is_fetched() {
        assert!(POM.contains(&format!("<opensearch.version>{}</opensearch.version>", JARS.version)));
    }

    #[test]
    fn the_last_port_is_remembered_and_the_output_before_is_kept() {
        let data = tempfile::tempdir().expect("a folder");
        assert_eq!(last_port(data.path()), None);
        fs::write(port_file(data.path()), "19123\n").expect("written");
        assert_eq!(last_port(data.path()), Some(19_123));
        for text in ["first", "second"] {
            std::io::Write::write_all(&mut new_output(data.path()).expect("a file"), text.as_bytes()).expect("written");
        }
        assert!(end_of_output(data.path()).ends_with("second"));
        assert_eq!(fs::read_to_string(data.path().join("search.log.1")).expect("kept"), "first");
    }
}
