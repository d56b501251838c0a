//! R11 as a property: whatever catalogs came and went, a view equals that of a fresh deployment which reads the same records
//! with the last catalog. On a real store, without Kafka and Redis.
//!
//! - `columns_only`: archives that keep the bytes of invalid records only;
//! - `erased`: what was erased stays erased, whatever the rules;
//! - `evolution`: one field, declared otherwise in every way that there is;
//! - `older_layout`: archives that were begun before bytes were kept;
//! - `tables`: the tables of one deployment.

mod columns_only;
mod erased;
mod evolution;
mod older_layout;
mod tables;

use shared_logic::catalog::KeptBytes;
use test_kit::{Dice, first_seed, repetitions};

use self::tables::{PARTITIONS, Sent, Tables};
use super::*;

/// 2026-04-24, and an hour later, in milliseconds.
const HOURS_MS: [i64; 2] = [1_776_988_800_000, 1_776_992_400_000];
const DAY_MS: i64 = 86_400_000;
/// How many walks are under way at once. They wait for the disk most of the time.
const AT_ONCE: u64 = 4;

/// A record: an event, or something that is one under some catalogs only, or none under any.
fn payload(dice: &mut Dice) -> (Option<Vec<u8>>, i64) {
    let at_ms = dice.pick(&HOURS_MS) + dice.between(0, 59) * 60_000;
    if dice.chance(5) {
        return (dice.chance(50).then(|| b"{\"id\": tru".to_vec()), at_ms);
    }
    let status =
        *dice.pick(&["", ", \"status\": 200", ", \"status\": 404", ", \"status\": \"ok\"", ", \"status\": null"]);
    let country = *dice.pick(&["", ", \"country\": \"DE\"", ", \"country\": \"FR\""]);
    let (id, b_ms) = (dice.between(1, 40), at_ms - dice.between(0, 1) * 2 * DAY_MS);
    // A copy has the same id and time, and may differ in the rest.
    let a_ms = if dice.chance(50) { HOURS_MS[0] + id * 1_000 } else { at_ms };
    (Some(format!(r#"{{"id": {id}, "a": {a_ms}, "b": {b_ms}{status}{country}}}"#).into_bytes()), at_ms)
}

/// A catalog of the source `s`, of which those bytes are kept, and its metric `m`.
fn catalog(dice: &mut Dice, raw: &str) -> String {
    let status = *dice.pick(&["", "int", "int?", "string", "string?"]);
    let country = *dice.pick(&["", "string", "string?"]);
    let declared =
        |name: &str, kind: &str| if kind.is_empty() { String::new() } else { format!("{name} = \"{kind}\"\n") };
    let filters = [("", true), ("status = 200", status == "int"), ("country = 'DE'", !country.is_empty())];
    let filters: Vec<&str> = filters.iter().filter(|(_, fits)| *fits).map(|(filter, _)| *filter).collect();
    let filter = *dice.pick(&filters);
    let filter = if filter.is_empty() { String::new() } else { format!("where = \"{filter}\"\n") };
    let keys = [("status", status), ("country", country)];
    let keys = keys.iter().filter(|(_, kind)| !kind.is_empty() && dice.chance(50));
    let by: Vec<String> = keys.map(|(name, _)| format!("\"{name}\"")).collect();
    let ids: &[&str] = match country {
        "string" => &["", "event_id = \"id\"\n", "event_id = [\"country\", \"id\"]\n"],
        _ => &["", "event_id = \"id\"\n", "event_id = [\"id\"]\n"],
    };
    let sum = if status.starts_with("int") { "total = \"sum(status)\"\n" } else { "" };
    format!(
        "[sources.s]\nraw = \"{raw}\"\n{id}event_time = \"{time}\"\nmax_age = \"{age}\"\nformat = \"{format}\"\n\
         [sources.s.fields]\nid = \"int\"\na = \"timestamp\"\nb = \"timestamp\"\n{status}{country}\
         [metrics.m]\nsource = \"s\"\n{filter}by = [{by}]\ngrain = \"{grain}\"\n\
         [metrics.m.measures]\nevents = \"count()\"\n{sum}",
        id = dice.pick(ids),
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

/// One step of a walk: an archiver, a compaction or a reconcile of one of the catalogs. Returns what was done.
async fn step(dice: &mut Dice, tables: &mut Tables, catalogs: &[Catalog], sent: &Sent) -> Option<String> {
    let at = dice.below(catalogs.len());
    match dice.below(12) {
        0..=5 => {
            let (partition, count) = (dice.below(PARTITIONS as usize) as i32, dice.between(1, 9) as usize);
            tables.started(&catalogs[at], sent).await;
            tables.archived(&catalogs[at], sent, partition, count).await;
            Some(format!("archived {count} of {partition} by {at}"))
        }
        6..=7 => {
            tables.started(&catalogs[at], sent).await;
            tables.compacted(&catalogs[at]).await;
            Some(format!("compacted by {at}"))
        }
        8..=9 if tables.next.values().any(|next| *next > 0) => {
            tables.rebuilds_a_day(&catalogs[at]).await;
            Some(format!("rebuilt a day by {at}"))
        }
        _ if tables.next.values().any(|next| *next > 0) => {
            tables.reconciled(&catalogs[at]).await;
            Some(format!("reconciled by {at}"))
        }
        _ => None,
    }
}

/// Three catalogs that keep the bytes of every record.
fn with_bytes(dice: &mut Dice) -> Vec<String> {
    (0..3).map(|_| catalog(dice, "all")).collect()
}

/// Two catalogs that keep no bytes of events, and one with the first one's rules that does.
fn without_bytes(dice: &mut Dice) -> Vec<String> {
    let [first, second] = [(); 2].map(|()| catalog(dice, "rejected"));
    let keeps = first.replace("\"rejected\"", "\"all\"");
    vec![first, second, keeps]
}

async fn walk(seed: u64, texts: fn(&mut Dice) -> Vec<String>) {
    let mut dice = Dice::new(seed);
    let texts = texts(&mut dice);
    let catalogs: Vec<Catalog> = texts.iter().map(|text| parsed(text)).collect();
    let sent: Sent =
        (0..PARTITIONS).map(|partition| (partition, (0..60).map(|_| payload(&mut dice)).collect())).collect();
    let last = &catalogs[0];
    let mut tables = Tables::new(last);
    let mut done = Vec::new();
    for _ in 0..20 {
        done.extend(step(&mut dice, &mut tables, &catalogs, &sent).await);
    }
    let mut fresh = Tables::new(last);
    tables.started(last, &sent).await;
    for (partition, next) in tables.next.clone() {
        fresh.archived(last, &sent, partition, next as usize).await;
    }
    // What counts is what lies in the store, not what the walk's processes remember.
    tables.reopen();
    let story = || format!("BRAID_SEED={seed}\n{}\n{}", done.join("\n"), texts.join("\n----\n"));
    let (mut held, mut expected) = (tables.bytes().await, fresh.bytes().await);
    if last.sources["s"].kept_bytes == KeptBytes::Rejected {
        // Whose bytes are kept depends on who archived a record.
        held.iter_mut().chain(&mut expected).for_each(|(_, _, raw)| *raw = None);
    }
    assert_eq!(held, expected, "the bytes of records; {}", story());
    assert_eq!(tables.hashes().await, fresh.hashes().await, "the hashes of records; {}", story());
    let (seen, expected) = (tables.reconciled(last).await, fresh.reconciled(last).await);
    assert!(seen.equals_missing(&expected), "{seen}\ninstead of\n{expected}\n{}", story());
}

/// So many walks with such catalogs, some of them at once.
async fn walks(count: u64, texts: fn(&mut Dice) -> Vec<String>) {
    let first = first_seed();
    for seed in (first..first + count).step_by(AT_ONCE as usize) {
        tokio::join!(walk(seed, texts), walk(seed + 1, texts), walk(seed + 2, texts), walk(seed + 3, texts));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_catalogs_came_and_went_the_last_one_counts_every_record_by_its_own_rules() {
    walks(repetitions(12, 400), with_bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_bytes_are_kept_and_the_log_holds_all_the_last_catalog_counts_every_record_by_its_own_rules() {
    walks(repetitions(8, 400), without_bytes).await;
}
