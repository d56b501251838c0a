//! What a lane without a snapshot reads again: every record that may hold an event that its streams still remember, and what it says where
//! the log no longer holds all of them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Record, delete_records};
use e2e_tests::streams::written::Stream;
use e2e_tests::time::rfc3339;
use e2e_tests::views::NEVER;
use e2e_tests::{Layer, Producer, Scenario, Stage, scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::payments::LAYERS;

const MINUTE_MS: i64 = 60_000;
/// What is said once the log holds all that matters again.
const WHOLE: &str = "the past that matters is whole again";

/// Windows of a minute over clicks in one partition.
struct Clicks {
    stage: Stage,
    producer: Producer,
    /// Ten o'clock of the day before, in milliseconds since 1970.
    ten_ms: i64,
}

impl Clicks {
    async fn start(scenario: &Scenario) -> Result<Option<Clicks>> {
        Clicks::start_by(scenario, catalog).await
    }

    async fn start_by(scenario: &Scenario, catalog: fn(&str) -> String) -> Result<Option<Clicks>> {
        let setup = Stage::of(scenario).catalog(catalog).partitions(1).running(&LAYERS);
        let setup = setup.set("streams.progress_every", "200ms").set("streams.snapshot_every", "300ms");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(None) };
        let day_ms = 24 * 60 * MINUTE_MS;
        let ten_ms = stage.now_us / 1_000 / day_ms * day_ms - day_ms + 600 * MINUTE_MS;
        Ok(Some(Clicks { producer: stage.producer()?, stage, ten_ms }))
    }

    /// Sends a click that happened so many minutes after ten, in a record of another minute.
    fn send(&self, user: &str, at: i64, arrives: i64) -> Result<()> {
        let payload = json!({"at": self.ten_ms + at * MINUTE_MS, "user": user}).to_string().into_bytes();
        let record = Record { key: user.to_owned(), payload, partition: None };
        self.producer.send_at(&record, self.ten_ms + arrives * MINUTE_MS)?;
        self.producer.flush().map(drop)
    }

    /// The windows that are written, by the minute of their start and their users.
    fn windows(&self) -> Result<BTreeMap<(i64, String), Value>> {
        self.written("counted", "window_start")
    }

    /// What a stream has written, by the minute of that field and the users.
    fn written(&self, stream: &str, start: &str) -> Result<BTreeMap<(i64, String), Value>> {
        let mut all = BTreeMap::new();
        for written in Stream::of(&self.stage.topic, stream).read(&self.stage.brokers)? {
            ensure!(!written.is_late, "{written:?}");
            let output = written.json()?;
            let minute = |minute: &i64| output[start] == rfc3339((self.ten_ms + minute * MINUTE_MS) * 1_000);
            let minute = (0..1_000).find(minute).with_context(|| format!("another minute: {output}"))?;
            let before = all.insert((minute, output["user"].as_str().unwrap_or_default().to_owned()), output);
            ensure!(before.is_none(), "{stream} has written minute {minute} twice");
        }
        Ok(all)
    }

    /// Starts the worker with another catalog, and the log without its first records.
    async fn starts_with(&self, catalog: &str, without: i64) -> Result<Process> {
        self.stage.deployment.kill(Layer::Speed);
        if without > 0 {
            delete_records(&self.stage.brokers, &self.stage.topic, &BTreeMap::from([(0, without)])).await?;
        }
        self.stage.deployment.write_catalog(catalog)?;
        self.stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        self.stage.deployment.start(Layer::Speed).await
    }

    /// Waits for the window of a user that starts in that minute.
    async fn window(&self, start: i64, user: &str) -> Result<Value> {
        wait_for(&format!("the window of {user} in minute {start}"), DEADLINE, async || {
            let windows = self.windows()?;
            Ok(match windows.get(&(start, user.to_owned())) {
                Some(window) => Progress::Done(window.clone()),
                None => Progress::NotYet(format!("{:?}", windows.keys())),
            })
        })
        .await
    }

    /// Kills the worker and removes its snapshots; starts it again after `meanwhile`.
    async fn starts_without_snapshots(&self, meanwhile: impl AsyncFnOnce() -> Result<()>) -> Result<Process> {
        self.stage.deployment.kill(Layer::Speed);
        let lanes = self.stage.deployment.store().join("archive/clicks/_lanes");
        for entry in fs::read_dir(&lanes).with_context(|| format!("{lanes:?}"))? {
            let path = entry?.path();
            if !path.ends_with("begun") {
                fs::remove_dir_all(path)?;
            }
        }
        meanwhile().await?;
        self.stage.deployment.start(Layer::Speed).await
    }
}

