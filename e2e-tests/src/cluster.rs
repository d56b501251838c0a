//! A cluster that counts for reconciles: a scheduler and executors of `braid-cluster`, which has a workspace of its own. `make test-cluster`
//! builds it and names it; without that, scenarios of it do not run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use crate::binaries::binary;
use crate::deployment::{Deployment, word};
use crate::fetched::notice;

/// Names the program.
const PROGRAM: &str = "BRAID_TEST_CLUSTER";
/// After so many seconds a silent executor is lost: the shortest that the scheduler takes.
const EXECUTOR_TIMEOUT: &str = "8";
/// A scheduler, and what executors and reconciles need to find it.
pub struct Cluster {
    program: PathBuf,
    /// Where the scheduler listens.
    pub address: String,
    scheduler: Process,
}

/// The program; nothing where it is not named. Then the scenario is named in a notice.
pub fn program(scenario: &str) -> Option<PathBuf> {
    let program = std::env::var_os(PROGRAM).map(PathBuf::from);
    if program.is_none() {
        notice(&format!("scenario {scenario} is run by `make test-cluster` alone"));
    }
    program
}

impl Cluster {
    /// A scheduler.
    pub async fn start(program: PathBuf, deployment: &Deployment) -> Result<Cluster> {
        let (scheduler, address) = scheduler(&program, deployment, "127.0.0.1:0").await?;
        Ok(Cluster { program, address, scheduler })
    }

    /// `kill -9` for the scheduler. What it knew is gone.
    pub fn kill_scheduler(&self) {
        self.scheduler.kill();
    }

    /// Starts it again at the same address.
    pub async fn start_scheduler(&mut self, deployment: &Deployment) -> Result<()> {
        (self.scheduler, self.address) = scheduler(&self.program, deployment, &self.address).await?;
        Ok(())
    }

    /// Lets reconciles of a deployment count every day in the cluster, however small, in parts of about so many rows if it is rebuilt.
    pub fn counts_for(&self, deployment: &mut Deployment, rows_max: u64) {
        deployment.set("reconcile.engine", "ballista");
        deployment.set("cluster.scheduler", &self.address);
        deployment.set("cluster.program", &self.program.to_string_lossy());
        deployment.set("cluster.rows_min", "1");
        deployment.set("cluster.rows_max", &rows_max.to_string());
        deployment.set("cluster.parallel", "4");
    }

    /// Starts an executor with so many slots and the settings of a deployment, and with fail points armed in what it runs.
    pub fn executor(
        &self,
        deployment: &Deployment,
        (name, slots): (&str, usize),
        fail_points: &str,
    ) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["executor", "--scheduler", &self.address, "--listen", "127.0.0.1:0"]);
        command.args(["--slots", &slots.to_string(), "--"]).arg(binary("batch-layer")?);
        deployment.launch_program(name, command, fail_points)
    }
}

async fn scheduler(program: &Path, deployment: &Deployment, listen: &str) -> Result<(Process, String)> {
    let mut command = Command::new(program);
    command.args(["scheduler", "--listen", listen, "--executor-timeout", EXECUTOR_TIMEOUT]);
    let scheduler = deployment.launch_program("scheduler", command, "")?;
    let ready = scheduler.line("ready", DEADLINE).await?;
    let address = word(&ready, "scheduler=").with_context(|| format!("no scheduler= in {ready:?}"))?.to_owned();
    Ok((scheduler, address))
}

/// Waits until an executor has begun an order. Returns the process that carries it out.
pub async fn has_begun(executor: &Process) -> Result<u32> {
    let line = executor.line_with("counting in process ", DEADLINE).await?;
    let id = line.rsplit(' ').next().and_then(|id| id.parse().ok());
    id.with_context(|| format!("no process in {line:?}"))
}

/// `kill -9` for the executor alone, as a machine's kernel does that lacks memory; then the processes that it had started end as well.
pub async fn kill_alone(executor: &Process, started: u32) -> Result<()> {
    ensure!(runs(started), "process {started} has ended before its executor was killed");
    let killed = Command::new("sh").args(["-c", &format!("kill -9 {}", executor.id())]).status()?;
    ensure!(killed.success(), "cannot kill the executor: {killed}");
    executor.end(DEADLINE).await?;
    wait_for("what an executor had started to end with it", DEADLINE, async || {
        Ok(Progress::when(!runs(started), format_args!("process {started} runs")))
    })
    .await
}

/// Whether a process runs. One that has ended may still have an entry, until its parent asks for it.
fn runs(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state stands behind the name, which is in brackets.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
