//! A partition's records, as a test writes them and as a lane takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::dedup::Sighting;
use shared_logic::log::PartitionId;
use shared_logic::stream::{
    Decided, DecidedKind, Lane, LanePlan, Limits, Mark, MarkRecord, Piece, Progress, Records, Upstream,
};
use shared_logic::time::format_rfc3339;

/// 2026-04-24T10:00:00Z.
pub(super) const TEN_US: i64 = 1_777_024_800_000_000;
pub(super) const SECOND_US: i64 = 1_000_000;
pub(super) const LIMITS: Limits = Limits { pending_events: 1_000_000, state_bytes: 1 << 30, step_bytes: 1 << 30 };

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) record_time_us: Option<i64>,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Event(Row),
    /// Not an event.
    Broken,
    Mark(Mark),
}

/// An event of the source [`SOURCE`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) time_us: i64,
    pub(super) user: String,
    pub(super) k: Option<String>,
    pub(super) n: i64,
    pub(super) x: Option<f64>,
    /// From which upstream partition, of a re-keyed source.
    pub(super) upstream: Option<(&'static str, i32)>,
}

/// How far back a copy is found.
pub(super) const DEDUP_WINDOW: i64 = 8;
/// How far ahead of its record an event may be.
pub(super) const MAX_AHEAD_US: i64 = 5 * SECOND_US;

/// The source of all these tests.
pub(super) const SOURCE: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
format = "json"
partitions = 1
max_age = "400d"
max_ahead = "5s"
dedup_window = 8
[sources.s.fields]
id = "int"
at = "timestamp"
user = "string"
k = "string?"
n = "int"
x = "float?"
"#;

impl Row {
    pub(super) fn new(id: i64, time_us: i64, user: &str) -> Row {
        Row { id, time_us, user: user.to_owned(), k: None, n: id, x: None, upstream: None }
    }

    /// Its fields as JSON; what is absent is left out.
    pub(super) fn fields(&self) -> Map<String, Json> {
        let mut fields = Map::new();
        fields.insert("id".into(), self.id.into());
        fields.insert("at".into(), format_rfc3339(self.time_us).into());
        fields.insert("user".into(), self.user.clone().into());
        fields.extend(self.k.clone().map(|k| ("k".to_owned(), k.into())));
        fields.insert("n".into(), self.n.into());
        fields.extend(self.x.map(|x| ("x".to_owned(), json!(x))));
        fields
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        Json::Object(self.fields()).to_string().into_bytes()
    }

    pub(super) fn record_key(&self) -> Vec<u8> {
        format!("key of {}", self.user).into_bytes()
    }
}

/// A catalog with some streams over the source.
pub(super) struct World {
    pub(super) source: Source,
    pub(super) plan: Arc<LanePlan>,
    pub(super) id: PartitionId,
}

impl World {
    pub(super) fn new(streams: &str) -> World {
        let catalog = Catalog::parse(&format!("{SOURCE}{streams}")).expect("a valid catalog");
        World::of(&catalog, catalog.source("s").expect("it is declared"))
    }

    /// Over another source of the catalog.
    pub(super) fn of(catalog: &Catalog, source: &Source) -> World {
        let plan = Arc::new(LanePlan::new(catalog, source));
        World { source: source.clone(), plan, id: PartitionId::new("log", 3) }
    }

    /// The records of the entries from one offset to another, as they are decoded.
    pub(super) fn records(&self, entries: &[Entry], from: i64, to: i64) -> Records {
        let mut decoder = Decoder::new(&self.source);
        let mut columns = Columns::new(&self.source, |name| self.plan.columns().iter().any(|c| c == name), 0);
        let mut records = Records { from, to, ..Records::default() };
        let inside = entries.iter().filter(|entry| (from..to).contains(&entry.offset));
        for Entry { offset, record_time_us, what } in inside {
            match what {
                What::Broken => assert!(decoder.decode(Some(b"{".as_slice()), *record_time_us).is_err()),
                What::Mark(mark) => {
                    let (offset, record_time_us, mark) = (*offset, *record_time_us, mark.clone());
                    records.marks.push(MarkRecord { offset, record_time_us, mark });
                }
                What::Event(row) => {
                    let (key, payload) = (row.record_key(), row.payload());
                    let Ok(event) = decoder.decode(Some(&payload), *record_time_us) else { continue };
                    columns.push(&event);
                    records.sightings.extend(event.identity().map(|identity| Sighting { identity, offset: *offset }));
                    records.offsets.push(*offset);
                    records.record_times_us.push(*record_time_us);
                    records.originals.push(Some(key.as_slice()), &payload);
                    if self.source.rekeyed {
                        let upstream = row.upstream.map(|(log, partition)| Upstream { log: log.into(), partition });
                        records.upstreams.push(upstream);
                    }
                }
            }
        }
        records.events = columns.finish().expect("columns of one length");
        records
    }

