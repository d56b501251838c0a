//! An archive, and the view of the one metric over it.

use std::collections::BTreeMap;

use platform::store::Committed;
use polars::prelude::{DataFrame, DataType, IntoLazy, col, df};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::decode::Decoder;
use shared_logic::log::{Content, PartitionId, Position, Witness};
use shared_logic::schema::INSTANT;
use shared_logic::time::{day_of, format_day};
use storage::Schemas;

use super::super::*;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;
use crate::rows::RowsError;
use crate::{archive, rows};

/// The catalog.
pub(super) const CATALOG: &str = r#"
[sources.s]
event_id = ["house", "id"]
event_time = "at"
[sources.s.fields]
house = "string"
id = "int"
at = "timestamp"
k = "string?"
n = "int"
[metrics.m]
source = "s"
by = ["k"]
grain = "30m"
[metrics.m.measures]
events = "count()"
total = "sum(n)"
"#;
/// The metric's grain.
pub(super) const GRAIN_MS: i64 = 30 * 60_000;

/// What an event says. Copies agree in house, id and time only.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) house: &'static str,
    pub(super) id: i64,
    pub(super) at_ms: i64,
    pub(super) k: Option<&'static str>,
    pub(super) n: i64,
}

impl Event {
    /// Its record's payload.
    pub(super) fn json(&self) -> String {
        let Event { house, id, at_ms, k, n } = self;
        let k = k.map_or(String::new(), |k| format!(r#", "k": "{k}""#));
        format!(r#"{{"house": "{house}", "id": {id}, "at": {at_ms}, "n": {n}{k}}}"#)
    }
}

/// A record: where it lies, and what it says if it is valid.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: PartitionId,
    pub(super) offset: i64,
    pub(super) event: Option<Event>,
}

/// A view's rows, merged: per bucket and `k`, which may be absent, the measures `events` and `total`. A bucket is named by its
/// start, in microseconds.
pub(super) type Rows = BTreeMap<(i64, Option<String>), (i64, i128)>;

/// An archive, and the view of the one metric over it.
pub(super) struct Bench {
    pub(super) reconciler: Reconciler,
    pub(super) archive: Archive,
    /// The timestamp of the records that are archived.
    pub(super) written_us: Option<i64>,
    /// Where they lie, unless that is S3.
    pub(super) folder: tempfile::TempDir,
}

impl Bench {
    /// With the one partition [`id`].
    pub(super) async fn new() -> Bench {
        Bench::with(Settings::default(), &[id()]).await
    }

    /// With those partitions, begun in that order. A view is tidied up after each of its versions.
    pub(super) async fn with(settings: Settings, partitions: &[PartitionId]) -> Bench {
        Bench::of(CATALOG, settings, partitions).await
    }

    /// With the metric `m` of that catalog.
    pub(super) async fn of(catalog: &str, settings: Settings, partitions: &[PartitionId]) -> Bench {
        let folder = folder();
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        Bench::begun(catalog, Settings { store, ..settings }, partitions, folder).await
    }

    /// With the one partition [`id`], in that store.
    pub(super) async fn in_store(store: settings::Store) -> Bench {
        Bench::in_store_of(Settings { store, ..Settings::default() }).await
    }

    /// The same with other settings, too.
    pub(super) async fn in_store_of(settings: Settings) -> Bench {
        Bench::begun(CATALOG, settings, &[id()], folder()).await
    }

    async fn begun(catalog: &str, settings: Settings, partitions: &[PartitionId], folder: tempfile::TempDir) -> Bench {
        let tidy = settings::Archive { checkpoint_every: 1, ..Default::default() };
        let settings = Settings { archive: tidy, ..settings };
        let catalog = Catalog::parse(catalog).expect("a valid catalog");
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        let mut archive = archive::create(&storage, &catalog.sources["s"]).await.expect("created");
        let rules = catalog.sources["s"].rules();
        let begin = |facts: &mut Facts| {
            facts.keep_bytes(&rules, None);
            partitions.iter().for_each(|id| facts.begin(id, 0));
        };
        archive.change("BEGIN", begin).await.expect("begun");
        let reconciler = Reconciler::new(&settings, &storage, &catalog);
        Bench { reconciler, archive, written_us: None, folder }
    }

    pub(super) fn source(&self) -> &Source {
        &self.reconciler.catalog.sources["s"]
    }

    pub(super) fn schemas(&self) -> Schemas {
        Schemas::new(&self.reconciler.storage, "s", &self.reconciler.registry)
    }

    pub(super) fn metric(&self) -> &Metric {
        &self.reconciler.catalog.metrics["m"]
    }

    /// The view as a process that has just been started knows it.
    pub(super) async fn view(&self) -> BatchView {
        let Reconciler { storage, catalog, .. } = &self.reconciler;
        view::create(storage, catalog, self.metric()).await.expect("created")
    }

    /// The first offset of a partition that is not archived.
    pub(super) fn next(&self, id: &PartitionId) -> i64 {
        self.archive.facts().partition(id).expect("begun").next
    }

    /// Archives events of these ids; their event time follows from the id, so equal ids are copies.
    pub(super) async fn archived(&mut self, ids: &[i64]) {
        let event = |of: i64| Event { house: "h", id: of, at_ms: of * 60_000, k: Some("a"), n: 1 };
        let places = (self.next(&id())..).zip(ids);
        let records: Vec<Record> =
            places.map(|(offset, of)| Record { id: id(), offset, event: Some(event(*of)) }).collect();
        self.archive_these(LOG, &records).await;
    }

    /// Archives records of one log in one commit.
    pub(super) async fn archive_these(&mut self, log: &str, records: &[Record]) {
        let committed = self.try_to_archive(log, records).await;
        assert!(matches!(committed, Ok(Committed::At(_))), "there is no other writer");
    }

    /// The same, which another writer or a fault may prevent.
    pub(super) async fn try_to_archive(&mut self, log: &str, records: &[Record]) -> Result<Committed, RowsError> {
        let facts = self.archive.facts();
        let partitions = &facts.log(log).expect("begun").partitions;
        let next = partitions.iter().map(|(partition, known)| (*partition, known.next)).collect();
        let source = self.source().clone();
        let declared = self.archive.columns().expect("read");
        let (mut buffer, mut decoder) = (Buffer::new(&source, &declared, log, &next), Decoder::new(&source));
        for Record { id, offset, event } in records {
            let valid = event.as_ref().map(Event::json);
            let payload = Some(valid.as_deref().unwrap_or("no event").as_bytes());
            let (partition, offset) = (id.partition, *offset);
            let timestamp_us = self.written_us;
            let record = Incoming { partition, offset, timestamp_us, key: None, payload, headers: None };
            buffer.push(record, &mut decoder);
        }
        archive::commit::rows(&mut self.archive, &source, buffer, &BTreeMap::new()).await
    }

    /// Reconciles with a shard of the partition [`id`] that has this slice. Redis is not asked.
    pub(super) async fn reconcile(&self, view: &mut BatchView, slice: i64) -> Option<Changed> {
        let rotated = Rotated::from([(id(), vec![slice])]);
        let (plan, done) = recount(&self.reconciler, view, &self.archive, &rotated).await;
        self.reconciler.commit(self.metric(), view, plan, done).await.expect("committed, or too late")
    }

    /// The task of the only day that has events.
    pub(super) async fn task(&self) -> DayTask {
        let view = self.view().await;
        let plan = self.reconciler.plan(self.metric(), &view, Counted::Nothing, &self.archive, &Rotated::new()).await;
        let [task] = <[DayTask; 1]>::try_from(plan.expect("planned").tasks).expect("one day");
        task
    }

    /// What a new reader finds: the version, the cut and the number of events.
    pub(super) async fn read(&self) -> (u64, Option<i64>, i64) {
        let view = self.view().await;
        let cut = view.note().expect("committed").cut.get(&id());
        (view.version(), cut, self.rows_of(&view).await.values().map(|(events, _)| events).sum())
    }

    /// The rows of a view at the version that it knows.
    pub(super) async fn rows_of(&self, view: &BatchView) -> Rows {
        let columns = view::columns(self.source(), self.metric());
        let files = view.files().await.expect("listed");
        let frame = view.read(&files, &columns).await.expect("read");
        let frame: DataFrame = rows::compute("read", view.path(), move || frame.collect()).await.expect("decoded");
        let integers = |name: &str| -> Vec<i64> {
            let column = frame.column(name).expect("declared").cast(&DataType::Int64).expect("integers");
            column.i64().expect("integers").iter().flatten().collect()
        };
        let texts = frame.column("k").expect("declared").str().expect("texts").iter();
        let keys = integers(BUCKET).into_iter().zip(texts.map(|text| text.map(str::to_owned)));
        let mut merged = Rows::new();
        for (key, (events, total)) in keys.zip(integers("events").into_iter().zip(integers("total"))) {
            let row = merged.entry(key).or_default();
            *row = (row.0 + events, row.1 + i128::from(total));
        }
        merged
    }
}

/// In memory where that is possible: what is tested here does not depend on whether a commit is durable.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Counts the metric `m`: to what the view or a whole rebuild has counted, new events are added, else everything is counted at once.
pub(super) async fn recount(
    reconciler: &Reconciler,
    view: &BatchView,
    archive: &Archive,
    rotated: &Rotated,
) -> (Plan, Vec<DayDone>) {
    let metric = &reconciler.catalog.metrics["m"];
    let counted = reconciler.counted(metric, view, archive, true).await.expect("read").unwrap_or(Counted::Nothing);
    reconciler.recount(metric, view, &counted, archive, rotated).await.expect("recounted")
}

/// A reconciler of a catalog in which the metric `m` has longer buckets, so that nothing of its view can be kept.
pub(super) fn hourly(reconciler: &Reconciler) -> Reconciler {
    let catalog = Catalog::parse(&CATALOG.replace("30m", "1h")).expect("a valid catalog");
    Reconciler { catalog, ..reconciler.clone() }
}

/// Adds a row to the view that no event has made: one event of the key `a` too many in that bucket.
pub(super) async fn planted(bench: &Bench, bucket_us: i64) {
    let mut view = bench.view().await;
    let row = df!(BUCKET => [bucket_us], "k" => ["a"], "events" => [1_i64], "total" => [1_i64]).expect("a row");
    let row = row.lazy().with_column(col(BUCKET).cast(INSTANT)).collect().expect("an instant");
    let day = format_day(day_of(bucket_us));
    let file = view.write(&day, row, &[BUCKET]).await.expect("written");
    let committed = view.commit(view.begin("PLANT").adding([file]), None).await.expect("tried");
    assert!(matches!(committed, Committed::At(_)), "there is no other writer");
}

/// Takes a file out of the view's table as another program does, which notes nothing.
pub(super) async fn damaged(bench: &Bench) {
    let view = bench.view().await;
    let file = view.files().await.expect("listed").remove(0);
    let entry = format!(
        "{{\"commitInfo\":{{\"engineInfo\":\"another\"}}}}\n{{\"remove\":{{\"path\":\"{}\",\"dataChange\":true,\
         \"deletionTimestamp\":0}}}}",
        file.path
    );
    let log = bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(view.path()).join("_delta_log");
    std::fs::write(log.join(format!("{:020}.json", view.version() + 1)), entry).expect("written");
}

/// The ids of [`Bench::archived`] are minutes.
pub(super) const A_DAY: i64 = 24 * 60;

/// The offset 2, after a record of the event 2 that says so much of `n`. Of the ids `[1, 2, …]`, [`Bench::archived`] archives one
/// that says 1.
pub(super) fn after_the_second(n: i64) -> Position {
    let payload = Event { house: "h", id: 2, at_ms: 120_000, k: Some("a"), n }.json();
    let content = Content { timestamp_us: None, key: None, payload: Some(payload.as_bytes()), headers: None };
    Position { offset: 2, witness: Some(Witness::of(1, Some(7), &content)) }
}

/// The log of the partition [`id`].
pub(super) const LOG: &str = "log";

/// The partition of tests that need one only.
pub(super) fn id() -> PartitionId {
    PartitionId::new(LOG, 0)
}
