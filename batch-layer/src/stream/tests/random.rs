//! Any catalog of streams over any log: what lanes decide, in any portions, with new processes anywhere, is what an oracle writes that takes
//! one row after the other; and it is what the batch layer decides again of the archive, by its check and by a backtest.
//!
//! - `defined`: a stream, as a catalog declares it and as the oracle takes it;
//! - `chosen`: a catalog by chance, with streams of every kind over a source and over each other;
//! - `records`: the source's log by chance, and the topics of streams with their marks;
//! - `steps`: records → events without copies, and how far they have come;
//! - `oracle`: what streams mean; `detected`: what detectors do;
//! - `worker`: a lane, and the processes that it runs in.

mod chosen;
mod defined;
mod detected;
mod oracle;
mod records;
mod steps;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_logic::catalog::Catalog;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, LanePlan};
use shared_logic::time::TimeRange;
use test_kit::{Dice, first_seed, repetitions};

use self::chosen::{Chosen, choose};
use self::oracle::{Written, decide, written};
use self::records::{Lane, Topic, source_log, written_topic};
use self::steps::steps;
use self::worker::Worker;
use super::backtested::{table, tried};
use super::bench::{Bench, LOG, PARTITIONS, Row, Stand, log_of};

/// A source or stream that others read, and what the lanes over it have decided, by partition.
struct Level {
    from: String,
    lanes: Vec<Lane>,
}

/// What lanes have made of a catalog and a log.
struct Played {
    chosen: Chosen,
    catalog: Catalog,
    /// What lies in the topics, by source and stream.
    topics: BTreeMap<String, Topic>,
    /// Each behind those that it reads.
    levels: Vec<Level>,
}

/// Has lanes decide a catalog and a log by chance, and holds what they decide to the oracle.
fn play(dice: &mut Dice) -> Played {
    let chosen = choose(dice);
    println!("{}", chosen.text);
    let catalog = Catalog::parse(&chosen.text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let mut topics = BTreeMap::from([("s".to_owned(), source_log(dice, chosen.partitions))]);
    let mut levels = Vec::new();
    let names = std::iter::once("s").chain(chosen.streams.iter().map(|stream| stream.name.as_str()));
    for from in names {
        let source = &catalog.sources[from];
        let plan = Arc::new(LanePlan::new(&catalog, source));
        if plan.streams().is_empty() {
            continue;
        }
        let log = if from == "s" { LOG.to_owned() } else { log_of(from) };
        let (topic, mut lanes) = (&topics[from], Vec::new());
        for (partition, rows) in (0..PARTITIONS).zip(&topic.rows) {
            let id = PartitionId::new(log.clone(), partition);
            let steps = steps(source, rows);
            let mut worker = Worker::new(source, &plan, id.clone(), rows);
            let end = rows.last().map_or(0, |row| row.offset + 1);
            worker.reads_to(dice.between(0, end), dice);
            let first = worker.stand();
            worker.reads_to(end, dice);
            let last = worker.stand();
            for (number, stream) in plan.streams().iter().enumerate() {
                let of = chosen.streams.iter().find(|of| of.name == stream.name).expect("it was chosen");
                let prefix = format!("{}/v1/{id}", stream.name);
                let (expected, open) = decide(of, catalog.sources[&stream.name].key.as_deref(), &steps, &prefix);
                let found: Vec<Written> =
                    worker.decided.iter().filter(|decided| decided.stream == number).map(written).collect();
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found, expected, "{} of {id}", stream.name);
                }
                assert_eq!((found.len(), worker.unwritten(number)), (expected.len(), open), "{} of {id}", stream.name);
            }
            lanes.push(Lane::new(id, worker.decided, &steps, rows, [first, last]));
        }
        for stream in plan.streams() {
            topics.insert(stream.name.clone(), written_topic(stream, &plan, &lanes, chosen.partitions, dice));
        }
        levels.push(Level { from: from.to_owned(), lanes });
    }
    Played { catalog, chosen, topics, levels }
}

