//! Rows that come in no order, sorted in pieces: runs, which are then merged.
//!
//! Runs are kept in memory up to a budget. Beyond it, those in memory are merged into one on disk, and when there are many of those,
//! they are merged into one as well. So neither memory nor open files grow with the number of rows.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;

use super::segment::{Cursor, RunWriter, SegmentError, merge};
use super::shelf::Shelf;

/// How many runs may lie on disk.
const RUNS_ON_DISK: usize = 32;

/// A row that is to be sorted: key, slot, one value per measure.
pub(super) type UnsortedRow<'a> = (&'a GroupKey, u32, &'a [Value]);

/// Sorted runs of rows.
pub(super) struct Runs {
    shelf: Arc<Shelf>,
    budget_bytes: usize,
    memory: Vec<Vec<u8>>,
    memory_bytes: usize,
    /// Files without names, and their lengths.
    disk: Vec<(File, u64)>,
}

impl Runs {
    /// No rows yet. Runs in memory take about as many bytes as the budget says, before they go to disk.
    pub(super) fn new(shelf: Arc<Shelf>, budget_bytes: usize) -> Runs {
        Runs { shelf, budget_bytes, memory: Vec::new(), memory_bytes: 0, disk: Vec::new() }
    }

    /// Adds rows as a run. Those of the same key and slot are merged.
    ///
    /// # Errors
    /// If runs have to go to disk, and cannot be written.
    pub(super) fn add(&mut self, mut rows: Vec<UnsortedRow<'_>>) -> Result<(), SegmentError> {
        rows.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let kinds = self.shelf.kinds();
        let mut run = RunWriter::new(Vec::new(), Arc::clone(kinds));
        let mut values: Vec<Value> = Vec::with_capacity(kinds.len());
        let failed = || SegmentError::disk("sort rows for", Path::new("a run in memory"));
        for same in rows.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (key, slot, first) = same[0];
            values.clear();
            values.extend_from_slice(first);
            for (.., others) in &same[1..] {
                for ((kind, sum), value) in kinds.iter().zip(&mut values).zip(*others) {
                    *sum = kind.merge(sum.clone(), value.clone());
                }
            }
            run.push(key.as_str().as_bytes(), slot, &values).map_err(failed())?;
        }
        let (run, _) = run.finish().map_err(failed())?;
        self.memory_bytes += run.capacity();
        self.memory.push(run);
        if self.memory_bytes > self.budget_bytes { self.spill() } else { Ok(()) }
    }

    /// Everything that was added, to be merged.
    pub(super) fn into_cursors(self) -> Vec<Cursor> {
        let kinds = self.shelf.kinds();
        let memory = self.memory.into_iter().map(|run| Cursor::of_memory(run, Arc::clone(kinds)));
        memory
            .chain(self.disk.into_iter().map(|(file, bytes)| Cursor::of_run(file, bytes, Arc::clone(kinds))))
            .collect()
    }

    /// Merges the runs in memory into one on disk.
    fn spill(&mut self) -> Result<(), SegmentError> {
        let mut merged = Runs::new(Arc::clone(&self.shelf), self.budget_bytes);
        merged.memory = std::mem::take(&mut self.memory);
        self.memory_bytes = 0;
        self.disk.push(merged.into_file()?);
        if self.disk.len() == RUNS_ON_DISK {
            let mut merged = Runs::new(Arc::clone(&self.shelf), self.budget_bytes);
            merged.disk = std::mem::take(&mut self.disk);
            self.disk.push(merged.into_file()?);
        }
        Ok(())
    }

    /// One run of all of them.
    fn into_file(self) -> Result<(File, u64), SegmentError> {
        let shelf = Arc::clone(&self.shelf);
        let failed = |operation| SegmentError::disk(operation, Path::new("a run on disk"));
        let mut run = RunWriter::new(BufWriter::new(shelf.scratch()?), Arc::clone(shelf.kinds()));
        merge(self.into_cursors(), shelf.kinds(), &mut |key, slot, values| {
            run.push(key, slot, values).map_err(failed("write"))
        })?;
        let (mut out, bytes) = run.finish().map_err(failed("write"))?;
        out.flush().map_err(failed("write"))?;
        out.rewind().map_err(failed("rewind"))?;
        let (file, _) = out.into_parts();
        Ok((file, bytes))
    }
}
