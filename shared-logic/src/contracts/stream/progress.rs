//! The progress topic (T3): per partition of a source, how far each stream was published.
//!
//! It has one partition for each of the source's, and is compacted, so of each key the newest record is kept for ever. A stream's
//! position is written in the same transaction as the outputs before it. Nothing else says how far a stream was published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{DefinitionHash, Deployment};
use crate::log::{PartitionId, Witness};
use crate::stream::{Fronts, OutputPosition};

/// How far a stream was published in one partition: the value of the record with its name as key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The log that the stream's source has, with its incarnation.
    pub log: String,
    /// Behind the last output that was published.
    pub position: OutputPosition,
    /// The fronts before the record at that offset.
    pub fronts: Fronts,
    /// The definition that the outputs before were decided by.
    pub definition: DefinitionHash,
    /// R12: an offset at or before that of the position, and the last record before it. There a lane that goes on compares the log
    /// with what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// T8: whether the outputs just before were decided from an incomplete past.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// T10: the stream that fills the memory of lanes, if the lane has stopped reading since there is no room for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
}

/// R12: what tells that a log is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// An offset.
    pub offset: i64,
    /// The last record before it.
    pub witness: Witness,
}

impl Published {
    /// The record's value.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("what is noted is plain data")
    }

    /// What a value says; `None` if no lane has written it.
    pub fn of(bytes: &[u8]) -> Option<Published> {
        serde_json::from_slice(bytes).ok()
    }
}

/// T13: from an offset on, a stream is decided by a definition: it begins there, was added, or has changed in place. The value of a
/// record with a key of its own, so that compaction keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The log.
    pub log: String,
    /// The first offset that is decided by the new definition.
    pub offset: i64,
    /// The definition before; `None` if the stream begins there or was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DefinitionHash>,
    /// The definition from there on.
    pub to: DefinitionHash,
    /// The fronts before that offset.
    pub fronts: Fronts,
}

impl Changed {
    /// The record's value.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("what is noted is plain data")
    }

    /// What a value says; `None` if no lane has written it.
    pub fn of(bytes: &[u8]) -> Option<Changed> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What a partition of the progress topic says: of each key the newest record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgressNoted {
    /// How far each stream was published, by its name.
    pub published: BTreeMap<String, Published>,
    /// Where definitions began.
    pub changes: BTreeMap<ProgressKey, Changed>,
    /// When the newest record was written, microseconds since 1970, as far as who reads them says it.
    pub written_us: Option<i64>,
}

/// What a record of the progress topic is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProgressKey {
    /// How far the stream was published: [`Published`].
    Stream(String),
    /// A change of the stream in that log, at that offset: [`Changed`].
    Change {
        /// The stream.
        stream: String,
        /// The log.
        log: String,
        /// The offset.
        offset: i64,
    },
}

impl ProgressNoted {
    /// A record takes the place of an older one of its key. What no lane has written says nothing.
    pub fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let (Some(key), Some(value)) = (key.and_then(ProgressKey::of), value) else { return };
        match key {
            ProgressKey::Stream(stream) => {
                if let Some(published) = Published::of(value) {
                    self.published.insert(stream, published);
                }
            }
            ProgressKey::Change { .. } => {
                if let Some(changed) = Changed::of(value) {
                    self.changes.insert(key, changed);
                }
            }
        }
    }

    /// From which offset on which definition has decided a stream in that log, in the order of the offsets.
    pub fn changes_of(&self, stream: &str, log: &str) -> impl Iterator<Item = (i64, &Changed)> {
        self.changes.iter().filter_map(move |(key, changed)| match key {
            ProgressKey::Change { stream: of, log: in_log, offset } if of == stream && in_log == log => {
                Some((*offset, changed))
            }
            _ => None,
        })
    }
}

impl ProgressKey {
    /// The key's bytes. Names of streams hold no slash.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            ProgressKey::Stream(stream) => stream.clone().into_bytes(),
            ProgressKey::Change { stream, log, offset } => format!("{stream}/changed/{log}/{offset}").into_bytes(),
        }
    }

    /// What the bytes are the key of; `None` if no lane has written them.
    pub fn of(bytes: &[u8]) -> Option<ProgressKey> {
        let text = std::str::from_utf8(bytes).ok()?;
        let Some((stream, rest)) = text.split_once('/') else { return Some(ProgressKey::Stream(text.to_owned())) };
        let (log, offset) = rest.strip_prefix("changed/")?.rsplit_once('/')?;
        Some(ProgressKey::Change { stream: stream.to_owned(), log: log.to_owned(), offset: offset.parse().ok()? })
    }
}

