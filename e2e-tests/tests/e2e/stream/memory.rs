//! The memory of lanes is full: the lane that fills it stops reading and keeps what it has, others go on, and with more of it nothing is
//! missing.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::streams::written::Stream;
use e2e_tests::{Layer, Producer, Scenario, Stage, scenario};
use serde_json::json;
use test_kit::{DEADLINE, Progress, wait_for};

use super::past;
use super::payments::LAYERS;

const MINUTE_MS: i64 = 60_000;
/// How many users have a window open in the partition that is full.
const USERS: i64 = 30_000;
/// What the log of the worker says of a lane without room.
const FULL: &str = "the memory of lanes is full";

/// Windows of a minute over clicks in two partitions.
struct Clicks {
    stage: Stage,
    producer: Producer,
    /// A whole minute, in milliseconds since 1970.
    begin_ms: i64,
}

impl Clicks {
    async fn start(scenario: &Scenario) -> Result<Option<Clicks>> {
        let setup = Stage::of(scenario).catalog(catalog).partitions(2).running(&LAYERS);
        let setup = setup.set("streams.progress_every", "200ms").set("streams.state", "1MiB");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(None) };
        let begin_ms = (stage.now_us / 1_000 / MINUTE_MS - 60) * MINUTE_MS;
        Ok(Some(Clicks { producer: stage.producer()?, stage, begin_ms }))
    }

    fn send(&self, partition: i32, user: &str, minute: i64) -> Result<()> {
        let at = self.begin_ms + minute * MINUTE_MS;
        let payload = json!({"at": at, "user": user}).to_string().into_bytes();
        let record = Record { key: user.to_owned(), payload, partition: Some(partition) };
        self.producer.send_at(&record, at)
    }

    /// How many windows each user has, of those in that partition.
    fn windows(&self, partition: i32) -> Result<BTreeMap<String, usize>> {
        let mut windows = BTreeMap::new();
        let written = Stream::of(&self.stage.topic, "counted").read(&self.stage.brokers)?;
        for written in written.iter().filter(|written| written.partition == partition) {
            let user = written.json()?["user"].as_str().unwrap_or_default().to_owned();
            *windows.entry(user).or_default() += 1;
        }
        Ok(windows)
    }

    async fn are_written(&self, partition: i32, users: usize, windows: usize) -> Result<()> {
        wait_for(&format!("{windows} windows of {users} users"), DEADLINE, async || {
            let found = self.windows(partition)?;
            let (of, all) = (found.len(), found.values().sum::<usize>());
            Ok(Progress::when((of, all) == (users, windows), format_args!("{all} windows of {of} users")))
        })
        .await
    }
}

#[test]
fn streams_memory_full() {
    scenario("streams_memory_full", async |scenario| {
        let Some(mut clicks) = Clicks::start(scenario).await? else { return Ok(()) };
        clicks.stage.deployment.kill(Layer::Speed);
        let speed = clicks.stage.deployment.start(Layer::Speed).await?;
        (0..USERS).try_for_each(|user| clicks.send(0, &format!("user-{user}"), 0))?;
        clicks.producer.flush()?;
        speed.line_with(FULL, DEADLINE).await?;
        // The other lane is within its share, and its thread is not held up.
        for minute in 0..10 {
            clicks.send(1, "other", minute)?;
        }
        clicks.producer.flush()?;
        clicks.are_written(1, 1, 8).await?;
        ensure!(clicks.windows(0)?.is_empty(), "nothing has closed a window");
        clicks.stage.deployment.kill(Layer::Speed);
        clicks.stage.deployment.set("streams.state", "256MiB");
        clicks.stage.deployment.start(Layer::Speed).await?;
        clicks.send(0, "last", 2)?;
        clicks.producer.flush()?;
        clicks.are_written(0, usize::try_from(USERS)?, usize::try_from(USERS)?).await?;
        ensure!(clicks.windows(0)?.values().all(|windows| *windows == 1), "a window was written twice");
        Ok(())
    });
}

/// The same windows as in `past`, over two partitions.
fn catalog(name: &str) -> String {
    past::catalog(name).replace("partitions = 1\n", "partitions = 2\n")
}
