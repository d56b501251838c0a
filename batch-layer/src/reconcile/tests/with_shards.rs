//! What a reconcile asks of the shards, and when: on a real Redis.

use std::collections::BTreeMap;
use std::path::Path;

use platform::settings::{Secret, Span};
use platform::shutdown::Shutdown;
use shared_logic::catalog::KeptBytes;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Instance, ShardKeys};
use shared_logic::log::{Check, Offsets, Outcome as Found, Position};
use storage::ShardClient;
use test_kit::{DEADLINE, Progress, Redis, wait_for};

use super::super::*;
use super::bench::{A_DAY, Bench, CATALOG, after_the_second, hourly, id};
use crate::give_up::{Layer, give_up};
use crate::schedule::{Done, run_due};

/// Another metric, whose name comes first.
const ALL: &str = r#"
[metrics.all]
source = "s"
by = []
grain = "1h"
[metrics.all.measures]
events = "count()"
"#;

/// Another source, of which nothing is archived, and jobs that are due only if they never ran: on no day but the 29th of February.
const EMPTY: &str = r#"
[schedule]
reconcile = "0 0 0 29 2 *"
[sources.empty]
event_time = "at"
[sources.empty.fields]
at = "timestamp"
"#;

/// A bench whose shards lie in that Redis, however long it takes to answer.
async fn bench(redis: &Redis) -> Bench {
    let redis =
        settings::Redis { url: Secret::from(redis.url()), response_timeout: Span::from_secs(60), ..Default::default() };
    let moment = Span::from_millis(1);
    let reconcile = settings::Reconcile { retry_backoff: moment, wait: moment, poll: moment, ..Default::default() };
    Bench::with(Settings { redis, reconcile, ..Settings::default() }, &[id()]).await
}

/// Opens the shard of the one partition: its only slice begins at that offset.
async fn open_shard(bench: &Bench, at: impl Into<Position>) {
    let Reconciler { redis, catalog, .. } = &bench.reconciler;
    let mut redis = platform::redis::connect(redis).await.expect("connected");
    let keys = ShardKeys::new(&catalog.deployment, &bench.source().name, &id());
    let definitions = [catalog.definition(bench.metric())];
    let reply =
        ShardClient::default().open(&mut redis, &keys, at, &definitions, Instance::new(1)).await.expect("answered");
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
}

/// Lets the shard of the one partition be counted by a worker with that catalog.
async fn adopt(bench: &Bench, catalog: &Catalog) {
    let mut redis = platform::redis::connect(&bench.reconciler.redis).await.expect("connected");
    let keys = ShardKeys::new(&catalog.deployment, &bench.source().name, &id());
    let definitions = [catalog.definition(&catalog.metrics["m"])];
    let reply = ShardClient::default().adopt(&mut redis, &keys, &definitions).await.expect("answered");
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
}

/// Rotates the shards, as a reconcile does first.
async fn prepared(bench: &Bench) -> Prepared<'_> {
    let prepared = bench.reconciler.prepare(bench.source(), &CancellationToken::new()).await;
    prepared.expect("prepared").expect("an archive")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_shard_everything_archived_is_taken() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    assert_eq!(bench.read().await, (1, Some(3), 3));
}

