//! The progress topic (T3): per partition of a source, how far each stream was published.
//!
//! It has one partition for each of the source's, and is compacted, so of each key the newest record is kept for ever. A stream's
//! position is written in the same transaction as the outputs before it. Nothing else says how far a stream was published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{DefinitionHash, Deployment};
use crate::log::{PartitionId, Witness};
use crate::stream::{Fronts, OutputPosition, StreamPlan};

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
    /// How many windows or sessions were open there, each an output to come. If the log ends, they are never written (R6, R12).
    #[serde(default, skip_serializing_if = "is_none")]
    pub open: u64,
    /// How many were open where logs ended that the stream has read before, in this partition.
    #[serde(default, skip_serializing_if = "is_none")]
    pub never_written: u64,
}

/// Whether there are none of something.
fn is_none(number: &u64) -> bool {
    *number == 0
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
    /// How many windows and sessions are never written, as they were open where a log ended, if the stream goes on in that log.
    pub fn never_written_before(&self, log: &str) -> u64 {
        if self.log == log { self.never_written } else { self.never_written.saturating_add(self.open) }
    }

    /// The record's value.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("what is noted is plain data")
    }

    /// What a value says; `None` if no lane has written it.
    pub fn of(bytes: &[u8]) -> Option<Published> {
        serde_json::from_slice(bytes).ok()
    }
}

