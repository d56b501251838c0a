//! Records of the archive as they lie there, a row group at a time: for whoever looks at single records and their bytes.
//!
//! Nothing is kept, neither beside the archive nor in memory.

use std::collections::BTreeMap;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::{ERASED, ERROR, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, RULES, TIMESTAMP};
use shared_logic::decode::{Decoder, Event};
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::rejection::Rejected;
use shared_logic::time::{TimeRange, day_of, parse_day};
use storage::{Archive, Schemas};

use super::older::{self, OlderRows};
use super::{may_hold, missing_schemas, rules_of};
use crate::rows::{self, RowsError};

/// A record of the archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) log: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Option<&'a str>,
    pub(crate) payload: Option<&'a [u8]>,
    /// What stands for the bytes of an event of the older layout, if its columns tell all that the reader's rules read.
    document: Option<&'a [u8]>,
    /// Why it was rejected by the rules of its file.
    pub(crate) error: Option<&'a str>,
    /// The rules of its file, if it names any.
    pub(crate) rules: Option<&'a str>,
}

impl<'a> Stored<'a> {
    /// What a decoder of the reader's rules makes of it; `None` if it is erased, or its bytes were not kept and nothing stands for them.
    pub(crate) fn decoded<'d>(&self, decoder: &'d mut Decoder) -> Option<Result<Event<'d>, Rejected>>
    where
        'a: 'd,
    {
        match self.document {
            Some(document) => Some(decoder.decode_document(document, self.timestamp_us)),
            None if self.is_erased() || !self.has_bytes() => None,
            None => Some(decoder.decode_keyed(self.key, self.payload, self.timestamp_us)),
        }
    }

    /// Whether it was an event, or an invalid record, and is erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.error == Some(ERASED)
    }

    /// Whether its payload is known, or was before it was erased. Of events, an archive may keep columns alone.
    pub(crate) fn has_bytes(&self) -> bool {
        self.payload.is_some() || self.error.is_some()
    }

    pub(crate) fn id(&self) -> PartitionId {
        PartitionId::new(self.log, self.partition)
    }
}

/// The records of a row group.
#[derive(Debug)]
pub(crate) struct Group {
    rows: DataFrame,
    /// Those of the older layout, as far as they can be decoded.
    older: Option<OlderRows>,
}

impl Group {
    /// Shows each record, in the order of the file.
    ///
    /// # Errors
    /// If a column has another type.
    pub(crate) fn each(&self, mut visit: impl FnMut(Stored<'_>)) -> PolarsResult<()> {
        let texts = |name: &str| self.rows.column(name)?.str();
        let (log, error, headers, rules) = (texts(LOG)?, texts(ERROR)?, texts(HEADERS)?, texts(RULES)?);
        let (partition, offset) = (self.rows.column(PARTITION)?.i32()?, self.rows.column(OFFSET)?.i64()?);
        let timestamp = self.rows.column(TIMESTAMP)?.cast(&DataType::Int64)?;
        let timestamp = timestamp.i64()?;
        let (key, raw) = (self.rows.column(KEY)?.binary()?, self.rows.column(RAW)?.binary()?);
        let documents = self.older.as_ref().map(|older| older.documents(&self.rows)).transpose()?;
        for row in 0..self.rows.height() {
            let document = documents.as_ref().and_then(|documents| documents.of_row(row));
            visit(Stored {
                log: log.get(row).unwrap_or_default(),
                partition: partition.get(row).unwrap_or_default(),
                offset: offset.get(row).unwrap_or_default(),
                timestamp_us: timestamp.get(row),
                key: key.get(row),
                headers: headers.get(row),
                payload: raw.get(row),
                document: document.as_deref(),
                error: error.get(row),
                rules: rules.get(row),
            });
        }
        Ok(())
    }
}

/// Reads records of one archive.
pub(crate) struct RecordReader<'a> {
    archive: &'a Archive,
    older: Option<OlderRows>,
    decoder: Decoder,
    schemas: Schemas,
}

impl<'a> RecordReader<'a> {
    /// Reads records, to be decoded under the rules of that source.
    pub(crate) fn new(archive: &'a Archive, source: &Source, schemas: &Schemas) -> RecordReader<'a> {
        let older = OlderRows::of(&archive.facts(), source);
        RecordReader { archive, older, decoder: Decoder::new(source), schemas: schemas.clone() }
    }

    /// Makes a `T` of each row group of a file that may hold records of those ranges. `then` gets a decoder that knows all
    /// schemas that the group's records name.
    ///
    /// # Errors
    /// If the file cannot be read, a schema cannot be looked up, or `then` fails.
    pub(crate) async fn groups<T: Send + 'static>(
        &mut self,
        file: &DataFile,
        ranges: &[OffsetRange],
        then: impl Fn(&Group, Decoder) -> PolarsResult<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>, RowsError> {
        let older = self.older.clone().and_then(|older| older.in_file(file));
        let (columns, mut made) = (older::columns(older.as_ref()), Vec::new());
        for group in self.archive.row_groups(file, &columns, |part| may_hold(part, ranges)).await? {
            let decoder = self.decoder.clone();
            let read = group.read(move |records| Ok((missing_schemas(&records, &decoder)?, records)));
            let (missing, records) = read.await?;
            self.schemas.teach_all(&mut self.decoder, &missing).await?;
            let (decoder, then) = (self.decoder.clone(), then.clone());
            let group = Group { rows: records, older: older.clone() };
            let of_group = rows::compute("look at records", self.archive.path(), move || then(&group, decoder));
            made.push(of_group.await?);
        }
        Ok(made)
    }
}

/// The archive's files that may hold records of those ranges whose time lies inside: the event's under `rules`, or that of the
/// record itself where it is invalid. Files of other rules may hold events of any time.
///
/// # Errors
/// If the archive's log cannot be read.
pub(crate) async fn files_of(
    archive: &Archive,
    rules: &RulesHash,
    ranges: &[OffsetRange],
    times: TimeRange,
) -> Result<Vec<DataFile>, RowsError> {
    let (facts, mut files) = (archive.facts(), BTreeMap::new());
    for file in archive.files().await?.into_iter().filter(|file| may_hold(file, ranges)) {
        let is_of_days = parse_day(&file.partition)
            .is_none_or(|day| (day_of(times.from_us)..=day_of(times.to_us - 1)).contains(&day));
        if is_of_days || rules_of(archive, &facts, rules, &file)? != *rules {
            files.insert((file.partition.clone(), file.path.clone()), file);
        }
    }
    Ok(files.into_values().collect())
}
