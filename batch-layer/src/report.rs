//! Reports: rows of a metric's batch view, joined with the rows of tables, a day at a time, in a table that others query (P1 to P3).
//!
//! What is written of a day is a function of the view, and of the tables as they were when the day was settled. A run waits until the view
//! holds what had arrived then, computes the rows, and puts them in the place of those that the table has, if they differ. That is one
//! commit, on top of the version that was compared with. So a run that is killed changes nothing, and neither does a repeated one. Of two
//! runs at once the second to commit plans anew, and gives way to one that has read a newer view.
//!
//! - `arrived`: what had arrived when a day was settled (P2);
//! - `ready`: whether view and archives hold it, or what is waited for (P2);
//! - `build`: the view's rows of a day → the report's (P1); `elsewhere`: what of that a cluster does;
//! - `commit`: these in the place of those of before (P1);
//! - `run`: which days, in which order, and for how long they are waited for (P3);
//! - `outcome`: what a run did;
//! - `command`: the command line.

mod arrived;
mod build;
pub(crate) mod command;
mod commit;
mod elsewhere;
mod outcome;
mod ready;
mod run;

use std::sync::Arc;

use platform::kafka::KafkaError;
use platform::settings::{self, Settings};
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Report};
use storage::Storage;

use crate::cluster::{Cluster, ClusterError};
use crate::progress::Progress;
use crate::reconcile::Reconciler;
use crate::rows::RowsError;
use crate::table::TableError;

use self::arrived::Arrivals;

pub use self::outcome::{DateDone, DateOutcome, Run, Waiting};
pub use crate::log_ends::{KafkaEnds, LogEnds};

/// Writes the reports of one catalog. Clones share what they know of days that are waited for.
#[derive(Clone)]
pub struct Reporter {
    catalog: Arc<Catalog>,
    storage: Storage,
    settings: settings::Reconcile,
    /// The setting `archive.checkpoint_every`.
    checkpoint_every: u64,
    ends: Arc<dyn LogEnds>,
    /// What is known of the days that are waited for.
    arrivals: Arrivals,
    /// The same of the days that are written anew after an erasure. A report may wait for one of each at a time.
    erased: Arrivals,
    /// The cluster that merges rows for it, if the setting `reconcile.engine` names one.
    cluster: Option<Cluster>,
    progress: Progress,
}

/// Why a report was not written, or not whole. What was committed stands; to run it again is safe.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The catalog has no such report.
    #[error("the catalog declares no report `{name}`; it declares {}", .known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names of those that it declares.
        known: Vec<String>,
    },
    /// A table could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The cluster has not merged the view's rows.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The rows of a table that is joined could not be had.
    #[error("cannot join the table `{table}`")]
    Table {
        /// The table's name.
        table: String,
        /// The cause.
        source: Box<TableError>,
    },
    /// Kafka could not say where a topic ends.
    #[error("cannot find out what had arrived in the topic {topic}")]
    Ends {
        /// The topic.
        topic: String,
        /// The cause.
        source: Box<KafkaError>,
    },
    /// The day is outside of what days there are.
    #[error("{date} is no day of the zone {zone}")]
    NoDay {
        /// The day.
        date: String,
        /// The zone of the report.
        zone: &'static str,
    },
    /// Days of the zone do not consist of whole buckets then.
    #[error(
        "the day {date} of {zone} does not begin and end with a bucket of the metric: give the metric a smaller grain, such as 15m, or \
         leave the day out"
    )]
    Grain {
        /// The day.
        date: String,
        /// The zone of the report.
        zone: &'static str,
    },
    /// A column has another type than it had.
    #[error(
        "the column `{column}` of {table} was {before} and would be {now}: call it otherwise in the catalog, or move the table's folder away"
    )]
    OtherType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type in the table.
        before: String,
        /// Its type by the catalog.
        now: String,
    },
    /// Other runs committed before every attempt.
    #[error("others committed to {table} first {attempts} times; try again")]
    Overtaken {
        /// The table.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl From<StoreError> for ReportError {
    fn from(error: StoreError) -> ReportError {
        RowsError::from(error).into()
    }
}

impl Reporter {
    /// Takes its settings from several sections. Nothing is opened yet.
    pub fn new(settings: &Settings, storage: &Storage, catalog: &Catalog) -> Reporter {
        let ends = Arc::new(KafkaEnds::new(&settings.kafka));
        let (reconcile, checkpoint_every) = (settings.reconcile.clone(), settings.archive.checkpoint_every);
        let reporter = Reporter::with(Arc::new(catalog.clone()), storage, reconcile, checkpoint_every, ends);
        Reporter { cluster: Cluster::of(settings), ..reporter }
    }

    /// The same as a reconciler has them.
    pub(crate) fn of(reconciler: &Reconciler) -> Reporter {
        let Reconciler { whole, storage, settings, kafka, checkpoint_every, cluster, .. } = reconciler;
        let ends = Arc::new(KafkaEnds::new(kafka));
        let reporter = Reporter::with(Arc::clone(whole), storage, settings.clone(), *checkpoint_every, ends);
        Reporter { cluster: cluster.clone(), ..reporter }
    }

    /// With another one who says where topics end, and without a cluster.
    pub(crate) fn with(
        catalog: Arc<Catalog>,
        storage: &Storage,
        settings: settings::Reconcile,
        checkpoint_every: u64,
        ends: Arc<dyn LogEnds>,
    ) -> Reporter {
        let progress = Progress::new("looking for what is due");
        let (arrivals, erased, storage) = (Arrivals::default(), Arrivals::default(), storage.clone());
        Reporter { catalog, storage, settings, checkpoint_every, ends, arrivals, erased, cluster: None, progress }
    }

    /// The same for days that are written anew after an erasure: what is known of a day that is waited for besides stays known.
    fn for_erased(&self) -> Reporter {
        Reporter { arrivals: self.erased.clone(), ..self.clone() }
    }

    /// The same, which says there how far it has come.
    pub(crate) fn saying(self, progress: &Progress) -> Reporter {
        Reporter { progress: progress.clone(), ..self }
    }

    /// A report of the catalog.
    ///
    /// # Errors
    /// [`ReportError::Unknown`].
    pub fn report(&self, name: &str) -> Result<&Report, ReportError> {
        let unknown =
            || ReportError::Unknown { name: name.to_owned(), known: self.catalog.reports.keys().cloned().collect() };
        self.catalog.reports.get(name).ok_or_else(unknown)
    }

    /// How far the run that is under way has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

#[cfg(test)]
mod tests;
