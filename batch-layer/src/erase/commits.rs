//! Takes events out of the archive, commit by commit, until no file of the newest version holds any.
//!
//! The archiver commits all the time, so a commit of an erasure often comes too late. What was found and written of a file stays
//! good as long as the file belongs to the newest version: only files that have come since are looked at before the next try. The
//! last commit says that the erasure is complete, and it is the very next version after one whose files were all looked at. So
//! that holds, whatever others did in between: an archiver that merged files, or archived records again.
//!
//! Files that belong to no version are deleted when they are an hour old, so no copy may wait that long for its commit, and no
//! version may be read that long. However many files there are, copies are committed in time, and the newest version is asked for
//! again. Copies of a process that slept meanwhile are written anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use platform::store::{Committed, DataFile};
use platform::task::Backoff;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ErasedPart, Facts, Unreached};
use storage::{Archive, ErasedHours, ORPHAN_AGE, Schemas};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::condition::Condition;
use super::found::{self, Found};
use super::report::TakenOut;
use super::{EraseError, emptied};
use crate::progress::Progress;
use crate::rows::RowsError;

/// How often a commit is tried again after others came first.
const ATTEMPTS: u32 = 50;
/// The wait before the second try; doubled each time up to 32 times that.
const BACKOFF: Duration = Duration::from_millis(10);
/// How long files of one version are looked at. Copies that are older are committed before another file is looked at.
const COMMIT_AFTER: Duration = Duration::from_secs(10 * 60);

// A file is looked at and copied in less time than that, and so is a commit tried again.
const _: () = assert!(2 * COMMIT_AFTER.as_secs() < ORPHAN_AGE.as_secs() / 2);

/// The selected events of a source on their way out of its archive.
pub(crate) struct TakingOut<'a> {
    source: &'a Source,
    schemas: Schemas,
    condition: &'a Condition,
    /// The most files that one commit replaces.
    files_max: usize,
    /// Whether no copies are written, and nothing is committed.
    counts_only: bool,
    /// By path, how many records of a file that was looked at are invalid, and how many have no bytes.
    looked_at: HashMap<String, (u64, u64)>,
    /// By path, the files that hold selected events.
    pending: BTreeMap<String, Pending>,
    /// When the first of their copies was begun, microseconds since 1970.
    pub(crate) oldest_us: Option<i64>,
    taken_out: TakenOut,
    progress: Progress,
}

/// A file that holds selected events.
struct Pending {
    file: DataFile,
    /// The file that takes its place. It belongs to no version of the archive yet.
    copy: DataFile,
    hours: BTreeMap<String, BTreeSet<i64>>,
    events: u64,
}

