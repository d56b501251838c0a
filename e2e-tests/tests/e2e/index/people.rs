//! A table of people who change all the time, the index that follows it, and what the index must hold.
//!
//! - `changes`: the changes, and the oracle that takes each of them in.

mod changes;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::index_oracle::versions_are_offsets;
use e2e_tests::kafka::read_all;
use e2e_tests::scenario::now_us;
use e2e_tests::search::{self, Document, Plain};
use e2e_tests::stage::Setup;
use e2e_tests::time::micros;
use e2e_tests::views::NEVER;
use e2e_tests::{Client, IndexOracle, Producer, Scenario, Stage};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use changes::{Change, Changes};

/// The table, and its index.
pub(super) const PEOPLE: &str = "people";
/// Of these ids nothing changes once they are there.
pub(super) const STAYING: u32 = 20;
/// How many changes flow at a time, and the pause behind them; nothing depends on them.
const BURST: usize = 40;
const PAUSE: Duration = Duration::from_millis(150);
/// How many partitions the topic has at first.
pub(super) const PARTITIONS: i32 = 3;

/// A stage with the table, and the search server that holds its index.
pub(super) struct People {
    pub(super) stage: Stage,
    /// Asks the server without anything in between.
    pub(super) search: Plain,
    producer: Producer,
    changes: Changes,
    /// When the last change had arrived, microseconds since 1970.
    arrived_us: i64,
}

impl People {
    /// A stage to be, whose layers find the search server at that address. They ask often, because scenarios wait for them.
    pub(super) fn setup<'a>(scenario: &'a Scenario, url: &'a str) -> Setup<'a> {
        Stage::of(scenario)
            .catalog(catalog)
            .topic("", PARTITIONS, &[])
            .topic("-unused", 1, &[])
            .set("search.url", url)
            .set("search.refresh", "500ms")
            .set("search.retry_backoff", "50ms")
            .set("search.request_timeout", "5s")
            .set("speed.retry_backoff", "50ms")
    }

    /// The people of a stage, which has the server `search` asks.
    pub(super) fn of(stage: Stage, search: Plain) -> Result<People> {
        let changes = Changes::new(stage.rng(), stage.now_us / 1_000);
        Ok(People { producer: stage.producer()?, arrived_us: now_us(), stage, search, changes })
    }

    /// On the server that scenarios share; nothing where there is no such server, or only a stand-in for the broker.
    pub(super) async fn start(scenario: &Scenario) -> Result<Option<People>> {
        let Some(url) = search::shared(scenario.name()).await? else { return Ok(None) };
        People::start_behind(scenario, &url, &url).await
    }

    /// The same where the layers find it at another address.
    pub(super) async fn start_behind(scenario: &Scenario, url: &str, server: &str) -> Result<Option<People>> {
        let stage = People::setup(scenario, url).start_on_real_kafka().await?;
        stage.map(|stage| People::of(stage, Plain::new(server))).transpose()
    }

    /// Has people there, some of whom stay as they are, and an index that serves.
    pub(super) async fn are_served(&mut self, others: usize) -> Result<()> {
        (0..STAYING).try_for_each(|number| self.put(&staying(number)))?;
        self.send(others)?;
        self.become_exact().await
    }

    /// Changes an id, whose row is there afterwards.
    pub(super) fn put(&mut self, id: &str) -> Result<()> {
        let change = self.changes.put(id);
        self.queue(&change)?;
        self.flush()
    }

    /// The same of a row with such a plan.
    pub(super) fn put_plan(&mut self, id: &str, plan: &str) -> Result<()> {
        let change = self.changes.put_plan(id, plan);
        self.queue(&change)?;
        self.flush()
    }

    /// Changes an id in that partition.
    pub(super) fn put_in(&mut self, id: &str, partition: i32) -> Result<()> {
        let mut change = self.changes.put(id);
        change.record.partition = Some(partition);
        self.queue(&change)?;
        self.flush()
    }

    /// Deletes an id.
    pub(super) fn delete(&mut self, id: &str) -> Result<()> {
        let change = self.changes.delete(id);
        self.queue(&change)?;
        self.flush()
    }

    /// An operator has erased an id.
    pub(super) fn is_erased(&mut self, id: &str) {
        self.changes.oracle.delete(id);
    }

