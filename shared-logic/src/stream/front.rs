//! Fronts: how far the events of a partition have come in time.
//!
//! The front of a partition is the greatest of min(event time, record timestamp) over its events. A partition that a re-keying
//! map writes mixes the records of lanes that are not in step. There each *upstream* partition has a front of its own, which its
//! records and marks raise, and the partition's front is the least of them. So nothing is late because another lane is ahead.
//!
//! A front never falls: what was closed stays closed.
//!
//! - `known`: what was known of upstream partitions at an earlier offset.

mod known;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::known::{Before, Turn};
use crate::log::{PartitionId, topic_of};

/// The partition of a log from which a re-keying map has made a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The log, with its incarnation.
    pub log: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

/// What a re-keying lane writes into every partition of its output: how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The log that the lane reads, with its incarnation.
    pub log: String,
    /// The partition that it reads.
    pub partition: i32,
    /// How many partitions that log has.
    pub partitions: i32,
    /// The lane's front in microseconds; `None` if it has read no event yet.
    pub front_us: Option<i64>,
    /// Whether the lane has stood at its log's end for a while. Then it holds up no front until its next record or mark.
    pub idle: bool,
}

/// How far a partition has come: one front, or one for each upstream partition. As JSON it stands in the progress topic and in
/// manifests of snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fronts {
    /// The greatest front so far, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    front_us: Option<i64>,
    /// Where a re-keying map writes the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<Upstreams>,
}

/// What is known of the lanes that write into a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Upstreams {
    /// The id of the topic that they read; empty before the first mark.
    topic: String,
    /// How many of them there are; 0 before the first mark.
    partitions: i32,
    /// Those that were seen, by the number of the partition that they read.
    seen: BTreeMap<i32, Seen>,
    /// The first offset at which `turns` still say what was known.
    #[serde(default = "at_no_offset")]
    known_from: i64,
    /// What was known before, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    turns: VecDeque<Turn>,
}

/// How far a lane has come in what it has written into a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    log: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    front_us: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    idle: bool,
}

/// Where fronts were written that remember no turns.
fn at_no_offset() -> i64 {
    i64::MAX
}

impl Fronts {
    /// Of a partition of which nothing was read. `rekeyed`: a re-keying map writes it.
    pub fn new(rekeyed: bool) -> Fronts {
        Fronts { front_us: None, upstream: rekeyed.then(Upstreams::default) }
    }

    /// Of a partition whose events have come so far, as far as nothing else is known.
    pub fn at(front_us: i64) -> Fronts {
        Fronts { front_us: Some(front_us), upstream: None }
    }

    /// The front in microseconds; `None` as long as none is known, so that nothing is late and nothing closes.
    pub fn front_us(&self) -> Option<i64> {
        self.front_us
    }

    /// What [`Fronts::front_us`] would be after an event of that upstream partition, whose time is the lesser of the event's and
    /// its record's.
    pub(super) fn after_event(&self, upstream: Option<&Upstream>, time_us: i64) -> Option<i64> {
        let front_us = match (&self.upstream, upstream) {
            (None, _) => Some(time_us),
            (Some(lanes), Some(upstream)) => lanes.least_after(upstream, time_us, self.front_us),
            // Another program wrote the record.
            (Some(_), None) => None,
        };
        self.front_us.max(front_us)
    }

    /// Notes an event.
    pub(super) fn event(&mut self, offset: i64, upstream: Option<&Upstream>, time_us: i64) {
        self.front_us = self.after_event(upstream, time_us);
        if let (Some(lanes), Some(upstream)) = (&mut self.upstream, upstream) {
            lanes.event(offset, upstream, time_us);
        }
    }

    /// Notes a mark. As with events, it speaks for no time after its record's own.
    pub(super) fn mark(&mut self, offset: i64, record_time_us: Option<i64>, mark: &Mark) {
        let Some(lanes) = &mut self.upstream else { return };
        lanes.mark(offset, mark, mark.front_us.map(|us| us.min(record_time_us.unwrap_or(us))));
        self.front_us = self.front_us.max(lanes.least(None));
    }

    /// T8: what was known before the record at `offset`, as far as a lane needs it that is warmed from there on: who was idle. Gives
    /// as well whether that is not forgotten. A partition that no map re-keys needs nothing.
    pub(super) fn known_at(&self, offset: i64) -> (Fronts, bool) {
        let (upstream, is_known) = self.upstream.as_ref().map(|lanes| lanes.known_at(offset)).unzip();
        (Fronts { front_us: None, upstream }, is_known.unwrap_or(true))
    }
}

