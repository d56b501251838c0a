//! What a new version shares with the versions that there are, and what it must not change (K3, K8).
//!
//! A stream whose definition another version has, too, is the same stream: its outputs are a function of the log and of the definition (T1).
//! So it is shared: one topic, one progress, one archive. The hash of a definition covers all that the stream reads, so a stream over a
//! stream that changed has changed itself. Tables are shared in the same way.

use crate::catalog::{Catalog, Changed, KeptBytes, Source};
use crate::contracts::archive::{ColumnsOnly, Facts};
use crate::log::PartitionId;

/// Why a catalog cannot become a version beside those that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// It is of another deployment.
    #[error("the catalog is of the deployment {new}, and this one is {known}: set [pipeline] name = \"{known}\"")]
    OtherDeployment {
        /// The name in the new catalog.
        new: String,
        /// The deployment's name.
        known: String,
    },
    /// It keeps archives where others do not, or the other way round.
    #[error(
        "[pipeline] archive is not what it is in version {0}, and all versions share the archives: make it the same"
    )]
    OtherArchive(String),
    /// A source reads another topic than in another version, and one archive would hold records of both.
    #[error(
        "source {source_name} reads the topic {new}, and {known} in version {version}; versions share the archive of a source: give the source \
         another name, or keep its topic"
    )]
    OtherTopic {
        /// The source.
        source_name: String,
        /// The topic in the new catalog.
        new: String,
        /// The topic that is known.
        known: String,
        /// The version that has it.
        version: String,
    },
    /// A source starts elsewhere in its topic than in another version, and which of them archives it changes with a promotion.
    #[error(
        "source {source_name} has another start than in version {version}, and versions share the archive of a source: keep its start, or give the \
         source another name"
    )]
    OtherStart {
        /// The source.
        source_name: String,
        /// The version that starts elsewhere.
        version: String,
    },
    /// A source is a topic of records in one version, and a stream or a table in another.
    #[error(
        "{source_name} is {new}, and {known} in version {version}, and its archive would be the same: give it another name"
    )]
    OtherKind {
        /// The name.
        source_name: String,
        /// What it is in the new catalog.
        new: &'static str,
        /// What it is.
        known: &'static str,
        /// In which version.
        version: String,
    },
    /// A source is decoded otherwise than in another version, and what either archives has no bytes that the other could decode.
    #[error(
        "source {source_name} is decoded otherwise than in version {version}, and one of both archives no bytes (raw = \"rejected\"), so neither \
         could count what the other archives: keep its fields, format and limits, or set raw = \"all\" in both"
    )]
    NoBytes {
        /// The source.
        source_name: String,
        /// The version that decodes it otherwise.
        version: String,
    },
    /// Two sources of different names read one topic.
    #[error(
        "{new} has the topic {topic}, which {known} has in version {version}: a topic has one source; give it another topic, or the same name"
    )]
    TopicTaken {
        /// The name in the new catalog.
        new: String,
        /// The topic.
        topic: String,
        /// The name that has it.
        known: String,
        /// In which version.
        version: String,
    },
    /// A stream is the same, and is to be written to another topic.
    #[error(
        "stream {stream} decides what it does in version {version}, and has another topic, {new} instead of {known}: keep its topic, or change \
         its name"
    )]
    TopicAlone {
        /// The stream.
        stream: String,
        /// The topic in the new catalog.
        new: String,
        /// The topic that it has.
        known: String,
        /// In which version.
        version: String,
    },
    /// The topic of a changed stream would have a name that Kafka does not take.
    #[error(
        "the topic {topic} of stream {stream} would have more than 249 characters: give the stream a shorter topic, or the version a shorter name"
    )]
    TopicTooLong {
        /// The stream.
        stream: String,
        /// The topic's name.
        topic: String,
    },
}

/// The longest name of a topic that Kafka takes, less what side outputs add.
const TOPIC_MAX: usize = 249 - ".late".len();

