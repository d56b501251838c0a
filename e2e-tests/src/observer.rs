//! A second observer of the tables, which shares no code with those that write them: `e2e-tests/second_observer.py` reads them with
//! Python's `deltalake` and with DuckDB, `e2e-tests/report_observer.py` the table of a report, and the scripts of `docs/examples` what readers
//! would. `e2e-tests/second-observer.sh` makes the environment of all of them, once per user. The tests of `clients/python` run in it, too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use test_kit::{DEADLINE, Process};

use crate::deployment::Deployment;
use crate::fetched::{self, notice, refuse_in_ci};
use crate::oracle::Counts;
use crate::scenario::Scenario;
use crate::views::METRIC;

/// Reads the tables of deployments.
pub struct Observer {
    python: &'static Path,
    /// What it prints.
    log: PathBuf,
}

/// What a source's archive and the sample metric's view hold.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// The archive, and what its bytes count.
    pub archive: SeenArchive,
    /// The view, its rows merged.
    pub view: Sums,
    /// Some of the buckets of which the two say different things.
    pub differ: Vec<Value>,
}

/// What an archive holds.
#[derive(Debug, Deserialize)]
pub struct SeenArchive {
    /// Each log and partition of which there are rows.
    pub partitions: Vec<SeenPartition>,
    /// Rows in all.
    pub rows: u64,
    /// Rows whose bytes are no valid record.
    pub rejected: u64,
    /// Valid records by the day of their event, `YYYY-MM-DD`.
    pub events: BTreeMap<String, u64>,
    /// The places of some rows whose columns, verdict or day are not what the bytes say.
    pub wrong: Vec<Value>,
    /// What the first copy of each event counts.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Which offsets of a partition are there.
#[derive(Debug, Deserialize)]
pub struct SeenPartition {
    /// The log's id.
    pub log: String,
    /// The partition's number.
    pub partition: usize,
    /// How many rows there are.
    pub rows: i64,
    /// How many different offsets they have.
    pub distinct: i64,
    /// The smallest of them.
    pub min: i64,
    /// The greatest of them.
    pub max: i64,
}

/// The sample metric's measures.
#[derive(Debug, Deserialize)]
pub struct Sums {
    /// How many pairs of a bucket and a key there are.
    pub buckets: usize,
    /// The measures over all of time, by the key as a JSON array.
    pub keys: BTreeMap<String, Counts>,
}

impl Observer {
    /// A second observer; nothing where none can be had. Then the scenario, which has no meaning without one, is named in a
    /// notice, and with `CI=true` that is an error.
    pub fn find(scenario: &Scenario) -> Result<Option<Observer>> {
        match python() {
            Ok(python) => Ok(Some(Observer { python, log: scenario.dir().join("observer.out") })),
            Err(why) => {
                refuse_in_ci("second observer", &why)?;
                notice(&format!("scenario {} needs the second observer and DID NOT RUN: {why}", scenario.name()));
                Ok(None)
            }
        }
    }

    /// Reads the newest versions of the tables of the sample source and its metric.
    pub async fn look(&self, deployment: &Deployment) -> Result<Seen> {
        let (catalog, store) = (deployment.catalog(), deployment.store());
        self.run("second_observer.py", &[catalog.as_os_str(), store.as_os_str(), OsStr::new(METRIC)]).await
    }

    /// Compares a day of a report with what was sent, which lies in these files, and returns what it found.
    pub async fn compare(&self, store: &Path, report: &str, date: &str, zone: &str, sent: [&Path; 2]) -> Result<Value> {
        let [clicks, users] = sent.map(Path::as_os_str);
        let [report, date, zone] = [report, date, zone].map(OsStr::new);
        self.run("report_observer.py", &[store.as_os_str(), report, date, zone, clicks, users]).await
    }

    /// Runs a script of `docs/examples` over the tables of a deployment. It writes files to that folder.
    pub async fn example(&self, script: &str, deployment: &Deployment, folder: &Path) -> Result<Value> {
        let (catalog, store) = (deployment.catalog(), deployment.store());
        let script = format!("../docs/examples/{script}");
        self.run(&script, &[catalog.as_os_str(), store.as_os_str(), folder.as_os_str()]).await
    }

    /// Runs the interpreter, with these arguments and variables in a folder, until it has ended well. Returns what it printed.
    pub async fn python(&self, folder: &Path, arguments: &[&OsStr], variables: &[(&str, &OsStr)]) -> Result<String> {
        let mut command = Command::new(self.python);
        command.args(arguments).current_dir(folder).envs(variables.iter().copied());
        let process = Process::start("python", command, &self.log)?;
        // Types of large packages are read before any is checked.
        process.success(2 * DEADLINE).await?;
        process.output()
    }

    /// Runs a script, which lies there from this package, and returns what it prints as JSON. Its other lines are for people, or are warnings of
    /// packages.
    async fn run<T: DeserializeOwned>(&self, script: &str, arguments: &[&OsStr]) -> Result<T> {
        let mut command = Command::new(self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(arguments);
        let process = Process::start("observer", command, &self.log)?;
        process.success(DEADLINE).await?;
        let printed = process.output()?;
        let said = printed.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(said).with_context(|| format!("{script} printed {printed}"))
    }
}

/// The interpreter that it runs in, or why there is none. Asked once per test binary.
///
/// # Errors
/// Why it cannot be had here.
pub fn python() -> Result<&'static Path, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| fetched::by("e2e-tests/second-observer.sh"));
    python.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}
