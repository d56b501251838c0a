//! Streams that look rows up in a table: the check finds again what each output has seen, and nothing else passes for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use platform::registry::Registry;
use shared_logic::contracts::archive::Erasure;
use shared_logic::contracts::reconciliation::StreamCheck;
use shared_logic::expression::Scalar;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, Found, LanePlan, LookedUp, LookupPlan, Records, Seen};
use shared_logic::time::TimeRange;
use storage::Schemas;
use test_kit::{Dice, first_seed, repetitions};

use super::bench::{Bench, Output, PARTITIONS, Row, log_of};
use crate::erase::Condition;
use crate::erase::commits::TakingOut;
use crate::progress::Progress;
use crate::stream::backtest::backtest;

/// Maps over the source `s` that look into the table `users`: one has all events, one those of users, and one keys records anew.
const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
partitions = 2
dedup_window = 20
[sources.s.fields]
id = "string"
at = "timestamp"
user = "string"
n = "int"
[tables.users]
key = "user"
partitions = 2
[tables.users.fields]
user = "string"
name = "string?"
age = "int?"
[streams.named]
from = "s"
lookup.users = { on = "user", take = ["name", "changed_at"] }
[streams.of_users]
from = "s"
where = "n > 3"
lookup.users = { on = "user", take = ["age"], require = true }
[streams.by_n]
from = "s"
key = "n"
lookup.users = { on = "user", take = ["name"] }
"#;

const TABLE: &str = "users";

/// A change of the table.
#[derive(Debug, Clone)]
struct Change {
    partition: i32,
    offset: i64,
    timestamp_us: i64,
    user: String,
    /// Name and age; `None`: deleted.
    row: Option<(String, i64)>,
}

/// The table as it is archived, and how far lanes know it.
#[derive(Debug, Default)]
pub(super) struct Users {
    changes: Vec<Change>,
    cursors: BTreeMap<i32, i64>,
    /// Whether its topic has its second partition by now, to which some users have moved.
    has_grown: bool,
}

impl Users {
    /// The last change of a user below a cursor.
    fn last(&self, user: &str, partition: i32, cursor: i64) -> Option<&Change> {
        let of_user = |change: &&Change| change.user == user && change.partition == partition && change.offset < cursor;
        self.changes.iter().filter(of_user).max_by_key(|change| change.offset)
    }

    /// What a lane finds: of a user that has moved the newest of the last changes, and it names the partitions of all of these.
    fn found(&self, lookup: &LookupPlan, user: &str) -> Found {
        let cursor = |partition: i32| self.cursors.get(&partition).copied().unwrap_or_default();
        let lasts = (0..PARTITIONS).filter_map(|partition| self.last(user, partition, cursor(partition)));
        let lasts: Vec<&Change> = lasts.collect();
        let mut named: Vec<i32> = lasts.iter().map(|change| change.partition).collect();
        if named.is_empty() {
            named.push(self.partition_of(user));
        }
        let seen = named.into_iter().map(|partition| (PartitionId::new(log_of(TABLE), partition), cursor(partition)));
        let seen = Seen(seen.collect()).to_string();
        let change = lasts.into_iter().max_by_key(|change| (change.timestamp_us, change.partition, change.offset));
        let row = change.and_then(|change| {
            let (name, age) = change.row.clone()?;
            let value = |(field, _): &(String, usize)| match field.as_str() {
                "name" => Scalar::String(name.clone().into()),
                "age" => Scalar::Int(age.into()),
                _ => Scalar::Timestamp(change.timestamp_us),
            };
            Some(lookup.take.iter().map(value).collect())
        });
        Found { seen, row }
    }

    /// Where changes of a user are written now.
    fn partition_of(&self, user: &str) -> i32 {
        let partitions = if self.has_grown { PARTITIONS } else { 1 };
        i32::from(user.as_bytes().last().copied().unwrap_or_default()) % partitions
    }
}

