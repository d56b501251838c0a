//! Changes → the next version of a table: rows and the offsets that they stand for in one commit (B2).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::store::{Committed, DataFile};
use platform::task::Backoff;
use polars::prelude::*;
use shared_logic::catalog::{Catalog, Table};
use shared_logic::contracts::table::{KEY, Note, Others, SHARES_MAX, share_of};
use shared_logic::log::{OffsetRange, Offsets};
use storage::{MaterialisedTable, ORPHAN_AGE, Storage};
use tracing::{info, warn};

use super::gathered::{Gathered, TooMany, gathered};
use super::held::Held;
use super::settled::{Left, settled};
use super::shape::{Shape, Shares};
use super::state::{State, basis};
use super::subject::Subject;
use super::{GATHERED_BYTES, Materialised, TableError};
use crate::rows::{self, RowsError};

/// How often it is planned anew after another run committed first.
const ATTEMPTS: u32 = 8;
/// How long it waits before it is planned anew, at first.
const BACKOFF: Duration = Duration::from_millis(50);
/// A share that has more rows is divided.
const SHARE_ROWS: u64 = 500_000;

/// How much a run may have in memory at a time, and in a share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of changes.
    pub(super) memory: usize,
    /// Rows of a share.
    pub(super) share_rows: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { memory: GATHERED_BYTES, share_rows: SHARE_ROWS }
    }
}

/// Materialises a table up to where its archive has come. Another run at the same time is no harm: one of both commits first, and the
/// other goes on from there.
///
/// # Errors
/// [`TableError`]. Then the commit may have been made all the same; the next run goes on from the newest version.
pub async fn materialise(storage: &Storage, catalog: &Catalog, table: &Table) -> Result<Materialised, TableError> {
    materialise_subject(storage, &Subject::of_table(catalog, table)).await
}

/// The same of whatever is materialised.
///
/// # Errors
/// [`TableError`].
pub(crate) async fn materialise_subject(storage: &Storage, subject: &Subject) -> Result<Materialised, TableError> {
    materialise_within(storage, subject, Bounds::default()).await
}

/// The same, within these bounds.
pub(super) async fn materialise_within(
    storage: &Storage,
    subject: &Subject,
    bounds: Bounds,
) -> Result<Materialised, TableError> {
    let shape = Shape::of(&subject.rows);
    let mut materialised = storage.create_table(&subject.name, &shape.columns()).await?;
    let mut backoff = Backoff::new(BACKOFF);
    for _ in 0..ATTEMPTS {
        materialised.refresh().await?;
        // After the table, so that it is never older than the archive from which the table was made.
        let Some(held) = Held::open(storage, &subject.archived).await? else {
            return Ok(Materialised { table: subject.name.clone(), ..Materialised::nothing() });
        };
        let run = Run { subject, shape: &shape, held: &held, bounds };
        if let Some(done) = run.attempt(&mut materialised).await? {
            return Ok(done);
        }
        warn!(table = subject.name, "another run committed first; planning anew");
        tokio::time::sleep(backoff.wait()).await;
    }
    Err(TableError::Overtaken { table: subject.name.clone(), attempts: ATTEMPTS })
}

/// From time to time, writes a checkpoint of a table's log and removes files that no version needs.
///
/// # Errors
/// If the store cannot be read or written.
pub(crate) async fn tidy_up(storage: &Storage, table: &str, every: u64) -> Result<(), TableError> {
    let Some(mut materialised) = storage.table(table).await? else { return Ok(()) };
    if materialised.version().is_multiple_of(every) {
        materialised.checkpoint().await?;
        materialised.remove_unused().await?;
    }
    Ok(())
}

/// One plan, on one version of the table and one of the archive.
struct Run<'a> {
    subject: &'a Subject,
    shape: &'a Shape,
    held: &'a Held,
    bounds: Bounds,
}

/// What a plan writes.
#[derive(Debug, Default)]
struct Written {
    shares: u32,
    /// The shares that are written anew, with the files that take the place of what they had. A share without rows has none.
    rows: BTreeMap<u32, Option<DataFile>>,
    others: BTreeMap<u32, Others>,
    rows_read: u64,
}

