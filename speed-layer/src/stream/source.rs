//! What all lanes of one source share.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::kafka::{KafkaError, Topics};
use platform::settings::{self, Streams};
use platform::store::StoreError;
use shared_logic::catalog::{Deployment, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::stream::{Definitions, progress_topic, transactional_id};
use shared_logic::log::PartitionId;
use shared_logic::stream::{LanePlan, Limits};
use shared_logic::stream_topics::WrittenTopic;
use shared_logic::version::DeployedVersions;
use storage::{Archive, Followed, FollowedVersions};
use tokio::sync::{Mutex, OnceCell, watch};

use super::memory::Memory;
use crate::log::ends::Ends;
use crate::log::identity::LogIdentity;
use crate::table::lookup::LookedInto;

/// What all lanes of one source share.
pub struct Shared {
    /// Which versions there are.
    pub versions: FollowedVersions,
    /// The deployment, whose version is the generation of the streams.
    pub deployment: Deployment,
    /// The source that is read.
    pub source: Source,
    /// The streams over it, compiled.
    pub plan: Arc<LanePlan>,
    /// Their definitions.
    pub definitions: Definitions,
    /// The topics that they write.
    pub written: Vec<WrittenTopic>,
    /// The settings of lanes.
    pub settings: Streams,
    /// The memory of all lanes of the process.
    pub memory: Arc<Memory>,
    /// The settings of Kafka.
    pub kafka: settings::Kafka,
    /// Whether the topic is compacted, asked once.
    pub compacted: OnceCell<bool>,
    /// Asks Kafka about topics.
    pub topics: Topics,
    /// Asks for the id of the source's topic (R7).
    pub identity: LogIdentity,
    /// The newest known ends of the assigned partitions.
    pub ends: watch::Receiver<Ends>,
    /// How many partitions topics have of which lanes have to know if they gain some.
    pub partitions: watch::Receiver<BTreeMap<String, i32>>,
    /// The archive of the source.
    pub archive: Mutex<Followed<Facts>>,
    /// The tables that the streams look into, if they do.
    pub looked_into: Option<Arc<LookedInto>>,
}

impl Shared {
    /// The archive of the source at its newest version; `None` before the archiver's first commit.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn archive(&self) -> Result<Option<Archive>, StoreError> {
        let mut archive = self.archive.lock().await;
        Ok(archive.newest().await?.filter(|archive| archive.note().is_some()).cloned())
    }

    /// Whether records may vanish from the middle of the topic.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn is_compacted(&self) -> Result<bool, KafkaError> {
        let ask = || self.topics.is_compacted(&self.source.topic);
        self.compacted.get_or_try_init(ask).await.copied()
    }

    /// The progress topic (T3).
    pub fn progress_topic(&self) -> String {
        progress_topic(&self.deployment, &self.source.name)
    }

    /// The topics that its lanes write to; those for late events whether or not a stream has any.
    pub fn written(&self) -> Vec<String> {
        let streams = self.plan.streams().iter();
        let topics = streams.flat_map(|stream| [stream.topic.clone(), stream.late_topic.clone()]);
        topics.chain([self.progress_topic()]).collect()
    }

    /// The transactional id of a partition's lane.
    pub fn transactional_id(&self, id: &PartitionId) -> String {
        transactional_id(&self.deployment, &self.source.name, id)
    }

    /// The definitions by which lanes of living versions keep snapshots beside the source's archive, those of other generations too (K8).
    pub fn definitions_in_use(&self) -> Vec<Definitions> {
        definitions_in_use(&self.versions.now(), &self.source.name)
    }

    /// How much a lane may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            // At most one micro-batch is given at a time.
            pending_events: self.settings.max_rows,
            // A lane that may take no more is given nothing.
            state_bytes: self.settings.state.as_usize(),
            step_bytes: self.settings.max_transaction.as_usize(),
        }
    }
}

/// Also of a version that is stopped: its lanes go on later.
fn definitions_in_use(versions: &DeployedVersions, source: &str) -> Vec<Definitions> {
    let of_lanes = versions.lanes().into_iter().filter(|unit| unit.source == source);
    let mut in_use: Vec<Definitions> = of_lanes.map(|unit| unit.catalog.definitions_over(source)).collect();
    for (_, catalog) in versions.living() {
        for generation in catalog.generations_over(source) {
            in_use.push(catalog.lanes(source, generation).definitions_over(source));
        }
    }
    in_use
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use shared_logic::version::{Change, Pointer, changed};

    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[streams.few]
from = "s"
where = "n < 5"
[streams.many]
from = "s"
where = "n > 5"
"#;

    #[test]
    fn snapshots_of_every_generation_that_lives_are_in_use() {
        let change = || Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() };
        let text = CATALOG.replace("n < 5", "n < 4");
        let file = Catalog::parse(CATALOG).expect("a valid catalog");
        let second = Catalog::parse(&text).expect("a valid catalog");
        let changed = changed(&second, &[&file], "v2", "v1").expect("no conflict");
        let pointer = Pointer::begin("v1", change()).create("v2", "hash", changed, 4, change()).expect("created");
        let versions = DeployedVersions::resolve(1, pointer, &file, &[("v2".to_owned(), text)].into());
        let in_use = definitions_in_use(&versions.expect("resolved"), "s");
        let few = second.streams["few"].clone();
        let own = Definitions::from([("few".to_owned(), second.stream_definition(&few))]);
        assert!(in_use.contains(&file.definitions_over("s")), "{in_use:?}");
        assert!(in_use.contains(&own), "v2 was not replayed yet, or is stopped: {in_use:?}");
    }
}
