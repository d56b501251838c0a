//! Versions of a batch view that are kept, so that it can be rolled back to them.
//!
//! ```text
//! _versions/<version>-<committed at>.json      the note of the version, and its files
//! ```
//!
//! A table's log keeps an hour, and files that a commit took out go an hour later. A reconcile that counted what it should not
//! have is noticed the next morning. So the list of a version's files is kept beside the table, and as long as it is there, these
//! files are no orphans. Nothing else depends on it: a list that is missing is a version that cannot be had, and where a file
//! of it is missing, the view is not rolled back.
//!
//! Which versions are kept is decided by [`superfluous`].

use std::collections::HashSet;
use std::time::Duration;

use futures::future::try_join;
use platform::store::{DataFile, StoreError};
use serde::{Deserialize, Serialize};
use shared_logic::contracts::batch_view::Note;

use super::BatchView;

/// The folder of the lists. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_versions";

/// So many of the newest versions are kept, one after the other.
const NEWEST: usize = 8;
/// Of the older ones, one is kept in each of so many equal parts of the span.
const PARTS: u32 = 48;

/// The name of a version that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeptName {
    /// The version.
    pub version: u64,
    /// When it was committed, microseconds since 1970 by the committer's clock.
    pub committed_at_us: i64,
}

/// A version of a batch view that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// The version.
    pub version: u64,
    /// Its note.
    pub note: Note,
    /// Its files.
    pub files: Vec<DataFile>,
}

impl KeptName {
    /// Of the list at that path.
    fn of(path: &str) -> Option<KeptName> {
        let (version, committed_at_us) = path.rsplit('/').next()?.strip_suffix(".json")?.split_once('-')?;
        Some(KeptName { version: version.parse().ok()?, committed_at_us: committed_at_us.parse().ok()? })
    }

    fn path(&self) -> String {
        format!("{FOLDER}/{:020}-{}.json", self.version, self.committed_at_us)
    }
}

impl BatchView {
    /// Keeps this version, and forgets those that are superfluous; `span` is how far back a view can be rolled back. Where
    /// the note is not that of this version, it is not kept.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn keep_version(&self, span: Duration, now_us: i64) -> Result<(), StoreError> {
        let mut names;
        if let Some(note) = self.note().filter(|_| self.is_noted() && !span.is_zero()) {
            let name = KeptName { version: self.version(), committed_at_us: note.committed_at_us };
            let kept = KeptVersion { version: name.version, note: Note::clone(note), files: self.files().await? };
            let (path, written) = (name.path(), async |path: &str| self.table().put_beside(path, &kept).await);
            let ((), others) = try_join(written(&path), self.kept_versions()).await?;
            names = others;
            // It may or may not have been listed.
            if let Err(at) = names.binary_search(&name) {
                names.insert(at, name);
            }
        } else {
            names = self.kept_versions().await?;
        }
        let over: Vec<String> = superfluous(names, span, now_us).iter().map(KeptName::path).collect();
        if over.is_empty() {
            return Ok(());
        }
        let is_over = |path: &str| over.iter().any(|over| over == path);
        self.table().remove_beside(FOLDER, is_over, Duration::ZERO).await.map(drop)
    }

    /// The versions that are kept, the oldest first.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn kept_versions(&self) -> Result<Vec<KeptName>, StoreError> {
        let listed = self.table().list_beside(FOLDER).await?;
        let mut names: Vec<KeptName> = listed.iter().filter_map(|path| KeptName::of(path)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A version that is kept; `None` if it is not any more.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kept_version(&self, name: &KeptName) -> Result<Option<KeptVersion>, StoreError> {
        self.table().beside(&name.path()).await
    }

    /// Writes a file of a kept version again, under another name, so that no process can take it for an orphan before it is
    /// committed; `None` if it is gone.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub async fn copied(&self, file: &DataFile) -> Result<Option<DataFile>, StoreError> {
        self.table().copied(file).await
    }

    /// Forgets the versions that were counted from an older version of the archive than that; returns how many. Their files stay; they
    /// are orphans unless the newest version has them.
    ///
    /// # Errors
    /// If the store cannot be listed, read or written.
    pub async fn forget_versions_before(&self, archive_version: u64) -> Result<usize, StoreError> {
        let mut older = HashSet::new();
        for name in self.kept_versions().await? {
            let kept = self.kept_version(&name).await?;
            if kept.is_some_and(|kept| kept.note.archive_version < archive_version) {
                older.insert(name.path());
            }
        }
        self.table().remove_beside(FOLDER, |path| older.contains(path), Duration::ZERO).await
    }

    /// The paths of the files of all versions that are kept.
    pub(super) async fn files_of_kept_versions(&self) -> Result<Vec<String>, StoreError> {
        let mut paths = Vec::new();
        for name in self.kept_versions().await? {
            let kept = self.kept_version(&name).await?;
            paths.extend(kept.into_iter().flat_map(|kept| kept.files).map(|file| file.path));
        }
        Ok(paths)
    }
}

