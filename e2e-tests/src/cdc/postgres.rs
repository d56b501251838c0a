//! A PostgreSQL of a scenario's own, from the system's packages.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::{DEADLINE, Process, Progress, free_port, wait_for};

/// Where Debian's packages put the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user that root becomes for it: a server does not run as root.
const USER: &str = "postgres";

/// A server with an empty database of its own. Dropping it kills it and removes its files.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// What it prints.
    log: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    /// Starts one that logs changes logically, which is all that change data capture needs of it.
    pub(super) async fn start(log_folder: &Path) -> Result<Postgres> {
        let port = free_port()?;
        // Not below the scenario's folder, which another user may not reach.
        let folder = std::env::temp_dir().join(format!("braid-postgres-{}-{port}", std::process::id()));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        let log = log_folder.join("postgres.out");
        let mut postgres = Postgres { programs: programs()?, folder, port, log, process: None };
        let mut init = postgres.command("initdb")?;
        init.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        Process::start("initdb", init, &postgres.log)?.success(DEADLINE).await?;
        postgres.run().await?;
        Ok(postgres)
    }

    /// Where it listens on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash does, and starts it again.
    pub async fn crash(&mut self) -> Result<()> {
        let mut stop = self.command("pg_ctl")?;
        stop.args(["stop", "--mode=immediate", "--wait"]);
        Process::start("pg_ctl", stop, &self.log)?.success(DEADLINE).await?;
        if let Some(process) = self.process.take() {
            process.end(DEADLINE).await?;
        }
        self.run().await
    }

    /// Runs statements, each in a transaction of its own. Returns what they print: a line per row.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.args(["--host=127.0.0.1", "--username=postgres", "--dbname=postgres"]);
        command.arg(format!("--port={}", self.port));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // Its pipe is closed with it, so that psql ends.
        child.stdin.take().context("a pipe")?.write_all(statements.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "psql failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The rows of a query, each as the JSON object that it gives.
    pub fn rows(&self, query: &str) -> Result<Vec<Value>> {
        self.sql(query)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    async fn run(&mut self) -> Result<()> {
        let mut command = self.command("postgres")?;
        for setting in ["wal_level=logical", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("port={}", self.port));
        let process = Process::start("postgres", command, &self.log)?;
        self.process = Some(process.clone());
        wait_for("postgres to answer", DEADLINE, async || {
            ensure!(process.ended()?.is_none(), "postgres ended");
            let answer = self.sql("SELECT 1;");
            Ok(Progress::when(answer.is_ok(), format_args!("{answer:?}")))
        })
        .await
    }

    /// One of its programs, over its files, by a user who is not root.
    fn command(&self, program: &str) -> Result<Command> {
        let program = self.programs.join(program);
        let mut command = if fs::metadata("/proc/self")?.uid() == 0 {
            let mut command = Command::new("setpriv");
            // Another user's process would not end with this one, unless it says so itself.
            command.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}"));
            command.args(["--init-groups", "--pdeathsig=KILL"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder).env("PGDATA", self.folder.join("data"));
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        // What is left of it lies in the system's folder for such files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder with the programs of the newest version that is installed.
fn programs() -> Result<PathBuf> {
    let installed = fs::read_dir(VERSIONS).with_context(|| format!("no PostgreSQL in {VERSIONS}"))?;
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for entry in installed {
        let entry = entry?;
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let programs = entry.path().join("bin");
        versions
            .extend(version.filter(|_| programs.join("initdb").exists()).map(|version| (version, programs.clone())));
    }
    let newest = versions.into_iter().max().map(|(_, programs)| programs);
    newest.with_context(|| format!("no server of PostgreSQL in {VERSIONS}"))
}
