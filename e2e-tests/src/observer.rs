//! A second observer of the tables, which shares no code with those that write them: `e2e-tests/second_observer.py` reads them with
//! Python's `deltalake` and with DuckDB, and `e2e-tests/report_observer.py` the table of a report. `e2e-tests/second-observer.sh` makes its environment, once per user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::Deserialize;
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
        let mut command = Command::new(self.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/second_observer.py"));
        command.arg(deployment.catalog()).arg(deployment.store()).arg(METRIC);
        let process = Process::start("observer", command, &self.log)?;
        process.success(DEADLINE).await?;
        let printed = process.output()?;
        // Packages may print warnings besides.
        let seen = printed.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(seen).with_context(|| format!("the second observer printed {printed}"))
    }

    /// Compares a day of a report with what was sent, which lies in these files, and returns what it found.
    pub async fn compare(&self, store: &Path, report: &str, date: &str, zone: &str, sent: [&Path; 2]) -> Result<Value> {
        let mut command = Command::new(self.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/report_observer.py")).arg(store);
        command.args([report, date, zone]).args(sent);
        let process = Process::start("observer", command, &self.log)?;
        process.success(DEADLINE).await?;
        let printed = process.output()?;
        let seen = printed.lines().find(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(seen).with_context(|| format!("the observer of reports printed {printed}"))
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
