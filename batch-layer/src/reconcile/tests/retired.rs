//! Days that are older than `retain`: when they leave the archive and the view, and what is counted of them afterwards.
//!
//! - `erased`: when events of them are erased.

mod erased;

use std::collections::BTreeSet;

use shared_logic::catalog::RulesHash;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::time::{DAY_US, format_day};
use storage::Rebuild;

use super::super::*;
use super::bench::{A_DAY, Bench, CATALOG, Event, LOG, Record, id, recount};
use crate::maintenance::{self, Pass, Report, Step};

/// The newest day that has events is the fifth. So the archive, which retains two days, gives up three.
const NEWEST: i64 = 4;
const KEPT_FROM: i64 = 3;

fn catalog(source: &str, metric: &str) -> String {
    let source = format!("event_time = \"at\"\nmax_age = \"1d\"\n{source}\n");
    let metric = format!("grain = \"30m\"\n{metric}\n");
    CATALOG.replace("event_time = \"at\"\n", &source).replace("grain = \"30m\"\n", &metric)
}

/// An archive of five days with an event each, of which the view counts all.
async fn bench(catalog: &str) -> Bench {
    let mut bench = Bench::of(catalog, Settings::default(), &[id(), PartitionId::new(LOG, 1)]).await;
    let ids: Vec<i64> = (0..=NEWEST).map(|day| day * A_DAY + 10).collect();
    archived(&mut bench, 1, &ids, 1).await;
    assert_eq!(reconciled(&bench).await.1, (5, 5));
    bench
}

/// Archives events of these ids, which say so much of `n`, in one partition. Their times follow from their ids.
async fn archived(bench: &mut Bench, partition: i32, ids: &[i64], n: i64) {
    let id = PartitionId::new(LOG, partition);
    let event = |of: i64| Some(Event { house: "h", id: of, at_ms: of * 60_000, k: Some("a"), n });
    let places = (bench.next(&id)..).zip(ids);
    let records: Vec<Record> =
        places.map(|(offset, of)| Record { id: id.clone(), offset, event: event(*of) }).collect();
    bench.archive_these(LOG, &records).await;
}

/// Reconciles everything, and returns what that took, and the number and sum of events.
async fn reconciled(bench: &Bench) -> (Work, (i64, i128)) {
    let mut view = bench.view().await;
    let (plan, done) = recount(&bench.reconciler, &view, &bench.archive, &Rotated::new()).await;
    let changed = bench.reconciler.commit(bench.metric(), &mut view, plan, done).await.expect("committed");
    let work = changed.expect("it is the only one").work;
    (work, total(bench).await)
}

async fn total(bench: &Bench) -> (i64, i128) {
    let rows = bench.rows_of(&bench.view().await).await;
    rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
}

/// Maintains everything by a clock that says it is the end of the newest day.
async fn maintained(bench: &mut Bench, dry_run: bool) -> Vec<Step> {
    let pass = Pass { names: &[], dry_run, now_us: (NEWEST + 1) * DAY_US };
    let reports = maintenance::run(&bench.reconciler, pass, &CancellationToken::new()).await.expect("maintained");
    assert!(bench.archive.refresh().await.is_ok());
    reports.into_iter().map(|Report { step, .. }| step).collect()
}

/// The days, since 1970, of which a table has files.
fn days(files: &[DataFile]) -> BTreeSet<i64> {
    files.iter().filter_map(plan::day_of_file).collect()
}

async fn archived_days(bench: &Bench) -> BTreeSet<i64> {
    days(&bench.archive.files().await.expect("listed"))
}

/// The days that are retained.
fn held() -> BTreeSet<i64> {
    (KEPT_FROM..=NEWEST).collect()
}

/// These, and another one.
fn held_and(day: i64) -> BTreeSet<i64> {
    held().into_iter().chain([day]).collect()
}

