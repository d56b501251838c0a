//! A rollback: the view of a metric as it was in an older version, files, cut and definition in one commit (R1).
//!
//! Only this lowers a cut, together with the files of the version that it belongs to. So at each moment the view counts exactly
//! what lies below its cut. In the same commit the view is *paused*: no reconcile changes it, until an operator resumes it, or
//! the next one would count again what the rollback was for. The first reconcile after that adds everything between the lowered
//! cut and the next one, as after any other reconcile, only more.
//!
//! Files that the newest version does not have are written again, under other names. A reconcile that tidies up may just have
//! found out that they are not needed; the new ones are too young for it. If one of them is gone, nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::{Committed, DataFile, StoreError};
use shared_logic::catalog::Metric;
use shared_logic::complete;
use shared_logic::contracts::batch_view::{Asked, Note, Pause};
use storage::{Archive, BatchView, KeptName, KeptVersion};

use super::error::RepairError;
use super::plan::day_of_file;
use super::{Reconciler, cut, view};

/// A version that a view may be rolled back to.
#[derive(Debug)]
pub struct OlderVersion {
    /// Which one, and when it was committed.
    pub name: KeptName,
    /// Its rows.
    pub rows: u64,
    /// Its files.
    pub files: usize,
    /// Why a view cannot be rolled back to it.
    pub refused: Option<RepairError>,
}

/// What a rollback has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// Which version it was rolled back to.
    pub to: u64,
    /// The version of the view that holds the same. `None`: it was rolled back to that one before, and nothing was changed.
    pub version: Option<u64>,
    /// How many offsets are archived that the view does not include any more, or not yet.
    pub above_cut: u64,
}

/// Why a view is not reconciled, if it is not.
pub(super) fn pause(view: &BatchView) -> Option<&Pause> {
    view.note().and_then(|note| note.asked.pause.as_ref())
}

impl Reconciler {
    /// The versions that a metric's view can be rolled back to, the newest last.
    ///
    /// # Errors
    /// If there is no view or no archive, or the store cannot be read.
    pub async fn older_versions(&self, metric: &Metric) -> Result<Vec<OlderVersion>, RepairError> {
        let (view, archive) = self.tables(metric).await?;
        let mut older = Vec::new();
        for name in view.kept_versions().await? {
            // Another process may have forgotten it by now.
            let Some(kept) = view.kept_version(&name).await? else { continue };
            let rows = kept.files.iter().map(|file| file.rows).sum();
            let refused = self.judge(metric, &kept, (&view, &archive)).err();
            older.push(OlderVersion { name, rows, files: kept.files.len(), refused });
        }
        Ok(older)
    }

    /// The newest version that a metric's view can be rolled back to.
    async fn newest_usable(&self, metric: &Metric) -> Result<Option<u64>, RepairError> {
        let older = self.older_versions(metric).await?;
        Ok(older.iter().rev().find(|older| older.refused.is_none()).map(|older| older.name.version))
    }

    /// Rolls a metric's view back to a version, and pauses it. If none is named, that is the newest one before the view's.
    ///
    /// The name is resolved once: if a reconcile commits first, the view is rolled back to the same version, beyond that commit.
    ///
    /// # Errors
    /// If that version is not kept or cannot be used, or the store cannot be read or written.
    pub async fn roll_back(&self, metric: &Metric, to: Option<u64>) -> Result<RolledBack, RepairError> {
        let mut to = to;
        for _ in 0..self.settings.max_attempts {
            let (mut view, archive) = self.tables(metric).await?;
            let name = self.chosen(metric, &view, to).await?;
            to = Some(name.version);
            let kept = view.kept_version(&name).await?;
            let kept = kept.ok_or_else(|| self.not_kept(metric, name.version))?;
            let above_cut = above(&kept.note, &archive);
            if pause(&view).is_some_and(|pause| pause.rolled_back_to == name.version) && self.fits(metric).await? {
                return Ok(RolledBack { to: name.version, version: None, above_cut });
            }
            self.judge(metric, &kept, (&view, &archive))?;
            if let Committed::At(version) = self.commit_older(metric, &mut view, kept).await? {
                // So that it is known, after a resume and further reconciles, what the view was led away from.
                self.keep_version(&view).await;
                return Ok(RolledBack { to: name.version, version: Some(version), above_cut });
            }
        }
        Err(RepairError::Overtaken { attempts: self.settings.max_attempts })
    }

    /// Lets reconciles go on with a metric's view that was rolled back. Returns the pause that ends, or `None` if there was none.
    ///
    /// One whose table another program has changed is refused: a commit notes the files that there are, and so would make what that
    /// program left pass for the view.
    ///
    /// # Errors
    /// If there is no view, another program has changed its table, or that cannot be read or written.
    pub async fn resume(&self, metric: &Metric) -> Result<Option<Pause>, RepairError> {
        for _ in 0..self.settings.max_attempts {
            let view = match self.storage.batch_view(&metric.name).await {
                Err(StoreError::FilesDiffer { .. }) => {
                    let usable = self.newest_usable(metric).await?;
                    return Err(RepairError::Damaged { metric: metric.name.clone(), usable });
                }
                view => view?,
            };
            let mut view = view.ok_or_else(|| RepairError::NoView { metric: metric.name.clone() })?;
            let Some((note, pause)) = view.note().cloned().zip(pause(&view).cloned()) else { return Ok(None) };
            let asked = Asked { pause: None, ..note.asked.clone() };
            let note = Note { asked, ..Note::clone(&note) };
            if view.commit(view.begin("RESUME"), Some(note)).await? != Committed::Conflict {
                return Ok(Some(pause));
            }
        }
        Err(RepairError::Overtaken { attempts: self.settings.max_attempts })
    }

