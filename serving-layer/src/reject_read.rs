//! Reads the newest rejected records of a source, with their bytes, from its archive.
//!
//! A record is a reject if the rules said so under which its file was archived; nothing is decoded again. What is looked at is bounded: files are
//! read from the newest day on, first the columns that decide, row groups that can hold nothing newer than what is found are left out, and
//! after a while the search ends with what it has. Bytes are read of those records alone that are given, and cut.
//!
//! - `candidates`: which rows are rejects, and the newest of them; `shown`: bytes as they are shown.

mod candidates;
mod shown;

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;
use tokio::sync::Semaphore;

use crate::snapshot::{ArchiveFacts, SnapshotCache, Unreadable};
use crate::stream_read::NotRead;
use candidates::{Newest, Wanted};

pub(crate) use shown::Shown;

/// How many questions read archives at the same time; others wait.
const READS: usize = 1;

/// Reads rejected records of the archives of a version.
pub(crate) struct RejectReader {
    snapshots: Arc<SnapshotCache>,
    reads: Semaphore,
}

/// Which rejected records are asked for.
pub(crate) struct Question<'a> {
    pub(crate) source: &'a Source,
    /// For which reason; `None`: for any.
    pub(crate) reason: Option<Reason>,
    /// How many at most, the newest ones.
    pub(crate) limit: usize,
    /// For how long they are searched.
    pub(crate) within: Duration,
}

/// The newest rejected records of a source.
#[derive(Default)]
pub(crate) struct Rejects {
    /// Whether anything of the source is archived.
    pub(crate) is_archived: bool,
    /// The newest first.
    pub(crate) records: Vec<RejectedRecord>,
    /// Whether there may be older ones.
    pub(crate) has_more: bool,
    /// Whether the search has ended by itself, and not because it took too long.
    pub(crate) is_complete: bool,
}

/// A rejected record.
pub(crate) struct RejectedRecord {
    pub(crate) log: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Its own timestamp, microseconds since 1970.
    pub(crate) timestamp_us: Option<i64>,
    /// `reason` or `reason:field`.
    pub(crate) error: String,
    /// Whether the catalog's rules have rejected it, and not older ones.
    pub(crate) is_of_these_rules: bool,
    pub(crate) key: Option<Shown>,
    pub(crate) payload: Option<Shown>,
}

impl RejectReader {
    /// Nothing is read yet.
    pub(crate) fn new(snapshots: &Arc<SnapshotCache>) -> RejectReader {
        RejectReader { snapshots: Arc::clone(snapshots), reads: Semaphore::new(READS) }
    }

    /// The newest rejected records that a question asks for.
    ///
    /// # Errors
    /// [`NotRead`] if the archive was never read, or cannot be read now.
    pub(crate) async fn newest(&self, question: &Question<'_>) -> Result<Rejects, NotRead> {
        // Never closed.
        let _place = self.reads.acquire().await;
        let Some(archive) = self.archive(&question.source.name).await? else {
            return Ok(Rejects { is_complete: true, ..Rejects::default() });
        };
        search(&archive, question).await.map_err(|error| NotRead::Store(error_text(&error)))
    }

    /// The archive of a source; `None` if there is none yet.
    async fn archive(&self, source: &str) -> Result<Option<ArchiveFacts>, NotRead> {
        let loading = || NotRead::Loading(source.to_owned());
        let snapshot = self.snapshots.newest().await.ok_or_else(loading)?;
        match snapshot.archive_unreadable(source) {
            None => Ok(snapshot.archive(source).cloned()),
            Some(Unreadable::Loading) => Err(loading()),
            Some(Unreadable::Failed(reason)) => Err(NotRead::Store(reason.to_owned())),
        }
    }
}

async fn search(archive: &ArchiveFacts, question: &Question<'_>) -> Result<Rejects, StoreError> {
    let (table, rules) = (&archive.table, question.source.rules());
    let (begun, mut is_complete) = (Instant::now(), true);
    let mut files = table.files().await?;
    // An invalid record lies in the day of its own timestamp.
    files.sort_by(|one, other| other.partition.cmp(&one.partition));
    let (mut newest, columns) = (Newest::new(question.limit), candidates::columns());
    'files: for file in &files {
        if !newest.may_take_of_day(&file.partition) {
            newest.has_more = true;
            break;
        }
        let is_of_these_rules = table.rules_of(&archive.facts, &rules, file)? == rules;
        let groups = table.row_groups(file, &columns, |part| newest.may_take_of(part)).await?;
        // What a group holds that was left out is older than all that are given.
        newest.has_more |= newest.is_full();
        for group in groups {
            if begun.elapsed() >= question.within {
                (is_complete, newest.has_more) = (false, true);
                break 'files;
            }
            let wanted = Wanted { day: file.partition.clone(), reason: question.reason, limit: question.limit };
            let whole = group.as_columns(&shown::columns());
            let found = group.read(move |rows| candidates::of(&rows, &wanted)).await?;
            newest.take(found, whole, is_of_these_rules);
        }
    }
    let has_more = newest.has_more;
    Ok(Rejects { is_archived: true, records: newest.into_records().await?, has_more, is_complete })
}