impl<'a> TakingOut<'a> {
    /// Nothing is looked at yet.
    pub(crate) fn new(
        source: &'a Source,
        schemas: Schemas,
        condition: &'a Condition,
        files_max: usize,
    ) -> TakingOut<'a> {
        TakingOut {
            source,
            schemas,
            condition,
            files_max,
            counts_only: false,
            looked_at: HashMap::new(),
            pending: BTreeMap::new(),
            oldest_us: None,
            taken_out: TakenOut::default(),
            progress: Progress::default(),
        }
    }

    /// The same, which says there how far it has come.
    pub(super) fn saying(self, progress: &Progress) -> TakingOut<'a> {
        TakingOut { progress: progress.clone(), ..self }
    }

    /// Counts what would be taken out of some version of the archive that is the newest one then, and writes nothing.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(crate) async fn count(self, archive: &mut Archive) -> Result<TakenOut, EraseError> {
        let mut counting = TakingOut { counts_only: true, files_max: usize::MAX, ..self };
        loop {
            archive.refresh().await?;
            if counting.look(archive).await? {
                break;
            }
        }
        for Pending { hours, events, .. } in std::mem::take(&mut counting.pending).into_values() {
            counting.taken_out.add(&hours, events);
        }
        Ok(counting.ended())
    }

    /// Takes out every event, as of some version of the archive that is the newest one then.
    ///
    /// # Errors
    /// If the archive cannot be read or written, or others committed first again and again. What was committed by then stays.
    pub(crate) async fn run(mut self, archive: &mut Archive) -> Result<TakenOut, EraseError> {
        let (mut backoff, mut conflicts) = (Backoff::new(BACKOFF), 0);
        loop {
            archive.refresh().await?;
            let is_last = self.look(archive).await?;
            if is_last && self.pending.is_empty() && self.is_noted(&archive.facts()) {
                return Ok(self.ended());
            }
            if !is_last && self.pending.is_empty() {
                continue;
            }
            match self.commit(archive, is_last).await? {
                Committed::At(_) if is_last => return Ok(self.ended()),
                Committed::At(_) => (conflicts, backoff) = (0, Backoff::new(BACKOFF)),
                Committed::Conflict => {
                    conflicts += 1;
                    if conflicts == ATTEMPTS {
                        return Err(EraseError::Overtaken { table: archive.path().to_owned(), attempts: ATTEMPTS });
                    }
                    tokio::time::sleep(backoff.wait()).await;
                }
            }
        }
    }

    /// Whether facts say all that there is to say, if nothing is left to be taken out. Of an erasure that was never begun, nothing is
    /// noted if it selects nothing, and looked at everything.
    fn is_noted(&self, facts: &Facts) -> bool {
        let unreached = self.unreached(facts);
        match facts.erasure(self.condition.id()) {
            Some(known) => known.completed_at_us.is_some() && known.unreached == unreached,
            None => unreached.is_nothing(),
        }
    }

    /// What could not be looked at, once every file was.
    fn unreached(&self, facts: &Facts) -> Unreached {
        let without_bytes = self.looked_at.values().map(|(_, without_bytes)| without_bytes).sum();
        Unreached { retired_before: facts.retired_before, without_bytes }
    }

    /// Looks at files of this version until there are enough for a commit, or that takes too long. Returns whether none is left.
    pub(crate) async fn look(&mut self, archive: &Archive) -> Result<bool, RowsError> {
        let (files, until) = (archive.files().await?, Instant::now() + COMMIT_AFTER);
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.looked_at.retain(|path, _| paths.contains(path.as_str()));
        self.pending.retain(|path, _| paths.contains(path.as_str()));
        if self.pending.is_empty() {
            self.oldest_us = None;
        }
        for file in &files {
            if self.looked_at.contains_key(&file.path) {
                continue;
            }
            if self.pending.len() >= self.files_max || self.are_older(COMMIT_AFTER) || Instant::now() >= until {
                return Ok(false);
            }
            let Found { places, hours, invalid, without_bytes } = self.find(archive, file).await?;
            let events = places.len() as u64;
            if events > 0 && self.counts_only {
                let (file, copy) = (file.clone(), file.clone());
                self.pending.insert(file.path.clone(), Pending { file, copy, hours, events });
            } else if events > 0 {
                self.oldest_us.get_or_insert_with(platform::clock::now_us);
                let copy = emptied::copy(archive, self.source, file, places).await?;
                debug!(table = archive.path(), file = file.path, events, "written without the events");
                self.pending.insert(file.path.clone(), Pending { file: file.clone(), copy, hours, events });
            }
            self.looked_at.insert(file.path.clone(), (invalid, without_bytes));
            let (looked_at, all, found) = (self.looked_at.len(), files.len(), self.pending.len());
            self.progress.say(format_args!("{looked_at} of {all} files looked at, {found} wait to be replaced"));
        }
        Ok(true)
    }

    /// Whether copies wait for their commit for longer than that.
    fn are_older(&self, age: Duration) -> bool {
        let waited_us = self.oldest_us.map(|oldest_us| platform::clock::now_us().saturating_sub(oldest_us));
        waited_us.is_some_and(|waited_us| u128::try_from(waited_us).is_ok_and(|waited_us| waited_us > age.as_micros()))
    }

    async fn find(&self, archive: &Archive, file: &DataFile) -> Result<Found, RowsError> {
        found::in_file(archive, self.source, &self.schemas, self.condition, file).await
    }

    /// Puts copies in the place of the files that hold selected events. `is_last`: no other file of this version holds any.
    pub(crate) async fn commit(&mut self, archive: &mut Archive, is_last: bool) -> Result<Committed, EraseError> {
        if self.are_older(ORPHAN_AGE / 2) {
            warn!(table = archive.path(), "copies waited too long for their commit; writing them anew");
            self.looked_at.retain(|path, _| !self.pending.contains_key(path));
            self.pending.clear();
            self.oldest_us = None;
            return Ok(Committed::Conflict);
        }
        let (now_us, mut facts) = (platform::clock::now_us(), archive.facts());
        let mut list = ErasedHours {
            hours: BTreeMap::new(),
            upto: facts.partitions().map(|(id, known)| (id, known.next)).collect(),
        };
        for (day, hours) in self.pending.values().flat_map(|pending| &pending.hours) {
            list.hours.entry(day.clone()).or_default().extend(hours);
        }
        let part = if self.pending.is_empty() {
            None
        } else {
            let (version, rules) = (archive.version() + 1, self.source.rules());
            let events = self.pending.values().map(|pending| pending.events).sum();
            Some(ErasedPart { version, rules, list: archive.write_erased(&list).await?, events, at_us: Some(now_us) })
        };
        facts.erase(self.condition.id(), part, is_last.then_some(now_us));
        if is_last {
            let unreached = self.unreached(&facts);
            facts.note_unreached(self.condition.id(), unreached);
        }
        let files = |of: fn(&Pending) -> &DataFile| self.pending.values().map(of).cloned().collect::<Vec<DataFile>>();
        let (removed, added) = (files(|pending| &pending.file), files(|pending| &pending.copy));
        let commit = archive.begin("ERASE").adding(added).removing(removed);
        platform::failpoints::pass("erase::before_commit");
        let committed = archive.commit(commit, Some(facts)).await?;
        if let Committed::At(version) = committed {
            platform::failpoints::pass("erase::after_commit");
            let files = self.pending.len();
            self.oldest_us = None;
            for (path, Pending { copy, hours, events, .. }) in std::mem::take(&mut self.pending) {
                self.taken_out.add(&hours, events);
                // All that is left of it was looked at.
                let looked_at = self.looked_at.remove(&path).unwrap_or_default();
                self.looked_at.insert(copy.path, looked_at);
            }
            info!(table = archive.path(), version, files, is_last, "took events out of the archive");
        }
        Ok(committed)
    }

    fn ended(mut self) -> TakenOut {
        for (invalid, without_bytes) in self.looked_at.values() {
            self.taken_out.invalid += invalid;
            self.taken_out.without_bytes += without_bytes;
        }
        self.taken_out
    }
}