    /// The view, whether or not another program has changed its table, and the archive. The view is read first, so that the
    /// archive is not older than what it names.
    async fn tables(&self, metric: &Metric) -> Result<(BatchView, Archive), RepairError> {
        let view = self.storage.batch_view_as_it_is(&metric.name).await?;
        let view = view.ok_or_else(|| RepairError::NoView { metric: metric.name.clone() })?;
        let archive = self.storage.archive(&metric.source).await?;
        let archive = archive.ok_or_else(|| RepairError::NothingArchived { source_name: metric.source.clone() })?;
        Ok((view, archive))
    }

    /// Whether the view's table is as its last commit left it.
    async fn fits(&self, metric: &Metric) -> Result<bool, RepairError> {
        match self.storage.batch_view(&metric.name).await {
            Ok(_) => Ok(true),
            Err(StoreError::FilesDiffer { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Which of the versions that are kept is meant.
    async fn chosen(&self, metric: &Metric, view: &BatchView, to: Option<u64>) -> Result<KeptName, RepairError> {
        let kept = view.kept_versions().await?;
        match (to, pause(view)) {
            (Some(to), _) => {
                kept.into_iter().rev().find(|name| name.version == to).ok_or_else(|| self.not_kept(metric, to))
            }
            // Whoever repeats the command because its reply was lost would go back one more.
            (None, Some(pause)) => Err(RepairError::Paused { metric: metric.name.clone(), pause: pause.clone() }),
            (None, None) => {
                // Maintenance commits, too, and changes nothing that a reconcile has counted.
                let counted_at_us = view.note().map(|note| note.committed_at_us);
                let is_same = |name: &KeptName| Some(name.committed_at_us) == counted_at_us;
                let own = match kept.iter().rev().find(|name| is_same(name)) {
                    Some(own) => view.kept_version(own).await?,
                    None => None,
                };
                // Of a view that was rolled back and resumed, what it was led away from is not the version before.
                let led_back = own.and_then(|own| own.note.asked.pause).map(|pause| pause.rolled_back_to + 1);
                let end = led_back.unwrap_or(view.version());
                kept.into_iter()
                    .rev()
                    .find(|name| name.version < end && !is_same(name))
                    .ok_or_else(|| RepairError::NoneKept { metric: metric.name.clone() })
            }
        }
    }

    fn not_kept(&self, metric: &Metric, version: u64) -> RepairError {
        RepairError::NotKept { metric: metric.name.clone(), version }
    }

    /// Whether the catalog's metric can be answered from a version that is kept, as far as it reaches.
    fn judge(
        &self,
        metric: &Metric,
        kept: &KeptVersion,
        (view, archive): (&BatchView, &Archive),
    ) -> Result<(), RepairError> {
        let (definition, rules) = (self.catalog.definition(metric), self.catalog.sources[&metric.source].rules());
        let (facts, version) = (archive.facts(), kept.version);
        if kept.note.archive_version > archive.version() || !cut::is_covered(&kept.note.cut, &facts) {
            return Err(RepairError::ArchiveLacks { version });
        }
        if facts.erased_since(kept.note.archive_version).next().is_some() {
            return Err(RepairError::Erased { version });
        }
        if first_held(view, &kept.note) < facts.retired_before && facts.retired_beyond(&kept.note.cut) {
            return Err(RepairError::Retired { version });
        }
        match complete::own_view(Some(&kept.note), &definition, &rules, Some(&facts)) {
            Some(_) => Ok(()),
            None => Err(RepairError::OtherDefinition { version, definition: kept.note.definition.clone() }),
        }
    }

    /// Commits the files, the cut and the definition of an older version on top of the view's, and the pause.
    pub(super) async fn commit_older(
        &self,
        metric: &Metric,
        view: &mut BatchView,
        kept: KeptVersion,
    ) -> Result<Committed, RepairError> {
        let now: BTreeMap<String, DataFile> =
            view.files().await?.into_iter().map(|file| (file.path.clone(), file)).collect();
        let (mut stays, mut added) = (BTreeSet::new(), Vec::new());
        let retired_before = first_held(view, &kept.note);
        let is_held = |file: &DataFile| day_of_file(file).zip(retired_before).is_none_or(|(day, before)| day >= before);
        for file in kept.files.into_iter().filter(is_held) {
            if now.contains_key(&file.path) {
                stays.insert(file.path);
            } else {
                let copy = view.copied(&file).await?;
                added.push(copy.ok_or(RepairError::FileGone { version: kept.version, file: file.path })?);
            }
        }
        let removed = now.into_values().filter(|file| !stays.contains(&file.path));
        let now_us = platform::clock::now_us();
        let pause = Pause { rolled_back_to: kept.version, since_us: now_us };
        let asked = Asked { rebuild: None, pause: Some(pause) };
        let note = Note { retired_before, committed_at_us: now_us, asked, ..kept.note };
        let columns = view::columns(&self.catalog.sources[&metric.source], metric);
        let commit = view.begin("ROLLBACK").adding(added).removing(removed).schema(&columns);
        Ok(view.commit(commit, Some(note)).await?)
    }
}

/// The first day that a view holds once it is rolled back to that note: a day that it has given up does not come back.
fn first_held(view: &BatchView, kept: &Note) -> Option<i64> {
    view.note().and_then(|note| note.retired_before).max(kept.retired_before)
}

/// How many offsets are archived at and above the cut of a note.
fn above(note: &Note, archive: &Archive) -> u64 {
    let facts = archive.facts();
    let above = facts.partitions().map(|(id, known)| known.next - note.cut.get(&id).unwrap_or(known.begin));
    above.map(|offsets| u64::try_from(offsets).unwrap_or(0)).sum()
}