/// Has some users change, and archives that.
pub(super) async fn change(bench: &mut Bench, users: &Arc<Mutex<Users>>, changes: usize) {
    let log = log_of(TABLE);
    let mut next: Vec<i64> = (0..PARTITIONS).map(|partition| bench.next(TABLE, &log, partition)).collect();
    let mut rows = Vec::new();
    for _ in 0..changes {
        let user = format!("u-{}", bench.dice.between(0, 7));
        let partition = {
            let mut users = users.lock().expect("not poisoned");
            users.has_grown |= bench.dice.chance(5);
            users.partition_of(&user)
        };
        let offset = &mut next[partition as usize];
        *offset += i64::from(bench.dice.chance(10));
        let timestamp_us = bench.now_us() + bench.dice.between(-3, 3) * 1_000_000;
        let row = (!bench.dice.chance(20))
            .then(|| (format!("name {}", bench.dice.between(0, 99)), bench.dice.between(0, 99)));
        let payload = row.as_ref().map(|(name, age)| format!(r#"{{"user":"{user}","name":"{name}","age":{age}}}"#));
        let change = Change { partition, offset: *offset, timestamp_us, user: user.clone(), row };
        users.lock().expect("not poisoned").changes.push(change);
        rows.push(Row {
            partition,
            offset: *offset,
            timestamp_us: Some(timestamp_us),
            key: Some(user.into_bytes()),
            payload: payload.map(String::into_bytes),
            headers: None,
        });
        next[partition as usize] += 1;
    }
    bench.archive_these(TABLE, &log, &rows).await;
}

/// Lanes that know more of the table with every look.
pub(super) async fn bench(seed: u64) -> (Bench, Arc<Mutex<Users>>) {
    let mut bench = Bench::new(CATALOG, seed).await;
    let users = Arc::new(Mutex::new(Users::default()));
    let (known, mut dice) = (Arc::clone(&users), Dice::new(seed + 1));
    bench.looks_up = Some(Box::new(move |plan: &LanePlan, records: &Records| {
        let mut users = known.lock().expect("not poisoned");
        for partition in 0..PARTITIONS {
            let ends = users.changes.iter().filter(|change| change.partition == partition);
            let end = ends.map(|change| change.offset + 1).max().unwrap_or_default();
            let cursor = users.cursors.entry(partition).or_default();
            *cursor += dice.between(0, end - *cursor);
        }
        let lookup = |lookup: &LookupPlan| {
            let keys = lookup.keys(&records.events).expect("keys");
            LookedUp { of: keys.of, found: keys.keys.iter().map(|user| users.found(lookup, user)).collect() }
        };
        plan.lookups().iter().map(lookup).collect()
    }));
    (bench, users)
}

/// Archives outputs: those of the map that re-keys by the number that they are keyed by.
pub(super) async fn writes(bench: &mut Bench, decided: &[Output]) -> BTreeMap<String, u64> {
    let to = |id: &PartitionId, decided: &Decided| {
        // Streams are in the order of their names.
        let is_rekeyed = decided.stream == 0;
        let key = decided.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse::<i64>().ok());
        if is_rekeyed { (key.unwrap_or_default() % i64::from(PARTITIONS)) as i32 } else { id.partition }
    };
    bench.writes_to(decided, to).await
}

pub(super) fn differences(found: &BTreeMap<String, StreamCheck>) -> u64 {
    found.values().map(StreamCheck::differences).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_is_found_again_as_of_what_it_has_seen() {
    for seed in (first_seed()..).take(repetitions(5, 60)) {
        println!("BRAID_SEED={seed}");
        let (mut bench, users) = bench(seed).await;
        let (mut written, mut compared) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
        let mut no_row = 0;
        for _ in 0..6 {
            let (changes, records) = (bench.dice.below(20), bench.dice.below(60));
            change(&mut bench, &users, changes).await;
            bench.arrives(records).await;
            let all = bench.dice.chance(50);
            let decided = bench.decides(all);
            no_row += decided.iter().filter(|(_, decided)| matches!(decided.kind, DecidedKind::NoRow { .. })).count();
            for (stream, outputs) in writes(&mut bench, &decided).await {
                *written.entry(stream).or_default() += outputs;
            }
            if bench.dice.chance(70) {
                for (stream, check) in bench.found().await {
                    assert_eq!((check.differences(), check.not_compared.len()), (0, 0), "{seed} {stream}: {check:?}");
                    *compared.entry(stream).or_default() += check.outputs;
                }
            }
        }
        for (stream, check) in bench.found().await {
            assert_eq!(check.differences(), 0, "{seed} {stream}: {check:?}");
            *compared.entry(stream).or_default() += check.outputs;
        }
        compared.retain(|_, outputs| *outputs > 0);
        assert_eq!(compared, written, "{seed}, {no_row} without a row");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_with_another_row_than_it_has_seen_is_different() {
    for seed in (first_seed()..).take(repetitions(6, 40)) {
        println!("BRAID_SEED={seed}");
        let (mut bench, users) = bench(seed).await;
        change(&mut bench, &users, 40).await;
        bench.arrives(80).await;
        let mut decided = bench.decides(true);
        let has_row = |output: &Output| {
            let is_output = output.1.kind == DecidedKind::Output;
            is_output && String::from_utf8_lossy(&output.1.payload).contains("\"name\":\"name ")
        };
        let rows: Vec<usize> = (0..decided.len()).filter(|at| has_row(&decided[*at])).collect();
        if rows.is_empty() {
            continue;
        }
        let at = *bench.dice.pick(&rows);
        let text = String::from_utf8(decided[at].1.payload.clone()).expect("JSON");
        let damaged = if bench.dice.chance(50) {
            // A row of another offset.
            text.replacen("\"name\":\"name ", "\"name\":\"no name ", 1)
        } else {
            // As of before any change: there was no row.
            let (before, rest) = text.split_once("\"users_seen\":\"").expect("it says what it has seen");
            let (seen, behind) = rest.split_once('"').expect("a text");
            let mut seen = seen.parse::<Seen>().expect("it says as of what");
            seen.0.iter_mut().for_each(|(_, cursor)| *cursor = 0);
            format!("{before}\"users_seen\":\"{seen}\"{behind}")
        };
        assert_ne!(damaged, text);
        decided[at].1.payload = damaged.into_bytes();
        writes(&mut bench, &decided).await;
        let found = bench.found().await;
        // What the streams of a lane have seen of one event is the same, so another one may be found to differ from that.
        assert!(differences(&found) >= 1, "{seed}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_sees_what_outputs_have_seen_that_are_archived() {
    for seed in (first_seed()..).take(repetitions(3, 20)) {
        println!("BRAID_SEED={seed}");
        let (mut bench, users) = bench(seed).await;
        change(&mut bench, &users, 30).await;
        bench.arrives(60).await;
        let decided = bench.decides(true);
        let written = writes(&mut bench, &decided).await;
        // An event that had no row which it must have may have one as of its time.
        for stream in ["named", "by_n"] {
            let Bench { settings, storage, catalog, .. } = &bench;
            let report =
                backtest(settings, storage, catalog, stream, TimeRange::ALL, &Progress::default()).await.expect("made");
            let outputs = written.get(stream).copied().unwrap_or_default();
            let compared = report.compared.expect("it is archived");
            assert_eq!((compared.missing, compared.different), (0, 0), "{seed} {stream}: {compared:?}");
            assert!(compared.outputs >= outputs, "{seed} {stream}");
        }
    }
}

/// Erases all rows of the table from its archive, as an operator does.
async fn erase(bench: &Bench) -> Erasure {
    let (source, mut archive) = (bench.source(TABLE), bench.archives[TABLE].clone());
    let condition = Condition::parse(&source, "age >= 0", None).expect("a condition");
    let schemas = Schemas::new(&bench.storage, TABLE, &Registry::new(&bench.settings.registry));
    let erased = TakingOut::new(&source, schemas, &condition, 9).run(&mut archive).await.expect("erased");
    assert!(erased.events > 0);
    archive.facts().erasure(condition.id()).cloned().expect("noted")
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_may_have_seen_what_is_erased_are_not_compared() {
    let (mut bench, users) = bench(7).await;
    change(&mut bench, &users, 40).await;
    bench.arrives(80).await;
    let decided = bench.decides(true);
    writes(&mut bench, &decided).await;
    erase(&bench).await;
    for (stream, check) in bench.found().await {
        assert_eq!(check.differences(), 0, "{stream}: {check:?}");
        assert!(check.not_compared.iter().any(|offsets| offsets.reason == "erased"), "{stream}: {check:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_that_has_looked_into_a_table_is_emptied_when_that_is_erased() {
    let (mut bench, users) = bench(9).await;
    change(&mut bench, &users, 30).await;
    bench.arrives(40).await;
    let Bench { settings, storage, catalog, .. } = &bench;
    let tried = async || {
        let report = backtest(settings, storage, catalog, "named", TimeRange::ALL, &Progress::default()).await;
        assert!(report.expect("made").outputs() > 0);
    };
    tried().await;
    let erasure = erase(&bench).await;
    let forgotten = async || storage.forget_backtests(TABLE, &erasure).await.expect("emptied");
    assert_eq!(forgotten().await, ["backtest/named"]);
    tried().await;
    assert!(forgotten().await.is_empty(), "one that was made since holds none of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_waits_until_the_table_is_archived_up_to_what_outputs_may_have_seen() {
    let (mut bench, users) = bench(4).await;
    change(&mut bench, &users, 10).await;
    bench.arrives(20).await;
    let decided = bench.decides(true);
    writes(&mut bench, &decided).await;
    let mut asked = bench.asked();
    *asked.tables.get_mut(TABLE).expect("a table").ends.get_mut(&1).expect("a partition") += 1;
    for row in bench.checks(&asked).await {
        assert_eq!((row.comparable, row.reason.as_deref()), (false, Some("not_yet")));
    }
}