impl Run<'_> {
    /// Writes the next version. Returns `None`, and changes nothing, if another run committed first.
    async fn attempt(&self, table: &mut MaterialisedTable) -> Result<Option<Materialised>, TableError> {
        let (began, held) = (Instant::now(), self.held);
        let basis = basis(table.note().map(AsRef::as_ref), held, &self.subject.definition).cloned();
        let before = match &basis {
            Some(note) => Some(State::of(table, note).await?),
            None => None,
        };
        let next = held.next();
        let written = self.write(table, basis.as_ref(), before.as_ref(), &next).await?;
        let (kept, mut others) = before.map(|state| state.without(&written.rows)).unwrap_or_default();
        others.extend(written.others);
        let mut removed = table.files().await?;
        removed.retain(|file| kept.iter().all(|kept| kept.path != file.path));
        let added: Vec<DataFile> = written.rows.into_values().flatten().collect();
        let rows_of = |files: &[DataFile]| files.iter().map(|file| file.rows).sum::<u64>();
        let (rows, of_added) = (rows_of(&kept) + rows_of(&added), rows_of(&added));
        let now_us = platform::clock::now_us();
        let note = Note {
            definition: self.subject.definition.clone(),
            rules: held.source.rules(),
            next: next.clone(),
            archive_version: held.archive.version(),
            rows,
            shares: written.shares,
            superseded: table.superseded(&others, now_us),
            others,
            committed_at_us: now_us,
        };
        if began.elapsed() > ORPHAN_AGE / 2 {
            return Err(TableError::TooSlow { table: self.subject.name.clone() });
        }
        let mut commit = table.begin("MATERIALISE").adding(added).removing(removed);
        if basis.is_none() {
            commit = commit.schema(&self.shape.columns());
        }
        platform::failpoints::pass("tables::before_commit");
        let committed = table.commit(commit, Some(note)).await?;
        platform::failpoints::pass("tables::after_commit");
        let Committed::At(version) = committed else { return Ok(None) };
        let (anew, rows_read) = (basis.is_none(), written.rows_read);
        info!(table = self.subject.name, version, rows, rows_read, written = of_added, anew, "materialised");
        let table = self.subject.name.clone();
        Ok(Some(Materialised { table, version: Some(version), next, rows, rows_read, written: of_added, anew }))
    }

    /// Writes the shares that changes touch, or all of them if they are divided anew.
    async fn write(
        &self,
        table: &MaterialisedTable,
        basis: Option<&Note>,
        before: Option<&State<'_>>,
        next: &Offsets,
    ) -> Result<Written, TableError> {
        let ranges = OffsetRange::between(basis.map(|note| &note.next), next);
        let mut shares = Shares { of: 0..0, all: basis.map_or(1, |note| self.divided(note)) };
        let mut written = Written::default();
        while shares.of.end < shares.all {
            let too_many = if shares.of.end == 0 { TooMany::Divide } else { TooMany::Halve };
            shares.of = shares.of.end..shares.all;
            let Bounds { memory, .. } = self.bounds;
            let Gathered { shares: these, changes, rows_read } =
                gathered(self.held, self.shape, &ranges, shares, memory, too_many).await?;
            written.rows_read += rows_read;
            let is_divided = basis.is_none_or(|note| note.shares != these.all);
            let mut by_share = self.by_share(changes, these.all).await?;
            for share in
                these.of.clone().filter(|share| is_divided || by_share.contains_key(share)).collect::<Vec<u32>>()
            {
                let one = Shares { of: share..share + 1, all: these.all };
                let mut changes = by_share.remove(&share).unwrap_or_default();
                if let Some(before) = before {
                    changes.extend(before.changes(self.shape, &one, false).await?);
                }
                self.write_share(table, share, changes, &mut written).await?;
            }
            shares = these;
        }
        written.shares = shares.all;
        Ok(written)
    }

    /// Into how many shares keys are to be divided, going on from there.
    fn divided(&self, note: &Note) -> u32 {
        let mut shares = note.shares;
        while shares < SHARES_MAX && (note.rows + note.others()) / u64::from(shares) > self.bounds.share_rows {
            shares *= 2;
        }
        shares
    }

    /// Changes by the share of their key.
    async fn by_share(&self, changes: Vec<DataFrame>, shares: u32) -> Result<BTreeMap<u32, Vec<DataFrame>>, RowsError> {
        let divide = move || -> PolarsResult<_> {
            let mut by_share: BTreeMap<u32, Vec<DataFrame>> = BTreeMap::new();
            for frame in changes {
                let mut positions: BTreeMap<u32, Vec<IdxSize>> = BTreeMap::new();
                for (key, row) in frame.column(KEY)?.str()?.iter().zip(0..) {
                    positions.entry(share_of(key.unwrap_or_default(), shares)).or_default().push(row);
                }
                for (share, rows) in positions {
                    let of_share = frame.take(&IdxCa::from_vec(KEY.into(), rows))?;
                    by_share.entry(share).or_default().push(of_share);
                }
            }
            Ok(by_share)
        };
        rows::compute("divide changes", self.held.archive.path(), divide).await
    }

    /// Writes what changes leave of a share.
    async fn write_share(
        &self,
        table: &MaterialisedTable,
        share: u32,
        changes: Vec<DataFrame>,
        written: &mut Written,
    ) -> Result<(), TableError> {
        let (shape, columns, logs) = (self.shape.clone(), self.shape.change_columns(), self.held.logs.clone());
        let settle = move || -> PolarsResult<_> {
            let Left { rows, others } = settled(changes, &columns, &logs)?;
            Ok((shape.as_rows(rows)?, others))
        };
        let (rows, others) = rows::compute("settle changes", table.path(), settle).await?;
        let file = if rows.height() > 0 { Some(table.write(&share.to_string(), rows, &[]).await?) } else { None };
        written.rows.insert(share, file);
        if others.height() > 0 {
            written.others.insert(share, table.write_others(share, others).await?);
        }
        Ok(())
    }
}

impl Materialised {
    /// Of a table of which nothing was ever archived.
    fn nothing() -> Materialised {
        let (table, next) = (String::new(), Offsets::default());
        Materialised { table, version: None, next, rows: 0, rows_read: 0, written: 0, anew: false }
    }
}
