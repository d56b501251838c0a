//! Records of a file → rows of the archive, so many at a time.

use std::collections::BTreeMap;

use input::InputError;
use input::file::{InputFile, Records};
use input::rows::RowArgs;
use platform::settings;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Place;
use shared_logic::decode::Decoder;
use shared_logic::rejection::Reason;

use crate::archive_rows::record_rows::{Incoming, RecordRows};

/// A file that is being decoded.
pub(super) struct Decoding {
    records: Records,
    decoder: Decoder,
    source: Source,
    log: String,
    /// What was decoded so far.
    pub(super) tally: Tally,
}

/// What goes on being decoded, and the rows that come next; none at the end of the file.
pub(super) type Filled = (Decoding, RecordRows);

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many records; the next one's offset.
    pub(super) rows: i64,
    /// Those that cannot be decoded, by reason.
    pub(super) rejects: BTreeMap<Reason, Rejects>,
}

/// Records that cannot be decoded, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejects {
    pub(super) count: u64,
    /// On which line, or in which row, the first of them is.
    pub(super) first_line: usize,
    /// Why the first of them is one: the reason, and the field if there is one.
    pub(super) first_error: String,
    pub(super) last: Place,
}

impl Decoding {
    /// Opens a file, whose records will be the log's.
    ///
    /// # Errors
    /// If it cannot be read, or its format does not fit the source's.
    pub(super) fn begin(file: &InputFile, args: &RowArgs, source: &Source, log: &str) -> Result<Decoding, InputError> {
        let (records, decoder) = (file.records(source, args)?, Decoder::new(source));
        Ok(Decoding { records, decoder, source: source.clone(), log: log.to_owned(), tally: Tally::default() })
    }

    /// Decodes records until they are as many as one commit of the archiver has, or the file ends.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn fill(mut self, settings: &settings::Archive) -> Result<Filled, InputError> {
        let (mut rows, mut bytes) = (RecordRows::of_import(&self.source, &self.log), 0);
        while rows.len() < settings.max_rows && bytes < settings.max_bytes.bytes() {
            let Some(record) = self.records.read()? else { break };
            bytes += record.text.len() as u64;
            let offset = self.tally.rows;
            self.tally.rows += 1;
            let payload = Some(record.text.as_slice());
            let incoming = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
            if let Some((rejected, error)) = rows.push(incoming, &mut self.decoder) {
                let last = Place { log: self.log.clone(), partition: 0, offset, error: error.clone() };
                let rejects = self.tally.rejects.entry(rejected.reason).or_insert_with(|| Rejects {
                    count: 0,
                    first_line: record.number,
                    first_error: error,
                    last: last.clone(),
                });
                (rejects.count, rejects.last) = (rejects.count + 1, last);
            }
        }
        Ok((self, rows))
    }
}
