//! R1: rows, cut and definition in one commit.

use platform::store::{Committed, DataFile, StoreError};
use polars::prelude::Schema;
use shared_logic::contracts::batch_view::Note;
use storage::BatchView;

use super::plan::Plan;
use super::report::Replaced;

/// Commits the files that a plan's tasks have written, and those that a rebuild has staged. Returns `None`, and changes nothing, if another reconcile committed to
/// the view first. `columns` are those that the view declares from now on if it is rebuilt.
///
/// # Errors
/// If the view's log cannot be written.
pub(super) async fn commit(
    view: &mut BatchView,
    plan: Plan,
    files: Vec<DataFile>,
    columns: &Schema,
) -> Result<Option<Replaced>, StoreError> {
    let Plan { definition, cut, archive_version, rebuilt, tasks, removed, staged } = plan;
    let days = tasks.len() + staged.len();
    let rows = files.iter().chain(&staged).map(|file| file.rows).sum();
    let note = Note { definition, cut, archive_version, committed_at_us: platform::clock::now_us() };
    let mut commit = view.begin("RECONCILE").adding(staged).adding(files).removing(removed);
    if rebuilt {
        commit = commit.schema(columns);
    }
    platform::failpoints::pass("reconcile::before_commit");
    let committed = view.commit(commit, Some(note)).await?;
    platform::failpoints::pass("reconcile::after_commit");
    Ok(match committed {
        Committed::At(version) => Some(Replaced { version, days, rows, rebuilt }),
        Committed::Conflict => None,
    })
}