/// The record of ten o'clock holds a click of 10:40, which counts in a window that is open when the worker is killed.
#[test]
fn streams_event_ahead_of_its_record() {
    scenario("streams_event_ahead_of_its_record", async |scenario| {
        let Some(clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        clicks.send("early", 40, 0)?;
        (0..40).try_for_each(|minute| clicks.send("other", minute, minute))?;
        clicks.window(37, "other").await?;
        clicks.starts_without_snapshots(async || Ok(())).await?;
        (40..43).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let window = clicks.window(40, "early").await?;
        ensure!(window["n"] == 1 && window["incomplete"].is_null(), "{window}");
        ensure!(clicks.windows()?.len() == 42, "{:?}", clicks.windows()?);
        Ok(())
    });
}

/// The log's beginning is deleted, with it the only snapshots: what is decided from less than the past that matters says so, and once
/// enough time has passed nothing does.
#[test]
fn streams_incomplete_past() {
    scenario("streams_incomplete_past", async |scenario| {
        let Some(clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        clicks.send("early", 40, 0)?;
        (0..40).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let before = clicks.window(37, "other").await?;
        ensure!(before["incomplete"].is_null(), "{before}");
        let speed = clicks
            .starts_without_snapshots(async || {
                delete_records(&clicks.stage.brokers, &clicks.stage.topic, &BTreeMap::from([(0, 10)])).await
            })
            .await?;
        (40..45).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let window = clicks.window(42, "other").await?;
        ensure!(window["n"] == 1 && window["incomplete"] == true, "{window}");
        ensure!(!clicks.windows()?.contains_key(&(40, "early".to_owned())), "what the log lost was counted");
        // An event may be an hour ahead of its record, so the lane has to come that much farther.
        (45..180).try_for_each(|minute| clicks.send("other", minute, minute))?;
        speed.line_with(WHOLE, DEADLINE).await?;
        (180..183).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let window = clicks.window(180, "other").await?;
        ensure!(window["n"] == 1 && window["incomplete"].is_null(), "{window}");
        Ok(())
    });
}

/// Sessions that may last for ever are added where the log no longer holds its beginning: their past begins there, so nothing is incomplete,
/// however often the worker starts again.
#[test]
fn streams_added_sessions_have_a_past_since_then() {
    scenario("streams_added_sessions_have_a_past_since_then", async |scenario| {
        let Some(clicks) = Clicks::start_by(scenario, hardly_ahead).await? else { return Ok(()) };
        (0..40).try_for_each(|minute| clicks.send("other", minute, minute))?;
        clicks.window(37, "other").await?;
        clicks.starts_with(&with_visits(&clicks.stage.topic), 10).await?;
        (40..43).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let window = clicks.window(40, "other").await?;
        ensure!(window["n"] == 1 && window["incomplete"].is_null(), "{window}");
        clicks.starts_without_snapshots(async || Ok(())).await?;
        (70..73).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let window = clicks.window(70, "other").await?;
        ensure!(window["n"] == 1 && window["incomplete"].is_null(), "{window}");
        let visits = wait_for("a session", DEADLINE, async || {
            let visits = clicks.written("visits", "session_start")?;
            Ok(if visits.is_empty() { Progress::NotYet("none".to_owned()) } else { Progress::Done(visits) })
        });
        let visits = visits.await?;
        let visit = visits.get(&(40, "other".to_owned())).with_context(|| format!("it began before: {visits:?}"))?;
        ensure!(visits.len() == 1 && visit["n"] == 3 && visit["incomplete"].is_null(), "{visits:?}");
        Ok(())
    });
}

/// The only stream is renamed in place. The new one goes on where the old one had come, and writes nothing of before again.
#[test]
fn streams_renamed_in_place() {
    scenario("streams_renamed_in_place", async |scenario| {
        let Some(clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        (0..20).try_for_each(|minute| clicks.send("other", minute, minute))?;
        clicks.window(17, "other").await?;
        let name = &clicks.stage.topic;
        clicks.starts_with(&catalog(name).replace("counted", "tallied"), 0).await?;
        (20..30).try_for_each(|minute| clicks.send("other", minute, minute))?;
        let tallied = wait_for("the new stream to come as far", DEADLINE, async || {
            let tallied = clicks.written("tallied", "window_start")?;
            let is_there = tallied.contains_key(&(27, "other".to_owned()));
            Ok(if is_there { Progress::Done(tallied) } else { Progress::NotYet(tallied.len().to_string()) })
        });
        let starts: Vec<i64> = tallied.await?.into_keys().map(|(start, _)| start).collect();
        // The window of minute 18 was open at the cursor, and is whole since the past was read.
        ensure!(starts == (18..28).collect::<Vec<i64>>(), "{starts:?}");
        // Renamed back, it is added there, and the lane is not drawn back to where it was removed.
        clicks.starts_with(&catalog(name), 0).await?;
        (30..40).try_for_each(|minute| clicks.send("other", minute, minute))?;
        clicks.window(37, "other").await?;
        let starts: Vec<i64> = clicks.windows()?.into_keys().map(|(start, _)| start).collect();
        ensure!(starts == (0..18).chain(28..38).collect::<Vec<i64>>(), "{starts:?}");
        Ok(())
    });
}

/// Events are hardly ahead of their records, so little is read again.
fn hardly_ahead(name: &str) -> String {
    catalog(name).replace("key = \"user\"\n", "key = \"user\"\nmax_ahead = \"1m\"\n")
}

/// The same, and sessions that may last for ever.
fn with_visits(name: &str) -> String {
    let visits = format!(
        "\n[streams.visits]\nfrom = \"clicks\"\ntopic = \"{name}-visits\"\nby = [\"user\"]\nsession = \"5m\"\n"
    );
    hardly_ahead(name) + &visits + "[streams.visits.measures]\nn = \"count()\"\n"
}

/// A catalog with windows of a minute over clicks in one partition.
pub(super) fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.clicks]
topic = "{name}"
partitions = 1
event_time = "at"
key = "user"
[sources.clicks.fields]
at = "timestamp"
user = "string"

[streams.counted]
from = "clicks"
topic = "{name}-counted"
by = ["user"]
window = "1m"
[streams.counted.measures]
n = "count()"
"#
    )
}
