//! A cluster that counts for reconciles: a scheduler and executors of `braid-cluster`, which has a workspace of its own. `make test-cluster`
//! builds it and names it; without that, scenarios of it do not run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_kit::{DEADLINE, Process, Progress, wait_for};
use tokio::time::sleep;

use crate::deployment::{Deployment, word};
use crate::fetched::notice;
use crate::s3::S3;

/// Names the program.
const PROGRAM: &str = "BRAID_TEST_CLUSTER";
/// After so many seconds a silent executor is lost: the shortest that the scheduler takes.
const EXECUTOR_TIMEOUT: &str = "8";
/// Executors say of each task when it begins and when it has ended.
const LOGGED: &str = "warn,braid_cluster=info,ballista_executor=info";
/// What an executor says once it asks for tasks.
const ASKS: &str = "Starting poll work loop";
/// What it says of a task: that it begins, …
const BEGINS: &str = "Received task: [";
/// … and that it has ended, or could not begin.
const ENDS: [&str; 2] = ["Finished task : [", "Executor failed to run task"];
/// For so long an executor runs at a time, and so long it takes at most until all of its threads stand still.
const STEP: Duration = Duration::from_millis(3);
/// Settings of a store on S3, and the variables by which a cluster's processes know them.
const STORE: [(&str, &str); 4] = [
    ("store.endpoint", "AWS_ENDPOINT"),
    ("store.access_key", "AWS_ACCESS_KEY_ID"),
    ("store.secret_key", "AWS_SECRET_ACCESS_KEY"),
    ("store.allow_http", "AWS_ALLOW_HTTP"),
];

/// A scheduler, and what executors and reconciles need to find it.
pub struct Cluster {
    program: PathBuf,
    /// Where the scheduler listens.
    pub address: String,
    /// The store, as variables.
    store: Vec<(&'static str, String)>,
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
    /// A scheduler, for tables on that S3 server or in a folder.
    pub async fn start(program: PathBuf, deployment: &Deployment, s3: Option<&S3>) -> Result<Cluster> {
        let settings = s3.map(S3::settings).unwrap_or_default();
        let variable = |(key, value): (String, String)| {
            let (_, variable) = STORE.iter().find(|(setting, _)| *setting == key)?;
            Some((*variable, value))
        };
        let store: Vec<_> = settings.into_iter().filter_map(variable).collect();
        let (scheduler, address) = scheduler(&program, deployment, "127.0.0.1:0", &store).await?;
        Ok(Cluster { program, address, store, scheduler })
    }

    /// `kill -9` for the scheduler. What it knew is gone.
    pub fn kill_scheduler(&self) {
        self.scheduler.kill();
    }

    /// Starts it again at the same address.
    pub async fn start_scheduler(&mut self, deployment: &Deployment) -> Result<()> {
        let (scheduler, address) = scheduler(&self.program, deployment, &self.address, &self.store).await?;
        (self.scheduler, self.address) = (scheduler, address);
        Ok(())
    }

    /// Lets reconciles and reports of a deployment ask the cluster wherever they may, however little there is to count.
    pub fn counts_for(&self, deployment: &mut Deployment) {
        deployment.set("reconcile.engine", &format!("ballista://{}", self.address));
        deployment.set("cluster.program", &self.program.to_string_lossy());
        deployment.set("cluster.rows_min", "1");
    }

    /// Starts an executor of that name with so many slots, and waits until it asks for tasks.
    pub async fn executor(&self, deployment: &Deployment, name: &str, slots: usize) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["executor", "--scheduler", &self.address, "--listen", "127.0.0.1:0"]);
        command.args(["--slots", &slots.to_string()]);
        command.env("RUST_LOG", LOGGED).envs(self.store.iter().map(|(name, value)| (*name, value)));
        let executor = deployment.launch_program(name, command, "")?;
        executor.line_with(ASKS, DEADLINE).await?;
        Ok(executor)
    }
}

async fn scheduler(
    program: &Path,
    deployment: &Deployment,
    listen: &str,
    store: &[(&'static str, String)],
) -> Result<(Process, String)> {
    let mut command = Command::new(program);
    command.args(["scheduler", "--listen", listen, "--executor-timeout", EXECUTOR_TIMEOUT]);
    command.envs(store.iter().map(|(name, value)| (*name, value)));
    let scheduler = deployment.launch_program("scheduler", command, "")?;
    let ready = scheduler.line("ready", DEADLINE).await?;
    let address = word(&ready, "scheduler=").with_context(|| format!("no scheduler= in {ready:?}"))?.to_owned();
    Ok((scheduler, address))
}

/// How many tasks an executor has ended.
pub fn tasks_ended(executor: &Process) -> Result<usize> {
    let output = executor.output()?;
    Ok(ENDS.iter().map(|said| output.matches(said).count()).sum())
}

/// Freezes an executor in the middle of a task, while `asking` waits for what it asked the cluster. Tasks may be short, so the executor runs
/// for a moment at a time, until it has said of more tasks that they begin than that they have ended.
pub async fn freeze_within_a_task(executor: &Process, asking: &Process) -> Result<()> {
    wait_for("an executor to be in the middle of a task", DEADLINE, async || {
        executor.resume()?;
        sleep(STEP).await;
        executor.suspend()?;
        sleep(STEP).await;
        let (begun, ended) = (executor.output()?.matches(BEGINS).count(), tasks_ended(executor)?);
        ensure!(asking.ended()?.is_none(), "what asked has ended, and the executor never was seen within a task");
        Ok(Progress::when(begun > ended, format_args!("{begun} tasks have begun, and {ended} have ended")))
    })
    .await
}