    pub(super) fn lane(&self, at: i64) -> Lane {
        Lane::new(Arc::clone(&self.plan), self.id.clone(), "v1", at, LIMITS)
    }

    /// What a lane decides of all entries, given at once, from its first offset on.
    pub(super) fn decide(&self, entries: &[Entry]) -> Vec<Decided> {
        let (mut lane, mut out) = (self.lane(0), Vec::new());
        let to = end(entries);
        lane.give(self.records(entries, 0, to)).expect("the next records");
        drain(&mut lane, 1_000, &mut out);
        assert_eq!(lane.cursor(), to);
        out
    }

    /// The lane that a new process makes of a snapshot of this one. `store` holds the pieces that were written so far, and afterwards
    /// those of this snapshot, from which all is loaded.
    pub(super) fn restarted(&self, lane: &Lane, entries: &[Entry], store: &mut BTreeMap<String, Vec<u8>>) -> Lane {
        let kept: BTreeSet<String> = store.keys().cloned().collect();
        let pieces = lane.snapshot(&kept).expect("it is between two offsets");
        let content = |piece: Piece| {
            let bytes = piece.bytes.unwrap_or_else(|| store[&piece.name].clone());
            (piece.name, bytes)
        };
        *store = pieces.into_iter().map(content).collect();
        let pieces: Vec<Piece> =
            store.iter().map(|(name, bytes)| Piece { name: name.clone(), bytes: Some(bytes.clone()) }).collect();
        let (plan, id, at) = (Arc::clone(&self.plan), self.id.clone(), lane.cursor());
        let mut loaded = Lane::load(plan, id, "v1", at, &lane.fronts(), &pieces, LIMITS).expect("its own pieces");
        loaded.warm(&self.records(entries, at - DEDUP_WINDOW, at).sightings);
        loaded
    }
}

/// The offset behind all entries.
pub(super) fn end(entries: &[Entry]) -> i64 {
    entries.last().map_or(0, |entry| entry.offset + 1)
}

/// Steps until everything is decided. No step gives far more than was asked for.
pub(super) fn drain(lane: &mut Lane, outputs_max: usize, out: &mut Vec<Decided>) {
    loop {
        let before = out.len();
        let progress = lane.step(outputs_max, out);
        assert!(out.len() - before <= outputs_max + 120, "{} outputs in a step of {outputs_max}", out.len() - before);
        if progress == Progress::Idle {
            return;
        }
    }
}

/// Events at these seconds after ten o'clock, in this order, each record at the time of its event.
pub(super) fn events(users_and_seconds: &[(&str, f64)]) -> Vec<Entry> {
    let event = |(at, (user, second)): (usize, &(&str, f64))| {
        let time_us = TEN_US + (second * 1e6) as i64;
        let row = Row::new(at as i64, time_us, user);
        Entry { offset: at as i64, record_time_us: None, what: What::Event(row) }
    };
    users_and_seconds.iter().enumerate().map(event).collect()
}

/// An output's JSON.
pub(super) fn json_of(decided: &Decided) -> Json {
    serde_json::from_slice(&decided.payload).expect("an output is JSON")
}

/// The outputs that are no late events.
pub(super) fn outputs(decided: &[Decided]) -> Vec<Json> {
    decided.iter().filter(|decided| decided.kind == DecidedKind::Output).map(json_of).collect()
}

/// The ids of the events that came too late.
pub(super) fn late(decided: &[Decided]) -> Vec<Json> {
    let late = decided.iter().filter(|decided| decided.kind != DecidedKind::Output);
    late.map(|decided| json_of(decided)["id"].clone()).collect()
}
