//! R1: rows, cut and definition in one commit.

use std::collections::BTreeSet;

use platform::store::{Committed, DataFile, StoreError};
use polars::prelude::Schema;
use shared_logic::contracts::batch_view::Note;
use storage::BatchView;

use super::day::DayDone;
use super::plan::Plan;
use super::report::Changed;

/// Commits the days that a plan's tasks have counted, and the files that a rebuild has staged, as the very next version after the
/// one that the plan follows from. Returns `None`, and changes nothing, if another reconcile committed to the view first.
/// `columns` are those that the view declares from now on if it is rebuilt.
///
/// # Errors
/// If the view's log cannot be written. Then the commit may have been made all the same; whoever plans again begins with the
/// newest view, whose cut says so.
pub(super) async fn commit(
    view: &mut BatchView,
    plan: Plan,
    done: Vec<DayDone>,
    columns: &Schema,
) -> Result<Option<Changed>, StoreError> {
    let Plan { definition, cut, retired_before, archive_version, rebuilt, mut removed, staged, mut work, .. } = plan;
    let (mut added, mut replaced): (Vec<DataFile>, Vec<DataFile>) = (Vec::new(), Vec::new());
    for day in done {
        work += day.work;
        added.extend(day.added);
        replaced.extend(day.replaced);
    }
    let changed = added.iter().chain(&replaced).chain(&staged).map(|file| file.partition.as_str());
    let days = changed.collect::<BTreeSet<&str>>().len();
    // What is staged belongs to no version yet, so what replaces some of it removes nothing.
    let is_staged = |file: &DataFile| staged.iter().any(|other| other.path == file.path);
    removed.extend(replaced.iter().filter(|file| !is_staged(file)).cloned());
    let is_kept = |file: &DataFile| replaced.iter().all(|other| other.path != file.path);
    let staged: Vec<DataFile> = staged.into_iter().filter(is_kept).collect();
    let rows = added.iter().chain(&staged).map(|file| file.rows).sum();
    // What was asked for is done by the commit that counts everything anew, and by no other.
    let asked = view.note().filter(|_| !rebuilt).map(|note| note.asked.clone()).unwrap_or_default();
    let rebuild_asked = asked.rebuild.is_some();
    let (committed_at_us, committed_cut) = (platform::clock::now_us(), cut.clone());
    let note = Note { definition, cut, archive_version, retired_before, committed_at_us, asked };
    let mut commit = view.begin("RECONCILE").adding(staged).adding(added).removing(removed);
    if rebuilt {
        commit = commit.schema(columns);
    }
    platform::failpoints::pass("reconcile::before_commit");
    let committed = view.commit(commit, Some(note)).await?;
    platform::failpoints::pass("reconcile::after_commit");
    Ok(match committed {
        Committed::At(version) => {
            Some(Changed { version, cut: committed_cut, days, rows, rebuilt, rebuild_asked, work })
        }
        Committed::Conflict => None,
    })
}
