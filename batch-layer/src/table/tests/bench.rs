//! An archive of the changes of one table.

use std::collections::BTreeMap;

use platform::settings;
use platform::store::Committed;
use polars::prelude::{DataFrame, DataType};
use shared_logic::catalog::{Catalog, Source, Table};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table::{CHANGED_AT, LOG, OFFSET, PARTITION};
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use storage::{Archive, MaterialisedTable, Storage};
use test_kit::Dice;

use super::super::materialise::{Bounds, materialise_within};
use super::super::shape::Shape;
use super::super::*;
use crate::archive;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

/// A table of users, which tests of tables and of indexes have.
pub(crate) const CATALOG: &str = r#"
[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
[tables.users]
key = "id"
[tables.users.fields]
id = "string"
name = "string?"
n = "int?"
"#;

/// An index of it, behind [`CATALOG`].
pub(crate) const INDEX: &str = r#"
[indexes.users]
from = "tables.users"
[indexes.users.fields]
name = "text"
"#;

/// One day later than 1970, so that days before and behind it are days, too.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// A change, as a producer sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(super) log: &'static str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_us: i64,
    pub(super) key: String,
    /// `None`: it deletes the row.
    pub(super) n: Option<i64>,
}

/// A row: its key, `n`, and which record changed it last.
pub(super) type Row = (String, i64, (String, i32, i64, i64));

pub(crate) struct Bench {
    pub(crate) storage: Storage,
    pub(crate) catalog: Catalog,
    pub(crate) archive: Archive,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Bench {
        Bench::of(CATALOG).await
    }

    pub(crate) async fn of(catalog: &str) -> Bench {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let storage = Storage::new(&store, &catalog.deployment).expect("a store");
        let mut archive = archive::create(&storage, &catalog.sources["users"]).await.expect("created");
        let rules = catalog.sources["users"].rules();
        archive.change("BEGIN", |facts: &mut Facts| facts.keep_bytes(&rules, None)).await.expect("begun");
        Bench { storage, catalog, archive, _folder: folder }
    }

    pub(super) fn source(&self) -> &Source {
        &self.catalog.sources["users"]
    }

    pub(super) fn table(&self) -> &Table {
        &self.catalog.tables["users"]
    }

