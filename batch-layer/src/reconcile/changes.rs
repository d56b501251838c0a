//! R11 as a property: whatever catalogs came and went, a view equals that of a fresh deployment which reads the same records
//! with the last catalog. On a real store, without Kafka and Redis.

use std::collections::BTreeMap;

use polars::prelude::*;
use shared_logic::contracts::archive::RAW;
use shared_logic::log::PartitionId;
use test_kit::{Dice, first_seed, repetitions};

use super::*;
use crate::archive::buffer::Buffer;
use crate::archive::{commit, compact};
use crate::archive_rows::record_rows::Incoming;
use crate::{archive, rows};

const LOG: &str = "log";
const PARTITIONS: i32 = 2;
/// 2026-04-24, and an hour later, in milliseconds.
const HOURS_MS: [i64; 2] = [1_776_988_800_000, 1_776_992_400_000];
const DAY_MS: i64 = 86_400_000;

/// What was sent: per partition, the payloads with the record's time in milliseconds.
type Sent = BTreeMap<i32, Vec<(Option<Vec<u8>>, i64)>>;

/// One deployment's tables.
struct Tables {
    settings: Settings,
    folder: tempfile::TempDir,
    /// How much of each partition is archived.
    next: BTreeMap<i32, i64>,
}

impl Tables {
    fn new() -> Tables {
        let folder = tempfile::tempdir().expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let next = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        Tables { settings: Settings { store, ..Settings::default() }, folder, next }
    }

    fn storage(&self, catalog: &Catalog) -> Storage {
        Storage::new(&self.settings.store, &catalog.deployment).expect("a store")
    }

    /// The archive as an archiver with that catalog has registered it.
    async fn registered(&self, catalog: &Catalog) -> Archive {
        let source = &catalog.sources["s"];
        let mut archive = archive::create(&self.storage(catalog), source).await.expect("opened");
        let mut facts = archive.facts();
        facts.keep_bytes(&source.rules());
        (0..PARTITIONS).for_each(|partition| facts.begin(&PartitionId::new(LOG, partition), 0));
        let columns = commit::missing_columns(&archive, source).expect("read");
        commit::facts(&mut archive, facts, columns.as_ref()).await.expect("registered");
        archive
    }

    /// Archives the next records of a partition.
    async fn archived(&mut self, catalog: &Catalog, sent: &Sent, partition: i32, count: usize) {
        let mut archive = self.registered(catalog).await;
        let mut buffer = Buffer::new(&catalog.sources["s"], LOG, &self.next);
        let next = self.next.get_mut(&partition).expect("a partition");
        for (payload, time_ms) in sent[&partition].iter().skip(*next as usize).take(count) {
            let (payload, timestamp_us) = (payload.as_deref(), Some(time_ms * 1_000));
            buffer.push(Incoming { partition, offset: *next, timestamp_us, key: None, payload, headers: None });
            *next += 1;
        }
        let source = &catalog.sources["s"];
        let committed = commit::rows(&mut archive, source, LOG, buffer, &BTreeMap::new()).await.expect("written");
        assert!(matches!(committed, platform::store::Committed::At(_)), "there is no other writer");
    }

    async fn compacted(&self, catalog: &Catalog) {
        let mut archive = self.registered(catalog).await;
        compact::compact(&mut archive, &catalog.sources["s"], 2).await.expect("compacted");
    }

    /// Goes on with the rebuild of a view that counts another definition, by one day.
    async fn rebuilds_a_day(&self, catalog: &Catalog) {
        let storage = self.storage(catalog);
        let reconciler = Reconciler::new(&self.settings, &storage, catalog);
        let metric = &catalog.metrics["m"];
        let view = view::create(&storage, catalog, metric).await.expect("created");
        let archive = storage.archive("s").await.expect("read").expect("archived");
        if reconciler.counted(metric, &view, &archive, true).await.expect("read").is_none() {
            let (stop, now) = (CancellationToken::new(), Instant::now());
            let turn = Turn { wait_until: now, until: now, stop: &stop };
            reconciler.step(metric, &view, &archive, &Rotated::new(), &turn).await.expect("advanced");
        }
    }

