//! A table follows a database: PostgreSQL, Debezium's connector in Kafka Connect, Kafka, Braid. Rows are read for the snapshot, inserted,
//! updated, deleted and given other keys, while Connect and the database crash and come back; the table equals `SELECT`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e_tests::cdc::{Capture, jars};
use e2e_tests::kafka::read_all;
use e2e_tests::time::micros;
use e2e_tests::views::NEVER;
use e2e_tests::{Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

const CREATE: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, plan text, balance bigint NOT NULL, \
                      score double precision, active boolean NOT NULL, joined timestamptz NOT NULL);";
/// Those that the snapshot reads.
const INSERT: &str = "INSERT INTO users SELECT n, 'name ' || n, CASE WHEN n % 3 > 0 THEN 'plan ' || n % 3 END, n * 1000000007::bigint, \
                      n / 7.0, n % 2 = 0, timestamptz '2026-01-01 00:00:00+00' + n * interval '1.000001 s' \
                      FROM generate_series(1, 500) AS n;";
const SELECT: &str = "SELECT row_to_json(users) FROM users;";
/// The keys that changes are about.
const KEYS: i64 = 600;
/// Rows that get another key get one from here on.
const OTHER_KEYS: i64 = 10_000;
const CHANGES: usize = 400;

/// The rows of the table by their keys.
type Rows = BTreeMap<i64, Map<String, Value>>;

#[test]
fn cdc() {
    scenario("cdc", async |scenario| {
        let Some(jars) = jars(scenario.name()) else { return Ok(()) };
        let setup = Stage::of(scenario).catalog(catalog).topic(".public.users", 3, &[]).topic("-unused", 1, &[]);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut capture = Capture::start(jars, &stage, scenario.dir().join("capture")).await?;
        let mut changes = Changes { rng: scenario.rng(), next: OTHER_KEYS };
        let count = repetitions(CHANGES, 10 * CHANGES);

        capture.postgres.sql(&format!("{CREATE}\n{INSERT}"))?;
        capture.connect.start(false)?;
        equals(&stage, &capture).await.context("the snapshot")?;
        capture.postgres.sql(&changes.next(count))?;
        equals(&stage, &capture).await.context("inserts, updates and deletes")?;

        capture.postgres.sql(&changes.next(count))?;
        capture.connect.kill();
        capture.postgres.sql(&changes.next(count))?;
        capture.postgres.crash().await?;
        // From now on with the block that describes each record's schema, in the keys as well: so rows move to other partitions.
        capture.connect.start(true)?;
        capture.postgres.sql(&changes.next(count))?;
        let rows = equals(&stage, &capture).await.context("after the crashes")?;

        has_had_everything(&stage)?;
        is_served(&stage, &rows).await?;
        stage.ran_without_trouble()
    });
}

/// Waits until the table is what the database says. Returns its rows.
async fn equals(stage: &Stage, capture: &Capture) -> Result<Rows> {
    let selected = by_key(capture.postgres.rows(SELECT)?)?;
    wait_for("the table to equal SELECT", DEADLINE, async || {
        capture.connect.runs()?;
        stage.deployment.batch(&["table", "materialise", "users"])?.success(DEADLINE).await?;
        let shown = stage.deployment.batch(&["table", "show", "users", "--limit", "0", "--output", "json"])?;
        shown.success(DEADLINE).await?;
        let objects = shown.output()?;
        let objects = objects.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // The first one says as of which offsets the others are.
        let table = by_key(objects.filter(|object| object["id"].is_i64()).collect())?;
        let differ: Vec<&i64> =
            selected.keys().chain(table.keys()).filter(|id| selected.get(id) != table.get(id)).collect();
        let first = differ.first().map(|id| (selected.get(id), table.get(id)));
        Ok(Progress::when(differ.is_empty(), format_args!("{} rows differ, such as {first:?}", differ.len())))
    })
    .await?;
    Ok(selected)
}

