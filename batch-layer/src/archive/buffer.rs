//! What was read of a log and is not committed yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::settings;
use polars::prelude::Schema;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{Appended, AppendedTo, Place};
use shared_logic::decode::Decoder;
use shared_logic::format::SchemaId;
use shared_logic::log::{PartitionId, Witness};
use shared_logic::rejection::Reason;
use shared_logic::time::day_of;

use super::day_files::DayFiles;
use crate::archive_rows::erased::Places;
use crate::archive_rows::record_rows::{Erased, Incoming, RecordRows};

/// Records of one log that are read and not committed yet, as rows of the archive.
pub(crate) struct Buffer {
    /// Per partition, the archive's next offset before and after these rows.
    pub(crate) reached: BTreeMap<i32, (i64, i64)>,
    /// Per reason, how many of the records are invalid, and where the last of them is.
    pub(crate) rejects: BTreeMap<Reason, (u64, Place)>,
    /// Per partition with records, the offset of the last one, and its witness if that was made (R12).
    last: BTreeMap<i32, (i64, Option<Witness>)>,
    /// The records that are erased, if the archive has held any of these before.
    erased: Arc<Places>,
    rows: DayFiles,
}

impl Buffer {
    /// An empty buffer for a log whose partitions are archived up to `next`. `declared` are the columns of the archive's table.
    pub(crate) fn new(source: &Source, declared: &Schema, log: &str, next: &BTreeMap<i32, i64>) -> Buffer {
        Buffer::of(DayFiles::new(RecordRows::new(source, log), source, declared), next.clone(), Arc::default())
    }

    fn of(rows: DayFiles, next: BTreeMap<i32, i64>, erased: Arc<Places>) -> Buffer {
        let reached = next.into_iter().map(|(partition, next)| (partition, (next, next))).collect();
        Buffer { reached, rejects: BTreeMap::new(), last: BTreeMap::new(), erased, rows }
    }

    /// An empty buffer that goes on where this one ends.
    pub(crate) fn following(&self) -> Buffer {
        let next = self.reached.iter().map(|(partition, (_, to))| (*partition, *to)).collect();
        Buffer::of(self.rows.following(), next, Arc::clone(&self.erased))
    }

    /// R12: records of these partitions belong to those logs, which are other incarnations of the partition.
    pub(crate) fn with_incarnations(mut self, incarnations: &BTreeMap<i32, String>) -> Buffer {
        self.rows.set_incarnations(incarnations.clone());
        self
    }

    /// Of records at these places nothing is kept but that they lay there, as the archive has erased them.
    pub(crate) fn with_erased(mut self, erased: &Arc<Places>) -> Buffer {
        self.erased = Arc::clone(erased);
        self
    }

    /// Adds a record, decoded by a decoder of the source. One whose offset is in the archive or in the buffer already is
    /// ignored: it was read twice. One that is erased is not decoded. One whose schema the decoder lacks is not added; returns that schema.
    pub(crate) fn push(&mut self, record: Incoming<'_>, decoder: &mut Decoder) -> Option<SchemaId> {
        let (_, next) = self.reached.get_mut(&record.partition).filter(|(_, next)| record.offset >= *next)?;
        let (partition, offset) = (record.partition, record.offset);
        let is_erased = self.erased.hold(self.rows.log_of(partition), partition, offset);
        let missing = if is_erased { None } else { decoder.missing_schema(record.payload) };
        if missing.is_some() {
            return missing;
        }
        *next = offset + 1;
        self.last.insert(partition, (offset, None));
        if is_erased {
            self.rows.push_erased(left_of(&record));
            return None;
        }
        if let Some((rejected, error)) = self.rows.push(record, decoder) {
            let place = Place { log: self.rows.log_of(partition).to_owned(), partition, offset, error };
            let counted = self.rejects.entry(rejected.reason).or_insert((0, place.clone()));
            *counted = (counted.0 + 1, place);
        }
        None
    }

    /// R12: notes the witness of a partition's last record.
    pub(crate) fn note_witness(&mut self, partition: i32, witness: Witness) {
        if let Some((_, noted)) = self.last.get_mut(&partition).filter(|(offset, _)| *offset == witness.offset) {
            *noted = Some(witness);
        }
    }

    /// What a commit of these rows adds to the archive's facts. `ends` is where the partitions ended when Kafka was last asked.
    pub(crate) fn adds(&self, source: &Source, ends: &BTreeMap<i32, i64>) -> Appended {
        let partitions = self.reached.iter().map(|(partition, (from, next))| AppendedTo {
            id: PartitionId::new(self.rows.log_of(*partition), *partition),
            from: *from,
            next: *next,
            witness: self.last.get(partition).map(|(_, witness)| *witness),
            end: ends.get(partition).copied(),
        });
        let columns_only = (source.kept_bytes == KeptBytes::Rejected).then(|| source.rules());
        Appended { partitions: partitions.collect(), rejects: self.rejects.clone(), columns_only }
    }

    /// Notes that a partition was read up to `offset`, which may lie past transaction markers and aborted records.
    pub(crate) fn reach(&mut self, partition: i32, offset: i64) {
        if let Some((_, next)) = self.reached.get_mut(&partition) {
            *next = (*next).max(offset);
        }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds as much as one commit may.
    pub(crate) fn is_full(&self, settings: &settings::Archive) -> bool {
        self.rows.is_full(settings)
    }

    /// Whether a commit would move any partition's next offset.
    pub(crate) fn has_progress(&self) -> bool {
        self.reached.values().any(|(from, to)| to > from)
    }

    /// The rows, as files that are not written yet.
    pub(crate) fn into_files(self) -> DayFiles {
        self.rows
    }

    /// With groups of another size.
    #[cfg(test)]
    pub(crate) fn with_sizes(self, sizes: super::day_files::Sizes) -> Buffer {
        Buffer { rows: self.rows.with_sizes(sizes), ..self }
    }
}

/// What is left of a record that is erased. Its event day is not known any more.
fn left_of(record: &Incoming<'_>) -> Erased {
    let &Incoming { partition, offset, timestamp_us, .. } = record;
    let (hash, day) = (Some(record.content().short_hash()), day_of(timestamp_us.unwrap_or_default()));
    Erased { partition, offset, timestamp_us, hash, day }
}
