//! The schema registry that scenarios run on: Apicurio Registry, which speaks the API of Confluent's. `e2e-tests/schema-registry.sh`
//! fetches it, once per user.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Process, Progress, free_port, wait_for};

use crate::fetched::{self, notice, refuse_in_ci};

/// A schema registry that keeps its schemas in memory.
pub struct Registry {
    process: Process,
    port: u16,
    http: reqwest::Client,
}

impl Registry {
    /// Starts an empty registry; nothing where none can be had. Then the scenario, which has no meaning without one, is named in
    /// a notice, and with `CI=true` that is an error.
    pub async fn start(scenario: &str, dir: &Path) -> Result<Option<Registry>> {
        let jar = match jar() {
            Ok(jar) => jar,
            Err(why) => {
                refuse_in_ci("schema registry", &why)?;
                notice(&format!("scenario {scenario} needs the real schema registry and DID NOT RUN: {why}"));
                return Ok(None);
            }
        };
        let port = free_port()?;
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
        command.arg(format!("-Dquarkus.http.port={port}")).arg("-jar").arg(jar).current_dir(dir);
        let process = Process::start("registry", command, &dir.join("registry.out"))?;
        let registry = Registry { process, port, http: reqwest::Client::new() };
        wait_for("the registry to answer", DEADLINE, async || {
            ensure!(registry.process.ended()?.is_none(), "the registry ended");
            let answer = registry.http.get(format!("{}/subjects", registry.url())).send().await;
            let is_up = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
            Ok(Progress::when(is_up, format_args!("{answer:?}")))
        })
        .await?;
        Ok(Some(registry))
    }

    /// The address of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Registers a schema as the next version of a subject, and returns its id. `references` are names and subjects of schemas that it
    /// refers to, in their first versions.
    pub async fn register(&self, subject: &str, kind: &str, text: &str, references: &[(&str, &str)]) -> Result<u32> {
        let references =
            references.iter().map(|(name, subject)| json!({"name": name, "subject": subject, "version": 1}));
        let schema = json!({"schemaType": kind, "schema": text, "references": references.collect::<Vec<_>>()});
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let answer = self.http.post(url).json(&schema).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{subject} was not registered ({status}): {text}");
        let id = serde_json::from_str::<Value>(&text)?["id"].as_u64();
        Ok(u32::try_from(id.with_context(|| format!("no id in {text}"))?)?)
    }

    /// Takes it out of reach, until [`Registry::resume`]: it accepts connections, and answers nothing.
    pub fn suspend(&self) -> Result<()> {
        self.process.suspend()
    }

    /// Lets it answer again.
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// `kill -9`. Its schemas are gone.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// The jar that starts it, or why it could not be fetched. Asked once per test binary.
fn jar() -> Result<&'static Path, String> {
    static JAR: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let jar = JAR.get_or_init(|| fetched::by("e2e-tests/schema-registry.sh"));
    jar.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}
