//! A second observer of the tables, which shares no code with those that write them: `e2e-tests/second_observer.py` reads them with
//! Python's `deltalake` and with DuckDB, `e2e-tests/report_observer.py` the table of a report, and the scripts of `docs/examples` what readers
//! would. `e2e-tests/second-observer.sh` makes the environment of all of them, once per user. The tests of `clients/python` run in it, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Process};

use crate::deployment::Deployment;
use crate::fetched::{self, notice, refuse_in_ci};
use crate::oracle::{Counts, EVER, Oracle};
use crate::scenario::Scenario;
use crate::views::METRIC;

/// Reads the tables of deployments.
pub struct Observer {
    python: &'static Path,
    /// What it prints.
    log: PathBuf,
}

/// What a source's archive and a metric's view hold: the sample metric's, unless its measures are others.
#[derive(Debug, Deserialize)]
pub struct Seen<Measures = Counts> {
    /// The archive, and what its bytes count.
    pub archive: SeenArchive<Measures>,
    /// The view, its rows merged.
    pub view: Sums<Measures>,
    /// Some of the buckets of which the two say different things.
    pub differ: Vec<Value>,
}

/// What an archive holds.
#[derive(Debug, Deserialize)]
pub struct SeenArchive<Measures = Counts> {
    /// Each log and partition of which there are rows.
    pub partitions: Vec<SeenPartition>,
    /// Rows in all.
    pub rows: u64,
    /// Rows whose bytes are no valid record.
    pub rejected: u64,
    /// Rows of records that were erased.
    pub erased: u64,
    /// Valid records by the day of their event, `YYYY-MM-DD`.
    pub events: BTreeMap<String, u64>,
    /// The places of some rows whose columns, verdict or day are not what the bytes say.
    pub wrong: Vec<Value>,
    /// What the first copy of each event counts.
    #[serde(flatten)]
    pub sums: Sums<Measures>,
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

/// The metric's measures.
#[derive(Debug, Deserialize)]
pub struct Sums<Measures = Counts> {
    /// How many pairs of a bucket and a key there are.
    pub buckets: usize,
    /// The measures over all of time, by the key as a JSON array.
    pub keys: BTreeMap<String, Measures>,
}

/// What an archive holds besides what was sent to the topic and stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Besides {
    /// Rows of imported files.
    pub imported: u64,
    /// Those of them that are no valid records.
    pub rejected: u64,
    /// Records of the topic that were erased.
    pub erased: u64,
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

    /// A second observer for the end of a scenario that has a meaning without it; nothing where none can be had, which a notice says. With
    /// `CI=true` that is an error.
    pub fn at_the_end(scenario: &Scenario) -> Result<Option<Observer>> {
        match python() {
            Ok(python) => Ok(Some(Observer { python, log: scenario.dir().join("observer.out") })),
            Err(why) => {
                refuse_in_ci("second observer", &why)?;
                notice(&format!("no second observer looks at the tables of scenario {}: {why}", scenario.name()));
                Ok(None)
            }
        }
    }

    /// Reads the newest versions of the tables of the sample source and its metric.
    pub async fn look(&self, deployment: &Deployment) -> Result<Seen> {
        self.look_at(deployment, METRIC).await
    }

    /// Reads the newest versions of the tables of a metric and its source.
    pub async fn look_at<Measures: DeserializeOwned>(
        &self,
        deployment: &Deployment,
        metric: &str,
    ) -> Result<Seen<Measures>> {
        let (catalog, store) = (deployment.catalog(), deployment.store());
        self.run("second_observer.py", &[catalog.as_os_str(), store.as_os_str(), OsStr::new(metric)]).await
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

impl<Measures: std::fmt::Debug + PartialEq> Seen<Measures> {
    /// Each offset of the topic is there once, up to where its partitions end, nothing is wrong with a row, and bytes and view count this.
    ///
    /// # Errors
    /// What is otherwise.
    pub fn holds(&self, ends: &[i64], besides: Besides, counted: &BTreeMap<String, Measures>) -> Result<()> {
        let Seen { archive, view, differ } = self;
        ensure!(archive.wrong.is_empty(), "rows that do not say what the bytes do, or too much: {:?}", archive.wrong);
        ensure!(differ.is_empty(), "buckets of which archive and view say different things: {differ:?}");
        let is_import = |partition: &&SeenPartition| partition.log.starts_with("import-");
        let (files, topic): (Vec<_>, Vec<_>) = archive.partitions.iter().partition(is_import);
        let logs: BTreeSet<&str> = topic.iter().map(|partition| partition.log.as_str()).collect();
        ensure!(logs.len() == 1 && topic.len() == ends.len(), "{:?}", archive.partitions);
        for partition in topic {
            let end = *ends.get(partition.partition).context("a partition that the topic does not have")?;
            partition.is_whole_up_to(end)?;
        }
        files.iter().try_for_each(|partition| partition.is_whole_up_to(partition.rows))?;
        let imported: i64 = files.iter().map(|partition| partition.rows).sum();
        ensure!(u64::try_from(imported)? == besides.imported, "{imported} rows of files, not {}", besides.imported);
        ensure!(archive.erased == besides.erased, "{} rows are erased, not {}", archive.erased, besides.erased);
        ensure!(archive.sums.keys == *counted, "the archive counts {:?} instead of {counted:?}", archive.sums.keys);
        ensure!(view.keys == *counted, "the view counts {:?} instead of {counted:?}", view.keys);
        ensure!(archive.sums.buckets == view.buckets, "{} and {} buckets", archive.sums.buckets, view.buckets);
        Ok(())
    }
}

impl Seen {
    /// The tables hold what the oracle has seen, all of which was sent to the topic or imported.
    ///
    /// # Errors
    /// What is otherwise.
    pub fn agrees(&self, ends: &[i64], besides: Besides, oracle: &Oracle) -> Result<()> {
        let of_video = |video: String| (json!([video]).to_string(), oracle.total(Some(&video), EVER));
        let counted: BTreeMap<String, Counts> = oracle.videos().into_iter().map(of_video).collect();
        self.holds(ends, besides, &counted)?;
        let (rejected, expected) = (self.archive.rejected, oracle.broken + besides.rejected);
        ensure!(rejected == expected, "{rejected} rows are rejected, and {expected} are no valid records");
        Ok(())
    }
}

impl SeenPartition {
    fn is_whole_up_to(&self, end: i64) -> Result<()> {
        let offsets = (self.min, self.max + 1, self.rows, self.distinct);
        ensure!(offsets == (0, end, end, end), "the log ends at {end}: {self:?}");
        Ok(())
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
