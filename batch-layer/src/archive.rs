//! The archive: every record that arrived, exactly once, as an event or with the reason why it is invalid.
//!
//! An archiver reads the partitions of a source, from the offsets that the archive itself names. Several of them divide the
//! partitions, as members of a group; but whether rows are added is decided by the archive alone, so each record is archived once whoever
//! believes to own its partition (R6). An archiver works in sessions. A session reads the newest facts and registers the topic in them: it
//! closes logs that ended, begins new partitions, and notes what was lost. Then it reads and commits until something is no longer as it was
//! at the start of the session: another archiver has archived one of its partitions, the group has given it others, the topic is another
//! log, or it has more partitions. Before each commit the session asks
//! whether the topic is still the log that was read (R7). And at its start, and whenever a connection broke, it compares the log
//! with what is archived: a log that lost its tail goes on as another incarnation (R12).
//!
//! - `units`: which archives there are, and which version's catalog each is written by;
//! - `session`: what an archiver does, from the first look at the topic on;
//! - `buffer`: what was read and is not committed yet;
//! - `day_files`: its rows as files that are not written yet, encoded while more rows come;
//! - `commit`: rows and facts in one commit;
//! - `replace`: rows that were archived again, in place of what the source's rules cannot decode (R11);
//! - `compact`: merges the small files of a day, from time to time.

pub(crate) mod buffer;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod day_files;
pub(crate) mod replace;
mod session;
mod units;

use platform::kafka::KafkaError;
use platform::settings::Settings;
use platform::shutdown::{DeadlineExceeded, Shutdown};
use platform::store::StoreError;
use polars::prelude::Schema;
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::WhyNotHeld;
use shared_logic::log::PartitionId;
use storage::{Archive, FollowedVersions, Storage};

use crate::archive_rows;
use crate::rows::RowsError;

/// Why archiving ended before a stop was requested, or not in time after one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archiver of one source could not start, or its catalog cannot be applied to what is archived.
    #[error("cannot archive source {name}")]
    Source {
        /// The source's name.
        name: String,
        /// Why.
        source: SessionError,
    },
    /// The archivers did not stop in time.
    #[error(transparent)]
    NotStopped(#[from] DeadlineExceeded),
}

/// Why an archiver could not start, or why a session ended and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The archive's position lies beyond the log's end.
    #[error(
        "the archive's position {next} of {id} lies beyond the log's end {end}: the broker lost data, or has not recovered yet; \
         archiving waits until the log holds that offset again, and then compares what lies before it; if the data will not come \
         back, see `braid lost give-up`"
    )]
    BeyondTheEnd {
        /// The partition.
        id: PartitionId,
        /// The first offset that is not archived.
        next: i64,
        /// Where the log ends.
        end: i64,
    },
    /// The log lost its tail, and what it holds now could not be compared with what is archived.
    #[error(
        "cannot read offsets {from} to {to} of {id} again, to find out where the log differs from the archive: kafka reported \
         an error, a connection broke, or nothing came within kafka.stalled_after; trying again"
    )]
    NotReadAgain {
        /// The partition.
        id: PartitionId,
        /// The first offset.
        from: i64,
        /// The first offset behind them.
        to: i64,
    },
    /// Kafka could not be asked or read.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The source's rules have changed, and neither the archive nor the log has the bytes to decode again.
    #[error(
        "the fields, format, ids or limits of the source, or the version that decodes it, differ from those of {rules}, under \
         which offsets {from} to {to} of {partition} were archived; raw = \"rejected\" kept no bytes to decode again, and the log \
         cannot give them again, because {why}: restore the source in the catalog (or the older version), leave these offsets \
         out of answers with `braid lost accept`, or archive what the topic still holds under another [pipeline] name"
    )]
    RulesChanged {
        /// The rules of what is archived.
        rules: RulesHash,
        /// The partition.
        partition: PartitionId,
        /// The first offset under these rules.
        from: i64,
        /// The first offset behind them.
        to: i64,
        /// Why the log does not hold them.
        why: WhyNotHeld,
    },
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> SessionError {
        RowsError::from(error).into()
    }
}

/// Archives every source of every version until the shutdown is requested, and commits what is buffered then. The topics must exist: see
/// [`init`](crate::init). A source that several versions have is archived once, by the catalog of one of them.
///
/// # Errors
/// If the settings cannot be used, an archive was not written by Braid, the rules of a source have changed and what is
/// archived cannot be decoded under the new ones, or the archivers do not stop in time. Whatever is wrong with an archive that the
/// active version does not write is logged, and tried again.
pub async fn run(settings: &Settings, versions: FollowedVersions, shutdown: Shutdown) -> Result<(), ArchiveError> {
    platform::telemetry::begin(&["braid_archive_records_total"]);
    let stop = shutdown.token().child_token();
    let all = units::supervise(settings, versions, &stop);
    platform::shutdown::run_until(&shutdown, "archivers", settings.archive.shutdown.get(), all).await?
}

/// Opens a source's archive, created where it is missing.
pub(crate) async fn create(storage: &Storage, source: &Source) -> Result<Archive, StoreError> {
    storage.create_archive(&source.name, &archive_rows::schema(source, &Schema::default())).await
}
