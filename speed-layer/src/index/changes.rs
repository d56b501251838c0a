//! Micro-batches → documents (I1).
//!
//! Of each id its last change is written, in the version that its offset says. Changes before it would be replaced at once, and a server
//! takes the items of a bulk in any order.

use std::borrow::Cow;
use std::collections::HashSet;

use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::{Catalog, Index, IndexFrom, Source};
use shared_logic::contracts::index::change_version;
use shared_logic::contracts::table_rows::HeldChange;
use shared_logic::index::Documents;
use shared_logic::table::RowValue;
use storage::BulkItem;

use crate::read::micro_batch::{LaneRows, LaneShape, MicroBatch, Shape};

/// Makes the documents of one index.
#[derive(Debug)]
pub(super) struct Changes {
    /// What is read.
    source: Source,
    documents: Documents,
    /// Of a stream: the places of the fields that are read, and that of the id.
    stream: Option<(Vec<usize>, usize)>,
}

impl Changes {
    /// Of an index of that catalog.
    ///
    /// # Panics
    /// If it is of another one.
    pub(super) fn new(catalog: &Catalog, index: &Index) -> Changes {
        let source = catalog.sources[index.from.source()].clone();
        let documents = Documents::new(index, &catalog.indexed_source(index));
        let is_read = |name: &str| name == index.id || index.field(name).is_some();
        let stream = matches!(index.from, IndexFrom::Stream(_)).then(|| {
            let id = source.fields.iter().position(|field| field.name == index.id);
            let read = (0..source.fields.len()).filter(|at| is_read(&source.fields[*at].name));
            (read.collect(), id.expect("a checked catalog declares the id"))
        });
        Changes { source, documents, stream }
    }

    /// What the micro-batches have to be made of.
    pub(super) fn shape(&self) -> Shape {
        let mut wanted: Vec<String> = Vec::new();
        if let Some((read, _)) = &self.stream {
            wanted.extend(read.iter().map(|at| self.source.fields[*at].name.clone()));
            wanted.sort();
        }
        let lane = self.stream.as_ref().map(|_| LaneShape { originals: false, rekeyed: self.source.rekeyed });
        Shape { wanted, mark_every: usize::MAX, is_of_table: lane.is_none(), lane }
    }

    /// The documents that a micro-batch of that shape leaves, one of each id.
    ///
    /// # Errors
    /// If it is of another shape.
    pub(super) fn items(&self, batch: &MicroBatch) -> PolarsResult<Vec<BulkItem>> {
        match &self.stream {
            Some((read, id)) => self.of_stream(&batch.events, &batch.lane, read, *id),
            None => Ok(self.of_table(&batch.changes)),
        }
    }

    fn of_table(&self, changes: &[(String, Vec<u8>)]) -> Vec<BulkItem> {
        let last = last_of_each(changes.iter().map(|(key, _)| key.as_str()));
        let item = |at: usize| {
            let (key, bytes) = &changes[at];
            let change = HeldChange::parse(bytes, &self.source.fields);
            let change = change.expect("the reading thread has written the row with these fields");
            let document = change.row.as_ref().map(|row| {
                let value = |at: usize| row[at].as_ref();
                self.documents.document(key, &value, change.timestamp_us)
            });
            BulkItem { id: key.clone(), version: change_version(change.offset), document }
        };
        last.into_iter().map(item).collect()
    }

    /// Every record is a row, and none a delete. Copies need no judging: the last record of an id stands.
    fn of_stream(&self, events: &DataFrame, rows: &LaneRows, read: &[usize], id: usize) -> PolarsResult<Vec<BulkItem>> {
        let mut columns: Vec<Vec<Option<RowValue>>> = vec![Vec::new(); self.source.fields.len()];
        for at in read {
            let field = &self.source.fields[*at];
            columns[*at] = RowValue::of_column(events.column(&field.name)?, field.kind)?;
        }
        let ids: Vec<Cow<'_, str>> = columns[id].iter().map(|value| id_text(value.as_ref())).collect();
        let last = last_of_each(ids.iter().map(|id| &**id));
        let item = |row: usize| {
            let value = |at: usize| columns[at][row].as_ref();
            let time_us = rows.record_times_us[row].unwrap_or_default();
            let document = self.documents.document(&ids[row], &value, time_us);
            let version = change_version(rows.offsets[row]);
            BulkItem { id: ids[row].clone().into_owned(), version, document: Some(document) }
        };
        Ok(last.into_iter().map(item).collect())
    }
}

fn id_text(value: Option<&RowValue>) -> Cow<'_, str> {
    match value {
        Some(RowValue::Text(text)) => Cow::Borrowed(text),
        Some(RowValue::Int(number)) => Cow::Owned(number.to_string()),
        _ => unreachable!("a checked catalog has a required text or integer as an id"),
    }
}

