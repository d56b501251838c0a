//! Streams of every kind over one source of payments, the payments themselves, and what the streams must write of them.
//!
//! - `generator`: payments that are late, early, out of order, copies and broken;
//! - `kind`: the streams, and what each decides by the oracle.

mod generator;
mod kind;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Found, read_all};
use e2e_tests::stage::Setup;
use e2e_tests::streams::Decided;
use e2e_tests::streams::fraud::RULES;
use e2e_tests::streams::log::{Step, of_partition, partitions};
use e2e_tests::streams::written::{Stream, Written};
use e2e_tests::views::NEVER;
use e2e_tests::{Archive, Layer, Producer, Scenario, Stage};
use serde_json::{Deserializer, Value};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use generator::Generator;

pub(crate) use generator::{DAY_MS, Dated, Mix};
pub(crate) use kind::{Kind, large, spent_within};

/// The layers that streams need.
pub(crate) const LAYERS: [Layer; 2] = [Layer::Archive, Layer::Speed];
/// How many payments flow at a time, and the pause behind them; nothing depends on them.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a payment is looked for as a copy, in offsets.
const DEDUP_WINDOW: i64 = 400;
/// The least amount of a payment that `large` writes.
pub(crate) const LARGE: i64 = 50;

/// By partition, what a stream must write.
pub(crate) type Expected = BTreeMap<i32, Vec<Decided>>;
/// By partition, what the oracle takes.
pub(crate) type Steps = BTreeMap<i32, Vec<Step>>;

/// A stage with the streams, and the payments that are sent to it.
pub(crate) struct Payments {
    pub(crate) stage: Stage,
    producer: Producer,
    generator: Generator,
}

