//! Reconciles on a real store, without Kafka and Redis: what rotates would return is given.

use std::collections::BTreeMap;

use platform::store::{Committed, DataFile};
use polars::prelude::DataFrame;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;

use super::recompute::DayTask;
use super::*;
use crate::archive::buffer::Buffer;
use crate::archive_rows::RANGED;
use crate::archive_rows::record_rows::Incoming;
use crate::{archive, rows};

const LOG: &str = "log";

const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
[sources.s.fields]
id = "int"
at = "timestamp"
[metrics.m]
source = "s"
by = []
grain = "1h"
[metrics.m.measures]
events = "count()"
"#;

/// An archive of one partition, and the view of the one metric over it.
struct Bench {
    reconciler: Reconciler,
    archive: Archive,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let settings = Settings { store, ..Settings::default() };
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
        let mut archive = archive::create(&storage, &catalog.sources["s"]).await.expect("created");
        let begin = |facts: &mut Facts| {
            facts.keep_bytes(&catalog.sources["s"].rules());
            facts.begin(&id(), 0);
        };
        archive.change("BEGIN", begin).await.expect("begun");
        let reconciler = Reconciler::new(&settings, &storage, &catalog);
        Bench { reconciler, archive, _folder: folder }
    }

    fn source(&self) -> &Source {
        &self.reconciler.catalog.sources["s"]
    }

    fn metric(&self) -> &Metric {
        &self.reconciler.catalog.metrics["m"]
    }

    /// The view as a process that has just been started knows it.
    async fn view(&self) -> BatchView {
        let Reconciler { storage, catalog, .. } = &self.reconciler;
        view::create(storage, catalog, self.metric()).await.expect("created")
    }

    /// Archives events of these ids; their event time follows from the id, so equal ids are copies.
    async fn archived(&mut self, ids: &[i64]) {
        let mut facts = self.archive.facts();
        let next = facts.partition(&id()).expect("begun").next;
        let mut buffer = Buffer::new(self.source(), LOG, &BTreeMap::from([(0, next)]));
        for (offset, id) in (next..).zip(ids) {
            let payload = format!(r#"{{"id": {id}, "at": {}}}"#, id * 60_000);
            let payload = Some(payload.as_bytes());
            buffer.push(Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None });
        }
        assert!(facts.advance(&id(), next, next + ids.len() as i64));
        let mut commit = self.archive.begin("ARCHIVE");
        for (day, frame) in buffer.into_days(&self.archive.columns().expect("read")).expect("columns") {
            commit = commit.adding([self.archive.write(&day, frame, &RANGED).await.expect("written")]);
        }
        let committed = self.archive.commit(commit, Some(facts)).await.expect("committed");
        assert!(matches!(committed, Committed::At(_)), "there is no other writer");
    }

    async fn reconcile(&self, view: &mut BatchView, rotated: i64) -> Option<Replaced> {
        let rotated = Rotated::from([(id(), rotated)]);
        self.reconciler.attempt(self.metric(), view, &self.archive, &rotated).await.expect("attempted")
    }

    /// The task of the only day that has events.
    async fn task(&self) -> DayTask {
        let plan = self.reconciler.plan(self.metric(), &self.view().await, &self.archive, &Rotated::new()).await;
        let [task] = <[DayTask; 1]>::try_from(plan.expect("planned").tasks).expect("one day");
        task
    }

    /// What a new reader finds: the version, the cut and the number of events.
    async fn read(&self) -> (u64, Option<i64>, i64) {
        let view = self.view().await;
        let cut = view.note().expect("committed").cut.get(&id());
        let columns = view::columns(self.source(), self.metric());
        let rows = view.read(&view.files().await.expect("listed"), &columns).await.expect("read");
        let rows: DataFrame = rows::compute("read", view.path(), move || rows.collect()).await.expect("decoded");
        let counts = rows.column("events").expect("a measure").i64().expect("integers").iter().flatten();
        (view.version(), cut, counts.sum())
    }
}

fn id() -> PartitionId {
    PartitionId::new(LOG, 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn view_and_cut_are_one_commit() {
    let mut bench = Bench::new().await;
    for round in 1..=3 {
        bench.archived(&[10 * round, 10 * round + 1]).await;
        let replaced = bench.reconcile(&mut bench.view().await, 2 * round).await.expect("it is the only one");
        assert_eq!(replaced.version, round as u64, "one version of the view for each reconcile");
        assert_eq!(bench.read().await, (round as u64, Some(2 * round), 2 * round));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_never_falls_and_counts_what_lies_below_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3, 4]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    assert_eq!(bench.read().await, (1, Some(3), 3), "what is archived beyond the cut is not in the view");
    // A shard that went back in time.
    bench.reconcile(&mut bench.view().await, 1).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(3), 3));
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    assert_eq!(bench.read().await, (3, Some(4), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_counts_once_whichever_reconcile_meets_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    assert_eq!(bench.read().await, (1, Some(3), 2));
    bench.archived(&[2, 3]).await;
    bench.reconcile(&mut bench.view().await, 5).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(5), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reconciles_at_once_one_commits_and_the_other_plans_anew() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2]).await;
    let (mut one, mut other) = (bench.view().await, bench.view().await);
    bench.reconcile(&mut one, 1).await.expect("the first commits");
    assert_eq!(bench.reconcile(&mut other, 2).await, None, "it planned on an older view");
    assert_eq!(bench.read().await, (1, Some(1), 1));
    assert!(other.refresh().await.expect("read"));
    bench.reconcile(&mut other, 2).await.expect("it is the only one now");
    assert_eq!(bench.read().await, (2, Some(2), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_sent_elsewhere_is_the_same_and_gives_the_same_rows() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1, 70]).await;
    let (task, view) = (bench.task().await, bench.view().await);
    let text = serde_json::to_string(&task).expect("written");
    let received: DayTask = serde_json::from_str(&text).expect("read");
    assert_eq!(received, task);
    let catalog = &bench.reconciler.catalog;
    let (here, there) = (
        task.recompute(catalog, &bench.archive, &view).await,
        received.recompute(catalog, &bench.archive, &view).await,
    );
    let rows = |file: Result<Option<DataFile>, DayError>| file.expect("recomputed").expect("a file").rows;
    assert_eq!((rows(here), rows(there)), (2, 2), "two hours have events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_which_no_rows_are_left_has_no_file() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { events: Vec::new(), ..bench.task().await };
    let file = task.recompute(&bench.reconciler.catalog, &bench.archive, &bench.view().await).await;
    assert_eq!(file.expect("recomputed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_another_definition_is_refused() {
    let mut bench = Bench::new().await;
    bench.archived(&[1]).await;
    let task = DayTask { definition: "00000000000000aa".parse().expect("16 digits"), ..bench.task().await };
    let refused = task.recompute(&bench.reconciler.catalog, &bench.archive, &bench.view().await).await;
    assert!(matches!(refused, Err(DayError::OtherDefinition { .. })));
}