/// The progress topic of a source. A deployment's name and version and the names of sources hold no dots.
pub fn progress_topic(deployment: &Deployment, source: &str) -> String {
    format!("{}.{source}.{}.progress", deployment.name, deployment.version)
}

/// The transactional id of a lane: a progress partition is written under one id only.
pub fn transactional_id(deployment: &Deployment, source: &str, id: &PartitionId) -> String {
    format!("{}.{source}.{}.{}", deployment.name, deployment.version, id.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let change = ProgressKey::Change { stream: "alerts".to_owned(), log: "topic-id.2".to_owned(), offset: 41 };
        for key in [ProgressKey::Stream("alerts".to_owned()), change] {
            assert_eq!(ProgressKey::of(&key.to_bytes()), Some(key));
        }
        for foreign in [&b"alerts/other"[..], b"alerts/changed/log", b"alerts/changed/log/x", b"\xff"] {
            assert_eq!(ProgressKey::of(foreign), None);
        }
    }

    #[test]
    fn positions_are_written_so() {
        let published = Published {
            log: "topic-id".to_owned(),
            position: OutputPosition { offset: 41, n: 2 },
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: false,
            full: None,
        };
        let text = r#"{"log":"topic-id","position":{"offset":41,"n":2},"fronts":{},"definition":"0123456789abcdef"}"#;
        assert_eq!(serde_json::to_string(&published).expect("plain data"), text);
        assert_eq!(serde_json::from_str::<Published>(text).expect("read"), published);
    }

    #[test]
    fn of_each_key_the_newest_record_counts_and_what_others_wrote_does_not() {
        let published = |offset| Published {
            log: "log".to_owned(),
            position: OutputPosition::before(offset),
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: offset == 2,
            full: None,
        };
        let changed = |offset| Changed {
            log: "log".to_owned(),
            offset,
            from: None,
            to: "0123456789abcdef".parse().expect("a hash"),
            fronts: Fronts::new(false),
        };
        let change = |stream: &str, log: &str, offset| {
            ProgressKey::Change { stream: stream.to_owned(), log: log.to_owned(), offset }.to_bytes()
        };
        let json = Published::to_bytes;
        let mut noted = ProgressNoted::default();
        noted.take(Some(b"a"), Some(&json(&published(1))));
        noted.take(Some(b"a"), Some(&json(&published(2))));
        noted.take(Some(b"a"), Some(b"not ours"));
        noted.take(Some(b"a"), None);
        noted.take(None, Some(&json(&published(3))));
        for (stream, log, offset) in [("a", "log", 10), ("a", "log", 9), ("a", "other", 5), ("b", "log", 7)] {
            noted.take(Some(&change(stream, log, offset)), Some(&changed(offset).to_bytes()));
        }
        assert_eq!(noted.published, BTreeMap::from([("a".to_owned(), published(2))]));
        assert_eq!(noted.changes_of("a", "log").map(|(offset, _)| offset).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(noted.changes_of("b", "log").count(), 1);
    }

    #[test]
    fn the_newest_record_of_a_stream_counts_and_what_others_wrote_does_not() {
        let published = |offset| Published {
            log: "log".to_owned(),
            position: OutputPosition::before(offset),
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: false,
            full: None,
        };
        let mut noted = ProgressNoted::default();
        for (key, value) in [
            ("a", published(1).to_bytes()),
            ("b", published(5).to_bytes()),
            ("a", published(2).to_bytes()),
            ("a", b"not ours".to_vec()),
            ("a/changed/log/7", b"{}".to_vec()),
        ] {
            noted.take(Some(key.as_bytes()), Some(&value));
        }
        noted.take(Some(b"b"), None);
        noted.take(None, Some(&published(9).to_bytes()));
        let expected = BTreeMap::from([("a".to_owned(), published(2)), ("b".to_owned(), published(5))]);
        assert_eq!((noted.published, noted.changes.len()), (expected, 0));
    }
}