/// T13: from an offset on, a stream is decided by a definition: it begins there, was added, or has changed in place; or by none, as it is
/// not declared any more. The value of a record with a key of its own, so that compaction keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The log.
    pub log: String,
    /// The first offset that is decided by the new definition.
    pub offset: i64,
    /// The definition before; `None` if the stream begins there or was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DefinitionHash>,
    /// The definition from there on; `None` if the stream ends there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DefinitionHash>,
    /// The fronts before that offset.
    pub fronts: Fronts,
    /// Whether the definition before has written a part of what the record at that offset causes. Then the outputs of the new one
    /// begin behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
    /// Where the stream's past begins, if that is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past_from: Option<i64>,
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

    /// The first offset of which every output is the new definition's.
    pub fn first_whole(&self) -> i64 {
        self.offset.saturating_add(i64::from(self.part))
    }

    /// Where the stream's past begins if it begins here.
    fn begin(&self) -> i64 {
        self.past_from.unwrap_or(self.offset)
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

/// T8: where the past of the streams over a partition begins. Nothing before matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begins {
    /// Where lanes began with empty state.
    pub lane: i64,
    /// Of each stream: where it began itself if it remembers everything since, and otherwise that of the lane.
    pub streams: Vec<i64>,
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
    /// A record takes the place of an older one of its key, and removes it if it has no value. What no lane has written says nothing.
    pub fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let Some(key) = key.and_then(ProgressKey::of) else { return };
        match (key, value) {
            (ProgressKey::Stream(stream), None) => drop(self.published.remove(&stream)),
            (ProgressKey::Stream(stream), Some(value)) => {
                if let Some(published) = Published::of(value) {
                    self.published.insert(stream, published);
                }
            }
            (key @ ProgressKey::Change { .. }, None) => drop(self.changes.remove(&key)),
            (key @ ProgressKey::Change { .. }, Some(value)) => {
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

    /// T8: where the past of streams begins in that log; `otherwise` where nothing says so, which is where the archive begins it.
    pub fn begins(&self, streams: &[StreamPlan], log: &str, otherwise: i64) -> Begins {
        let is_noted = |stream: &str| self.changes_of(stream, log).next().is_some();
        let mut published = self.published.iter().filter(|(_, published)| published.log == log);
        let all_are_noted = published.all(|(stream, _)| is_noted(stream));
        let first = self.changes.values().filter(|changed| changed.log == log).map(Changed::begin).min();
        let lane = first.filter(|_| all_are_noted).unwrap_or(otherwise);
        let of_stream = |stream: &StreamPlan| {
            if stream.remembers_all { self.begin_of(&stream.name, log).unwrap_or(otherwise) } else { lane }
        };
        Begins { lane, streams: streams.iter().map(of_stream).collect() }
    }

    /// Where a stream began in that log: where it was first decided since it last ended.
    fn begin_of(&self, stream: &str, log: &str) -> Option<i64> {
        self.changes_of(stream, log)
            .fold(None, |begin, (_, changed)| changed.to.is_some().then(|| begin.unwrap_or_else(|| changed.begin())))
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
            open: 0,
            never_written: 0,
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
            open: 0,
            never_written: 0,
        };
        let changed = |offset| Changed {
            log: "log".to_owned(),
            offset,
            from: None,
            to: Some("0123456789abcdef".parse().expect("a hash")),
            fronts: Fronts::new(false),
            part: false,
            past_from: None,
        };
        let change = |stream: &str, log: &str, offset| {
            ProgressKey::Change { stream: stream.to_owned(), log: log.to_owned(), offset }.to_bytes()
        };
        let json = Published::to_bytes;
        let mut noted = ProgressNoted::default();
        noted.take(Some(b"a"), Some(&json(&published(1))));
        noted.take(Some(b"a"), Some(&json(&published(2))));
        noted.take(Some(b"a"), Some(b"not ours"));
        noted.take(None, Some(&json(&published(3))));
        for (stream, log, offset) in [("a", "log", 10), ("a", "log", 9), ("a", "other", 5), ("b", "log", 7)] {
            noted.take(Some(&change(stream, log, offset)), Some(&changed(offset).to_bytes()));
        }
        assert_eq!(noted.published, BTreeMap::from([("a".to_owned(), published(2))]));
        assert_eq!(noted.changes_of("a", "log").map(|(offset, _)| offset).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(noted.changes_of("b", "log").count(), 1);
        noted.take(Some(b"a"), None);
        noted.take(Some(&change("b", "log", 7)), None);
        assert_eq!((noted.published.len(), noted.changes_of("b", "log").count()), (0, 0), "what is removed is gone");
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
            open: 0,
            never_written: 0,
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
        noted.take(None, Some(&published(9).to_bytes()));
        let expected = BTreeMap::from([("a".to_owned(), published(2)), ("b".to_owned(), published(5))]);
        assert_eq!((noted.published, noted.changes.len()), (expected, 0));
    }

    /// A map, and sessions without `longest`.
    fn streams() -> Vec<StreamPlan> {
        let stream = |name: &str, remembers_all| StreamPlan {
            name: name.to_owned(),
            definition: "0123456789abcdef".parse().expect("a hash"),
            topic: name.to_owned(),
            late_topic: format!("{name}.late"),
            has_side_output: remembers_all,
            rekeys: false,
            remembers_all,
            grouped_by: Vec::new(),
            groups_meet: true,
        };
        vec![stream("map", false), stream("visits", true)]
    }

    /// Changes in a log: of each the stream, the offset, whether it is decided from there on, and where its past begins if not there.
    fn noted(changes: &[(&str, i64, bool, Option<i64>)]) -> ProgressNoted {
        let mut noted = ProgressNoted::default();
        for (stream, offset, is_decided, past_from) in changes.iter().copied() {
            let changed = Changed {
                log: "log".to_owned(),
                offset,
                from: None,
                to: is_decided.then(|| "0123456789abcdef".parse().expect("a hash")),
                fronts: Fronts::new(false),
                part: false,
                past_from,
            };
            let key = ProgressKey::Change { stream: stream.to_owned(), log: "log".to_owned(), offset };
            noted.take(Some(&key.to_bytes()), Some(&changed.to_bytes()));
        }
        noted
    }

    #[test]
    fn what_remembers_everything_has_a_past_since_it_began() {
        let begins = |changes: &[_]| noted(changes).begins(&streams(), "log", 3);
        let of = |lane, visits| Begins { lane, streams: vec![lane, visits] };
        assert_eq!(begins(&[("map", 20, true, None), ("visits", 20, true, None)]), of(20, 20));
        assert_eq!(begins(&[("map", 20, true, None), ("visits", 50, true, None)]), of(20, 50), "it was added");
        let changed = [("map", 20, true, None), ("visits", 50, true, None), ("visits", 70, true, None)];
        assert_eq!(begins(&changed), of(20, 50), "a change in place forgets nothing");
        let again = [("visits", 20, true, None), ("visits", 50, false, None), ("visits", 70, true, None)];
        assert_eq!(begins(&again), of(20, 70), "it was not declared in between");
        assert_eq!(begins(&[("visits", 90, true, Some(10))]), of(10, 10), "positions were set from archives");
        assert_eq!(begins(&[]), of(3, 3));
        assert_eq!(noted(&[("map", 20, true, None)]).begins(&streams(), "another", 3), of(3, 3));
    }

    #[test]
    fn where_a_lane_began_is_not_known_if_a_stream_does_not_say_it() {
        let mut noted = noted(&[("visits", 50, true, None)]);
        let published = Published {
            log: "log".to_owned(),
            position: OutputPosition::before(60),
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: false,
            full: None,
            open: 0,
            never_written: 0,
        };
        noted.published.insert("map".to_owned(), published);
        assert_eq!(noted.begins(&streams(), "log", 3), Begins { lane: 3, streams: vec![3, 50] });
    }

    #[test]
    fn a_change_inside_of_an_offset_leaves_that_offset_out() {
        let at =
            |part| Changed { part, ..noted(&[("map", 20, true, None)]).changes.into_values().next().expect("one") };
        assert_eq!((at(false).first_whole(), at(true).first_whole()), (20, 21));
        let text = String::from_utf8(at(true).to_bytes()).expect("text");
        assert!(text.ends_with(r#""fronts":{},"part":true}"#), "{text}");
        assert_eq!(Changed::of(text.as_bytes()), Some(at(true)));
    }
}
