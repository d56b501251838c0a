//! The log of a source by chance, and the topics of streams with their marks.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, json};
use shared_logic::contracts::stream::{mark_headers, output_headers};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind, LanePlan, Mark, StreamPlan};
use shared_logic::time::format_rfc3339;
use test_kit::Dice;

use super::steps::Step;
use crate::stream::tests::bench::{PARTITIONS, Row, Stand, text};

/// 2026-04-24T10:00:00Z.
const TEN_US: i64 = 1_777_024_800_000_000;
const HALF_US: i64 = 500_000;
/// The stand at a lane's end.
const LAST: usize = 1;

/// What lies in a topic.
pub(super) struct Topic {
    /// By partition.
    pub(super) rows: Vec<Vec<Row>>,
    /// Of each row, the partition that its lane has read, and the offset that has caused it. A mark has neither, nor have records of the
    /// source.
    origins: Vec<Vec<Option<(i32, i64)>>>,
    /// When the last one was written.
    clock_us: i64,
}

/// What a lane has done.
pub(super) struct Lane {
    pub(super) id: PartitionId,
    pub(super) decided: Vec<Decided>,
    /// Up to where it had published somewhere on its way, and at its end.
    pub(super) stands: [Stand; 2],
    /// By offset, how far its events have come.
    fronts: BTreeMap<i64, Option<i64>>,
    /// By offset, when its records were written.
    clocks: BTreeMap<i64, i64>,
}

impl Lane {
    pub(super) fn new(
        id: PartitionId,
        decided: Vec<Decided>,
        steps: &[Step],
        rows: &[Row],
        stands: [Stand; 2],
    ) -> Lane {
        let mut clock_us = TEN_US;
        let clock = |row: &Row| {
            clock_us = clock_us.max(row.timestamp_us.unwrap_or(TEN_US));
            (row.offset, clock_us)
        };
        let clocks = rows.iter().map(clock).collect();
        Lane { id, decided, stands, fronts: steps.iter().map(|step| (step.offset, step.after_us)).collect(), clocks }
    }

    fn front_us(&self, reached: i64) -> Option<i64> {
        self.fronts.range(..=reached).next_back().and_then(|(_, front_us)| *front_us)
    }

    fn clock_us(&self, offset: i64) -> i64 {
        self.clocks.range(..=offset).next_back().map_or(TEN_US, |(_, clock_us)| *clock_us)
    }
}

impl Topic {
    fn new() -> Topic {
        let each = PARTITIONS as usize;
        Topic { rows: vec![Vec::new(); each], origins: vec![Vec::new(); each], clock_us: TEN_US }
    }

    fn push(&mut self, row: Row, origin: Option<(i32, i64)>) {
        self.clock_us = row.timestamp_us.unwrap_or(self.clock_us);
        let partition = row.partition as usize;
        self.rows[partition].push(row);
        self.origins[partition].push(origin);
    }

    /// The next offset of a partition. Now and then there is none in between: the end of a transaction takes one.
    fn next(&self, partition: i32, dice: &mut Dice) -> i64 {
        let last = self.rows[partition as usize].last();
        last.map_or(0, |last| last.offset + 1) + i64::from(dice.chance(15))
    }

    /// The rows up to the last one that lanes had published at a stand; all of them at their end.
    pub(super) fn up_to(&self, lanes: &[Lane], stand: usize) -> Vec<Row> {
        let is_published = |origin: &Option<(i32, i64)>| {
            origin.is_some_and(|(partition, offset)| offset < lanes[partition as usize].stands[stand].at())
        };
        let of_partition = self.rows.iter().zip(&self.origins).flat_map(|(rows, origins)| {
            let published = origins.iter().rposition(is_published).map_or(0, |last| last + 1);
            &rows[..if stand == LAST { rows.len() } else { published }]
        });
        of_partition.cloned().collect()
    }
}

/// Events of four users, out of order, late, ahead, copies and broken records among them, in so many partitions. In some logs event time
/// passes slower than records are written.
pub(super) fn source_log(dice: &mut Dice, partitions: i32) -> Topic {
    let (mut topic, mut now_us, mut payloads) = (Topic::new(), TEN_US, Vec::<(i32, Vec<u8>)>::new());
    let slower = *dice.pick(&[1, 1, 1, 3]);
    for id in 0..dice.between(20, 160) {
        now_us += HALF_US * if dice.chance(90) { dice.between(0, 3) } else { dice.between(4, 60) };
        let user = dice.below(4);
        let (mut partition, mut payload) = (user as i32 % partitions, event(dice, id, user, now_us, slower));
        if dice.chance(12) && !payloads.is_empty() {
            let back = dice.below(payloads.len().min(12));
            (partition, payload) = payloads[payloads.len() - 1 - back].clone();
        }
        payloads.push((partition, payload.clone()));
        let payload = if dice.chance(7) { b"no event".to_vec() } else { payload };
        let timestamp_us = match dice.below(10) {
            0 => None,
            1 => Some(now_us + 1_000 * dice.between(-20_000, 20_000)),
            _ => Some(now_us),
        };
        let (offset, key) = (topic.next(partition, dice), Some(format!("key of {user}").into_bytes()));
        topic.push(Row { partition, offset, timestamp_us, key, payload: Some(payload), headers: None }, None);
    }
    topic
}

