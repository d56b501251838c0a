//! How a scenario's stage is set up.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::Result;
use test_kit::{Durability, Redis};

use super::{LAYERS, Stage};
use crate::deployment::{Deployment, Layer};
use crate::kafka::{Kafka, create_topic};
use crate::s3::S3;
use crate::scenario::{Scenario, now_us};
use crate::views::{CatalogOptions, catalog};

/// What a deployment looks at often, because scenarios wait for it: commits, new views, and changes of topic and group.
const IMPATIENT: [(&str, &str); 4] = [
    ("archive.linger", "500ms"),
    ("archive.discover_every", "500ms"),
    ("serving.refresh", "200ms"),
    ("kafka.session_timeout", "1s"),
];

/// A stage to be, made by [`Stage::of`]: unless told otherwise, the sample catalog, one topic of four partitions, a Redis that
/// keeps nothing, and the [`LAYERS`].
pub struct Setup<'a> {
    scenario: &'a Scenario,
    name: String,
    catalog: String,
    /// By the ending that its name has after the stage's.
    topics: BTreeMap<String, Topic<'a>>,
    durability: Durability,
    /// Of a key that is named twice, the last value holds.
    settings: Vec<(&'a str, &'a str)>,
    layers: Option<&'a [Layer]>,
    is_on_s3: bool,
}

struct Topic<'a> {
    partitions: i32,
    settings: &'a [(&'a str, &'a str)],
}

impl<'a> Setup<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Setup<'a> {
        let name = scenario.unique_name();
        Setup {
            scenario,
            catalog: catalog(&CatalogOptions::of(&name)),
            name,
            topics: BTreeMap::new(),
            durability: Durability::None,
            settings: IMPATIENT.to_vec(),
            layers: Some(&LAYERS),
            is_on_s3: false,
        }
    }

    /// With another catalog, made from the stage's name.
    pub fn catalog(self, text: impl FnOnce(&str) -> String) -> Setup<'a> {
        Setup { catalog: text(&self.name), ..self }
    }

    /// With so many partitions of the topic.
    pub fn partitions(self, partitions: i32) -> Setup<'a> {
        self.topic("", partitions, &[])
    }

    /// With a topic that is named by the stage's name and this ending. A topic with settings needs the real broker.
    pub fn topic(mut self, ending: &str, partitions: i32, settings: &'a [(&'a str, &'a str)]) -> Setup<'a> {
        self.topics.insert(ending.to_owned(), Topic { partitions, settings });
        self
    }

    /// With its tables on S3 instead of in a folder.
    pub fn on_s3(self) -> Setup<'a> {
        Setup { is_on_s3: true, ..self }
    }

    /// With a Redis that keeps its data.
    pub fn durability(self, durability: Durability) -> Setup<'a> {
        Setup { durability, ..self }
    }

    /// With a setting, `section.key`, of every process.
    pub fn set(mut self, key: &'a str, value: &'a str) -> Setup<'a> {
        self.settings.push((key, value));
        self
    }

    /// Where no process of a group is killed: members that the machine lets wait for seconds keep their partitions.
    pub fn without_kills(self) -> Setup<'a> {
        self.set("kafka.session_timeout", "10s")
    }

    /// With the settings that users get, not those that scenarios wait for.
    pub fn as_users_get_it(mut self) -> Setup<'a> {
        self.settings.retain(|setting| !IMPATIENT.contains(setting));
        self
    }

    /// With only these layers running.
    pub fn running(self, layers: &'a [Layer]) -> Setup<'a> {
        Setup { layers: Some(layers), ..self }
    }

    /// With nothing running: not even `batch-layer init` has run.
    pub fn not_started(self) -> Setup<'a> {
        Setup { layers: None, ..self }
    }

    /// Sets the stage up on the cluster that all scenarios share.
    pub async fn start(self) -> Result<Stage> {
        let kafka = Kafka::shared().await?;
        for (topic, Topic { partitions, settings }) in self.topics() {
            kafka.create_topic(&topic, *partitions, settings).await?;
        }
        self.build(&kafka.brokers()).await
    }

    /// The same, if that cluster is the real broker; where it is only a stand-in, a notice says that the scenario did not run.
    pub async fn start_on_real_kafka(self) -> Result<Option<Stage>> {
        match Kafka::shared_real(self.scenario.name()).await? {
            Some(brokers) => self.start_on(&brokers).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sets the stage up on a real broker of the scenario's own.
    pub async fn start_on(self, brokers: &str) -> Result<Stage> {
        for (topic, Topic { partitions, settings }) in self.topics() {
            create_topic(brokers, &topic, *partitions, settings).await?;
        }
        self.build(brokers).await
    }

    fn topics(&self) -> Vec<(String, &Topic<'a>)> {
        match self.topics.is_empty() {
            true => vec![(self.name.clone(), &Topic { partitions: 4, settings: &[] })],
            false => self.topics.iter().map(|(ending, topic)| (format!("{}{ending}", self.name), topic)).collect(),
        }
    }

    async fn build(self, brokers: &str) -> Result<Stage> {
        // A scenario may have several stages.
        let folder = self.scenario.dir().join(&self.name);
        let redis = Redis::start_in(&folder.join("redis"), self.durability).await?;
        let mut deployment = Deployment::new(&folder.join("braid"), &self.catalog, brokers, &redis.url())?;
        let s3 = if self.is_on_s3 { Some(S3::start(&folder.join("s3")).await?) } else { None };
        if let Some(s3) = &s3 {
            deployment.lie_on(&s3.settings(), s3.tables());
        }
        self.settings.iter().for_each(|(key, value)| deployment.set(key, value));
        if let Some(layers) = self.layers {
            deployment.start_all(layers).await?;
        }
        Ok(Stage {
            topic: self.name,
            brokers: brokers.to_owned(),
            catalog: self.catalog,
            redis,
            s3,
            deployment,
            now_us: now_us(),
            rng: RefCell::new(self.scenario.rng()),
        })
    }
}
