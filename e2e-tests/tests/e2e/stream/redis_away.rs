//! Redis is away. Lanes whose streams look nothing up go on, since nothing of them is in Redis. A lane that looks users up waits, and goes on
//! once Redis is back. Nothing is written twice, and counts are exact afterwards.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Record, read_all};
use e2e_tests::streams::detect::{Detector, Judge};
use e2e_tests::streams::log::{Event, Source, Type, of_partition, partitions};
use e2e_tests::streams::written::Stream;
use e2e_tests::streams::{Decided, decide, fields};
use e2e_tests::time::rfc3339;
use e2e_tests::views::NEVER;
use e2e_tests::watch::{lines_with, prints_again};
use e2e_tests::{Layer, Producer, Stage, scenario};
use serde_json::{Map, Value, json};
use test_kit::{DEADLINE, Durability, Progress, repetitions, wait_for};

use super::lookups::is_as_of_what_it_names;

const USERS: usize = 6;
const SOME: usize = 100;
const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;
const LATENESS_US: i64 = 300 * SECOND_US;
/// What a lane prints that waits for a table.
const WAITS: &str = "waits for the table `users`";
/// What a worker prints that keeps a micro-batch until Redis takes it.
const KEEPS: &str = "redis cannot take a micro-batch now";

/// The source that is counted, and that the detector reads.
const PAYMENTS: Source = Source {
    event_id: Some("id"),
    event_time: "at",
    fields: &[("id", Type::Text), ("at", Type::Instant), ("user", Type::Text)],
    dedup_window: 400,
    is_stream: false,
    is_rekeyed: false,
};
const RULES: [(&str, Judge); 1] = [("again", again)];

fn again(history: &[&Event], _event: &Event) -> Option<Map<String, Value>> {
    (history.len() >= 2).then(|| fields([("history_count()", json!(history.len()))]))
}

/// Payments, clicks and users on their way.
struct Sent {
    stage: Stage,
    payments: Producer,
    clicks: Producer,
    users: Producer,
    sent: usize,
}

impl Sent {
    fn next(&mut self) -> (String, String) {
        self.sent += 1;
        (format!("e-{}", self.sent), format!("u-{}", self.sent % USERS))
    }

    /// Sends payments, each a second after the one before; returns when all have arrived, in microseconds since 1970.
    fn pay(&mut self, payments: usize) -> Result<i64> {
        for _ in 0..payments {
            let (id, user) = self.next();
            let at_us = self.stage.now_us - HOUR_US + self.sent as i64 * SECOND_US;
            let payload = json!({"id": id, "at": rfc3339(at_us), "user": user}).to_string().into_bytes();
            self.payments.send(&Record { key: user, payload, partition: None })?;
        }
        self.payments.flush()
    }

    /// Sends clicks, and a change of each user before.
    fn click(&mut self, clicks: usize) -> Result<()> {
        for user in 0..USERS {
            let (key, name) = (format!("u-{user}"), format!("name {}", self.sent));
            let payload = json!({"id": key, "name": name}).to_string().into_bytes();
            self.users.send(&Record { key, payload, partition: None })?;
        }
        self.users.flush()?;
        for _ in 0..clicks {
            let (id, user) = self.next();
            let payload = json!({"id": id, "at": self.stage.now_us / 1_000, "user": user}).to_string().into_bytes();
            self.clicks.send(&Record { key: user, payload, partition: None })?;
        }
        self.clicks.flush().map(drop)
    }

    fn topic(&self, ending: &str) -> String {
        format!("{}{ending}", self.stage.topic)
    }

    /// The alerts of all payments that have arrived.
    fn expected(&self) -> Result<BTreeMap<i32, Vec<Decided>>> {
        let records = read_all(&self.stage.brokers, &self.topic("-payments"))?;
        let decided = |partition: i32| {
            let steps = PAYMENTS.steps(of_partition(&records, partition))?;
            let detector = Detector::new("user", HOUR_US, &RULES);
            Ok((partition, decide(&steps, LATENESS_US, |_| true, detector)))
        };
        partitions(&records).into_iter().map(decided).collect()
    }

    /// Waits until each payment has alerted as it must, once.
    async fn are_alerted(&self) -> Result<usize> {
        let stream = Stream::of(&self.stage.topic, "alerts");
        let written = stream.becomes(&self.stage.brokers, || self.expected()).await?;
        Ok(written.len())
    }

    fn rich(&self) -> Stream {
        Stream { has_late: false, ..Stream::of(&self.stage.topic, "rich") }
    }

