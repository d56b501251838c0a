//! Where every scenario plays: a topic, a Redis and a deployment of the scenario's own.
//!
//! - `setup`: what a scenario may vary of its stage.

mod setup;

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use test_kit::{DEADLINE, Progress, Redis, wait_for};

pub use setup::Setup;

use crate::answer::{Answer, Client};
use crate::archive::Archive;
use crate::deployment::{Deployment, Layer};
use crate::exactness::every_answer_is_exact;
use crate::kafka::{Producer, end_offsets};
use crate::load::{Load, Stopped};
use crate::observer::{Besides, Observer};
use crate::oracle::{EVER, Oracle};
use crate::s3::S3;
use crate::scenario::Scenario;
use crate::traffic::Traffic;
use crate::views::{METRIC, Mix, Views};

/// The layers that run all the time. A scenario reconciles when it wants to.
pub const LAYERS: [Layer; 3] = [Layer::Archive, Layer::Speed, Layer::Serving];
/// What a layer prints when it had to start anew.
const TROUBLES: [&str; 5] = ["was not applied", "a plan failed", "panicked", "archiving stopped", "ERROR"];

/// A topic and the deployment that counts it.
pub struct Stage {
    /// The topic, which is also the deployment's name.
    pub topic: String,
    /// The cluster's addresses.
    pub brokers: String,
    /// The catalog's text.
    pub catalog: String,
    /// The speed view's server.
    pub redis: Redis,
    /// What the tables lie on, unless that is local disk.
    pub s3: Option<S3>,
    /// The layers.
    pub deployment: Deployment,
    /// When the stage was ready, in microseconds since 1970; what its traffic is about happened before.
    pub now_us: i64,
    rng: RefCell<StdRng>,
}

