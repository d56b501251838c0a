//! What the reconciles of the metrics of a source share.

use shared_logic::contracts::reconciliation::Reconciliation;
use storage::{Archive, Reconciliations};

use super::shards::Shards;
use super::slices::Slices;
use crate::archive_rows::witnesses::Records;

/// A source whose shards are rotated.
pub(super) struct Prepared<'a> {
    pub(super) archive: Archive,
    pub(super) shards: Shards<'a>,
    pub(super) slices: Slices,
    /// Archived records that were looked up as witnesses of slices (R12).
    pub(super) known: Records,
    /// What was committed so far, and is not kept yet.
    pub(super) reconciliations: Vec<Reconciliation>,
    /// The table that keeps it, if it was opened beforehand.
    pub(super) rows: Option<Reconciliations>,
}

impl<'a> Prepared<'a> {
    /// Nothing is reconciled yet.
    pub(super) fn new(archive: Archive, shards: Shards<'a>, slices: Slices) -> Prepared<'a> {
        Prepared { archive, shards, slices, known: Records::new(), reconciliations: Vec::new(), rows: None }
    }
}