    /// Reconciles up to the end of the archive, and returns what the view holds.
    async fn reconciled(&self, catalog: &Catalog) -> DataFrame {
        let storage = self.storage(catalog);
        let reconciler = Reconciler::new(&self.settings, &storage, catalog);
        let metric = &catalog.metrics["m"];
        let mut view = view::create(&storage, catalog, metric).await.expect("created");
        let archive = storage.archive("s").await.expect("read").expect("archived");
        let counted = loop {
            match reconciler.counted(metric, &view, &archive, true).await.expect("read") {
                Some(counted) => break counted,
                None => self.rebuilds_a_day(catalog).await,
            }
        };
        let recounted = reconciler.recount(metric, &view, &counted, &archive, &Rotated::new()).await;
        let (plan, files) = recounted.expect("recounted");
        let replaced = reconciler.commit(metric, &mut view, plan, files).await.expect("tried");
        replaced.expect("there is no other reconcile");
        let columns = view::columns(&catalog.sources["s"], metric);
        let rows = view.read(&view.files().await.expect("listed"), &columns).await.expect("read");
        let by_all: Vec<Expr> = columns.iter_names().map(|name| col(name.clone())).collect();
        let rows = rows.sort_by_exprs(by_all, SortMultipleOptions::default());
        rows::compute("read", view.path(), move || rows.collect()).await.expect("decoded")
    }

    /// The bytes of every record that is archived, by partition and offset.
    async fn bytes(&self, catalog: &Catalog) -> Vec<(i32, i64, Option<Vec<u8>>)> {
        let archive = self.storage(catalog).archive("s").await.expect("read").expect("archived");
        let columns: Schema = shared_logic::contracts::archive::record_columns().into_iter().collect();
        let rows = archive.read(&archive.files().await.expect("listed"), &columns).await.expect("read");
        let rows = rows::compute("read", archive.path(), move || rows.collect()).await.expect("decoded");
        let column = |name| rows.column(name).expect("a column");
        let (partitions, offsets) = (column("_partition").i32().expect("int"), column("_offset").i64().expect("long"));
        let raws = column(RAW).binary().expect("bytes");
        let row = |row| {
            let raw = raws.get(row).map(<[u8]>::to_vec);
            (partitions.get(row).expect("named"), offsets.get(row).expect("named"), raw)
        };
        let mut all: Vec<_> = (0..rows.height()).map(row).collect();
        all.sort();
        all
    }
}