    /// Archives changes, which come in the order of their offsets, and begins partitions that they are the first ones of.
    pub(crate) async fn archived(&mut self, sent: &[Sent]) {
        let payload = |sent: &Sent| sent.n.map(|n| format!(r#"{{"id":"{}","n":{n}}}"#, sent.key));
        let records: Vec<(&Sent, Option<String>)> = sent.iter().map(|sent| (sent, payload(sent))).collect();
        self.archived_as(&records).await;
    }

    /// The same with payloads of their own.
    pub(super) async fn archived_as(&mut self, sent: &[(&Sent, Option<String>)]) {
        let begin = |facts: &mut Facts| {
            sent.iter().for_each(|(sent, _)| facts.begin(&PartitionId::new(sent.log, sent.partition), 0));
        };
        self.archive.change("BEGIN", begin).await.expect("begun");
        let mut logs: Vec<&str> = sent.iter().map(|(sent, _)| sent.log).collect();
        logs.dedup();
        for log in logs {
            let facts = self.archive.facts();
            let partitions = &facts.log(log).expect("begun").partitions;
            let next = partitions.iter().map(|(partition, known)| (*partition, known.next)).collect();
            let (source, declared) = (self.source().clone(), self.archive.columns().expect("read"));
            let (mut buffer, mut decoder) = (Buffer::new(&source, &declared, log, &next), Decoder::new(&source));
            for (sent, payload) in sent.iter().filter(|(sent, _)| sent.log == log) {
                let record = Incoming {
                    partition: sent.partition,
                    offset: sent.offset,
                    timestamp_us: Some(sent.timestamp_us),
                    key: Some(sent.key.as_bytes()),
                    payload: payload.as_deref().map(str::as_bytes),
                    headers: None,
                };
                buffer.push(record, &mut decoder);
                // What follows on a record that compaction has left out.
                buffer.reach(sent.partition, sent.offset + 1);
            }
            let committed =
                archive::commit::rows(&mut self.archive, &source, buffer, &BTreeMap::new()).await.expect("written");
            assert!(matches!(committed, Committed::At(_)), "there is no other archiver");
        }
    }

    pub(crate) async fn materialised(&self) -> Materialised {
        materialise(&self.storage, &self.catalog, self.table()).await.expect("materialised")
    }

    pub(super) async fn materialised_within(&self, bounds: Bounds) -> Materialised {
        materialise_within(&self.storage, &Subject::of_table(&self.catalog, self.table()), bounds)
            .await
            .expect("materialised")
    }

    /// The table as a process that has just been started knows it.
    pub(crate) async fn opened(&self) -> MaterialisedTable {
        self.storage.table("users").await.expect("read").expect("materialised")
    }

    /// Its rows, and the offsets that they stand for.
    pub(super) async fn held(&self) -> (Vec<Row>, BTreeMap<PartitionId, i64>) {
        let table = self.opened().await;
        let columns = Shape::of(self.source()).row_columns();
        let files = table.files().await.expect("listed");
        let frame = table.read(&files, &columns).await.expect("read");
        let frame = tokio::task::spawn_blocking(move || frame.collect()).await.expect("a thread").expect("decoded");
        let texts = |name: &str| -> Vec<String> {
            let column = frame.column(name).expect("declared").str().expect("texts").clone();
            column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        };
        let integers = |name: &str| integers(&frame, name);
        let places = texts(LOG).into_iter().zip(integers(PARTITION)).zip(integers(OFFSET)).zip(integers(CHANGED_AT));
        let places = places.map(|(((log, partition), offset), at)| (log, partition as i32, offset, at));
        let rows = texts("id").into_iter().zip(integers("n")).zip(places).map(|((key, n), place)| (key, n, place));
        let mut rows: Vec<Row> = rows.collect();
        rows.sort();
        let note = table.note().expect("noted");
        assert_eq!(note.rows, rows.len() as u64);
        (rows, note.next.iter().map(|(id, next)| (id.clone(), next)).collect())
    }

    /// Its rows as of some moment: key, `n`, and when it changed last.
    pub(super) async fn read(&self, at: &AsOf) -> Vec<(String, i64, i64)> {
        let rows = as_of(&self.storage, &self.catalog, self.table(), at).await.expect("read").rows;
        let keys = rows.column("id").expect("declared").str().expect("texts").clone();
        let keys: Vec<String> = keys.iter().map(|key| key.unwrap_or_default().to_owned()).collect();
        assert!(keys.is_sorted(), "ascending by key");
        let values = integers(&rows, "n").into_iter().zip(integers(&rows, "changed_at"));
        keys.into_iter().zip(values).map(|(key, (n, at))| (key, n, at)).collect()
    }
}

fn integers(frame: &DataFrame, name: &str) -> Vec<i64> {
    let column = frame.column(name).expect("declared").cast(&DataType::Int64).expect("integers");
    column.i64().expect("integers").iter().map(Option::unwrap_or_default).collect()
}

/// The rows that the changes below some offsets leave, by the rule as it is written down. `logs` are in the order of the facts.
pub(super) fn by_hand(sent: &[Sent], offsets: &BTreeMap<PartitionId, i64>, logs: &[&str]) -> Vec<Row> {
    let is_below = |sent: &&Sent| {
        offsets.get(&PartitionId::new(sent.log, sent.partition)).is_some_and(|offset| sent.offset < *offset)
    };
    let mut lasts: BTreeMap<&str, BTreeMap<(&str, i32), &Sent>> = BTreeMap::new();
    for sent in sent.iter().filter(is_below) {
        let last = lasts.entry(&sent.key).or_default().entry((sent.log, sent.partition)).or_insert(sent);
        if last.offset < sent.offset {
            *last = sent;
        }
    }
    let number = |log: &str| logs.iter().position(|known| *known == log);
    let mut rows = Vec::new();
    for (key, lasts) in lasts {
        let newest =
            lasts.into_values().max_by_key(|last| (last.timestamp_us, number(last.log), last.partition, last.offset));
        if let Some(Sent { log, partition, offset, timestamp_us, n: Some(n), .. }) = newest {
            rows.push((key.to_owned(), *n, ((*log).to_owned(), *partition, *offset, *timestamp_us)));
        }
    }
    rows
}

/// Changes of a few keys, in the order in which they are sent. Keys move when partitions are added or the topic is made again,
/// timestamps are out of order, and some offsets are of records that are not there any more.
pub(super) fn history(dice: &mut Dice, keys: usize, changes: i64) -> Vec<Sent> {
    const LOGS: [&str; 2] = ["first", "second"];
    let (mut sent, mut next) = (Vec::new(), BTreeMap::<(&str, i32), i64>::new());
    let (mut partitions, again) = (1 + dice.below(2), dice.between(changes / 2, 2 * changes));
    for step in 0..changes {
        if dice.chance(3) {
            partitions += 1;
        }
        let key = dice.below(keys);
        let (log, partition) = (LOGS[usize::from(step >= again)], (key % partitions) as i32);
        let next = next.entry((log, partition)).or_default();
        let offset = *next + i64::from(dice.chance(20)) * dice.between(1, 5);
        *next = offset + 1;
        let hour = if dice.chance(30) { dice.between(0, 60) } else { step };
        let n = (!dice.chance(25)).then_some(step);
        let timestamp_us = DAY_US + hour * DAY_US / 24;
        sent.push(Sent { log, partition, offset, timestamp_us, key: format!("u-{key}"), n });
    }
    sent
}

/// The logs of changes, in the order in which they were sent.
pub(super) fn logs(sent: &[Sent]) -> Vec<&'static str> {
    let mut logs: Vec<&str> = sent.iter().map(|sent| sent.log).collect();
    logs.dedup();
    logs
}

/// Where each partition ends behind the first so many changes.
pub(super) fn ends(sent: &[Sent]) -> BTreeMap<PartitionId, i64> {
    let mut ends = BTreeMap::new();
    for sent in sent {
        ends.insert(PartitionId::new(sent.log, sent.partition), sent.offset + 1);
    }
    ends
}

/// A change of a partition of one log.
pub(crate) fn sent(partition: i32, offset: i64, hour: i64, key: &str, n: Option<i64>) -> Sent {
    Sent { log: "first", partition, offset, timestamp_us: DAY_US + hour * DAY_US / 24, key: key.to_owned(), n }
}