impl Stage {
    /// A stage to be, on which every scenario says what it needs.
    pub fn of(scenario: &Scenario) -> Setup<'_> {
        Setup::new(scenario)
    }

    /// Asks the serving layer.
    pub fn client(&self) -> Result<Client> {
        self.deployment.client()
    }

    /// A producer for the topic.
    pub fn producer(&self) -> Result<Producer> {
        Producer::new(&self.brokers, &self.topic)
    }

    /// A source of randomness that the scenario's seed decides. Each call gives another.
    pub fn rng(&self) -> StdRng {
        StdRng::from_rng(&mut *self.rng.borrow_mut())
    }

    /// Views of so many videos.
    pub fn views(&self, videos: u32, mix: Mix) -> Views {
        Views::new(self.rng(), self.now_us, videos, mix)
    }

    /// Views of so many videos, sent when the scenario says so.
    pub fn traffic(&self, videos: u32, mix: Mix) -> Result<Traffic> {
        Ok(Traffic::new(self.producer()?, self.views(videos, mix)))
    }

    /// Views of so many videos that flow from now on.
    pub fn load(&self, videos: u32, mix: Mix) -> Result<Load> {
        Ok(Load::start(self.producer()?, self.views(videos, mix)))
    }

    /// Another deployment on the same parts, see [`Deployment::beside`].
    pub fn beside(&self, folder: &str, catalog: &str) -> Result<Deployment> {
        self.deployment.beside(folder, catalog)
    }

    /// A second archiver of the same archive. It runs until it is dropped.
    pub async fn second_archiver(&self) -> Result<Deployment> {
        let second = self.beside("second-archiver", &self.catalog)?;
        second.start(Layer::Archive).await?;
        Ok(second)
    }

    /// The total over everything, complete and missing nothing that arrived before `moment`; see [`Client::total_as_of`].
    pub async fn total_as_of(&self, moment: i64) -> Result<Answer> {
        self.client()?.total_as_of(moment, METRIC, &[]).await
    }

    /// The total over everything once it comes from the batch layer alone.
    pub async fn authoritative_total(&self) -> Result<Answer> {
        self.client()?.authoritative_total(METRIC, &[]).await
    }

    /// Waits until so many more records of the load have arrived and are in a complete total over everything.
    pub async fn counts_more(&self, load: &Load, more: usize) -> Result<Answer> {
        let arrived = load.arrive(more).await?;
        self.total_as_of(arrived).await
    }

    /// Asks for the total over everything until `enough`; every answer is held to the load's bounds.
    pub async fn poll(
        &self,
        load: &Load,
        what: &str,
        mut enough: impl AsyncFnMut(&Answer) -> Result<bool>,
    ) -> Result<()> {
        let client = self.client()?;
        wait_for(what, DEADLINE, async || {
            let answer = client.total(METRIC, &[]).await?;
            load.check(&answer)?;
            Ok(Progress::when(enough(&answer).await?, format_args!("{answer:?}")))
        })
        .await
    }

    /// Every answer is complete and exactly `expected`.
    pub async fn is_exact(&self, expected: &Oracle) -> Result<()> {
        every_answer_is_exact(&self.client()?, expected, self.now_us).await
    }

    /// Reconciles; then everything comes from the batch view, and the total is exactly `expected`.
    pub async fn reconciled_is(&self, expected: &Oracle) -> Result<()> {
        self.deployment.reconcile().await?;
        let answer = self.authoritative_total().await?;
        let expected = expected.total(None, EVER);
        ensure!(answer.counts()? == expected, "expected {expected:?}: {answer:?}");
        Ok(())
    }

    /// Every answer is exactly `expected`, as the layers have counted it by now and after a reconcile.
    pub async fn stays_exact(&self, expected: &Oracle) -> Result<()> {
        self.is_exact(expected).await.context("before the reconcile")?;
        self.reconciled_is(expected).await?;
        self.is_exact(expected).await.context("after the reconcile")
    }

    /// Stops the load; then every answer is exactly what was sent, and stays so after a reconcile.
    pub async fn ends_exactly(&self, load: Load) -> Result<Stopped> {
        let stopped = load.stop().await?;
        self.total_as_of(stopped.arrived_us).await?;
        self.stays_exact(&stopped.oracle).await?;
        Ok(stopped)
    }

    /// Waits until everything that has arrived is archived.
    pub async fn archived(&self) -> Result<()> {
        self.until_each_partition("archived to its end", |row| row["archive_lag"] == 0).await
    }

    /// Waits until the shard of each partition has counted up to the cut, or beyond it. A reconcile before that finds no slice to which it
    /// could move the cut, and answers stay incomplete until the next one.
    pub async fn counted_to_the_cuts(&self) -> Result<()> {
        let is_so = |row: &Value| row["cursor"].as_i64().is_some_and(|at| Some(at) >= row["cuts"][METRIC].as_i64());
        self.until_each_partition("counted up to its cut", is_so).await
    }

    /// The archive holds each offset of the topic exactly once. Returns it.
    pub fn archive_is_whole(&self) -> Result<Archive> {
        if let Some(s3) = &self.s3 {
            s3.show()?;
        }
        let archive = Archive::read(&self.deployment.store(), METRIC)?;
        archive.holds_each_offset_once(&end_offsets(&self.brokers, &self.topic)?)?;
        Ok(archive)
    }

    /// Another engine finds in the tables, as they are in the end, what was sent, offset by offset and sum by sum. Nothing is looked at where
    /// none can be had.
    pub async fn second_observer_agrees(&self, scenario: &Scenario, besides: Besides, oracle: &Oracle) -> Result<()> {
        let Some(observer) = Observer::at_the_end(scenario)? else { return Ok(()) };
        if let Some(s3) = &self.s3 {
            s3.show()?;
        }
        let seen = observer.look(&self.deployment).await?;
        seen.agrees(&end_offsets(&self.brokers, &self.topic)?, besides, oracle).context("a second observer")
    }

    /// Every partition's cut is where the log ends, past transaction markers and aborted records.
    pub async fn cuts_are_at_the_ends(&self) -> Result<()> {
        let (rows, ends) = (self.partitions().await?, end_offsets(&self.brokers, &self.topic)?);
        ensure!(rows.len() == ends.len(), "{} partitions: {rows:?}", ends.len());
        for (row, end) in rows.iter().zip(ends) {
            ensure!(row["cuts"][METRIC] == end && row["next"] == end, "the log ends at {end}: {row}");
        }
        Ok(())
    }

    /// Waits until what `/v1/status` says of each partition is as wanted.
    pub async fn until_each_partition(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        wait_for(&format!("each partition to be {what}"), DEADLINE, async || {
            let rows = self.partitions().await?;
            Ok(Progress::when(!rows.is_empty() && rows.iter().all(&is_so), format_args!("{rows:?}")))
        })
        .await
    }

    /// What `/v1/status` says of each partition.
    pub async fn partitions(&self) -> Result<Vec<Value>> {
        self.status().await?["partitions"].as_array().cloned().context("no partitions in the status")
    }

    /// What `/v1/status` says of the source.
    pub async fn status(&self) -> Result<Value> {
        let (code, status) = self.client()?.get("/v1/status", &[]).await?;
        ensure!(code == 200, "{code}: {status}");
        Ok(status["sources"][0].clone())
    }

    /// None of the [`LAYERS`] has ended, and none had to start anew.
    pub fn ran_without_trouble(&self) -> Result<()> {
        for layer in LAYERS {
            let process = self.deployment.process(layer)?;
            ensure!(process.ended()?.is_none(), "{layer:?} ended");
            let output = process.output()?;
            let trouble = TROUBLES.iter().find(|trouble| output.contains(**trouble));
            ensure!(trouble.is_none(), "{layer:?} printed {trouble:?}");
        }
        Ok(())
    }
}
