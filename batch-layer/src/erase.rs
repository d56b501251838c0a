//! Erases events: what a condition selects leaves the archive, the views, the live counters and the answers.
//!
//! The archive comes first, because everything else is derived from it. Of each file that holds such events, a copy is written in
//! which their rows are empty, but for the places of their records, and a commit puts the copies in place of the files. From that
//! version on, nothing counts the events in a view again: neither a rebuild nor what is read from Kafka again, since an archive never
//! takes a record below its position, and one that is archived again is known by its place. Then a reconcile counts the touched hours
//! anew in each version, and moves the cuts past what the archive held, so that no slice of the speed view with such events is added any more. A table is
//! materialised before that, and days of reports are written anew after it. Snapshots of what lanes remember are removed, and backtests of streams over the source are emptied.
//!
//! Every step can be repeated. Whoever is killed has erased the events of some files, which the facts say; calling it again, with
//! the same condition, goes on with the others.
//!
//! - `condition`: the text of a condition, checked;
//! - `found`: a file → the places and hours of the events that are selected;
//! - `emptied`: a file → the same file without them;
//! - `commits`: files → commits of the archive, until none holds such events;
//! - `counting`: the versions of the deployment whose answers may count the events;
//! - `indexes`: search indexes that may still hold them;
//! - `reports`: the days of reports that are written anew;
//! - `downstream`: which outputs of streams that were made of the source go as well;
//! - `further`: what is left to be done in those of which that is not known;
//! - `report`: what was done, what follows, and what is out of reach;
//! - `command`: the command line.

