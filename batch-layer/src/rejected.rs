//! The invalid records of an archive: which there are, what one of them holds, and what a catalog makes of it.
//!
//! Verdicts are those of the source's rules. Files of the archive that were decoded under other rules are decoded again, from their
//! bytes or from what stands for them, and nothing of that is kept (R11).

use std::collections::BTreeSet;

use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::StoreError;
use polars::prelude::PolarsResult;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERASED, is_reject};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::rejection::Reason;
use shared_logic::schema::FieldType;
use shared_logic::time::{TimeRange, format_rfc3339};
use storage::{Archive, Schemas, Storage};

use crate::archive_rows::records::{self, Group, RecordReader, Stored};
use crate::progress::Progress;
use crate::rows::RowsError;

/// Which rejected records are listed.
#[derive(Debug, Clone)]
pub struct Filter {
    /// For which reason; `None`: for any.
    pub reason: Option<Reason>,
    /// When the records were produced, by their own timestamps.
    pub times: TimeRange,
    /// How many at most, the newest ones.
    pub limit: usize,
}

/// Rejected records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejections {
    /// The newest of them, the newest one first.
    pub newest: Vec<Rejection>,
    /// How many there are.
    pub total: u64,
}

/// A rejected record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejection {
    /// The record's own timestamp, microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// Its log.
    pub log: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it was rejected: `reason` or `reason:field`.
    pub error: String,
}

/// A record as the archive holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRecord {
    /// Where it lies.
    pub id: PartitionId,
    /// Its offset.
    pub offset: i64,
    /// Its own timestamp, microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers, as JSON.
    pub headers: Option<String>,
    /// Its payload.
    pub payload: Option<Vec<u8>>,
    /// Whether its payload is known. Of events, an archive may keep columns alone.
    pub has_bytes: bool,
    /// Why it was rejected when it was archived or compacted.
    pub error: Option<String>,
}

/// What a catalog makes of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// An event, with these fields.
    Event(Map<String, Json>),
    /// Nothing: `reason` or `reason:field`.
    Rejected(String),
    /// A mark of a stream, which is no event and no reject.
    Mark,
    /// A delete of a table, which is no row and no reject.
    Delete,
    /// The bytes were not kept.
    NotKept,
    /// Nothing is left of it but its place.
    Erased,
}

/// Reads the records of a source's archive.
pub struct RecordLook<'a> {
    archive: &'a Archive,
    source: &'a Source,
    schemas: Schemas,
}