/// The generations of what the catalog of a new version does not share with the deployment's first version. `known` are the catalogs of the
/// versions that live, as versions; where several have the same stream, the first of them decides. So the active one comes first, and the
/// others the newest first.
///
/// # Errors
/// All that stands against the version.
pub fn changed(new: &Catalog, known: &[&Catalog], version: &str, first: &str) -> Result<Changed, Vec<Conflict>> {
    let mut conflicts = Vec::new();
    for known in known {
        compare(new, known, &mut conflicts);
        let is_shared = |stream: &str| {
            new.stream_definition(&new.streams[stream]) == known.stream_definition(&known.streams[stream])
        };
        stream_topics(new, known, first, is_shared, &mut conflicts);
    }
    let mut changed = Changed::default();
    for (name, stream) in &new.streams {
        let definition = new.stream_definition(stream);
        let same = |known: &&&Catalog| {
            known.streams.get(name).is_some_and(|known_stream| known.stream_definition(known_stream) == definition)
        };
        let shared = known.iter().find(same);
        let generation = shared.map_or(version, |known| known.deployment.generation(name));
        if generation != first {
            changed.streams.insert(name.clone(), generation.to_owned());
        }
    }
    for (name, table) in &new.tables {
        let definition = new.table_definition(table);
        let same = |known: &&&Catalog| {
            known.tables.get(name).is_some_and(|known_table| known.table_definition(known_table) == definition)
        };
        let shared = known.iter().find(same);
        let generation = shared.map_or(version, |known| known.deployment.table_generation(name));
        if generation != first {
            changed.tables.insert(name.clone(), generation.to_owned());
        }
    }
    let resolved = new.clone().as_version(version, first, &changed);
    topics(new, &resolved, known, &mut conflicts);
    conflicts.dedup();
    if conflicts.is_empty() { Ok(changed) } else { Err(conflicts) }
}

/// What the catalog file must not say beside the other versions that live (K3, K10). It may change in place, but versions share archives and
/// topics by name with it. `file` and `living` are as versions.
pub fn changed_in_place(file: &Catalog, living: &[&Catalog]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for known in living {
        compare(file, known, &mut conflicts);
        let generation = |catalog: &Catalog, stream: &str| catalog.deployment.generation(stream).to_owned();
        let is_shared = |stream: &str| generation(file, stream) == generation(known, stream);
        stream_topics(file, known, &file.deployment.first, is_shared, &mut conflicts);
    }
    taken(file, living, &mut conflicts);
    conflicts
}

/// K3: the sources of a catalog whose archives hold another topic, as a version that is retired had it under that name. What a version that lives
/// has as well is judged by that one. All catalogs are as versions.
pub fn archived_otherwise(new: &Catalog, living: &[&Catalog], retired: &[Catalog]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let is_new =
        |name: &String| new.deployment.keeps_archive && living.iter().all(|one| !one.sources.contains_key(name));
    for (name, source) in new.sources.iter().filter(|(name, _)| is_new(name)) {
        for known in retired {
            let Some(other) = known.sources.get(name) else { continue };
            if new.deployment.archive_name(name) == known.deployment.archive_name(name) {
                conflicts.extend(other_topic(source, other, &known.deployment.version));
            }
        }
    }
    conflicts
}

/// What of a new catalog another one does not allow beside it, but for the topics of streams.
fn compare(new: &Catalog, known: &Catalog, conflicts: &mut Vec<Conflict>) {
    let (of_new, of_known) = (&new.deployment, &known.deployment);
    if of_new.name != of_known.name {
        conflicts.push(Conflict::OtherDeployment { new: of_new.name.clone(), known: of_known.name.clone() });
    }
    let version = || of_known.version.clone();
    if of_new.keeps_archive != of_known.keeps_archive {
        conflicts.push(Conflict::OtherArchive(version()));
    }
    for (name, source) in &new.sources {
        let Some(other) = known.sources.get(name) else { continue };
        if let Some(conflict) = other_topic(source, other, &of_known.version) {
            conflicts.push(conflict);
            continue;
        }
        if !source.is_stream && source.start != other.start {
            conflicts.push(Conflict::OtherStart { source_name: name.clone(), version: version() });
        }
        if of_new.keeps_archive && needs_bytes(source, other) {
            conflicts.push(Conflict::NoBytes { source_name: name.clone(), version: version() });
        }
    }
}