/// The places of the last of each id, ascending.
fn last_of_each<'a>(ids: impl ExactSizeIterator<Item = &'a str> + DoubleEndedIterator) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(ids.len());
    let places = ids.enumerate().rev().filter(|(_, id)| seen.insert(*id));
    let mut last: Vec<usize> = places.map(|(at, _)| at).collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use shared_logic::decode::{Columns, Decoder};
    use shared_logic::index::slice_of;

    use super::*;

    const CATALOG: &str = r#"
[sources.clicks]
event_id = "click"
event_time = "at"
key = "user"
[sources.clicks.fields]
click = "string"
at = "timestamp"
user = "int"
page = "string"
ms = "int?"
[tables.users]
key = "id"
[tables.users.fields]
id = "string"
name = "string?"
age = "int?"
[streams.long_clicks]
from = "clicks"
where = "ms > 1000"
[indexes.users]
from = "tables.users"
[indexes.users.fields]
name = "text"
changed_at = "time"
[indexes.clicks]
from = "streams.long_clicks"
id = "user"
[indexes.clicks.fields]
page = "keyword"
ms = "integer"
"#;

    fn changes(index: &str) -> Changes {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        Changes::new(&catalog, &catalog.indexes[index])
    }

    fn batch(events: DataFrame, lane: LaneRows, changes: Vec<(String, Vec<u8>)>) -> MicroBatch {
        MicroBatch {
            from: 0,
            marks: Vec::new(),
            events,
            sightings: Vec::new(),
            lane: Box::new(lane),
            changes,
            opened: Instant::now(),
            sealed: Instant::now(),
        }
    }

    fn texts(items: &[BulkItem]) -> Vec<(&str, u64, Option<String>)> {
        let text = |document: &Vec<u8>| String::from_utf8(document.clone()).expect("text");
        items.iter().map(|item| (item.id.as_str(), item.version, item.document.as_ref().map(text))).collect()
    }

    #[test]
    fn of_a_table_the_last_change_of_each_key_is_written_in_the_version_of_its_offset() {
        let changes = changes("users");
        let shape = changes.shape();
        assert!(shape.is_of_table && shape.lane.is_none() && shape.wanted.is_empty());
        let change = |key: &str, offset, name: Option<&str>| {
            let row = name.map(|name| vec![Some(RowValue::Text(key.into())), Some(RowValue::Text(name.into())), None]);
            (key.to_owned(), HeldChange { offset, timestamp_us: 1_000_000, row }.to_bytes())
        };
        let read = vec![
            change("a", 3, Some("Ada")),
            change("b", 4, Some("Bo")),
            change("c", 5, None),
            change("b", 7, None),
            change("a", 9, Some("Al")),
        ];
        let items = changes.items(&batch(DataFrame::empty(), LaneRows::default(), read)).expect("documents");
        let ada = format!(r#"{{"name":"Al","changed_at":"1970-01-01T00:00:01Z","braid_slice":{}}}"#, slice_of("a"));
        assert_eq!(texts(&items), [("c", 6, None), ("b", 8, None), ("a", 10, Some(ada))]);
    }

    #[test]
    fn of_a_stream_every_record_is_a_row_and_the_last_one_of_an_id_stands() {
        let changes = changes("clicks");
        let shape = changes.shape();
        assert_eq!(shape.wanted, ["ms", "page", "user"]);
        assert!(!shape.is_of_table && shape.lane.is_some());
        let mut decoder = Decoder::new(&changes.source);
        let mut columns = Columns::new(&changes.source, |name| shape.wanted.iter().any(|wanted| wanted == name), 0);
        let mut lane = LaneRows::default();
        for (offset, user, page) in [(20, 7, "x"), (22, 8, "y"), (23, 7, "z")] {
            let payload = format!(
                r#"{{"output_id":"{offset}","output_time":1000,"incomplete":false,"click":"k","at":1000,"user":{user},"page":"{page}","ms":1500}}"#
            );
            let event = decoder.decode(Some(payload.as_bytes()), None);
            columns.push(&event.unwrap_or_else(|rejected| panic!("{rejected:?}")));
            lane.offsets.push(offset);
            lane.record_times_us.push(None);
        }
        let batch = batch(columns.finish().expect("columns"), lane, Vec::new());
        let items = changes.items(&batch).expect("documents");
        let document = |page, id| Some(format!(r#"{{"page":"{page}","ms":1500,"braid_slice":{}}}"#, slice_of(id)));
        assert_eq!(texts(&items), [("8", 23, document("y", "8")), ("7", 24, document("z", "7"))]);
    }
}