/// A record: an event, or something that is one under some catalogs only, or none under any.
fn payload(dice: &mut Dice) -> (Option<Vec<u8>>, i64) {
    let at_ms = dice.pick(&HOURS_MS) + dice.between(0, 59) * 60_000;
    if dice.chance(5) {
        return (dice.chance(50).then(|| b"{\"id\": tru".to_vec()), at_ms);
    }
    let status =
        *dice.pick(&["", ", \"status\": 200", ", \"status\": 404", ", \"status\": \"ok\"", ", \"status\": null"]);
    let country = *dice.pick(&["", ", \"country\": \"DE\"", ", \"country\": \"FR\""]);
    let (id, b_ms) = (dice.between(1, 40), at_ms - dice.between(0, 3) * DAY_MS);
    // A copy has the same id and time, and may differ in the rest.
    let a_ms = if dice.chance(50) { HOURS_MS[0] + id * 1_000 } else { at_ms };
    (Some(format!(r#"{{"id": {id}, "a": {a_ms}, "b": {b_ms}{status}{country}}}"#).into_bytes()), at_ms)
}

/// A catalog of the source `s` and its metric `m`.
fn catalog(dice: &mut Dice) -> String {
    let status = *dice.pick(&["", "int", "int?", "string", "string?"]);
    let country = *dice.pick(&["", "string", "string?"]);
    let declared =
        |name: &str, kind: &str| if kind.is_empty() { String::new() } else { format!("{name} = \"{kind}\"\n") };
    let filters = [("", true), ("status = 200", status == "int"), ("country = 'DE'", !country.is_empty())];
    let filters: Vec<&str> = filters.iter().filter(|(_, fits)| *fits).map(|(filter, _)| *filter).collect();
    let filter = *dice.pick(&filters);
    let filter = if filter.is_empty() { String::new() } else { format!("where = \"{filter}\"\n") };
    let keys = [("status", status), ("country", country)];
    let keys = keys.iter().filter(|(_, kind)| !kind.is_empty() && !kind.ends_with('?') && dice.chance(50));
    let by: Vec<String> = keys.map(|(name, _)| format!("\"{name}\"")).collect();
    let sum = if status.starts_with("int") { "total = \"sum(status)\"\n" } else { "" };
    format!(
        "[sources.s]\n{id}event_time = \"{time}\"\nmax_age = \"{age}\"\nformat = \"{format}\"\n\
         [sources.s.fields]\nid = \"int\"\na = \"timestamp\"\nb = \"timestamp\"\n{status}{country}\
         [metrics.m]\nsource = \"s\"\n{filter}by = [{by}]\ngrain = \"{grain}\"\n\
         [metrics.m.measures]\nevents = \"count()\"\n{sum}",
        id = if dice.chance(70) { "event_id = \"id\"\n" } else { "" },
        time = dice.pick(&["a", "b"]),
        age = dice.pick(&["400d", "36h"]),
        format = if dice.chance(90) { "json" } else { "tsv" },
        status = declared("status", status),
        country = declared("country", country),
        by = by.join(", "),
        grain = dice.pick(&["1m", "1h", "12h"]),
    )
}

fn parsed(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

async fn walk(seed: u64) {
    let mut dice = Dice::new(seed);
    let catalogs: Vec<String> = (0..3).map(|_| catalog(&mut dice)).collect();
    let sent: Sent =
        (0..PARTITIONS).map(|partition| (partition, (0..60).map(|_| payload(&mut dice)).collect())).collect();
    let mut tables = Tables::new();
    let mut done = Vec::new();
    for _ in 0..20 {
        let at = dice.below(catalogs.len());
        let chosen = parsed(&catalogs[at]);
        match dice.below(12) {
            0..=5 => {
                let (partition, count) = (dice.below(PARTITIONS as usize) as i32, dice.between(1, 9) as usize);
                tables.archived(&chosen, &sent, partition, count).await;
                done.push(format!("archived {count} of {partition} by {at}"));
            }
            6..=7 => {
                tables.compacted(&chosen).await;
                done.push(format!("compacted by {at}"));
            }
            8..=9 if tables.next.values().any(|next| *next > 0) => {
                tables.reconciled(&chosen).await;
                done.push(format!("reconciled by {at}"));
            }
            10..=11 if tables.next.values().any(|next| *next > 0) => {
                tables.rebuilds_a_day(&chosen).await;
                done.push(format!("rebuilt a day by {at}"));
            }
            _ => {}
        }
    }
    let last = parsed(&catalogs[0]);
    let mut fresh = Tables::new();
    for (partition, next) in tables.next.clone() {
        tables.archived(&last, &sent, partition, 0).await;
        fresh.archived(&last, &sent, partition, next as usize).await;
    }
    let story = || format!("BRAID_SEED={seed}\n{}\n{}", done.join("\n"), catalogs.join("\n----\n"));
    assert_eq!(tables.bytes(&last).await, fresh.bytes(&last).await, "the bytes of records; {}", story());
    let (seen, expected) = (tables.reconciled(&last).await, fresh.reconciled(&last).await);
    assert!(seen.equals_missing(&expected), "{seen}\ninstead of\n{expected}\n{}", story());
    drop(tables.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_catalogs_came_and_went_the_last_one_counts_every_record_by_its_own_rules() {
    let first = first_seed();
    for seed in first..first + repetitions(12, 400) {
        walk(seed).await;
    }
}