impl Upstreams {
    /// The least front of those that are not idle, or the greatest front if all are; `None` before each was seen, or where one has
    /// none. `raised` is what one of them is raised to before.
    fn least(&self, raised: Option<(i32, i64)>) -> Option<i64> {
        let (mut known, mut least, mut greatest) = (0, None, None);
        for (partition, seen) in &self.seen {
            known += i32::from(*partition < self.partitions);
            let raised = raised.filter(|(which, _)| which == partition).map(|(_, us)| us);
            let front_us = seen.front_us.max(raised);
            greatest = greatest.max(front_us);
            if !seen.idle || raised.is_some() {
                least = Some(least.map_or(front_us, |least: Option<i64>| least.min(front_us)));
            }
        }
        if self.partitions == 0 || known < self.partitions { None } else { least.unwrap_or(greatest) }
    }

    /// [`Upstreams::least`] after an event. `front_us` is what it was before.
    fn least_after(&self, upstream: &Upstream, time_us: i64, front_us: Option<i64>) -> Option<i64> {
        match self.seen.get(&upstream.partition) {
            Some(seen) if *seen.log != *upstream.log => None,
            // It does not come farther, or it was not the least.
            Some(seen) if !seen.idle && seen.front_us.is_some_and(|us| us >= time_us || Some(us) > front_us) => None,
            Some(_) => self.least(Some((upstream.partition, time_us))),
            None => {
                let mut with = self.clone();
                with.event(0, upstream, time_us);
                with.least(None)
            }
        }
    }

    fn event(&mut self, offset: i64, upstream: &Upstream, time_us: i64) {
        self.known_from = self.known_from.min(offset);
        match self.seen.get_mut(&upstream.partition) {
            Some(seen) if *seen.log == *upstream.log => {
                seen.front_us = seen.front_us.max(Some(time_us));
                if mem::take(&mut seen.idle) {
                    self.turn(offset, Before::Idle(upstream.partition));
                }
            }
            // An event of a log that is not the known one comes before that log's first mark, and moves nothing.
            Some(_) => {}
            None => {
                let seen = Seen { log: upstream.log.to_string(), front_us: Some(time_us), idle: false };
                self.seen.insert(upstream.partition, seen);
                self.turn(offset, Before::Unseen(upstream.partition));
            }
        }
    }

    fn mark(&mut self, offset: i64, mark: &Mark, front_us: Option<i64>) {
        self.known_from = self.known_from.min(offset);
        let (topic, partition) = (topic_of(&mark.log), mark.partition);
        let known = self.seen.get_mut(&partition);
        let is_new = known.as_ref().is_none_or(|seen| seen.log != mark.log);
        match known {
            Some(seen) if !is_new => {
                seen.front_us = seen.front_us.max(front_us);
                let was_idle = mem::replace(&mut seen.idle, mark.idle);
                if was_idle != mark.idle {
                    self.turn(offset, if was_idle { Before::Idle(partition) } else { Before::Awake(partition) });
                }
            }
            // A lane of the incarnation before says nothing more.
            Some(seen) if is_later_incarnation(&seen.log, &mark.log) => return,
            _ => {
                let seen = Seen { log: mark.log.clone(), front_us, idle: mark.idle };
                let before = match self.seen.insert(partition, seen) {
                    Some(Seen { log, idle, .. }) => Before::Of { partition, log, idle },
                    None => Before::Unseen(partition),
                };
                self.turn(offset, before);
            }
        }
        let is_other = self.topic.is_empty() || (is_new && self.topic != topic);
        if is_other || (self.topic == topic && self.partitions < mark.partitions) {
            let topic = mem::replace(&mut self.topic, topic.to_owned());
            let partitions = mem::replace(&mut self.partitions, mark.partitions);
            self.turn(offset, Before::Read { topic, partitions });
        }
        if is_other {
            for (partition, Seen { log, idle, .. }) in self.seen.split_off(&mark.partitions) {
                self.turn(offset, Before::Of { partition, log, idle });
            }
        }
    }
}

/// Whether a log is a later incarnation of the same topic's than another.
fn is_later_incarnation(log: &str, than: &str) -> bool {
    let [log, than] = [log, than].map(|log| PartitionId::new(log, 0));
    log.topic() == than.topic() && log.incarnation() > than.incarnation()
}