    /// Sends so many changes, and waits for their arrival.
    pub(super) fn send(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let change = self.changes.next_change();
            self.queue(&change)?;
        }
        self.flush()
    }

    /// How many changes were sent.
    pub(super) fn sent(&self) -> usize {
        self.changes.sent
    }

    /// Sends changes without pause until `work` on the stage is done.
    pub(super) async fn flow_during<T>(&mut self, work: impl AsyncFnOnce(&Stage) -> Result<T>) -> Result<T> {
        let People { stage, producer, changes, arrived_us, .. } = self;
        let work = work(&*stage);
        tokio::pin!(work);
        loop {
            for _ in 0..BURST {
                changes.next_change().send(producer)?;
            }
            *arrived_us = tokio::task::block_in_place(|| producer.flush())?;
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// The same, while every search finds at least those who stay.
    pub(super) async fn flow_and_serve_during<T>(&mut self, work: impl AsyncFnOnce(&Stage) -> Result<T>) -> Result<T> {
        self.flow_during(async |stage| {
            let client = stage.client()?;
            tokio::select! {
                broken = serves(&client) => match broken? {},
                done = work(stage) => done,
            }
        })
        .await
    }

    /// What the index must hold.
    pub(super) fn oracle(&self) -> &IndexOracle {
        &self.changes.oracle
    }

    /// Waits until a search finds everything that was sent, and returns the first answer that says so.
    pub(super) async fn are_found(&self) -> Result<Value> {
        wait_for("everything that was sent to be found", DEADLINE, async || {
            let (status, body) = self.ask(&[("limit", "1")]).await?;
            Ok(if self.finds_all(status, &body)? { Progress::Done(body) } else { not_yet(status, &body) })
        })
        .await
    }

    /// Waits until a search finds everything that was sent; then the index that it asks holds exactly that.
    pub(super) async fn are_exact(&self) -> Result<()> {
        let answer = self.are_found().await?;
        self.is_exact(&answer, &[]).await
    }

    /// The same but for some that the server refuses.
    pub(super) async fn are_exact_but_for(&self, refused: &[&str]) -> Result<()> {
        let answer = self.are_found().await?;
        self.is_exact(&answer, refused).await
    }

    /// Reconciles until an index serves that holds exactly what was sent. Until then it is not as of everything, or there is nothing to
    /// search.
    pub(super) async fn become_exact(&self) -> Result<()> {
        let answer = wait_for("an index of everything that was sent", 2 * DEADLINE, async || {
            self.stage.deployment.reconcile().await?;
            let (status, body) = self.ask(&[("limit", "1")]).await?;
            Ok(if self.finds_all(status, &body)? { Progress::Done(body) } else { not_yet(status, &body) })
        })
        .await?;
        self.is_exact(&answer, &[]).await
    }

    /// Reconciles until a check has compared every id, and found no difference.
    pub(super) async fn are_checked(&self) -> Result<()> {
        let expected = self.changes.oracle.len();
        wait_for("a check of everything", DEADLINE, async || {
            self.stage.deployment.reconcile().await?;
            let checks = self.checks().await?;
            let check = checks.first().context("there is no check")?;
            let differences: u64 =
                ["missing", "extra", "different"].iter().filter_map(|kind| check[kind].as_u64()).sum();
            ensure!(differences == 0, "{check}");
            let is_all = check["not_checked"].is_null() && check["moved"] == 0 && check["rows"] == expected;
            Ok(Progress::when(is_all && check["documents"] == expected, format_args!("{expected} rows: {check}")))
        })
        .await
    }

    /// The versions of all documents are the offsets of their changes.
    pub(super) async fn are_versioned(&self) -> Result<()> {
        let changes = read_all(&self.stage.brokers, &self.stage.topic)?;
        versions_are_offsets(&self.documents(&self.are_found().await?).await?, &changes)
    }

    /// What checks of the index have found, the newest first.
    pub(super) async fn checks(&self) -> Result<Vec<Value>> {
        let parameters = [("index", PEOPLE.to_owned()), ("limit", "100".to_owned())];
        let (status, body) = self.stage.client()?.get("/v1/reconciliations", &parameters).await?;
        ensure!(status == 200, "{status}: {body}");
        let rows = body["reconciliations"].as_array().with_context(|| body.to_string())?;
        Ok(rows.iter().map(|row| row["index_check"].clone()).collect())
    }

    /// What `/v1/status` says of the index.
    pub(super) async fn status(&self) -> Result<Value> {
        let (status, body) = self.stage.client()?.get("/v1/status", &[]).await?;
        ensure!(status == 200, "{status}: {body}");
        let indexes = body["indexes"].as_array().with_context(|| format!("no indexes: {body}"))?;
        indexes.iter().find(|index| index["index"] == PEOPLE).cloned().context("the index is not in the status")
    }

    /// Status and body of a search.
    pub(super) async fn ask(&self, parameters: &[(&str, &str)]) -> Result<(u16, Value)> {
        let parameters: Vec<(&str, String)> =
            parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (status, body) = self.stage.client()?.get(&path(), &parameters).await?;
        let says_why = body["detail"].as_str().is_some_and(|detail| !detail.is_empty());
        ensure!(status == 200 || (status == 503 && says_why), "{status}: {body}");
        Ok((status, body))
    }

    /// The number of the build that searches ask.
    pub(super) async fn serving(&self) -> Result<u64> {
        wait_for("a build that serves", DEADLINE, async || {
            let (status, body) = self.ask(&[("limit", "1")]).await?;
            Ok(match body["build"].as_u64() {
                Some(number) if status == 200 => Progress::Done(number),
                _ => not_yet(status, &body),
            })
        })
        .await
    }

    /// The number of the newest build that was begun.
    pub(super) async fn newest(&self) -> Result<u64> {
        let (status, state) = self.search.get(&state_of(&self.stage.topic)).await?;
        let begun = state["_source"]["record"]["begun"].as_u64().filter(|_| status == 200);
        begun.with_context(|| format!("no state: {status}: {state}"))
    }

    /// What the server calls a build.
    pub(super) fn build(&self, number: u64) -> String {
        format!("{}.{number}", self.alias())
    }

    /// What the server calls the index that serves the active version.
    pub(super) fn alias(&self) -> String {
        format!("braid.{}.{PEOPLE}", self.stage.topic)
    }

    /// What the server calls the index of progress and states.
    pub(super) fn progress(&self) -> String {
        format!("braid-progress.{}", self.stage.topic)
    }

    /// Types `braid index …`, which must succeed; what it printed.
    pub(super) async fn command(&self, words: &[&str]) -> Result<String> {
        self.stage.deployment.braid(&[&["index"], words].concat(), DEADLINE).await
    }

    async fn is_exact(&self, answer: &Value, refused: &[&str]) -> Result<()> {
        let held = self.documents(answer).await?;
        self.changes.oracle.is_held_but_for(&held, refused).with_context(|| format!("of {answer}"))?;
        // A busy server makes visible what it has later than it is set to.
        wait_for("a search to find every document", DEADLINE, async || {
            let (status, body) = self.ask(&[("limit", "1")]).await?;
            Ok(Progress::when(
                status == 200 && body["total"] == held.len(),
                format_args!("{} documents: {body}", held.len()),
            ))
        })
        .await
    }

    /// The documents of the build that has answered.
    async fn documents(&self, answer: &Value) -> Result<BTreeMap<String, Document>> {
        let number = answer["build"].as_u64().with_context(|| format!("no build: {answer}"))?;
        self.search.documents(&self.build(number)).await
    }

    /// Whether an answer misses nothing of what was sent.
    fn finds_all(&self, status: u16, body: &Value) -> Result<bool> {
        let as_of = body["behind"]["as_of"].as_str().map(micros).transpose()?;
        Ok(status == 200 && as_of >= Some(self.arrived_us))
    }

    fn queue(&mut self, change: &Change) -> Result<()> {
        change.send(&self.producer)
    }

    fn flush(&mut self) -> Result<()> {
        self.arrived_us = tokio::task::block_in_place(|| self.producer.flush())?;
        Ok(())
    }

    /// Sends with another client, which knows the topic's partitions.
    pub(super) fn reconnect(&mut self) -> Result<()> {
        self.producer = self.stage.producer()?;
        Ok(())
    }
}

/// Where the state of the index lies.
pub(super) fn state_of(deployment: &str) -> String {
    format!("/braid-progress.{deployment}/_doc/state%2F{PEOPLE}")
}

/// Asks for those who stay without pause, and expects all of them.
async fn serves(client: &Client) -> Result<Infallible> {
    loop {
        let (status, body) = client.get(&path(), &[("plan", PLAN.to_owned())]).await?;
        ensure!(status == 200 && body["total"] == STAYING, "{status}: {body}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Somebody who stays as he is.
pub(super) fn staying(number: u32) -> String {
    format!("stays-{number}")
}

/// The plan of those who stay, and of nobody else.
pub(super) const PLAN: &str = "for life";

fn path() -> String {
    format!("/v1/search/{PEOPLE}")
}

fn not_yet<T>(status: u16, body: &Value) -> Progress<T> {
    Progress::NotYet(format!("{status}: {body}"))
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

[tables.{PEOPLE}]
topic = "{name}"
partitions = {PARTITIONS}
key = "id"
[tables.{PEOPLE}.fields]
id = "string"
name = "string"
plan = "string"
age = "int?"
score = "float?"
active = "bool?"
seen_at = "timestamp?"

[indexes.{PEOPLE}]
from = "tables.{PEOPLE}"
[indexes.{PEOPLE}.fields]
name = "text"
plan = "keyword"
age = "integer"
score = "float"
active = "boolean"
seen_at = "time"
changed_at = "time"
"#
    )
}