pub(crate) mod command;
pub(crate) mod commits;
mod condition;
mod counting;
pub(crate) mod downstream;
mod emptied;
mod found;
mod further;
mod indexes;
mod report;
mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topics};
use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::StoreError;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::HASH;
use shared_logic::cut::Behind;
use shared_logic::version::DeployedVersions;
use storage::{Archive, BacktestNotKept, Schemas, Storage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::commits::TakingOut;
use self::counting::Counting;
use crate::index::Erased;
use crate::progress::Progress;
use crate::reconcile::{Outcome, ReconcileError, Reconciler, Report};
use crate::report::{ReportError, Reporter};
use crate::rows::RowsError;

pub use self::condition::{Condition, NotACondition};
pub use self::downstream::Streams;
pub use self::indexes::ErasedIndex;
pub use self::report::{EraseReport, ErasedView, TakenOut};
pub use self::reports::ErasedReport;

/// The most files that one commit replaces. Their copies are on disk, not in memory.
const FILES_MAX: usize = 256;

/// Why events were not erased, or not everywhere. To try again is safe.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Nothing was ever archived of the source.
    #[error("nothing is archived of source {source_name}")]
    NoArchive {
        /// The source's name.
        source_name: String,
    },
    /// The archive was written before bytes and hashes were kept.
    #[error(
        "the archive of source {source_name} was written by an older build: start `batch-layer archive` of this build once"
    )]
    OlderArchive {
        /// The source's name.
        source_name: String,
    },
    /// Kafka could not be asked where the topic ends.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The archiver committed before every attempt.
    #[error("cannot erase from {table}: others committed first {attempts} times; try again")]
    Overtaken {
        /// The archive's table.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A backtest that may name the person was not emptied.
    #[error(transparent)]
    Backtest(#[from] BacktestNotKept),
    /// The events are in no answer any more, and days of a report may hold them.
    #[error("the events are erased from the archive, but a report may hold them: call this again")]
    Report(#[from] ReportError),
    /// The events are erased from the archive, and answers still count them.
    #[error("the events are erased from the archive, but answers count them until a reconcile succeeds")]
    NotReconciled(#[from] ReconcileError),
}

impl From<StoreError> for EraseError {
    fn from(error: StoreError) -> EraseError {
        RowsError::from(error).into()
    }
}

/// Erases events of one source.
pub struct Eraser<'a> {
    settings: &'a Settings,
    storage: &'a Storage,
    catalog: &'a Catalog,
    source: &'a Source,
    condition: &'a Condition,
    /// How long it waits for the archive, and then for the answers.
    wait: Duration,
    streams: Streams,
    /// All versions of the deployment, of whose answers the events are erased.
    versions: Arc<DeployedVersions>,
    progress: Progress,
}

impl<'a> Eraser<'a> {
    /// Erases what the condition selects of a source of that catalog. Waits for others at most `wait` at a time.
    pub fn new(
        settings: &'a Settings,
        storage: &'a Storage,
        catalog: &'a Catalog,
        source: &'a Source,
        condition: &'a Condition,
        wait: Duration,
    ) -> Eraser<'a> {
        let progress = Progress::new("waiting for the archive");
        let versions = Arc::new(DeployedVersions::alone(catalog.clone()));
        Eraser { settings, storage, catalog, source, condition, wait, streams: Streams::Left, versions, progress }
    }

    /// The same, which erases from the answers of the other versions of the deployment as well.
    pub fn among(self, versions: Arc<DeployedVersions>) -> Eraser<'a> {
        Eraser { versions, ..self }
    }

    /// The same, where these streams over the source are erased as well, by erasers of their own.
    pub fn going_on(self, streams: Streams) -> Eraser<'a> {
        Eraser { streams, ..self }
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Counts what would be erased by now, and changes nothing.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn count(&self) -> Result<EraseReport, EraseError> {
        let mut archive = self.archive().await?;
        let behind = Ends::of(self, &archive).await?.list(&archive);
        let taken_out = self.taking_out().count(&mut archive).await?;
        let report = self.report(&archive, taken_out, behind).await;
        Ok(EraseReport { dry_run: true, ..report })
    }

    /// Erases the events that had arrived when it was called.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn erase(&self) -> Result<EraseReport, EraseError> {
        let mut archive = self.archive().await?;
        let behind = self.wait_for_archive(&mut archive).await?;
        let taken_out = self.taking_out().run(&mut archive).await?;
        let mut report = self.report(&archive, taken_out, behind).await;
        let known = archive.facts().erasure(self.condition.id()).cloned();
        if let Some(known) = &known {
            // Lanes without a snapshot read the past again.
            archive.remove_all_snapshots().await?;
            report.backtests = self.storage.forget_backtests(&self.source.name, known).await?;
        }
        // What has taken out nothing and is noted all the same, as it could not look at everything, changes no answer.
        if known.is_some_and(|known| !known.parts.is_empty()) {
            self.reconcile(&mut archive, &mut report).await?;
            self.write_reports(&mut report).await?;
        }
        Ok(report)
    }

    async fn archive(&self) -> Result<Archive, EraseError> {
        let source_name = || self.source.name.clone();
        let archive = self.storage.archive(&self.source.name).await?;
        let archive = archive.ok_or_else(|| EraseError::NoArchive { source_name: source_name() })?;
        if !archive.facts().keeps_bytes || !archive.columns()?.contains(HASH) {
            return Err(EraseError::OlderArchive { source_name: source_name() });
        }
        Ok(archive)
    }

    fn taking_out(&self) -> TakingOut<'_> {
        let registry = Registry::new(&self.settings.registry);
        let schemas = Schemas::new(self.storage, &self.source.name, &registry);
        TakingOut::new(self.source, schemas, self.condition, FILES_MAX).saying(&self.progress)
    }

    /// Waits until the archive holds what had arrived. Returns which partitions it does not hold so far by then: events there are
    /// archived later, and not erased.
    async fn wait_for_archive(&self, archive: &mut Archive) -> Result<Vec<Behind>, EraseError> {
        let (wanted, deadline) = (Ends::of(self, archive).await?, Instant::now() + self.wait);
        loop {
            archive.refresh().await?;
            let behind = wanted.list(archive);
            if behind.is_empty() || Instant::now() >= deadline {
                for late in &behind {
                    warn!(id = %late.partition, wanted = late.wanted, archived = late.archived, "the archive is behind; is `batch-layer archive` running?");
                }
                return Ok(behind);
            }
            tokio::time::sleep(self.settings.reconcile.poll.get()).await;
        }
    }

    /// Reconciles until no answer of any version counts the events, which takes more than one time where speed had not counted as far as the
    /// archive. Those that still do when the time is over are named.
    async fn reconcile(&self, archive: &mut Archive, report: &mut EraseReport) -> Result<(), EraseError> {
        let reconciler = Reconciler::new(self.settings, self.storage, self.catalog).saying(&self.progress);
        let reconciler = reconciler.among(Arc::clone(&self.versions));
        // Rows that hold what was erased are read by nobody any more, and others wait for this.
        reconciler.materialise(self.source).await?;
        self.keep_indexes(&reconciler).await;
        let mut counting = counting::versions(&self.versions, self.catalog, &self.source.name);
        let deadline = Instant::now() + self.wait;
        // Each reconcile may leave a slice.
        let mut backoff = Backoff::new(self.settings.reconcile.poll.get());
        loop {
            for one in &mut counting {
                self.reconcile_version(&reconciler, one, report).await?;
            }
            archive.refresh().await?;
            let facts = archive.facts();
            counting.retain(|one| one.counts(facts.erasure(self.condition.id())));
            if !counting.iter().any(|one| one.gets_farther) || Instant::now() >= deadline {
                break;
            }
            info!(source = self.source.name, "answers still count some of the events; reconciling again");
            tokio::time::sleep(backoff.wait()).await;
        }
        let (facts, own) = (archive.facts(), &self.catalog.deployment.version);
        self.name_indexes(&reconciler, facts.erased_parts(), report).await;
        let known = facts.erasure(self.condition.id()).and_then(|erasure| erasure.versions.get(own));
        if let Some(known) = known {
            report.answered(known, reconciler.due_us(known), self.settings.speed.drop_grace.get());
        }
        report.counted_in = counting.into_iter().map(|one| one.version).filter(|version| version != own).collect();
        Ok(())
    }

    /// Writes the days of reports anew that may hold the events. What it must leave to a run of the report is said.
    async fn write_reports(&self, report: &mut EraseReport) -> Result<(), EraseError> {
        if self.versions.reports() != self.catalog.deployment.version {
            return Ok(());
        }
        let reporter = Reporter::new(self.settings, self.storage, self.catalog).saying(&self.progress);
        let (storage, catalog, source) = (self.storage, self.catalog, self.source.name.as_str());
        let written = reports::written_anew(&reporter, storage, catalog, source, self.wait).await?;
        report.add_reports(written);
        Ok(())
    }

    /// Ends the builds of search indexes that may hold what was erased, in every version, deletes them, and begins others. A failure is logged:
    /// nothing is searched in such a build any more, the report names it, and the schedule tries it again.
    async fn keep_indexes(&self, reconciler: &Reconciler) {
        // Indexes wait for rows without what was erased, and another version may be the one that materialises these.
        for (version, _) in self.versions.living().filter(|(version, _)| *version != self.catalog.deployment.version) {
            let Some(of_version) = reconciler.of_version(version) else { continue };
            let Some(source) = of_version.whole.sources.get(&self.source.name).cloned() else { continue };
            if let Err(error) = of_version.materialise(&source).await {
                warn!(version, error = error_text(&error), "cannot materialise rows that a search index waits for");
            }
        }
        for (version, _) in self.versions.living() {
            let Some(of_version) = reconciler.of_version(version) else { continue };
            let Some(source) = of_version.whole.sources.get(&self.source.name).cloned() else { continue };
            for error in Box::pin(of_version.keep_indexes(&source, &CancellationToken::new())).await {
                warn!(version, error = error_text(&error), "cannot look after a search index");
            }
        }
    }

    /// Names the search indexes that may still hold what was erased, as the server could not be reached. It is asked last, as each reconcile tries
    /// to reach it again.
    async fn name_indexes(&self, reconciler: &Reconciler, erasures: usize, report: &mut EraseReport) {
        let source = self.source.name.as_str();
        let name = self.catalog.deployment.archive_name(source);
        let erased = Erased { source, archive: &name, erasures };
        report.in_indexes = match reconciler.left_in_indexes(erased).await {
            Ok(left) => left.into_iter().map(ErasedIndex::from).collect(),
            Err(error) => {
                let unknown = |index| ErasedIndex::unknown(index, error_text(&error));
                erased.indexes(&self.versions).into_iter().map(unknown).collect()
            }
        };
        report
            .out_of_reach
            .extend(indexes::out_of_reach(erased.indexes(&self.versions), self.settings.search.is_named()));
    }

    /// Reconciles one version once. A failure of another one than the own is logged, and it is named with those that still count the events.
    async fn reconcile_version(
        &self,
        reconciler: &Reconciler,
        one: &mut Counting,
        report: &mut EraseReport,
    ) -> Result<(), EraseError> {
        let Some(of_version) = reconciler.of_version(&one.version) else { return Ok(()) };
        let (version, stop) = (&one.version, CancellationToken::new());
        if *version != self.catalog.deployment.version {
            let reconciled = of_version.of(&self.source.name).run_to_the_end(&stop).await;
            match reconciled {
                Ok(reports) => {
                    one.gets_farther &= !reports.iter().any(|done| matches!(done.outcome, Outcome::Paused(_)));
                }
                Err(error) => warn!(version, error = error_text(&error), "cannot reconcile a version"),
            }
            return Ok(());
        }
        for Report { source, metric, outcome, .. } in of_version.run_to_the_end(&stop).await? {
            match outcome {
                Outcome::Changed(changed) if source == self.source.name => report.add_view(metric, &changed),
                // To wait for an operator is of no use.
                Outcome::Paused(_) if source == self.source.name => {
                    report.add_paused(&metric);
                    one.gets_farther = false;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn report(&self, archive: &Archive, taken_out: TakenOut, behind: Vec<Behind>) -> EraseReport {
        let topic = self.topic().await;
        let report = EraseReport::new(self.source, self.condition, taken_out, behind, &archive.facts(), topic);
        report.with_streams(self.catalog, self.source, self.condition, self.streams)
    }

    /// What Kafka says of how long it keeps the records; nothing if it does not say.
    async fn topic(&self) -> BTreeMap<String, String> {
        let Ok(topics) = Topics::new(&self.settings.kafka) else { return BTreeMap::new() };
        topics.config(&self.source.topic).await.unwrap_or_default()
    }
}

/// Where a topic ended when it was asked: so far the archive has to come.
struct Ends {
    log: String,
    ends: BTreeMap<i32, i64>,
}

impl Ends {
    /// Up to where the topic ends now. If there is no topic, nothing is waited for.
    async fn of(eraser: &Eraser<'_>, archive: &Archive) -> Result<Ends, EraseError> {
        let topics = Topics::new(&eraser.settings.kafka)?;
        let topic = &eraser.source.topic;
        let Some(described) = topics.describe(topic).await? else {
            warn!(table = archive.path(), topic, "the topic does not exist; erasing what is archived");
            return Ok(Ends { log: String::new(), ends: BTreeMap::new() });
        };
        let partitions: Vec<i32> = (0..described.partitions).collect();
        let ends = topics.offsets(topic, &partitions, Bound::End).await?;
        Ok(Ends { log: described.log, ends })
    }

    /// The partitions of which the archive does not hold everything.
    fn list(&self, archive: &Archive) -> Vec<Behind> {
        let facts = archive.facts();
        let behind = self.ends.iter().map(|(partition, end)| {
            let id = facts.current(&self.log, *partition);
            let archived = facts.partition(&id).map_or(0, |known| known.next);
            Behind { partition: id, wanted: *end, archived }
        });
        behind.filter(|behind| behind.archived < behind.wanted).collect()
    }
}