fn event(dice: &mut Dice, id: i64, user: usize, now_us: i64, slower: i64) -> Vec<u8> {
    let delay = match dice.below(12) {
        0..=5 => dice.between(0, 2),
        6..=8 => dice.between(0, 13),
        9 | 10 => dice.between(-12, -1),
        _ => dice.between(10, 60),
    };
    let passed_us = (now_us - TEN_US) / HALF_US / slower * HALF_US;
    let mut fields = Map::new();
    fields.insert("id".to_owned(), id.into());
    fields.insert("at".to_owned(), format_rfc3339(TEN_US + passed_us - delay * HALF_US).into());
    fields.insert("user".to_owned(), ["u", "v", "w", "ü"][user].into());
    if dice.chance(60) {
        fields.insert("k".to_owned(), (*dice.pick(&["a", "bü"])).into());
    }
    fields.insert("n".to_owned(), dice.between(0, 8).into());
    if dice.chance(70) {
        fields.insert("x".to_owned(), json!(dice.between(-5, 30) as f64 / 10.0));
    }
    serde_json::to_vec(&fields).expect("plain data")
}

/// The topic that lanes write for a stream. A map that keys anew divides its outputs by their keys, where those of lanes that are not in
/// step are mixed with their marks.
pub(super) fn written_topic(
    stream: &StreamPlan,
    plan: &LanePlan,
    lanes: &[Lane],
    partitions: i32,
    dice: &mut Dice,
) -> Topic {
    let number = plan.streams().iter().position(|other| other.name == stream.name).expect("it is one of them");
    let mut waiting: Vec<VecDeque<&Decided>> = lanes
        .iter()
        .map(|lane| {
            let is_output = |decided: &&Decided| decided.stream == number && decided.kind == DecidedKind::Output;
            lane.decided.iter().filter(is_output).collect()
        })
        .collect();
    let (mut topic, mut reached) = (Topic::new(), vec![-1; lanes.len()]);
    // One lane is ahead of the other.
    let ahead = dice.below(lanes.len());
    loop {
        let open: Vec<usize> = (0..lanes.len()).filter(|lane| !waiting[*lane].is_empty()).collect();
        if open.is_empty() {
            break;
        }
        let lane = if open.contains(&ahead) && dice.chance(70) { ahead } else { *dice.pick(&open) };
        if stream.rekeys && dice.chance(25) {
            let idle = dice.chance(10);
            mark(&mut topic, stream, &lanes[lane], reached[lane], partitions, idle, dice);
            continue;
        }
        let Some(decided) = waiting[lane].pop_front() else { continue };
        reached[lane] = decided.position.offset;
        let id = &lanes[lane].id;
        let partition = if stream.rekeys { partition_of(decided, partitions) } else { id.partition };
        let timestamp_us = topic.clock_us.max(lanes[lane].clock_us(decided.position.offset));
        let headers = output_headers(&stream.name, id, decided.position, &stream.definition, stream.rekeys);
        let row = Row {
            partition,
            offset: topic.next(partition, dice),
            timestamp_us: Some(timestamp_us),
            key: decided.key.clone(),
            payload: Some(decided.payload.clone()),
            headers: text(&headers),
        };
        topic.push(row, Some((id.partition, decided.position.offset)));
    }
    if stream.rekeys {
        for lane in &lanes[..partitions as usize] {
            let idle = dice.chance(30);
            mark(&mut topic, stream, lane, i64::MAX, partitions, idle, dice);
        }
    }
    topic
}

/// Some partition that follows from the key.
fn partition_of(decided: &Decided, partitions: i32) -> i32 {
    let key = decided.key.as_deref().unwrap_or_default();
    i32::from(key.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))) % partitions
}

/// Writes the marks of a lane that has come so far.
fn mark(
    topic: &mut Topic,
    stream: &StreamPlan,
    lane: &Lane,
    reached: i64,
    partitions: i32,
    idle: bool,
    dice: &mut Dice,
) {
    let (log, partition) = (lane.id.log.clone(), lane.id.partition);
    let said = Mark { log, partition, partitions, front_us: lane.front_us(reached), idle };
    let headers = text(&mark_headers(&stream.name, &said));
    let timestamp_us = Some(topic.clock_us.max(lane.clock_us(reached)));
    for partition in 0..partitions {
        let (offset, headers) = (topic.next(partition, dice), headers.clone());
        topic.push(Row { partition, offset, timestamp_us, key: None, payload: None, headers }, None);
    }
}
