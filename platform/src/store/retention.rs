//! How long a table keeps what is superfluous: entries of its log, checkpoints, and word of files that were taken out.
//!
//! Three rules hold whatever the clocks say:
//!
//! - The newest checkpoint stays, because `_last_checkpoint` may name it, and with it every entry from there on.
//! - A checkpoint that stays can be read: the entries that follow it stay as well. So a process that has read the table a
//!   while ago still finds what it refers to.
//! - Entries go from the oldest on, one after the other. So where an entry is missing, all before it are missing as well, and a
//!   writer whose own entry is still there knows that the next number was never used (see `Table::commit`).

use std::collections::HashMap;
use std::time::Duration;

use deltalake::Path;
use object_store::ObjectMeta;

use super::log_file::{CHECKPOINT, ENTRY, numbered};

/// How long checkpoints say which files were taken out. Until then, it is known since when a file is not needed any more.
pub const TOMBSTONE_AGE: Duration = Duration::from_secs(2 * 3600);

/// How many checkpoints are kept at least.
pub const CHECKPOINTS_KEPT: usize = 3;
/// How long a checkpoint is kept at least: longer than it takes to read a table.
const CHECKPOINT_AGE: Duration = Duration::from_secs(600);
/// The most files of a log that are removed at once, which bounds how long that takes.
const REMOVED_MAX: usize = 1_000;

/// How long a table keeps what is superfluous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retention {
    /// Log entries that checkpoints make superfluous: `store.log_retention`.
    pub(super) log: Duration,
    /// Word of the files that were taken out, by the clock of the machine that writes a checkpoint.
    pub(super) tombstones: Duration,
}

/// An entry or a checkpoint of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    version: u64,
    is_checkpoint: bool,
    modified_us: i64,
    path: Path,
}

impl LogFile {
    /// Of a file in the log's folder; `None` if it is neither. Checkpoints in several files are left to the programs that
    /// write them.
    pub(super) fn of(file: &ObjectMeta) -> Option<LogFile> {
        let (version, ending) = numbered(file.location.filename()?)?;
        let is_checkpoint = ending == CHECKPOINT && file.size > 0;
        let (path, modified_us) = (file.location.clone(), file.last_modified.timestamp_micros());
        (is_checkpoint || ending == ENTRY).then_some(LogFile { version, is_checkpoint, modified_us, path })
    }
}

impl Retention {
    /// The table's properties, laid over those that it has. Other engines heed the first, and whoever writes a checkpoint heeds
    /// the second. `delta.setTransactionRetentionDuration` is never among them: `txn` actions stay for good.
    pub(super) fn laid_over(&self, properties: &HashMap<String, String>) -> HashMap<String, String> {
        let interval = |span: Duration| format!("interval {} seconds", span.as_secs());
        let own = [
            ("delta.logRetentionDuration".to_owned(), interval(self.log)),
            ("delta.deletedFileRetentionDuration".to_owned(), interval(self.tombstones)),
        ];
        properties.clone().into_iter().chain(own).collect()
    }

    /// The files of a log that may go, in the order in which they have to be removed, as of `now_us`.
    pub(super) fn over(&self, mut files: Vec<LogFile>, now_us: i64) -> Vec<Path> {
        let is_young = |file: &LogFile, age: Duration| file.modified_us >= before(now_us, age);
        files.sort_by_key(|file| file.version);
        let (checkpoints, entries): (Vec<LogFile>, Vec<LogFile>) =
            files.into_iter().partition(|file| file.is_checkpoint);
        let kept = checkpoints.iter().rev().enumerate();
        let kept = kept.filter(|(newer, file)| *newer < CHECKPOINTS_KEPT || is_young(file, CHECKPOINT_AGE));
        let Some(oldest) = kept.map(|(_, file)| file.version).min() else { return Vec::new() };
        let entries = entries.into_iter().take_while(|file| file.version < oldest && !is_young(file, self.log));
        let checkpoints = checkpoints.into_iter().take_while(|file| file.version < oldest);
        entries.chain(checkpoints).map(|file| file.path).take(REMOVED_MAX).collect()
    }
}

/// The moment that long before another, in microseconds since 1970.
pub(super) fn before(now_us: i64, age: Duration) -> i64 {
    now_us.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