fn retained() -> String {
    catalog("retain = \"2d\"", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn old_days_leave_the_archive_once_and_the_view_keeps_them() {
    let mut bench = bench(&retained()).await;
    let planned = maintained(&mut bench, true).await;
    assert!(matches!(planned.as_slice(), [Step::Retired { files: 3, .. }]), "{planned:?}");
    assert_eq!((archived_days(&bench).await.len(), bench.archive.facts().retired_before), (5, None), "only planned");
    let done = maintained(&mut bench, false).await;
    assert_eq!(done, planned);
    assert_eq!(archived_days(&bench).await, held());
    assert_eq!(bench.archive.facts().retired_before, Some(KEPT_FROM));
    assert_eq!(maintained(&mut bench, false).await, [], "once");
    assert_eq!(total(&bench).await, (5, 5));
    assert_eq!(reconciled(&bench).await, (Work::default(), (5, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_records_without_a_timestamp_are_not_retired() {
    let mut bench = bench(&retained()).await;
    let (id, offset) = (id(), bench.next(&id()));
    bench.archive_these(LOG, &[Record { id, offset, event: None }]).await;
    assert_eq!(reconciled(&bench).await.1, (5, 5));
    maintained(&mut bench, false).await;
    assert_eq!(archived_days(&bench).await, held_and(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_day_leaves_the_archive_before_every_view_has_counted_it() {
    let mut bench = Bench::of(&retained(), Settings::default(), &[id(), PartitionId::new(LOG, 1)]).await;
    let ids: Vec<i64> = (0..=NEWEST).map(|day| day * A_DAY + 10).collect();
    archived(&mut bench, 1, &ids, 1).await;
    assert_eq!(maintained(&mut bench, false).await, [Step::NotCounted { metric: "m".to_owned() }]);
    assert_eq!(archived_days(&bench).await.len(), 5);
    reconciled(&bench).await;
    archived(&mut bench, 0, &[20], 1).await;
    maintained(&mut bench, false).await;
    assert_eq!(archived_days(&bench).await, held_and(0), "the new row stays");
    assert_eq!(reconciled(&bench).await.1, (6, 6), "and is counted");
    maintained(&mut bench, false).await;
    assert_eq!(archived_days(&bench).await, held());
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_retired_day_events_are_added_and_later_copies_are_left_out() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    // A copy of a retired event behind it, a new event, a copy of that, and one of a day that is held.
    archived(&mut bench, 1, &[10, 11, 11, NEWEST * A_DAY + 11], 7).await;
    let (work, sum) = reconciled(&bench).await;
    assert_eq!(sum, (7, 19));
    assert_eq!((work.added, work.recomputed, work.unreplaced, work.unproven), (2, 0, 0, 0));
    maintained(&mut bench, false).await;
    assert_eq!(archived_days(&bench).await, held(), "the new rows are retired, too");
    archived(&mut bench, 1, &[11], 7).await;
    assert_eq!(
        reconciled(&bench).await.1,
        (7, 19),
        "the index knows the event that was added after its day was retired"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_copy_of_a_retired_event_leaves_the_hour_as_it_is_and_is_counted() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    // Partition 0 comes before partition 1. A new event of that hour is added all the same.
    archived(&mut bench, 0, &[10, 12], 100).await;
    let (work, sum) = reconciled(&bench).await;
    assert_eq!(sum, (6, 105), "what was counted stands");
    assert_eq!((work.added, work.recomputed, work.unreplaced), (1, 0, 1));
    // The same in a day that is held: it is recomputed.
    archived(&mut bench, 0, &[NEWEST * A_DAY + 10], 1_000).await;
    let (work, sum) = reconciled(&bench).await;
    assert_eq!((sum, work.recomputed, work.unreplaced), ((6, 1_104), 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_index_of_a_retired_day_no_event_is_added_to_it() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    let index = bench.folder.path().join("braid/archive/s/_identities");
    std::fs::remove_dir_all(index).expect("it was there");
    archived(&mut bench, 1, &[10, 11, NEWEST * A_DAY + 10, NEWEST * A_DAY + 11], 1).await;
    let (work, sum) = reconciled(&bench).await;
    assert_eq!(sum, (6, 6), "of the newest day, the archive still has everything");
    assert_eq!((work.added, work.unproven), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_between_the_index_and_the_commit_has_taken_nothing_out() {
    let mut bench = bench(&retained()).await;
    let facts = bench.archive.facts();
    let below: Offsets = facts.partitions().map(|(id, known)| (id, known.next)).collect();
    let source = bench.source().clone();
    bench.reconciler.index_up_to(&below, &bench.archive, &source).await.expect("extended");
    assert_eq!((archived_days(&bench).await.len(), bench.archive.facts()), (5, facts));
    assert_eq!(reconciled(&bench).await.1, (5, 5));
    maintained(&mut bench, false).await;
    archived(&mut bench, 1, &[10], 1).await;
    assert_eq!(reconciled(&bench).await.1, (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_passes_at_once_retire_each_day_once() {
    let mut bench = bench(&retained()).await;
    let pass = Pass { names: &[], dry_run: false, now_us: (NEWEST + 1) * DAY_US };
    let stop = CancellationToken::new();
    let run = || maintenance::run(&bench.reconciler, pass, &stop);
    let (one, other) = tokio::join!(run(), run());
    let steps = one.expect("maintained").len() + other.expect("maintained").len();
    assert_eq!(steps, 1, "the other one finds nothing left");
    assert!(bench.archive.refresh().await.expect("read"));
    assert_eq!(archived_days(&bench).await, held());
    archived(&mut bench, 1, &[10, 11], 1).await;
    assert_eq!(reconciled(&bench).await.1, (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archiver_that_is_overtaken_by_a_pass_commits_the_same_rows_on_what_it_has_left() {
    let mut bench = bench(&retained()).await;
    let before = bench.archive.clone();
    maintained(&mut bench, false).await;
    bench.archive = before;
    archived(&mut bench, 1, &[11], 1).await;
    assert_eq!(bench.archive.facts().retired_before, Some(KEPT_FROM), "the facts are those of the retirement");
    assert_eq!(archived_days(&bench).await, held_and(0));
    assert_eq!(reconciled(&bench).await.1, (6, 6));
}

/// A reconciler of a catalog in which the metric has longer buckets.
fn hourly(bench: &Bench, catalog: &str) -> Reconciler {
    let catalog = Catalog::parse(&catalog.replace("30m", "1h")).expect("a valid catalog");
    Reconciler { catalog, ..bench.reconciler.clone() }
}

/// Goes on with the rebuild of the view that the newest one cannot be, until all days are counted.
async fn rebuilt(bench: &Bench, reconciler: &Reconciler) -> Result<Rebuild, MetricError> {
    let (stop, now) = (CancellationToken::new(), Instant::now());
    let turn = Turn { wait_until: now, until: now + Duration::from_secs(600), stop: &stop };
    let (metric, view) = (&reconciler.catalog.metrics["m"], bench.view().await);
    reconciler.step(metric, &view, &bench.archive, &Rotated::new(), &turn).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_never_drops_days_whose_rows_are_retired() {
    let mut bench = bench(&retained()).await;
    let newer = hourly(&bench, &retained());
    maintained(&mut bench, false).await;
    let refused = rebuilt(&bench, &newer).await.expect_err("three days cannot be counted any more");
    assert!(matches!(&refused, MetricError::Retired { before } if *before == format_day(KEPT_FROM)), "{refused}");
    assert!(refused.to_string().contains("restore the metric"), "{refused}");
    assert_eq!(reconciled(&bench).await.1, (5, 5), "the older catalog goes on");

    // The way out: the metric gives these days up.
    let gives_up = catalog("retain = \"2d\"", "retain = \"2d\"");
    bench.reconciler.catalog = Catalog::parse(&gives_up).expect("a valid catalog");
    maintained(&mut bench, false).await;
    let newer = hourly(&bench, &gives_up);
    let rebuild = rebuilt(&bench, &newer).await.expect("now it counts what is held");
    assert_eq!((rebuild.is_whole(), rebuild.days.len(), rebuild.retired_before), (true, 2, Some(KEPT_FROM)));
    bench.reconciler = newer;
    let (_, sum) = reconciled(&bench).await;
    assert_eq!(sum, (2, 2));
    assert_eq!(bench.view().await.note().expect("committed").retired_before, Some(KEPT_FROM), "and says so");
    archived(&mut bench, 1, &[11, NEWEST * A_DAY + 11], 1).await;
    assert_eq!(reconciled(&bench).await.1, (3, 3), "an event of a day that it does not hold is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_by_the_same_definition_carries_retired_days_over() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    // As if a record had been archived again, under these rules: the view is none any more (R11).
    let (rules, version, of) = (bench.source().decoding_rules(), bench.archive.version() + 1, PartitionId::new(LOG, 1));
    let range = OffsetRange { id: of.clone(), from: 0, to: 1 };
    let again = |facts: &mut shared_logic::contracts::archive::Facts| {
        facts.note_columns_only(&of, &RulesHash::from("others"), 0, 1);
        assert!(facts.archive_again(std::slice::from_ref(&range), &rules, version));
    };
    bench.archive.change("ARCHIVE AGAIN", again).await.expect("changed");
    archived(&mut bench, 1, &[10, 11, NEWEST * A_DAY + 11], 1).await;
    let view = bench.view().await;
    let counted = bench.reconciler.counted(bench.metric(), &view, &bench.archive, true).await.expect("read");
    assert_eq!(counted, None);
    let rebuild = rebuilt(&bench, &bench.reconciler).await.expect("counted");
    assert_eq!((rebuild.is_whole(), rebuild.days.len(), rebuild.retired_before), (true, 2, Some(KEPT_FROM)));
    archived(&mut bench, 1, &[12], 1).await;
    // The index did not fit any more, so it was built anew, from what is held.
    let (work, sum) = reconciled(&bench).await;
    assert_eq!((sum, work.unproven), ((6, 6), 3), "three carried over, and three of the days that were counted anew");
    let view = bench.view().await;
    assert_eq!(view.note().expect("committed").retired_before, None, "it holds every day");
    assert_eq!(days(&view.files().await.expect("listed")), BTreeSet::from([0, 1, 2, 3, 4]));
    archived(&mut bench, 1, &[11, A_DAY + 10], 1).await;
    assert_eq!(reconciled(&bench).await.1, (6, 6), "copies are still left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_of_which_a_day_is_retired_before_it_is_counted_is_begun_anew() {
    let mut bench = bench(&retained()).await;
    let newer = hourly(&bench, &retained());
    let (stop, now) = (CancellationToken::new(), Instant::now());
    let turn = Turn { wait_until: now, until: now, stop: &stop };
    let view = bench.view().await;
    let metric = &newer.catalog.metrics["m"];
    let begun = newer.step(metric, &view, &bench.archive, &Rotated::new(), &turn).await.expect("advanced");
    assert_eq!((begun.done(), begun.days.len()), (1, 5));
    // The older catalog's pass does not know of the rebuild.
    maintained(&mut bench, false).await;
    let refused = rebuilt(&bench, &newer).await;
    assert!(matches!(refused, Err(MetricError::Retired { .. })), "two of its days would be counted as empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_gives_days_up_in_one_commit_that_says_from_when_on_it_holds() {
    let mut bench = bench(&catalog("retain = \"2d\"", "retain = \"1d\"")).await;
    let before = bench.view().await;
    let cut = before.note().expect("committed").cut.clone();
    maintained(&mut bench, false).await;
    let view = bench.view().await;
    let note = view.note().expect("committed");
    assert_eq!((note.retired_before, &note.cut), (Some(NEWEST), &cut));
    assert_eq!(view.version(), before.version() + 1);
    assert_eq!(total(&bench).await, (1, 1));
    assert_eq!(bench.rows_of(&before).await.len(), 5, "a reader of the older version still finds its files");
    let index = bench.archive.identities(&bench.source().rules()).await.expect("read");
    let named: Vec<&str> = index.days.keys().map(String::as_str).collect();
    assert_eq!(named, [format_day(KEPT_FROM), format_day(NEWEST)], "no view holds the days before");
    archived(&mut bench, 1, &[11, KEPT_FROM * A_DAY + 11, NEWEST * A_DAY + 11], 1).await;
    assert_eq!(reconciled(&bench).await.1, (2, 2), "days that it does not hold get no events");
    assert_eq!(bench.view().await.note().expect("committed").retired_before, Some(NEWEST));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_years_ahead_takes_no_day_that_the_newest_events_still_cover() {
    let mut bench = bench(&retained()).await;
    let pass = Pass { names: &[], dry_run: false, now_us: 100 * 365 * DAY_US };
    maintenance::run(&bench.reconciler, pass, &CancellationToken::new()).await.expect("maintained");
    assert!(bench.archive.refresh().await.expect("read"));
    assert_eq!(archived_days(&bench).await, held());
}