/// The topic holds all kinds of changes, deletes and tombstones among them, with the block of their schema and without.
fn has_had_everything(stage: &Stage) -> Result<()> {
    let mut kinds = BTreeSet::new();
    for found in read_all(&stage.brokers, &format!("{}.public.users", stage.topic))? {
        if found.payload.is_empty() {
            kinds.insert("tombstone".to_owned());
            continue;
        }
        let record: Value = serde_json::from_slice(&found.payload)?;
        let (form, envelope) = match record.get("payload") {
            Some(payload) => ("described", payload),
            None => ("plain", &record),
        };
        kinds.insert(format!("{form} {}", envelope["op"].as_str().context("no operation")?));
    }
    let wanted = ["described c", "described d", "described u", "plain c", "plain d", "plain r", "plain u", "tombstone"];
    ensure!(wanted.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    Ok(())
}

/// The rows are asked for by their keys; those that are deleted are not there.
async fn is_served(stage: &Stage, rows: &Rows) -> Result<()> {
    let client = stage.client()?;
    for id in 1..=KEYS {
        let path = format!("/v1/tables/users/{id}");
        wait_for(&path, DEADLINE, async || {
            let (code, answer) = client.get(&path, &[]).await?;
            let served = by_key(answer.get("row").filter(|row| row.is_object()).cloned().into_iter().collect())?;
            let is_it = code == 200 && served.get(&id) == rows.get(&id);
            Ok(Progress::when(is_it, format_args!("{code}: {answer} instead of {:?}", rows.get(&id))))
        })
        .await?;
    }
    Ok(())
}

/// Rows by their keys, without what is null and without what a table has of its own; instants as numbers.
fn by_key(rows: Vec<Value>) -> Result<Rows> {
    let mut by_key = Rows::new();
    for row in rows {
        let Value::Object(mut row) = row else { continue };
        row.retain(|name, value| !value.is_null() && name != "changed_at");
        let id = row.get("id").and_then(Value::as_i64).context("a row without its key")?;
        let joined = micros(row.get("joined").and_then(Value::as_str).context("a row without an instant")?)?;
        row.insert("joined".to_owned(), joined.into());
        // PostgreSQL writes a float that is whole without its point.
        if let Some(score) = row.get("score").and_then(Value::as_f64) {
            row.insert("score".to_owned(), score.into());
        }
        ensure!(by_key.insert(id, row).is_none(), "two rows of {id}");
    }
    Ok(by_key)
}

/// Changes of rows by chance.
struct Changes {
    rng: StdRng,
    /// The next key that no row has had.
    next: i64,
}

impl Changes {
    /// So many statements, each of which may change a row.
    fn next(&mut self, count: usize) -> String {
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> String {
        let (id, number) = (self.rng.random_range(1..=KEYS), self.rng.random_range(0..1_000_000_i64));
        match self.rng.random_range(0..6) {
            0 | 1 => format!(
                "INSERT INTO users VALUES ({id}, 'né \"{number}\"', 'pro', {number}, {number} / 3.0, true, now()) \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, balance = excluded.balance;\n"
            ),
            2 => format!("UPDATE users SET plan = NULL, score = NULL WHERE id = {id};\n"),
            3 => format!("UPDATE users SET balance = -{number}, active = NOT active WHERE id = {id};\n"),
            4 => format!("DELETE FROM users WHERE id = {id};\n"),
            _ => {
                self.next += 1;
                format!("UPDATE users SET id = {} WHERE id = {id};\n", self.next)
            }
        }
    }
}

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.unused]
topic = "{name}-unused"
partitions = 1
event_time = "at"
[sources.unused.fields]
at = "timestamp"

[tables.users]
topic = "{name}.public.users"
format = "debezium"
key = "id"
[tables.users.fields]
id = "int"
name = "string"
plan = "string?"
balance = "int"
score = "float?"
active = "bool"
joined = "timestamp"
"#
    )
}