    /// Waits until each click has one output, which is as of what it names.
    async fn are_looked_up(&self) -> Result<usize> {
        let (brokers, clicks) = (&self.stage.brokers, read_all(&self.stage.brokers, &self.topic("-clicks"))?.len());
        let written = wait_for("an output of each click", DEADLINE, async || {
            let written = self.rich().read(brokers)?;
            ensure!(written.len() <= clicks, "{} outputs of {clicks} clicks", written.len());
            let has_all = written.len() == clicks;
            let told = format!("{} of {clicks}", written.len());
            Ok(if has_all { Progress::Done(written) } else { Progress::NotYet(told) })
        })
        .await?;
        let users = read_all(brokers, &self.topic("-users"))?;
        written.iter().try_for_each(|output| is_as_of_what_it_names(output, &users))?;
        Ok(clicks)
    }
}

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.payments]
topic = "{name}-payments"
partitions = 2
event_id = "id"
event_time = "at"
key = "user"
dedup_window = 400
[sources.payments.fields]
id = "string"
at = "timestamp"
user = "string"

[sources.clicks]
topic = "{name}-clicks"
partitions = 2
event_id = "id"
event_time = "at"
key = "user"
[sources.clicks.fields]
id = "string"
at = "timestamp"
user = "string"

[tables.users]
topic = "{name}-users"
partitions = 2
key = "id"
[tables.users.fields]
id = "string"
name = "string"

[streams.alerts]
from = "payments"
topic = "{name}-alerts"
key = "user"
history = "1h"
[streams.alerts.detect]
again = "history_count() >= 2"

[streams.rich]
from = "clicks"
topic = "{name}-rich"
lookup.users = {{ on = "user", take = ["name"] }}

[metrics.payments]
source = "payments"
by = ["user"]
grain = "1m"
[metrics.payments.measures]
payments = "count()"
"#
    )
}

#[test]
fn streams_redis_away() {
    scenario("streams_redis_away", async |scenario| {
        let setup = Stage::of(scenario)
            .catalog(catalog)
            .topic("-payments", 2, &[])
            .topic("-clicks", 2, &[])
            .topic("-users", 2, &[])
            .durability(Durability::EveryWrite)
            .set("streams.progress_every", "300ms")
            .set("streams.retry_backoff", "50ms");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let producer = |ending: &str| Producer::new(&stage.brokers, &format!("{}{ending}", stage.topic));
        let (payments, clicks, users) = (producer("-payments")?, producer("-clicks")?, producer("-users")?);
        let mut sent = Sent { payments, clicks, users, sent: 0, stage };
        sent.pay(SOME)?;
        sent.click(20)?;
        sent.are_alerted().await.context("before Redis is away")?;
        let looked_up = sent.are_looked_up().await.context("before Redis is away")?;

        let speed = sent.stage.deployment.process(Layer::Speed)?;
        let (waits, keeps) = (lines_with(&speed, WAITS)?, lines_with(&speed, KEEPS)?);
        sent.stage.redis.kill();
        sent.click(20)?;
        let (mut alerts, mut paid) = (0, SOME);
        for _ in 0..repetitions(3, 10) {
            sent.pay(SOME)?;
            paid += SOME;
            let more = sent.are_alerted().await.context("Redis is away")?;
            ensure!(more > alerts, "{more} alerts after {alerts}");
            alerts = more;
        }
        prints_again(&speed, WAITS, waits).await?;
        prints_again(&speed, KEEPS, keeps).await?;
        let written = sent.rich().read(&sent.stage.brokers)?.len();
        ensure!(written == looked_up, "{written} outputs, and {looked_up} before: something was looked up nowhere");

        sent.stage.redis.restart().await?;
        ensure!(sent.are_looked_up().await.context("Redis is back")? > looked_up, "no click was sent meanwhile");
        let arrived_us = sent.pay(SOME)?;
        sent.are_alerted().await.context("Redis is back")?;
        let payments = (paid + SOME) as i64;
        let total = sent.stage.client()?.total_as_of(arrived_us, "payments", &[]).await?;
        ensure!(total.int("payments")? == payments, "{payments} payments: {total:?}");
        sent.stage.deployment.reconcile().await?;
        let total = sent.stage.client()?.authoritative_total("payments", &[]).await?;
        ensure!(total.int("payments")? == payments, "{payments} payments: {total:?}");
        ensure!(speed.ended()?.is_none(), "the worker ended");
        Ok(())
    });
}
