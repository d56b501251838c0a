//! A catalog as one version of its deployment (K2, K8).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::deployment::of_generation;
use super::{Catalog, DefinitionHash, Deployment};

/// The generations of what a version does not share with the first one, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changed {
    /// Of streams.
    pub streams: BTreeMap<String, String>,
    /// Of tables.
    pub tables: BTreeMap<String, String>,
}

impl Catalog {
    /// This catalog as that version of the deployment whose first version is `first`. Streams of other generations than that get topics of
    /// their own. What its file says of a version is left out of account.
    pub fn as_version(mut self, version: &str, first: &str, changed: &Changed) -> Catalog {
        for (name, generation) in &changed.streams {
            let Some(stream) = self.streams.get_mut(name) else { continue };
            stream.topic = of_generation(&stream.topic, generation, first).into_owned();
            if let Some(source) = self.sources.get_mut(name) {
                source.topic.clone_from(&stream.topic);
            }
        }
        self.deployment = Deployment {
            version: version.to_owned(),
            first: first.to_owned(),
            changed_streams: changed.streams.clone(),
            changed_tables: changed.tables.clone(),
            ..self.deployment
        };
        self
    }

    /// The generations of the streams that read a source.
    pub fn generations_over(&self, source: &str) -> BTreeSet<&str> {
        self.streams_of(source).map(|stream| self.deployment.generation(&stream.name)).collect()
    }

    /// What lanes over a source are run by, and what is read of their progress (T3): this catalog with the streams of one generation over that
    /// source and no others. Its version is the generation, after which lanes, their progress and their outputs are called.
    pub fn lanes(&self, source: &str, generation: &str) -> Catalog {
        let mut lanes = self.clone();
        lanes.streams.retain(|name, stream| stream.from == source && self.deployment.generation(name) == generation);
        generation.clone_into(&mut lanes.deployment.version);
        lanes
    }

    /// The definitions of the streams over a source, by their names. Of the catalog of lanes they name the lanes' snapshots (T2).
    pub fn definitions_over(&self, source: &str) -> BTreeMap<String, DefinitionHash> {
        self.streams_of(source).map(|stream| (stream.name.clone(), self.stream_definition(stream))).collect()
    }
}

#[cfg(test)]
mod tests {
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
topic = "crowd"
where = "n > 5"
[streams.most]
from = "many"
where = "n > 50"
"#;

    fn version(changed: &[(&str, &str)]) -> Catalog {
        let streams = changed.iter().map(|(name, generation)| ((*name).to_owned(), (*generation).to_owned()));
        let changed = Changed { streams: streams.collect(), tables: BTreeMap::new() };
        Catalog::parse(CATALOG).expect("a valid catalog").as_version("v3", "v1", &changed)
    }

    #[test]
    fn a_stream_that_changed_has_a_topic_of_its_own_and_no_other_definition() {
        let (alone, third) = (Catalog::parse(CATALOG).expect("valid"), version(&[("many", "v2"), ("most", "v3")]));
        let topic = |name: &str| (third.streams[name].topic.as_str(), third.sources[name].topic.as_str());
        assert_eq!(
            (topic("few"), topic("many"), topic("most")),
            (("few", "few"), ("crowd.v2", "crowd.v2"), ("most.v3", "most.v3"))
        );
        assert_eq!(third.streams["many"].late_topic(), "crowd.v2.late");
        for (name, stream) in &alone.streams {
            assert_eq!(alone.stream_definition(stream), third.stream_definition(&third.streams[name]), "{name}");
        }
        assert_eq!((third.deployment.version.as_str(), third.deployment.first.as_str()), ("v3", "v1"));
    }

    #[test]
    fn lanes_have_the_streams_of_one_generation_over_one_source() {
        let third = version(&[("many", "v2"), ("most", "v3")]);
        assert_eq!(third.generations_over("s").into_iter().collect::<Vec<_>>(), ["v1", "v2"]);
        let lanes = |source, generation| {
            let lanes = third.lanes(source, generation);
            let names: Vec<String> = lanes.streams.keys().cloned().collect();
            (names.join(" "), lanes.deployment.version, lanes.sources.len())
        };
        assert_eq!(lanes("s", "v1"), ("few".to_owned(), "v1".to_owned(), 4));
        assert_eq!(lanes("s", "v2"), ("many".to_owned(), "v2".to_owned(), 4));
        assert_eq!(lanes("many", "v3"), ("most".to_owned(), "v3".to_owned(), 4));
        assert_eq!(third.lanes("s", "v2").deployment.archive_name("many"), "many.v2", "archives are where they are");
    }
}