/// Whether one archive would hold something else than in that version.
fn other_topic(new: &Source, known: &Source, version: &str) -> Option<Conflict> {
    let (source_name, version) = (new.name.clone(), version.to_owned());
    if kind(new) != kind(known) {
        let (new, known) = (kind(new), kind(known));
        return Some(Conflict::OtherKind { source_name, new, known, version });
    }
    let is_other = !new.is_stream && new.topic != known.topic;
    is_other.then(|| Conflict::OtherTopic { source_name, new: new.topic.clone(), known: known.topic.clone(), version })
}

/// The streams that are shared, and have another topic.
fn stream_topics(
    new: &Catalog,
    known: &Catalog,
    first: &str,
    is_shared: impl Fn(&str) -> bool,
    conflicts: &mut Vec<Conflict>,
) {
    for (name, stream) in new.streams.iter().filter(|(name, _)| known.streams.contains_key(*name)) {
        let topic = topic_in_file(known, name, first);
        if is_shared(name) && stream.topic != topic {
            let (stream, new, known_topic) = (name.clone(), stream.topic.clone(), topic.to_owned());
            let version = known.deployment.version.clone();
            conflicts.push(Conflict::TopicAlone { stream, new, known: known_topic, version });
        }
    }
}

/// Whether two versions could not read what the other has archived of a source (R11). Which of them archives it changes with a promotion. A stream
/// that is decoded otherwise is another stream, with an archive of its own.
fn needs_bytes(new: &Source, known: &Source) -> bool {
    let keeps_all = |source: &Source| source.kept_bytes == KeptBytes::All;
    !new.is_stream && new.rules() != known.rules() && !(keeps_all(new) && keeps_all(known))
}

/// Topics that are taken, or too long, once the new catalog is a version.
fn topics(new: &Catalog, resolved: &Catalog, known: &[&Catalog], conflicts: &mut Vec<Conflict>) {
    for (name, source) in resolved.sources.iter().filter(|(name, _)| new.streams.contains_key(*name)) {
        if source.topic.len() > TOPIC_MAX {
            conflicts.push(Conflict::TopicTooLong { stream: name.clone(), topic: source.topic.clone() });
        }
    }
    taken(resolved, known, conflicts);
}

/// Topics that a source of another name has.
fn taken(resolved: &Catalog, known: &[&Catalog], conflicts: &mut Vec<Conflict>) {
    for (name, source) in &resolved.sources {
        for known in known {
            let taken = known.sources.values().find(|other| other.topic == source.topic && other.name != *name);
            conflicts.extend(taken.map(|other| Conflict::TopicTaken {
                new: name.clone(),
                topic: source.topic.clone(),
                known: other.name.clone(),
                version: known.deployment.version.clone(),
            }));
        }
    }
}

/// What the file of a version calls the topic of one of its streams.
fn topic_in_file<'a>(known: &'a Catalog, stream: &str, first: &str) -> &'a str {
    let topic = known.streams[stream].topic.as_str();
    let generation = known.deployment.generation(stream);
    if generation == first {
        return topic;
    }
    topic.strip_suffix(generation).and_then(|topic| topic.strip_suffix('.')).unwrap_or(topic)
}

fn kind(source: &Source) -> &'static str {
    match (source.is_stream, source.is_table) {
        (true, _) => "a stream",
        (_, true) => "a table",
        _ => "a source",
    }
}

/// K3: some archived records that the rules of a source cannot decode, because their bytes were not kept (R11); `None` if all can be decoded.
pub fn undecodable(facts: &Facts, source: &Source) -> Option<(PartitionId, ColumnsOnly)> {
    let rules = source.decoding_rules();
    facts.not_decodable(&rules).next().map(|(id, range)| (id, range.clone()))
}

#[cfg(test)]
mod tests;