impl Payments {
    /// A stage to be, with so many partitions and only the [`LAYERS`] that streams need. Lanes write progress, marks and snapshots
    /// often, because scenarios wait for them.
    pub(crate) fn setup(scenario: &Scenario, count: i32) -> Setup<'_> {
        Stage::of(scenario)
            .catalog(|name| catalog(name, count, RULES, LARGE))
            .partitions(count)
            .running(&LAYERS)
            .set("streams.progress_every", "300ms")
            .set("streams.snapshot_every", "500ms")
            .set("streams.idle_after", "2s")
            .set("streams.retry_backoff", "50ms")
    }

    /// Payments for that stage, which happened before it was ready.
    pub(crate) fn of(stage: Stage, count: i32, mix: Mix) -> Result<Payments> {
        let generator = Generator::new(stage.rng(), stage.now_us / 1_000, count, mix);
        Ok(Payments { producer: stage.producer()?, stage, generator })
    }

    /// [`Payments::setup`] and [`Payments::of`]; nothing where there is only a stand-in for the broker.
    pub(crate) async fn start(scenario: &Scenario, count: i32, mix: Mix) -> Result<Option<Payments>> {
        let stage = Payments::setup(scenario, count).start_on_real_kafka().await?;
        stage.map(|stage| Payments::of(stage, count, mix)).transpose()
    }

    /// The generator of payments, to be told where they go.
    pub(crate) fn generator(&mut self) -> &mut Generator {
        &mut self.generator
    }

    /// Begins to send so many records; [`Payments::flush`] waits for their arrival.
    pub(crate) fn queue(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let Dated { record, timestamp_ms } = self.generator.next_record();
            self.producer.send_at(&record, timestamp_ms)?;
        }
        Ok(())
    }

    /// Waits until all records have arrived. Returns when, in microseconds since 1970.
    pub(crate) fn flush(&self) -> Result<i64> {
        self.producer.flush()
    }

    /// Sends so many records, and waits for their arrival.
    pub(crate) fn send(&mut self, count: usize) -> Result<i64> {
        self.queue(count)?;
        self.flush()
    }

    /// Sends payments without pause until `work` on the stage is done.
    pub(crate) async fn flow_during<T>(&mut self, work: impl AsyncFnOnce(&Stage) -> Result<T>) -> Result<T> {
        let Payments { stage, producer, generator } = self;
        let work = work(&*stage);
        tokio::pin!(work);
        loop {
            for _ in 0..BURST {
                let Dated { record, timestamp_ms } = generator.next_record();
                producer.send_at(&record, timestamp_ms)?;
            }
            tokio::task::block_in_place(|| producer.flush())?;
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Says that topics have gained partitions, among which payments are divided from now on.
    pub(crate) fn has_grown(&mut self, count: i32) -> Result<()> {
        self.reconnect()?;
        self.generator.divide_among(count);
        Ok(())
    }

    /// Sends with another client, which knows nothing of what the broker has lost.
    pub(crate) fn reconnect(&mut self) -> Result<()> {
        self.producer = self.stage.producer()?;
        Ok(())
    }

    /// Starts the speed layer anew, with fail points armed.
    pub(crate) fn launch(&self, fail_points: &str) -> Result<Process> {
        self.stage.deployment.launch(Layer::Speed, fail_points)
    }

    /// Where a stream writes.
    pub(crate) fn stream(&self, kind: Kind) -> Stream {
        let stream = Stream::of(&self.stage.topic, kind.name());
        Stream { is_rekeying: kind.is_rekeying(), has_late: kind.has_late(), ..stream }
    }

    /// The records that a stream reads.
    pub(crate) fn read_by(&self, kind: Kind) -> Result<Vec<Found>> {
        let topic = kind.from().map_or_else(|| self.stage.topic.clone(), |from| self.stream(from).topic);
        read_all(&self.stage.brokers, &topic)
    }

    /// What a stream must have written of all records that its source holds now.
    pub(crate) fn expected(&self, kind: Kind) -> Result<Expected> {
        Ok(decided(kind, &self.steps(kind)?))
    }

    /// The steps of all records that a stream's source holds now.
    fn steps(&self, kind: Kind) -> Result<Steps> {
        steps_of(kind, &self.read_by(kind)?)
    }

    /// Waits until a stream has written what it must, and nothing else.
    pub(crate) async fn is_written(&self, kind: Kind) -> Result<Vec<Written>> {
        self.stream(kind).becomes(&self.stage.brokers, || self.expected(kind)).await
    }

    /// Waits until every stream has. All payments have arrived, so what is decided of them is asked of the oracle once.
    pub(crate) async fn are_written(&self) -> Result<()> {
        let steps = self.steps(Kind::Alerts)?;
        for kind in Kind::ALL {
            if kind.from().is_some() {
                self.is_written(kind).await?;
            } else {
                let expected = decided(kind, &steps);
                self.stream(kind).becomes(&self.stage.brokers, || Ok(expected.clone())).await?;
            }
        }
        Ok(())
    }

    /// What `braid streams` says of each stream.
    pub(crate) async fn standing(&self) -> Result<Vec<Value>> {
        let printed = self.stage.deployment.braid_says(&["streams", "--output", "json"], DEADLINE).await?;
        let begin = printed.find("[\n").with_context(|| format!("no streams: {printed}"))?;
        let streams = Deserializer::from_str(&printed[begin..]).into_iter::<Vec<Value>>().next();
        Ok(streams.with_context(|| format!("no streams: {printed}"))??)
    }

    /// Waits until all that there was for lanes to read is noted as published: no snapshot that was taken before includes more than that. Lanes
    /// that have nothing to write leave a mark for the next ones now and then, so something new is there all the time.
    pub(crate) async fn are_published(&self) -> Result<()> {
        let of_all = |streams: &[Value], name: &str| -> Vec<Option<i64>> {
            let partitions = streams.iter().filter_map(|stream| stream["partitions"].as_array()).flatten();
            partitions.map(|partition| partition[name].as_i64()).collect()
        };
        let ends = of_all(&self.standing().await?, "end");
        ensure!(!ends.is_empty() && ends.iter().all(Option::is_some), "no ends: {ends:?}");
        wait_for("all that was there to be published", DEADLINE, async || {
            let published = of_all(&self.standing().await?, "published");
            let all = published.len() == ends.len() && published.iter().zip(&ends).all(|(to, end)| to >= end);
            Ok(Progress::when(all, format_args!("{published:?} of {ends:?}")))
        })
        .await
    }

    /// Waits until all payments are archived.
    pub(crate) async fn are_archived(&self) -> Result<()> {
        let (store, count) = (self.stage.deployment.store(), self.read_by(Kind::Alerts)?.len());
        wait_for("the payments to be archived", DEADLINE, async || {
            let rows = Archive::read(&store, "payments")?.rows;
            Ok(Progress::when(rows == count, format_args!("{rows} of {count}")))
        })
        .await
    }

    /// [`Payments::are_written`], and then once more when nothing is left that writes.
    pub(crate) async fn end_exactly(&self) -> Result<()> {
        self.are_written().await?;
        self.stage.deployment.kill(Layer::Speed);
        let steps = self.steps(Kind::Alerts)?;
        for kind in Kind::ALL {
            let (stream, brokers) = (self.stream(kind), &self.stage.brokers);
            let written = stream.read(brokers)?;
            // A last mark may have been written that nothing has read.
            if kind.from().is_none() {
                stream.is_exactly(&written, &decided(kind, &steps))?;
            }
        }
        Ok(())
    }
}

/// The steps of a stream's source, of which these are the records.
pub(crate) fn steps_of(kind: Kind, records: &[Found]) -> Result<Steps> {
    let steps = partitions(records)
        .into_iter()
        .map(|partition| Ok((partition, kind.source().steps(of_partition(records, partition))?)));
    steps.collect()
}

/// What a stream must write of its source's steps.
pub(crate) fn decided(kind: Kind, steps: &Steps) -> Expected {
    steps.iter().map(|(partition, steps)| (*partition, kind.decide(steps))).collect()
}

/// A catalog with a source of payments and the streams over it. `rules` are those of the detector, and `large` is the least amount of
/// a payment that is large.
pub(crate) fn catalog(name: &str, partitions: i32, rules: &str, large: i64) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.payments]
topic = "{name}"
partitions = {partitions}
event_id = "id"
event_time = "at"
key = "user_id"
dedup_window = {DEDUP_WINDOW}
[sources.payments.fields]
id = "string"
at = "timestamp"
user_id = "string"
country = "string"
amount = "float"
lat = "float"
lon = "float"