/// The cases of this test need no store, so there are many.
#[test]
fn lanes_decide_any_catalog_as_an_oracle_does_that_takes_one_row_after_the_other() {
    let (mut outputs, mut late, mut streams) = (0, 0, 0);
    let cases = repetitions(60, 4_000);
    for seed in (first_seed()..).take(cases) {
        println!("BRAID_SEED={seed}");
        let played = play(&mut Dice::new(seed));
        streams += played.chosen.streams.len();
        let decided = played.levels.iter().flat_map(|level| &level.lanes).flat_map(|lane| &lane.decided);
        for decided in decided {
            if decided.kind == DecidedKind::Output { outputs += 1 } else { late += 1 }
        }
    }
    println!("{cases} catalogs with {streams} streams: {outputs} outputs and {late} late events");
    assert!(
        outputs > 20 * cases && late > cases,
        "there is something to decide: {outputs} outputs, {late} late events"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batch_layer_decides_any_catalog_as_its_lanes_do() {
    for seed in (first_seed()..).take(repetitions(5, 120)) {
        println!("BRAID_SEED={seed}");
        let mut dice = Dice::new(seed);
        let played = play(&mut dice);
        let mut bench = Bench::new(&played.chosen.text, seed).await;
        for level in &played.levels {
            bench.turns_to(&level.from);
            is_checked(&mut bench, &played, level, &mut dice).await;
            is_backtested(&bench, &played, level, &mut dice).await;
        }
    }
}

/// Archives what the lanes over a source have read and written, a part and then the rest. Each check finds what was published by then, and no
/// difference.
async fn is_checked(bench: &mut Bench, played: &Played, level: &Level, dice: &mut Dice) {
    let streams: Vec<String> = played.catalog.streams_of(&level.from).map(|stream| stream.name.clone()).collect();
    let mut compared: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for round in [0, 1] {
        if level.from == "s" {
            // A stream's records are archived as what its lanes have written.
            let rows = |partition: usize| {
                let to = level.lanes[partition].stands[round].at();
                played.topics["s"].rows[partition].iter().filter(move |row| row.offset < to)
            };
            let rows: Vec<Row> = (0..PARTITIONS as usize).flat_map(rows).cloned().collect();
            archive_new(bench, "s", LOG, rows).await;
        }
        for stream in &streams {
            let rows = played.topics[stream].up_to(&level.lanes, round);
            archive_new(bench, stream, &log_of(stream), rows).await;
        }
        if dice.chance(40) {
            bench.archive().remove_all_snapshots().await.expect("removed");
        }
        let stands: Vec<Stand> = level.lanes.iter().map(|lane| lane.stands[round].clone()).collect();
        for row in bench.checks(&bench.asked_at(&stands)).await {
            assert!(row.comparable, "{row:?}");
            let check = row.stream_check.expect("a check");
            assert_eq!((check.differences(), check.not_compared.len()), (0, 0), "{}: {check:?}", row.metric);
            let (outputs, late) = compared.entry(row.metric).or_default();
            (*outputs, *late) = (*outputs + check.outputs, *late + check.late);
        }
    }
    for (number, stream) in streams.iter().enumerate() {
        let decided =
            || level.lanes.iter().flat_map(|lane| &lane.decided).filter(move |decided| decided.stream == number);
        let outputs = decided().filter(|decided| decided.kind == DecidedKind::Output).count() as u64;
        let late = decided().count() as u64 - outputs;
        assert_eq!(compared.get(stream).copied().unwrap_or_default(), (outputs, late), "{stream}");
    }
}

/// Archives those of the rows that are not archived yet.
async fn archive_new(bench: &mut Bench, name: &str, log: &str, rows: Vec<Row>) {
    let is_new = |row: &Row| row.offset >= bench.next(name, log, row.partition);
    let rows: Vec<Row> = rows.into_iter().filter(is_new).collect();
    if !rows.is_empty() {
        bench.archive_these(name, log, &rows).await;
    }
}

/// A backtest of one of the streams writes what the lanes have written.
async fn is_backtested(bench: &Bench, played: &Played, level: &Level, dice: &mut Dice) {
    let streams: Vec<&str> = played.catalog.streams_of(&level.from).map(|stream| stream.name.as_str()).collect();
    let number = dice.below(streams.len());
    let report = tried(bench, streams[number], TimeRange::ALL).await;
    let of_stream = |decided: &&Decided| decided.stream == number && decided.kind == DecidedKind::Output;
    let row = |id: &PartitionId, decided: &Decided| {
        (id.partition, decided.position.offset, i64::from(decided.position.n), decided.payload.clone())
    };
    let mut expected: Vec<(i32, i64, i64, Vec<u8>)> = level
        .lanes
        .iter()
        .flat_map(|lane| lane.decided.iter().filter(of_stream).map(move |decided| row(&lane.id, decided)))
        .collect();
    expected.sort_unstable();
    assert_eq!(table(bench, streams[number]).await, expected, "{}", streams[number]);
    let compared = report.compared.expect("it is archived");
    assert_eq!((compared.missing, compared.extra, compared.different), (0, 0, 0), "{compared:?}");
}
