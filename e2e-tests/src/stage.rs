//! Where most scenarios play: a topic, a Redis and a deployment of the sample metric of the scenario's own.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::answer::Client;
use crate::deployment::{Deployment, Layer};
use crate::exactness::every_answer_is_exact;
use crate::kafka::{Kafka, create_topic};
use crate::load::Load;
use crate::oracle::{Counts, EVER, Oracle};
use crate::redis::{Durability, Redis};
use crate::scenario::Scenario;
use crate::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, NEVER, catalog};
use crate::wait::{DEADLINE, Look, wait_for};

/// The layers that run all the time; reconciles are the scenario's own.
pub const LAYERS: [Layer; 3] = [Layer::Archive, Layer::Speed, Layer::Serving];

/// A topic and what counts it.
pub struct Stage {
    /// The topic, which is also the deployment's name.
    pub topic: String,
    /// The cluster's addresses.
    pub brokers: String,
    /// The speed view's server.
    pub redis: Redis,
    /// The layers.
    pub deployment: Deployment,
}

impl Stage {
    /// A stage with an empty Redis and nothing running yet; the topic does not exist either.
    ///
    /// # Errors
    /// If Redis does not come up.
    pub async fn new(scenario: &Scenario, brokers: &str) -> Result<Stage> {
        let topic = scenario.unique_name();
        let options =
            CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
        Stage::with_catalog(scenario, brokers, &topic, &catalog(&options)).await
    }

    /// The same with another catalog.
    ///
    /// # Errors
    /// If Redis does not come up.
    pub async fn with_catalog(scenario: &Scenario, brokers: &str, topic: &str, catalog: &str) -> Result<Stage> {
        // A scenario may have several.
        let dir = scenario.dir().join(topic);
        let redis = Redis::start(&dir.join("redis"), Durability::None).await?;
        let mut deployment = Deployment::new(&dir.join("braid"), catalog, brokers, &redis.url())?;
        // Scenarios wait for what archiver and group members find out by asking now and then.
        deployment.set("archive.discover_every", "500ms");
        deployment.set("kafka.session_timeout", "1s");
        Ok(Stage { topic: topic.to_owned(), brokers: brokers.to_owned(), redis, deployment })
    }

    /// A stage whose topic exists on the shared broker and whose layers run; nothing where only the broker's stand-in can be
    /// had, which is noted.
    ///
    /// # Errors
    /// If something does not come up.
    pub async fn on_real_kafka(scenario: &Scenario, partitions: i32) -> Result<Option<Stage>> {
        let Some(brokers) = Kafka::shared_real(scenario.name()).await? else { return Ok(None) };
        let stage = Stage::new(scenario, &brokers).await?;
        create_topic(&brokers, &stage.topic, partitions).await?;
        stage.deployment.start_all(&LAYERS).await?;
        Ok(Some(stage))
    }

    /// Asks the serving layer.
    ///
    /// # Errors
    /// If it was not started.
    pub fn client(&self) -> Result<Client> {
        self.deployment.client()
    }

    /// Asks for the total over everything until `enough`; every answer is held to the load's bounds.
    ///
    /// # Errors
    /// If an answer breaks them, or at the deadline.
    pub async fn poll(
        &self,
        load: &Load,
        what: &str,
        mut enough: impl AsyncFnMut(&crate::Answer) -> Result<bool>,
    ) -> Result<()> {
        let client = self.client()?;
        wait_for(what, DEADLINE, async || {
            let answer = client.total(METRIC, &[]).await?;
            load.check(&answer)?;
            Ok(if enough(&answer).await? { Look::Done(()) } else { Look::NotYet(format!("{answer:?}")) })
        })
        .await
    }

    /// Reconciles; then everything comes from the batch view, and is exactly `expected`.
    ///
    /// # Errors
    /// If it is not.
    pub async fn reconciled_is(&self, expected: &Oracle) -> Result<()> {
        self.deployment.reconcile().await?;
        let answer = self.client()?.authoritative_total(METRIC, &[]).await?;
        let counts = Counts { views: answer.int("views")?, dwell_ms: answer.int("dwell_ms")? };
        ensure!(counts == expected.total(None, EVER), "expected {:?}: {answer:?}", expected.total(None, EVER));
        Ok(())
    }

    /// Every answer is exactly `expected` as the layers have counted it by now, and still after a reconcile. `now_us` is the
    /// moment before which the events happened.
    ///
    /// # Errors
    /// The first answer that is incomplete or wrong.
    pub async fn stays_exact(&self, expected: &Oracle, now_us: i64) -> Result<()> {
        every_answer_is_exact(&self.client()?, expected, now_us).await.context("before the reconcile")?;
        self.reconciled_is(expected).await?;
        every_answer_is_exact(&self.client()?, expected, now_us).await.context("after the reconcile")
    }

    /// Waits until everything that has arrived is archived.
    ///
    /// # Errors
    /// At the deadline.
    pub async fn archived(&self) -> Result<()> {
        wait_for("everything to be archived", DEADLINE, async || {
            let status = self.status().await?;
            let rows = status["partitions"].as_array().context("no partitions")?;
            let done = !rows.is_empty() && rows.iter().all(|row| row["archive_lag"] == 0);
            Ok(if done { Look::Done(()) } else { Look::NotYet(status.to_string()) })
        })
        .await
    }

    /// What `/v1/status` says of the source.
    ///
    /// # Errors
    /// If there is no such answer.
    pub async fn status(&self) -> Result<Value> {
        let (code, status) = self.client()?.get("/v1/status", &[]).await?;
        ensure!(code == 200, "{code}: {status}");
        Ok(status["sources"][0].clone())
    }
}
