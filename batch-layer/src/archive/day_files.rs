//! The files of a commit before they are written: one for each day.
//!
//! Rows are encoded while more of them come: once a day has enough rows for a row group, a thread encodes these, a group at a time. So
//! what a commit holds lies in memory as it will lie in its files, and only the newest rows lie there as rows. Nothing of it can be
//! seen in the table, or in the store, before it is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use platform::settings;
use platform::store::{DataFile, RowGroups};
use polars::prelude::{PlSmallStr, PolarsResult, Schema};
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::rejection::Rejected;
use shared_logic::time::format_day;
use storage::Archive;

use crate::archive_rows::record_rows::{DayRows, Erased, Extent, Incoming, RecordRows};
use crate::archive_rows::{event_time_column, ranged};
use crate::rows::{self, RowsError};

/// How many rows are encoded together, and how many are in memory as rows at most, while as many as a group are encoded.
const SIZES: Sizes =
    Sizes { group: Extent { rows: 32_768, bytes: 8 << 20 }, held: Extent { rows: 131_072, bytes: 32 << 20 } };
/// Encoded bytes are a quarter of those of keys and payloads, or fewer. Of records that hardly compress, a commit has fewer.
const COMPRESSION: u64 = 4;
/// The most days of one commit: each of them takes some memory, however few rows it has.
const DAYS_MAX: usize = 16_384;

/// When rows are encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// The rows of a day that become one row group.
    pub(crate) group: Extent,
    /// The rows of all days that are not encoded yet. Where that is too little for one group of each day, groups are smaller.
    pub(crate) held: Extent,
}

/// The files of a commit, as far as their rows have come.
pub(crate) struct DayFiles {
    /// What is not encoded yet.
    rows: RecordRows,
    encoder: Encoder,
    layout: Arc<Layout>,
    sizes: Sizes,
    /// Of all rows.
    len: usize,
    /// Of keys and payloads.
    bytes: usize,
    /// Of what is encoded, without what a thread encodes now.
    encoded_bytes: usize,
}

/// How rows become the columns of files.
struct Layout {
    /// The columns of the table. It never loses one or changes its type, so what is encoded for a version of it fits all newer ones.
    declared: Schema,
    event_time: PlSmallStr,
}

/// The files by day.
type Encoded = BTreeMap<i64, RowGroups>;

/// Who has what is encoded.
enum Encoder {
    AtRest(PolarsResult<Encoded>),
    /// It ends once it has encoded its group, whether it is waited for or not.
    Encoding(JoinHandle<PolarsResult<Encoded>>),
}

impl DayFiles {
    /// No rows yet. `rows` says of what they are; `declared` are the columns of the table.
    pub(crate) fn new(rows: RecordRows, source: &Source, declared: &Schema) -> DayFiles {
        let event_time = event_time_column(source, Some(declared));
        DayFiles::of(rows, Arc::new(Layout { declared: declared.clone(), event_time }), SIZES)
    }

    /// With groups of another size.
    #[cfg(test)]
    pub(crate) fn with_sizes(self, sizes: Sizes) -> DayFiles {
        DayFiles { sizes, ..self }
    }

    fn of(rows: RecordRows, layout: Arc<Layout>, sizes: Sizes) -> DayFiles {
        DayFiles { rows, encoder: Encoder::default(), layout, sizes, len: 0, bytes: 0, encoded_bytes: 0 }
    }

    /// No rows yet, of the same log and for the same table.
    pub(crate) fn following(&self) -> DayFiles {
        DayFiles::of(self.rows.following(), Arc::clone(&self.layout), self.sizes)
    }

    /// R12: rows of these partitions belong to those logs.
    pub(crate) fn set_incarnations(&mut self, incarnations: BTreeMap<i32, String>) {
        self.rows.set_incarnations(incarnations);
    }

    /// The log to which rows of that partition belong.
    pub(crate) fn log_of(&self, partition: i32) -> &str {
        self.rows.log_of(partition)
    }

    /// Adds a record, decoded by a decoder of the source. Returns why it is invalid, if it is, and the text of that. Waits, if rows are
    /// to be encoded while others are.
    pub(crate) fn push(&mut self, record: Incoming<'_>, decoder: &mut Decoder) -> Option<(Rejected, String)> {
        (self.len, self.bytes) = (self.len + 1, self.bytes + record.bytes());
        let rejected = self.rows.push(record, decoder);
        self.encode_enough();
        rejected
    }

    /// Adds a record that is erased: what is left of it.
    pub(crate) fn push_erased(&mut self, record: Erased) {
        self.len += 1;
        self.rows.push_erased(record);
        self.encode_enough();
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether they hold as much as one commit may.
    pub(crate) fn is_full(&self, settings: &settings::Archive) -> bool {
        let bytes_max = settings.max_bytes.bytes();
        self.len >= settings.max_rows
            || self.bytes as u64 >= bytes_max
            || self.encoded_bytes as u64 >= (bytes_max / COMPRESSION).max(1)
            || self.rows.days() >= DAYS_MAX
    }

    /// Lets a thread encode rows that are enough for a group.
    fn encode_enough(&mut self) {
        let Some(rows) = self.rows.take_group(self.sizes.group, self.sizes.held) else { return };
        // An error stays until the files are to be written: then nothing of them is.
        self.encoder = match mem::take(&mut self.encoder).join() {
            Ok(mut encoded) => {
                self.encoded_bytes = encoded.values().map(RowGroups::bytes).sum();
                let layout = Arc::clone(&self.layout);
                let encode = move || layout.add(&mut encoded, rows).map(|()| encoded);
                Encoder::Encoding(thread::spawn(encode))
            }
            failed => Encoder::AtRest(failed),
        };
    }

    /// Encodes all that is left.
    fn finish(self) -> PolarsResult<Encoded> {
        let mut encoded = self.encoder.join()?;
        for rows in self.rows.into_rest() {
            self.layout.add(&mut encoded, rows)?;
        }
        Ok(encoded)
    }

    /// Writes the files. They belong to the archive once they are committed, and are soon merged.
    ///
    /// # Errors
    /// If any of the rows could not be encoded, or a file cannot be written.
    pub(crate) async fn write(self, archive: &Archive) -> Result<Vec<DataFile>, RowsError> {
        let encoded = rows::compute("encode the new rows", archive.path(), move || self.finish()).await?;
        let mut files = Vec::with_capacity(encoded.len());
        for (day, groups) in encoded {
            files.push(archive.write_groups(&format_day(day), groups).await?);
        }
        Ok(files)
    }
}

impl Layout {
    /// Adds rows to the file of their day.
    fn add(&self, encoded: &mut Encoded, rows: DayRows) -> PolarsResult<()> {
        let day = rows.day();
        let frame = rows.into_frame(Some(&self.declared))?;
        let file = match encoded.entry(day) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(file) => file.insert(RowGroups::quick(frame.schema(), &ranged(&self.event_time))?),
        };
        file.push(frame)
    }
}

impl Encoder {
    /// What is encoded, once the thread has ended.
    fn join(self) -> PolarsResult<Encoded> {
        match self {
            Encoder::AtRest(encoded) => encoded,
            Encoder::Encoding(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::AtRest(Ok(Encoded::new()))
    }
}

#[cfg(test)]
mod tests;