/// Which of the versions that are kept are not needed: those older than `span`, and of the others all but the newest few, and
/// the newest one in each part of the span. `kept` are sorted by version.
fn superfluous(kept: Vec<KeptName>, span: Duration, now_us: i64) -> Vec<KeptName> {
    let span_us = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let part_us = (span_us / i64::from(PARTS)).max(1);
    let newest = kept.len().saturating_sub(NEWEST);
    let mut last_part = None;
    let mut over = Vec::new();
    for (at, name) in kept.into_iter().enumerate().rev() {
        let is_too_old = name.committed_at_us < now_us.saturating_sub(span_us);
        let part = name.committed_at_us.div_euclid(part_us);
        let is_first_of_part = last_part != Some(part);
        last_part = Some(part);
        if is_too_old || at < newest && !is_first_of_part {
            over.push(name);
        }
    }
    over
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use platform::settings;
    use polars::prelude::{DataType, Field, Schema, df};
    use shared_logic::catalog::{DefinitionHash, Deployment};
    use shared_logic::contracts::batch_view::Asked;
    use shared_logic::log::Offsets;

    use super::*;
    use crate::Storage;

    const HOUR_US: i64 = 3_600_000_000;
    const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3_600);

    fn name(version: u64, committed_at_us: i64) -> KeptName {
        KeptName { version, committed_at_us }
    }

    #[test]
    fn a_list_is_found_by_its_name() {
        for name in [name(0, 0), name(17, 1_776_988_800_000_000), name(u64::MAX, 5)] {
            assert_eq!(KeptName::of(&name.path()), Some(name));
        }
        assert_eq!(KeptName::of("_versions/other.json"), None);
        let mut paths = [name(9, 7), name(10, 3)].map(|name| name.path());
        paths.sort();
        assert_eq!(paths.map(|path| KeptName::of(&path).expect("a name").version), [9, 10]);
    }

    /// A view that is reconciled every ten minutes: what is kept after each commit.
    #[test]
    fn the_newest_versions_are_kept_and_of_two_days_one_an_hour() {
        let mut kept: Vec<KeptName> = Vec::new();
        let minutes = |n: u64| n as i64 * HOUR_US / 6;
        for version in 0..1_000 {
            let now_us = minutes(version);
            kept.push(name(version, now_us));
            for over in superfluous(kept.clone(), TWO_DAYS, now_us) {
                kept.retain(|kept| *kept != over);
            }
            let newest: Vec<u64> = kept.iter().rev().take(NEWEST).map(|name| name.version).collect();
            let expected: Vec<u64> = (0..=version).rev().take(NEWEST).collect();
            assert_eq!(newest, expected);
        }
        assert!((48..=48 + NEWEST + 1).contains(&kept.len()), "{} versions", kept.len());
        let gaps: Vec<i64> = kept.windows(2).map(|pair| pair[1].committed_at_us - pair[0].committed_at_us).collect();
        assert!(gaps.iter().all(|gap| *gap <= HOUR_US), "{gaps:?}");
        let oldest = minutes(999) - kept[0].committed_at_us;
        assert!((47 * HOUR_US..=48 * HOUR_US).contains(&oldest), "{oldest}");
    }

    #[test]
    fn what_is_older_than_the_span_goes_even_if_it_is_among_the_newest() {
        let kept = vec![name(1, 0), name(2, HOUR_US), name(3, 50 * HOUR_US)];
        assert_eq!(superfluous(kept.clone(), TWO_DAYS, 50 * HOUR_US), [name(2, HOUR_US), name(1, 0)]);
        assert_eq!(superfluous(kept, Duration::ZERO, 51 * HOUR_US).len(), 3, "nothing is kept");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn versions_of_an_older_archive_are_forgotten_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        let storage = Storage::new(&settings, &deployment).expect("a store");
        let columns: Schema = [Field::new("bucket".into(), DataType::Int64)].into_iter().collect();
        let mut view = storage.create_batch_view("m", &columns).await.expect("created");
        for archive_version in 6..9 {
            let (definition, cut, asked) = (DefinitionHash::of_none(), Offsets::default(), Asked::default());
            let now_us = platform::clock::now_us();
            let note = Note { definition, cut, archive_version, retired_before: None, committed_at_us: now_us, asked };
            view.commit(view.begin("RECONCILE"), Some(note)).await.expect("committed");
            view.keep_version(TWO_DAYS, now_us).await.expect("kept");
        }
        assert_eq!(view.forget_versions_before(8).await.expect("forgotten"), 2);
        let left: Vec<u64> = view.kept_versions().await.expect("listed").iter().map(|name| name.version).collect();
        assert_eq!(left, [view.version()]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_of_a_version_that_is_kept_are_no_orphans_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let deployment = Deployment::new("braid", "v1");
        let storage = Storage::new(&settings, &deployment).expect("a store");
        let columns: Schema = [Field::new("bucket".into(), DataType::Int64)].into_iter().collect();
        let mut view = storage.create_batch_view("m", &columns).await.expect("created");
        let (own, now_us) = (DefinitionHash::of_none(), platform::clock::now_us());
        let (definition, asked) = (own.clone(), Asked::default());
        let (cut, retired_before) = (Offsets::default(), None);
        let note = Note { definition, cut, archive_version: 0, retired_before, committed_at_us: now_us, asked };
        view.commit(view.begin("RECONCILE"), Some(note.clone())).await.expect("committed");
        // No commit has ever added or removed it, so nothing else protects it.
        let older = view.write("1970-01-01", df!("bucket" => [0_i64]).expect("a row"), &[]).await.expect("written");
        let path = folder.path().join("braid").join(view.path()).join(&older.path);
        let file = std::fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_micros((now_us - 2 * HOUR_US) as u64)).expect("dated");
        let (name, files) = (name(0, now_us), vec![older]);
        view.table().put_beside(&name.path(), &KeptVersion { version: 0, note, files }).await.expect("kept");
        assert_eq!(view.remove_orphans(&own).await.expect("looked"), 0);
        assert!(view.unused().await.expect("looked").is_empty());
        view.keep_version(Duration::ZERO, platform::clock::now_us()).await.expect("forgotten");
        assert_eq!(view.remove_orphans(&own).await.expect("removed"), 1);
    }
}
