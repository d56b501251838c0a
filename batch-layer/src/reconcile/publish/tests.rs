//! Reconciles on a real store, without Kafka and Redis: what rotates would return is given.

use platform::store::Store;
use polars::prelude::DataFrame;
use shared_logic::contracts::archive::{DAY as ARCHIVE_DAY, FACTS_DOMAIN, Facts};
use shared_logic::log::PartitionId;

use super::*;
use crate::archive::buffer::{Buffer, Incoming};
use crate::{archive, reconcile};

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
    catalog: Catalog,
    store: Store,
    archive: Archive,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let store = Store::new(&settings, &catalog.deployment.name).expect("a store");
        let table = archive::table(&store, &catalog.sources["s"]).await.expect("created");
        let mut facts = Facts::default();
        facts.begin(&id(), 0);
        Bench { catalog, store, archive: Archive { table, facts }, _folder: folder }
    }

    /// The view as a process that has just been started knows it.
    async fn view(&self) -> Table {
        reconcile::view(&self.store, &self.catalog, &self.catalog.metrics["m"]).await.expect("created")
    }

    /// Archives events of these ids; their event time follows from the id, so equal ids are copies.
    async fn archived(&mut self, ids: &[i64]) {
        let Archive { table, facts } = &mut self.archive;
        let next = facts.partition(&id()).expect("begun").next;
        let mut buffer = Buffer::new(&self.catalog.sources["s"], LOG, &BTreeMap::from([(0, next)]));
        for (offset, id) in (next..).zip(ids) {
            let payload = format!(r#"{{"id": {id}, "at": {}}}"#, id * 60_000);
            let payload = Some(payload.as_bytes());
            buffer.push(Incoming { partition: 0, offset, timestamp_ms: None, key: None, payload, headers: None });
        }
        assert!(facts.advance(&id(), next, next + ids.len() as i64));
        let mut commit = Commit::new("ARCHIVE", ARCHIVE_DAY, 0).note(FACTS_DOMAIN, facts);
        for (day, frame) in buffer.into_days().expect("columns") {
            commit = commit.adding([table.write(&day, frame, &[]).await.expect("written")]);
        }
        assert!(matches!(table.commit(commit).await, Ok(Committed::At(_))), "nobody else writes");
    }

    async fn publish(&self, view: &mut Table, rotated: i64) -> Option<Published> {
        let rotated = Rotated::from([(id(), rotated)]);
        let (source, metric) = (&self.catalog.sources["s"], &self.catalog.metrics["m"]);
        let plan = Plan { catalog: &self.catalog, source, metric, rotated: &rotated };
        plan.publish(view, &self.archive).await.expect("published")
    }

    /// What a new reader finds: the version, the cut and the number of events.
    async fn seen(&self) -> (u64, Option<i64>, i64) {
        let view = self.view().await;
        let note: Note = view.note(NOTE_DOMAIN).await.expect("read").expect("published");
        let schema = recompute::view_schema(&self.catalog.sources["s"], &self.catalog.metrics["m"]);
        let rows = view.read(&view.files().await.expect("listed"), &schema).await.expect("read");
        let rows: DataFrame = tokio::task::spawn_blocking(move || rows.collect()).await.expect("ran").expect("decoded");
        let counts = rows.column("events").expect("a measure").i64().expect("integers").iter().flatten();
        (view.version(), note.cut.get(&id()), counts.sum())
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
        let published = bench.publish(&mut bench.view().await, 2 * round).await.expect("nobody else commits");
        assert_eq!(published.version, round as u64, "one version of the view for each reconcile");
        assert_eq!(bench.seen().await, (round as u64, Some(2 * round), 2 * round));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_never_falls_and_counts_what_lies_below_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3, 4]).await;
    bench.publish(&mut bench.view().await, 3).await.expect("nobody else commits");
    assert_eq!(bench.seen().await, (1, Some(3), 3), "what is archived beyond the cut is not in the view");
    // A shard that went back in time.
    bench.publish(&mut bench.view().await, 1).await.expect("nobody else commits");
    assert_eq!(bench.seen().await, (2, Some(3), 3));
    bench.publish(&mut bench.view().await, 4).await.expect("nobody else commits");
    assert_eq!(bench.seen().await, (3, Some(4), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_counts_once_whichever_reconcile_meets_it() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 1]).await;
    bench.publish(&mut bench.view().await, 3).await.expect("nobody else commits");
    assert_eq!(bench.seen().await, (1, Some(3), 2));
    bench.archived(&[2, 3]).await;
    bench.publish(&mut bench.view().await, 5).await.expect("nobody else commits");
    assert_eq!(bench.seen().await, (2, Some(5), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reconciles_at_once_one_commits_and_the_other_plans_anew() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2]).await;
    let (mut one, mut other) = (bench.view().await, bench.view().await);
    bench.publish(&mut one, 1).await.expect("the first commits");
    assert_eq!(bench.publish(&mut other, 2).await, None, "it planned on an older view");
    assert_eq!(bench.seen().await, (1, Some(1), 1));
    assert!(other.refresh().await.expect("read"));
    bench.publish(&mut other, 2).await.expect("nobody else commits now");
    assert_eq!(bench.seen().await, (2, Some(2), 2));
}