/// Runs the jobs that are due; the metrics that were reconciled.
async fn due(reconciler: &Reconciler) -> Vec<String> {
    let mut metrics = Vec::new();
    let note = |done: &Done| match done {
        Done::Reconciled(Reconciled { reports, failed, .. }) => {
            assert!(failed.is_empty(), "{failed:?}");
            metrics.extend(reports.iter().map(|report| format!("{} of {}", report.metric, report.source)));
        }
        Done::Maintained(maintained) => {
            assert!(maintained.is_ok(), "{maintained:?}");
            metrics.push("maintained".to_owned());
        }
        Done::Reported(report, _) => panic!("the catalog has no report {report}"),
    };
    run_due(reconciler, &Shutdown::new(), note).await.expect("in time");
    metrics
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_due_until_a_pass_has_ended_and_again_at_its_next_tick() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    let mut scheduled = bench.reconciler.clone();
    let catalog = format!("[schedule]\nreconcile = \"0 0 3 1 1 *\"\nmaintain = \"0 0 4 1 1 *\"\n{CATALOG}");
    scheduled.catalog = Catalog::parse(&catalog).expect("a valid catalog");
    let mut done = due(&scheduled).await;
    done.sort_unstable();
    assert_eq!(done, ["m of s", "maintained"]);
    assert_eq!(due(&scheduled).await, Vec::<String>::new(), "not before next year");
    let now_us = platform::clock::now_us();
    let a_year_ago_us = now_us - 367 * shared_logic::time::DAY_US;
    let archive = scheduled.storage.archive("s").await.expect("read").expect("archived");
    assert!(archive.maintained_us().await.expect("read").is_some_and(|at_us| at_us > a_year_ago_us && at_us <= now_us));
    archive.note_maintained(a_year_ago_us).await.expect("written");
    assert_eq!(due(&scheduled).await, ["maintained"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_due_if_a_view_of_its_source_was_never_reconciled() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    let mut scheduled = bench.reconciler.clone();
    scheduled.catalog = Catalog::parse(&format!("{CATALOG}{EMPTY}")).expect("a valid catalog");
    assert_eq!(due(&scheduled).await, ["m of s"]);
    assert_eq!(bench.read().await, (1, Some(3), 3));
    bench.archived(&[4]).await;
    assert!(due(&scheduled).await.is_empty(), "no tick has passed since");
    scheduled.catalog = Catalog::parse(&format!("{CATALOG}{ALL}{EMPTY}")).expect("a valid catalog");
    assert_eq!(due(&scheduled).await, ["m of s", "all of s"], "another metric of the source, rebuilt after it");
    assert_eq!(bench.read().await, (2, Some(4), 4));
    assert!(due(&scheduled).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_opened_meanwhile_is_asked_for_before_the_commit() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    let mut prepared = prepared(&bench).await;
    assert!(prepared.slices.is_empty(), "there is no shard yet");
    open_shard(&bench, 1_i64).await;
    let stop = CancellationToken::new();
    let turn = Turn::new(&bench.reconciler.settings, &stop);
    bench.reconciler.rebuild(bench.metric(), &mut prepared, &turn).await.expect("reconciled");
    assert_eq!(bench.read().await, (1, Some(1), 1), "the cut is where its slice begins");
    assert_eq!(slices::begins(&prepared.slices).get(&id()), Some(&vec![1]), "the other metrics need not find it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_is_stopped_while_the_archive_lags_moves_no_cut_beyond_a_slice() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    // Its slice begins beyond what is archived.
    open_shard(&bench, 5_i64).await;
    let stop = CancellationToken::new();
    stop.cancel();
    bench.reconciler.run(&stop).await.expect("reconciled");
    assert_eq!(bench.read().await, (1, Some(0), 0));
    bench.archived(&[4, 5]).await;
    bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    assert_eq!(bench.read().await, (2, Some(5), 5), "once the archive covers the slice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_another_overtook_plans_anew_on_the_newest_view() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    let mut other = bench.view().await;
    bench.reconcile(&mut other, 1).await.expect("it is the only one");
    let mut prepared = prepared(&bench).await;
    let files = parquet_files(bench.folder.path());
    // Frozen, Redis holds the reconcile up between its files and its commit, where it asks for the missing shard.
    redis.suspend().expect("frozen");
    let meanwhile = async {
        wait_for("the reconcile to write a file", DEADLINE, async || {
            let now = parquet_files(bench.folder.path());
            Ok(Progress::when(now > files, format_args!("{now} files")))
        })
        .await
        .expect("written");
        bench.reconcile(&mut other, 2).await.expect("it commits first");
        redis.resume().expect("thawed");
    };
    let (changed, ()) = tokio::join!(bench.reconciler.attempts(bench.metric(), &mut prepared, false), meanwhile);
    let outcome = changed.expect("planned anew").expect("it counts the definition");
    assert!(matches!(outcome, Outcome::Changed(Changed { version: 3, .. })), "{outcome:?}");
    assert_eq!(bench.read().await, (3, Some(3), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_definition_is_replaced_once_every_shard_counts_the_own_one() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    open_shard(&bench, 2_i64).await;
    let stop = CancellationToken::new();
    bench.reconciler.run(&stop).await.expect("reconciled");
    assert_eq!(bench.read().await, (1, Some(2), 2));
    let newer = hourly(&bench.reconciler);
    let outcomes = async || -> Vec<Outcome> {
        let reports = newer.run(&stop).await.expect("reconciled");
        reports.into_iter().map(|report| report.outcome).collect()
    };
    assert_eq!(outcomes().await, [Outcome::Waiting { partition: id() }], "a worker counts the older definition");
    assert_eq!(bench.read().await, (1, Some(2), 2));
    adopt(&bench, &newer.catalog).await;
    assert!(matches!(outcomes().await[..], [Outcome::Changed(Changed { version: 2, rebuilt: true, .. })]));
    assert_eq!(bench.read().await, (2, Some(2), 2));
    // Now the older catalog waits, although its view was there first.
    let reports = bench.reconciler.run(&stop).await.expect("reconciled");
    assert!(matches!(reports[0].outcome, Outcome::Waiting { .. }), "{reports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_metrics_are_reconciled_while_a_rebuild_is_unfinished() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, A_DAY, 2 * A_DAY]).await;
    let stop = CancellationToken::new();
    bench.reconciler.run_to_the_end(&stop).await.expect("reconciled");
    bench.archived(&[2]).await;
    // It sorts before the other metric, and every run has time for one day of it.
    let mut both = bench.reconciler.clone();
    both.settings.rebuild_step = Span::from_millis(0);
    both.catalog = Catalog::parse(&format!("{CATALOG}{ALL}")).expect("a valid catalog");
    for (round, done) in [(2, 1), (3, 2)] {
        let reports = both.run(&stop).await.expect("reconciled");
        let outcome = |at: usize| (reports[at].metric.as_str(), &reports[at].outcome);
        assert!(matches!(outcome(0), ("m", Outcome::Changed(Changed { rebuilt: false, .. }))), "{reports:?}");
        assert_eq!(outcome(1), ("all", &Outcome::Unfinished { done, days: 3 }));
        assert_eq!(bench.read().await, (round, Some(4), 4));
    }
    // Between two runs a rebuild goes on, and is not committed.
    assert!(!both.advance(Duration::ZERO, &stop).await.expect("advanced"), "no day is left");
    let reports = both.run(&stop).await.expect("reconciled");
    let rebuilt = Changed {
        version: 1,
        cut: Offsets::from_iter([(id(), 4)]),
        days: 3,
        rows: 3,
        rebuilt: true,
        rebuild_asked: false,
        work: Work::default(),
    };
    let outcome = match &reports[1].outcome {
        Outcome::Changed(changed) => Outcome::Changed(Changed { work: Work::default(), ..changed.clone() }),
        other => other.clone(),
    };
    assert_eq!(outcome, Outcome::Changed(rebuilt), "{reports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_moves_only_to_a_slice_that_the_archive_vouches_for() {
    for (n, read) in [(1, (1, Some(2), 2)), (5, (1, Some(0), 0))] {
        let redis = Redis::start().await.expect("a Redis");
        let mut bench = bench(&redis).await;
        bench.archived(&[1, 2, 3]).await;
        open_shard(&bench, after_the_second(n)).await;
        bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
        assert_eq!(bench.read().await, read, "the slice begins after a record that says {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_brought_to_the_archive_which_begins_another_incarnation() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    open_shard(&bench, after_the_second(1)).await;
    let Reconciler { redis: settings, catalog, .. } = &bench.reconciler;
    let mut connection = platform::redis::connect(settings).await.expect("connected");
    let keys = ShardKeys::new(&catalog.deployment, &bench.source().name, &id());
    ShardClient::default().mark(&mut connection, &keys, Instance::new(1), 1).await.expect("answered");

    bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    bench.archive.refresh().await.expect("read");
    let (facts, next) = (bench.archive.facts(), id().next_incarnation());
    assert_eq!(facts.current(&id().log, id().partition), next);
    assert_eq!(facts.partition(&next).map(|known| (known.begin, known.next)), Some((3, 3)), "where the archive stands");
    assert!(facts.is_truncated(&id()) && facts.is_settled(&id()), "the archive holds what the shard had counted");
    assert_eq!(bench.read().await, (1, Some(3), 3), "all that is archived of it");
}

/// Lets the shard of the one partition count up to that offset. There is no record.
async fn count_to(bench: &Bench, to: i64) {
    let Reconciler { redis, catalog, .. } = &bench.reconciler;
    let mut redis = platform::redis::connect(redis).await.expect("connected");
    let (client, keys) = (ShardClient::default(), ShardKeys::new(&catalog.deployment, &bench.source().name, &id()));
    let shard = client.positions(&mut redis, &keys).await.expect("read").expect("it was opened");
    let applied = client.apply(&mut redis, &keys, &shard.expected(), to, None, std::iter::empty()).await;
    assert!(matches!(applied, Ok(Reply::Done(_))), "{applied:?}");
}

/// Gives up what was read of the one partition beyond that end; returns whose positions that were.
async fn given_up(bench: &mut Bench, end: i64) -> Vec<(Layer, i64)> {
    let Reconciler { redis, catalog, .. } = bench.reconciler.clone();
    let ends = BTreeMap::from([(id().partition, end)]);
    let given_up = give_up(&mut bench.archive, &redis, &catalog.deployment, "s", &id().log, &ends).await;
    given_up.expect("given up").into_iter().map(|position| (position.by, position.reached)).collect()
}

/// Reconciles, and returns whether the partition's first incarnation is settled, and what is lost of it.
async fn settled(bench: &mut Bench) -> (bool, Vec<(i64, i64)>) {
    bench.reconciler.run(&CancellationToken::new()).await.expect("reconciled");
    bench.archive.refresh().await.expect("read");
    let facts = bench.archive.facts();
    let lost = facts.partition(&id()).expect("begun").lost.iter().map(|lost| (lost.from, lost.to)).collect();
    (facts.is_settled(&id()), lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_beyond_the_end_is_given_up_and_the_partition_continues_there() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    open_shard(&bench, after_the_second(1)).await;
    count_to(&bench, 5).await;
    assert!(given_up(&mut bench, 5).await.is_empty(), "nothing lies beyond");
    assert_eq!(given_up(&mut bench, 2).await, [(Layer::Archive, 3), (Layer::Speed, 5)]);
    assert!(given_up(&mut bench, 2).await.is_empty(), "it was given up before");
    let (facts, next) = (bench.archive.facts(), id().next_incarnation());
    let begun = facts.partition(&next).expect("it continues");
    let before = begun.witness.zip(after_the_second(1).witness);
    assert_eq!((begun.begin, begun.next), (2, 2));
    assert!(before.is_some_and(|(found, last)| found.is_same(&last)), "after the last record that is left: {before:?}");
    assert_eq!(settled(&mut bench).await, (true, vec![(2, 5)]), "what speed had counted since its last slice");
    assert_eq!(bench.read().await, (1, Some(3), 3), "what was archived counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_bytes_are_kept_a_log_that_differs_below_the_end_that_was_given_up_is_noticed() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.reconciler.catalog.sources.get_mut("s").expect("declared").kept_bytes = KeptBytes::Rejected;
    bench.archived(&[1, 2, 3]).await;
    assert_eq!(given_up(&mut bench, 2).await, [(Layer::Archive, 3)]);
    let facts = bench.archive.facts();
    let before = facts.partition(&id().next_incarnation()).expect("it continues").witness;
    let before = before.expect("the record before the end is known by its hash");
    for (n, outcome) in [(1, Found::Fits), (5, Found::Differs(1))] {
        let found = after_the_second(n).witness.expect("a record");
        assert_eq!(Check::new(before, 2, false).record(&found), Some(outcome), "a record that says {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_waits_for_offsets_that_never_come_is_given_up() {
    let redis = Redis::start().await.expect("a Redis");
    let mut bench = bench(&redis).await;
    bench.archived(&[1, 2, 3]).await;
    open_shard(&bench, after_the_second(1)).await;
    count_to(&bench, 5).await;
    // The archiver has found other records. The next incarnation may still hold what speed had counted.
    bench.archive.change("LOST TAIL", |facts| facts.lose_tail(&id(), 2, None)).await.expect("noted");
    assert_eq!(settled(&mut bench).await, (false, Vec::new()));
    assert_eq!(given_up(&mut bench, 2).await, [(Layer::Speed, 5)]);
    assert_eq!(settled(&mut bench).await, (true, vec![(2, 5)]));
}

fn parquet_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| {
        if path.is_dir() {
            parquet_files(path)
        } else {
            usize::from(path.extension().is_some_and(|ext| ext == "parquet"))
        }
    };
    entries.map(|entry| count(&entry.path())).sum()
}
