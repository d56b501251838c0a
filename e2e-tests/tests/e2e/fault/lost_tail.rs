//! The broker goes back to an older copy of its folder: the topics keep their ids, leader epochs count again, and other records
//! get the offsets of those that are lost (R12).
//!
//! Three deployments share the broker, each with a topic of its own. Of the first, all processes were open all the time. The
//! archiver of the second and the worker of the third were away when the lost records arrived, and start afresh at the end.
//! Each topic has a partition that grows again below what was read before it grows beyond, one that grows beyond at once, one
//! that lost nothing, and one that stays short, until an operator gives up what was read of it.

use anyhow::{Result, ensure};
use e2e_tests::kafka::Broker;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Sent};
use e2e_tests::watch::prints_again;
use e2e_tests::{Kafka, Layer, Scenario, Stage, Traffic, busy_scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

const PARTITIONS: usize = 4;
/// How many records of each partition are kept, …
const KEPT: [usize; PARTITIONS] = [100, 100, 100, 100];
/// … how many are lost, …
const LOST: [usize; PARTITIONS] = [60, 60, 0, 60];
/// … and how many arrive afterwards: first too few to reach what was read of the first partition, then more.
const REGROWN: [[usize; PARTITIONS]; 2] = [[40, 90, 20, 0], [40, 0, 0, 0]];
const BEYOND: &str = "lies beyond the log's end";

#[test]
fn lost_tail() {
    busy_scenario("lost_tail", async |scenario| {
        let times = repetitions(1, 20);
        let folder = scenario.dir().join("kafka");
        let Some(mut broker) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        let mut cases = Vec::new();
        for away in [None, Some(Layer::Archive), Some(Layer::Speed)] {
            cases.push(Case::start(scenario, &broker, away, times).await?);
        }
        broker.stop().await?;
        broker.keep_copy("older")?;
        broker.restart().await?;
        for case in &mut cases {
            case.reads_what_will_be_lost().await?;
        }
        broker.stop().await?;
        broker.keep_copy("newer")?;
        back_to(&mut broker, "older").await?;
        for case in &cases {
            case.waits().await?;
        }
        broker.stop().await?;
        back_to(&mut broker, "newer").await?;
        for case in &cases {
            case.goes_on().await?;
        }
        broker.stop().await?;
        back_to(&mut broker, "older").await?;
        for case in &mut cases {
            case.grows_again().await?;
            case.gives_up().await?;
        }
        for case in &mut cases {
            case.ends_exactly().await?;
        }
        Ok(())
    });
}

async fn back_to(broker: &mut Broker, copy: &str) -> Result<()> {
    broker.go_back_to(copy)?;
    broker.restart().await
}

/// One deployment.
struct Case {
    stage: Stage,
    traffic: Traffic,
    /// The layer that is not there when the records arrive that are lost later.
    away: Option<Layer>,
    /// How many times as many records there are.
    times: usize,
    /// When the last record had arrived.
    arrived: i64,
}

impl Case {
    async fn start(scenario: &Scenario, broker: &Broker, away: Option<Layer>, times: usize) -> Result<Case> {
        let stage = Stage::of(scenario).partitions(PARTITIONS as i32).start_on(&broker.brokers()).await?;
        let traffic = stage.traffic(50, Mix::NO_COPIES)?;
        let mut case = Case { stage, traffic, away, times, arrived: 0 };
        let kept = case.batch(KEPT);
        case.arrived = case.traffic.send_these(&kept)?;
        case.stage.total_as_of(case.arrived).await?;
        case.stage.deployment.reconcile().await?;
        case.stage.authoritative_total().await?;
        Ok(case)
    }

    /// So many records of each partition.
    fn batch(&mut self, counts: [usize; PARTITIONS]) -> Vec<Sent> {
        let mut all = Vec::new();
        for (partition, count) in (0..).zip(counts) {
            let mut sent = self.traffic.views.batch(count * self.times);
            sent.iter_mut().for_each(|sent| sent.record.partition = Some(partition));
            all.extend(sent);
        }
        all
    }

    fn is_there(&self, layer: Layer) -> bool {
        self.away != Some(layer)
    }

    /// More records arrive and are read by those layers that are there.
    async fn reads_what_will_be_lost(&mut self) -> Result<()> {
        self.away.iter().for_each(|layer| self.stage.deployment.kill(*layer));
        self.traffic.producer = self.stage.producer()?;
        let lost = self.batch(LOST);
        // What was archived counts, whatever becomes of the log.
        self.arrived = match self.is_there(Layer::Archive) {
            true => self.traffic.send_these(&lost)?,
            false => self.traffic.deliver(&lost)?,
        };
        if self.is_there(Layer::Speed) {
            self.stage.total_as_of(self.arrived).await?;
        }
        if self.is_there(Layer::Archive) {
            self.stage.archived().await?;
        }
        Ok(())
    }

    /// The log ends below what was read of it: every layer says so and waits.
    async fn waits(&self) -> Result<()> {
        for layer in [Layer::Archive, Layer::Speed].into_iter().filter(|layer| self.is_there(*layer)) {
            prints_again(&self.stage.deployment.process(layer)?, BEYOND, 0).await?;
        }
        self.has_incarnations(0).await
    }

    /// The log is whole again: nothing was lost, and nothing is read twice.
    async fn goes_on(&self) -> Result<()> {
        if self.away.is_none() {
            let answer = self.stage.total_as_of(now_us()).await?;
            ensure!(answer.counts()? == self.traffic.oracle.total(None, EVER), "after a short end: {answer:?}");
            self.stage.archived().await?;
            self.stage.archive_is_whole()?;
        }
        self.has_incarnations(0).await
    }

    /// Other records arrive at the offsets of those that are lost. Then the layer that was away starts.
    async fn grows_again(&mut self) -> Result<()> {
        self.traffic.producer = self.stage.producer()?;
        for counts in REGROWN {
            let sent = self.batch(counts);
            self.arrived = self.traffic.send_these(&sent)?;
        }
        if let Some(layer) = self.away {
            self.stage.deployment.start(layer).await?;
        }
        Ok(())
    }

    /// Nothing proves that the last partition lost its tail, since it gets no more records. So an operator says it.
    async fn gives_up(&self) -> Result<()> {
        let said = self.stage.deployment.give_up().await?;
        let positions: Vec<&str> = said.lines().filter(|line| line.contains("and its log ends at")).collect();
        let are_of_last = positions.iter().all(|line| line.contains("/3 was "));
        let expected = if self.away.is_none() { 2 } else { 1 };
        ensure!(are_of_last && positions.len() == expected, "{:?} was away: {said}", self.away);
        Ok(())
    }

    /// Reconciles find out what was lost. What is complete is exact.
    async fn ends_exactly(&mut self) -> Result<()> {
        wait_for("the lost tails to be found", DEADLINE, async || {
            self.stage.deployment.reconcile().await?;
            let found = self.incarnations().await?;
            Ok(Progress::when(found == 3, format_args!("{found} other incarnations")))
        })
        .await?;
        let is_read = |row: &Value| row["closed"] == true || (row["speed_lag"] == 0 && row["archive_lag"] == 0);
        self.stage.until_each_partition("counted and archived to its end", is_read).await?;
        self.stage.deployment.reconcile().await?;
        if !self.is_there(Layer::Archive) {
            // Speed had counted them, and they are nowhere else.
            self.stage.client()?.total_with_gap(METRIC, "lost").await?;
            self.stage.deployment.accept_losses().await?;
        }
        let answer = self.stage.total_as_of(self.arrived).await?;
        let expected = self.traffic.oracle.total(None, EVER);
        ensure!(answer.counts()? == expected, "{:?} was away, expected {expected:?}: {answer:?}", self.away);
        self.stage.is_exact(&self.traffic.oracle).await?;
        self.stage.reconciled_is(&self.traffic.oracle).await?;
        // And it goes on.
        let more = self.batch([10; PARTITIONS]);
        let arrived = self.traffic.send_these(&more)?;
        self.stage.total_as_of(arrived).await?;
        self.stage.stays_exact(&self.traffic.oracle).await
    }

    /// How many partitions go on as another incarnation.
    async fn incarnations(&self) -> Result<usize> {
        let rows = self.stage.partitions().await?;
        let is_other =
            |row: &&Value| row["closed"] == false && row["log"].as_str().is_some_and(|log| log.contains('.'));
        Ok(rows.iter().filter(is_other).count())
    }

    async fn has_incarnations(&self, expected: usize) -> Result<()> {
        let found = self.incarnations().await?;
        ensure!(
            found == expected,
            "{found} other incarnations instead of {expected}: {:?}",
            self.stage.partitions().await?
        );
        Ok(())
    }
}
