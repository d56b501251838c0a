//! Records of a file → rows of the archive, as many at a time as one commit of the archiver has.

use std::collections::BTreeMap;

use input::InputError;
use input::file::{InputFile, Records};
use input::rows::RowArgs;
use platform::settings;
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Place;
use shared_logic::decode::Decoder;
use shared_logic::rejection::{Reason, Rejected};

use crate::archive::day_files::DayFiles;
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
pub(super) type Filled = (Decoding, DayFiles);

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

    /// Decodes records until they are as many as one commit of the archiver has, or the file ends. `declared` are the columns of the
    /// archive's table.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn fill(mut self, settings: &settings::Archive, declared: &Schema) -> Result<Filled, InputError> {
        let rows = RecordRows::of_import(&self.source, &self.log);
        let mut files = DayFiles::new(rows, &self.source, declared);
        while !files.is_full(settings) && self.decode_next(|record, decoder| files.push(record, decoder))? {}
        Ok((self, files))
    }

    /// Decodes all records, and keeps none of them.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn judge(mut self) -> Result<Tally, InputError> {
        let fields = self.source.fields.clone();
        let judge = |record: Incoming<'_>, decoder: &mut Decoder| {
            let rejected = decoder.decode(record.payload, record.timestamp_us).err()?;
            Some((rejected, rejected.text(&fields)))
        };
        while self.decode_next(judge)? {}
        Ok(self.tally)
    }

    /// Hands on the next record, and counts it. `take` says why it is invalid, if it is. Returns false at the end of the file.
    fn decode_next(
        &mut self,
        take: impl FnOnce(Incoming<'_>, &mut Decoder) -> Option<(Rejected, String)>,
    ) -> Result<bool, InputError> {
        let Some(record) = self.records.read()? else { return Ok(false) };
        let offset = self.tally.rows;
        self.tally.rows += 1;
        let payload = Some(record.text.as_slice());
        let incoming = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
        if let Some((rejected, error)) = take(incoming, &mut self.decoder) {
            let last = Place { log: self.log.clone(), partition: 0, offset, error: error.clone() };
            let rejects = self.tally.rejects.entry(rejected.reason).or_insert_with(|| Rejects {
                count: 0,
                first_line: record.number,
                first_error: error,
                last: last.clone(),
            });
            (rejects.count, rejects.last) = (rejects.count + 1, last);
        }
        Ok(true)
    }
}