impl<'a> RecordLook<'a> {
    /// Looks at the records of an archive by the rules of that source. Nothing is read yet.
    pub fn new(settings: &Settings, storage: &Storage, archive: &'a Archive, source: &'a Source) -> RecordLook<'a> {
        let schemas = Schemas::new(storage, &source.name, &Registry::new(&settings.registry));
        RecordLook { archive, source, schemas }
    }

    /// The newest rejected records, and how many there are. Says how far it has come.
    ///
    /// # Errors
    /// If the archive cannot be read, or a schema that its records name cannot be looked up.
    pub async fn rejections(&self, filter: &Filter, progress: &Progress) -> Result<Rejections, RowsError> {
        let ends = self.archive.facts().partitions().map(|(id, known)| (id, known.next)).collect::<Offsets>();
        let ranges = OffsetRange::between(None, &ends);
        let rules = self.source.rules();
        let files = records::files_of(self.archive, &rules, &ranges, filter.times).await?;
        let mut reader = RecordReader::new(self.archive, self.source, &self.schemas);
        let (mut newest, mut total) = (BTreeSet::<Rejection>::new(), 0);
        for (at, file) in files.iter().enumerate() {
            progress.say(format_args!("reading the records of {}: {at} of {} files", self.source.name, files.len()));
            let (source, wanted, own) = (self.source.clone(), filter.clone(), rules.clone());
            let then = move |group: &Group, decoder: Decoder| of_group(group, decoder, &source, own.as_str(), &wanted);
            for (rejections, count) in reader.groups(file, &ranges, then).await? {
                total += count;
                newest.extend(rejections);
                while newest.len() > filter.limit {
                    newest.pop_first();
                }
            }
        }
        Ok(Rejections { newest: newest.into_iter().rev().collect(), total })
    }

    /// The record at an offset; `None` if the archive does not hold it.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub async fn record(&self, id: &PartitionId, offset: i64) -> Result<Option<ArchivedRecord>, RowsError> {
        let ranges = [OffsetRange { id: id.clone(), from: offset, to: offset + 1 }];
        let files = records::files_of(self.archive, &self.source.rules(), &ranges, TimeRange::ALL).await?;
        let mut reader = RecordReader::new(self.archive, self.source, &self.schemas);
        for file in files {
            let id = id.clone();
            let then = move |group: &Group, _: Decoder| -> PolarsResult<Option<ArchivedRecord>> {
                let mut found = None;
                group.each(|stored| {
                    if (stored.log, stored.partition, stored.offset) == (id.log.as_str(), id.partition, offset) {
                        found = Some(archived(&stored));
                    }
                })?;
                Ok(found)
            };
            if let Some(record) = reader.groups(&file, &ranges, then).await?.into_iter().flatten().next() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// What the source's rules make of a record.
    ///
    /// # Errors
    /// If a schema that it names cannot be looked up.
    pub async fn verdict(&self, record: &ArchivedRecord) -> Result<Verdict, RowsError> {
        if record.error.as_deref() == Some(ERASED) {
            return Ok(Verdict::Erased);
        }
        if !record.has_bytes {
            return Ok(Verdict::NotKept);
        }
        let mut decoder = Decoder::new(self.source);
        let payload = record.payload.as_deref();
        if let Some(schema) = decoder.missing_schema(payload) {
            let named = [(schema, record.timestamp_us)].into_iter().collect();
            self.schemas.clone().teach_all(&mut decoder, &named).await?;
        }
        let mut columns = Columns::new(self.source, |_| true, 1);
        match decoder.decode_keyed(record.key.as_deref(), payload, record.timestamp_us) {
            Ok(event) => columns.push(&event),
            Err(rejected) if rejected.reason == Reason::Delete => return Ok(Verdict::Delete),
            Err(rejected) if !rejected.reason.is_reject() => return Ok(Verdict::Mark),
            Err(rejected) => return Ok(Verdict::Rejected(rejected.text(&self.source.fields))),
        }
        let failed =
            |source| StoreError::Frame { operation: "show a record", table: self.archive.path().to_owned(), source };
        Ok(Verdict::Event(self.fields(columns).map_err(failed)?))
    }

    /// The fields of the only row.
    fn fields(&self, columns: Columns) -> PolarsResult<Map<String, Json>> {
        let (frame, mut fields) = (columns.finish()?, Map::new());
        for field in &self.source.fields {
            let column = frame.column(&field.name)?;
            let value = match field.kind {
                FieldType::String => column.str()?.get(0).map(Json::from),
                FieldType::Int => column.i64()?.get(0).map(Json::from),
                FieldType::Timestamp => column.i64()?.get(0).map(|us| format_rfc3339(us).into()),
                FieldType::Float => column.f64()?.get(0).map(Json::from),
                FieldType::Bool => column.bool()?.get(0).map(Json::from),
            };
            fields.insert(field.name.clone(), value.unwrap_or(Json::Null));
        }
        Ok(fields)
    }
}

/// The newest rejected records of a row group, and how many there are. `own` are the source's rules.
fn of_group(
    group: &Group,
    mut decoder: Decoder,
    source: &Source,
    own: &str,
    filter: &Filter,
) -> PolarsResult<(BTreeSet<Rejection>, u64)> {
    let (mut newest, mut total) = (BTreeSet::new(), 0);
    group.each(|stored| {
        let Some(error) = error_of(&stored, &mut decoder, source, own) else { return };
        let reason = error.split(':').next().unwrap_or_default();
        // One without a timestamp lies in the day 1970-01-01 of the archive.
        let is_in_time = filter.times.contains(stored.timestamp_us.unwrap_or_default());
        if !is_in_time || filter.reason.is_some_and(|wanted| wanted.name() != reason) {
            return;
        }
        total += 1;
        let Stored { timestamp_us, partition, offset, .. } = stored;
        newest.insert(Rejection { timestamp_us, log: stored.log.to_owned(), partition, offset, error });
        if newest.len() > filter.limit {
            newest.pop_first();
        }
    })?;
    Ok((newest, total))
}

/// Why a record is rejected by the source's rules, if it is; one that is erased is none any more, and a mark never was. What files of
/// these rules say is taken from there.
fn error_of(stored: &Stored<'_>, decoder: &mut Decoder, source: &Source, own: &str) -> Option<String> {
    if stored.is_erased() {
        return None;
    }
    if stored.rules == Some(own) {
        return stored.error.filter(|error| is_reject(error)).map(str::to_owned);
    }
    let rejected = stored.decoded(decoder)?.err()?;
    rejected.reason.is_reject().then(|| rejected.text(&source.fields))
}

fn archived(stored: &Stored<'_>) -> ArchivedRecord {
    ArchivedRecord {
        id: stored.id(),
        offset: stored.offset,
        timestamp_us: stored.timestamp_us,
        key: stored.key.map(<[u8]>::to_vec),
        headers: stored.headers.map(str::to_owned),
        payload: stored.payload.map(<[u8]>::to_vec),
        has_bytes: stored.has_bytes(),
        error: stored.error.map(str::to_owned),
    }
}
