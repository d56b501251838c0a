//! The schema registry that scenarios run on: Apicurio Registry, which speaks the API of Confluent's. Maven fetches it, once per
//! machine, into `target/registry-for-tests/`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Process, Progress, free_port, wait_for};

use crate::binaries::target_dir;

const ARTIFACT: &str = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
const JAR: &str = "apicurio-registry-app-3.0.9-runner.jar";

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
        let app = match fetched()? {
            Ok(app) => app,
            Err(why) => {
                let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
                ensure!(!in_ci, "with CI=true the real schema registry is required: {why}");
                // Past the test runner, which keeps the output of tests that pass to itself.
                let _ =
                    writeln!(std::io::stderr(), "NOTICE: scenario {scenario} DID NOT RUN, without a registry: {why}");
                return Ok(None);
            }
        };
        let port = free_port()?;
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
        command.arg(format!("-Dquarkus.http.port={port}")).arg("-jar").arg(app.join(JAR)).current_dir(dir);
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

/// The folder of the registry's program, or why it could not be fetched.
fn fetched() -> Result<std::result::Result<PathBuf, String>> {
    let home = target_dir()?.join("registry-for-tests");
    fs::create_dir_all(&home)?;
    // Test binaries take turns until this is dropped.
    let turn = File::create(home.join("lock"))?;
    turn.lock()?;
    let app = home.join("app");
    // Written last: it says that the program is whole, and which version it is.
    let stamp = app.join("fetched");
    if fs::read_to_string(&stamp).is_ok_and(|artifact| artifact == ARTIFACT) {
        return Ok(Ok(app));
    }
    for old in [&app, &home.join("archive")] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&app)?;
    let fetched = fetch(&home.join("archive"), &app);
    if fetched.is_ok() {
        fs::remove_dir_all(home.join("archive"))?;
        fs::write(stamp, ARTIFACT)?;
    }
    Ok(fetched.map(|()| app))
}

fn fetch(archive: &Path, app: &Path) -> std::result::Result<(), String> {
    let mut copy = Command::new("mvn");
    copy.args(["-q", "-B", COPY]).arg(format!("-Dartifact={ARTIFACT}"));
    run(copy.arg(format!("-DoutputDirectory={}", archive.display())))?;
    let files = fs::read_dir(archive).map_err(|error| format!("cannot list {}: {error}", archive.display()))?;
    let file = files.flatten().next().ok_or("mvn copied nothing")?;
    run(Command::new("tar").arg("-xzf").arg(file.path()).arg("-C").arg(app))
}

fn run(command: &mut Command) -> std::result::Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let first_error = printed.lines().find(|line| line.contains("ERROR")).unwrap_or("it printed no error");
    Err(format!("{program} failed ({}): {first_error}", output.status))
}