[streams.alerts]
from = "payments"
topic = "{name}-alerts"
key = "user_id"
history = "1h"
lateness = "5m"
[streams.alerts.detect]
{rules}

[streams.spent]
from = "payments"
topic = "{name}-spent"
by = ["user_id"]
window = "1m"
[streams.spent.measures]
payments = "count()"
amount = "sum(amount)"

[streams.trend]
from = "payments"
topic = "{name}-trend"
by = ["user_id"]
window = "5m"
slide = "1m"
lateness = "20s"
[streams.trend.measures]
amount = "avg(amount)"
largest = "max(amount)"
[streams.trend.derived]
twice = "amount * 2"

[streams.visits]
from = "payments"
topic = "{name}-visits"
by = ["user_id"]
session = "2m"
longest = "10m"
[streams.visits.measures]
payments = "count()"
smallest = "min(amount)"
amount = "sum(amount)"
[streams.visits.derived]
mean = "amount / payments"

[streams.large]
from = "payments"
topic = "{name}-large"
where = "amount >= {large}"

[streams.by_country]
from = "payments"
topic = "{name}-by_country"
where = "amount > 1"
key = "country"
[streams.by_country.fields]
country = "country"
payer = "user_id"
amount = "amount"
cents = "amount * 100"

[streams.revenue]
from = "by_country"
topic = "{name}-revenue"
by = ["country"]
window = "1m"
[streams.revenue.measures]
orders = "count()"
cents = "sum(cents)"

[metrics.alerts]
source = "alerts"
by = ["rule"]
grain = "1m"
[metrics.alerts.measures]
alerts = "count()"
"#
    )
}
