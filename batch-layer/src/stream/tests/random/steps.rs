//! Records → events without copies and without what is no event, and how far the partition has come before and after each.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::headers_of;
use shared_logic::contracts::stream::{mark_of, upstream_of};
use shared_logic::schema::FieldType;
use shared_logic::stream::Mark;
use shared_logic::time::parse_rfc3339;

use crate::stream::tests::bench::Row;

/// An event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) offset: i64,
    pub(super) time_us: i64,
    /// What is declared and there.
    pub(super) fields: Map<String, Json>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Vec<u8>,
}

/// An offset that matters: its event, or nothing if it holds a mark, and the front before and after it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) offset: i64,
    pub(super) event: Option<Event>,
    pub(super) before_us: Option<i64>,
    pub(super) after_us: Option<i64>,
}

/// The greatest time so far; where a re-keying map writes, the least of its lanes.
#[derive(Debug, Default)]
struct Front {
    us: Option<i64>,
    lanes: BTreeMap<i32, Seen>,
    /// How many there are, once a mark has said it.
    partitions: i32,
}

#[derive(Debug, Default)]
struct Seen {
    front_us: Option<i64>,
    idle: bool,
}

/// The steps of a partition's records.
pub(super) fn steps(source: &Source, rows: &[Row]) -> Vec<Step> {
    let (mut front, mut steps) = (Front::default(), Vec::new());
    let mut seen: Vec<(i64, (String, i64))> = Vec::new();
    for row in rows {
        let headers = row.headers.as_deref().map(headers_of).unwrap_or_default();
        let headers = || headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let (offset, before_us) = (row.offset, front.us);
        if let Some(mark) = mark_of(headers()) {
            front.mark(row, &mark);
            steps.push(Step { offset, event: None, before_us, after_us: front.us });
            continue;
        }
        let Some(event) = event(source, row) else { continue };
        let identity = (event.fields[&source.event_id[0]].to_string(), event.time_us);
        let window = source.dedup_window as i64;
        let is_copy = seen.iter().any(|(at, other)| *other == identity && offset - at <= window);
        seen.push((offset, identity));
        if is_copy {
            continue;
        }
        let reached_us = event.time_us.min(row.timestamp_us.unwrap_or(i64::MAX));
        match upstream_of(headers()).filter(|_| source.rekeyed) {
            Some(upstream) => front.event_of(upstream.partition, reached_us),
            None => front.us = front.us.max(Some(reached_us)),
        }
        steps.push(Step { offset, event: Some(event), before_us, after_us: front.us });
    }
    steps
}

/// What a record says; nothing if it is no event, or lies too far ahead of when it was written.
fn event(source: &Source, row: &Row) -> Option<Event> {
    let payload = row.payload.clone()?;
    let document: Map<String, Json> = serde_json::from_slice(&payload).ok()?;
    let mut fields = Map::new();
    for field in &source.fields {
        match document.get(&field.name) {
            Some(value) if field.kind == FieldType::Float => {
                fields.insert(field.name.clone(), Json::from(value.as_f64()?));
            }
            Some(value) => drop(fields.insert(field.name.clone(), value.clone())),
            None if field.optional => {}
            None => return None,
        }
    }
    let time_us = parse_rfc3339(fields[&source.event_time].as_str()?.as_bytes())?;
    let is_ahead = row.timestamp_us.is_some_and(|written_us| time_us > written_us + source.max_ahead_us);
    (!is_ahead).then(|| Event { offset: row.offset, time_us, fields, key: row.key.clone(), payload })
}

impl Front {
    fn event_of(&mut self, lane: i32, reached_us: i64) {
        let seen = self.lanes.entry(lane).or_default();
        (seen.front_us, seen.idle) = (seen.front_us.max(Some(reached_us)), false);
        self.us = self.us.max(self.least_us());
    }

    fn mark(&mut self, row: &Row, mark: &Mark) {
        self.partitions = self.partitions.max(mark.partitions);
        let seen = self.lanes.entry(mark.partition).or_default();
        let front_us = mark.front_us.map(|us| us.min(row.timestamp_us.unwrap_or(us)));
        (seen.front_us, seen.idle) = (seen.front_us.max(front_us), mark.idle);
        self.us = self.us.max(self.least_us());
    }

    /// Of the lanes that are not idle; if all are, the greatest. Nothing as long as one of them was not seen.
    fn least_us(&self) -> Option<i64> {
        if self.partitions == 0 || (0..self.partitions).any(|lane| !self.lanes.contains_key(&lane)) {
            return None;
        }
        let busy = self.lanes.values().filter(|lane| !lane.idle).map(|lane| lane.front_us).min();
        busy.unwrap_or_else(|| self.lanes.values().map(|lane| lane.front_us).max().flatten())
    }
}
