//! The archived outputs of a stream, by the ids that they carry, whether or not its readers take them for events. Its side output is not
//! archived.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::catalog::{INCOMPLETE, OUTPUT_ID};
use shared_logic::contracts::archive::{KEY, LOG, OFFSET, PARTITION, PartitionFacts, RAW};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::stream::OutputPosition;
use shared_logic::stream_check::content_hash;

use super::held::Held;
use super::rejected::{as_events, may_be_outputs};
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{may_hold, within};

/// An archived output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// Which of the ranges its record lies in.
    pub(super) range: usize,
    /// The record's offset.
    pub(super) offset: i64,
    /// Which lane has decided it, by its number.
    pub(super) lane: usize,
    pub(super) position: OutputPosition,
    /// The time that it says, microseconds since 1970.
    pub(super) time_us: i64,
    /// A hash of key and payload; `None` if the payload was not kept.
    pub(super) content: Option<u64>,
    /// Whether it says that its past is incomplete.
    pub(super) incomplete: bool,
}

/// How outputs are told from others.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    /// `<stream>/<generation>/`.
    prefix: String,
    /// By log and partition, the number of the lane.
    lanes: Arc<BTreeMap<PartitionId, usize>>,
}

/// The outputs of a stream that are archived and were not looked at yet.
pub(super) struct Written {
    pub(super) held: Held,
    pub(super) ids: Ids,
    /// What is to be looked at, a range for each partition of the stream's topic.
    pub(super) ranges: Vec<OffsetRange>,
}

/// What an output is called (T1), which is its event id: `<stream>/<generation>/<log>/<partition>/<offset>/<n>`.
pub(super) fn output_id(stream: &str, generation: &str, lane: &PartitionId, position: OutputPosition) -> String {
    format!("{stream}/{generation}/{lane}/{position}")
}

impl Ids {
    /// The outputs of that stream that these lanes have decided.
    pub(super) fn new(stream: &str, generation: &str, lanes: &[PartitionId]) -> Ids {
        let lanes = lanes.iter().enumerate().map(|(number, id)| (id.clone(), number)).collect();
        Ids { prefix: format!("{stream}/{generation}/"), lanes: Arc::new(lanes) }
    }

    /// The lane and the position that an id names; `None` if it is of another stream, generation or lane.
    pub(super) fn parse(&self, id: &str) -> Option<(usize, OutputPosition)> {
        let mut parts = id.strip_prefix(self.prefix.as_str())?.rsplitn(4, '/');
        let (n, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let partition = parts.next()?.parse().ok()?;
        let lane = self.lanes.get(&PartitionId::new(parts.next()?, partition))?;
        Some((*lane, OutputPosition { offset, n }))
    }
}

impl Written {
    /// Everything from `cut` on, or from where the archive begins where that names nothing, and up to `ends`, or to where the archive
    /// ends where these name nothing.
    pub(super) fn new(held: Held, ids: Ids, cut: Option<&Offsets>, ends: &Offsets) -> Written {
        let facts = held.archive.facts();
        let range = |(id, known): (PartitionId, &PartitionFacts)| {
            let from = cut.and_then(|cut| cut.get(&id)).unwrap_or(known.begin).max(known.begin);
            let to = ends.get(&id).unwrap_or(known.next).min(known.next).max(from);
            OffsetRange { id, from, to }
        };
        let ranges = facts.partitions().map(range).collect();
        Written { held, ids, ranges }
    }

    /// Up to where it was looked at.
    pub(super) fn cut(&self) -> Offsets {
        self.ranges.iter().map(|range| (range.id.clone(), range.from)).collect()
    }

    /// Visits all of them, in any order.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn each(&self, mut visit: impl FnMut(Output) + Send) -> Result<(), StoreError> {
        let ranges: Vec<OffsetRange> = self.ranges.iter().filter(|range| range.from < range.to).cloned().collect();
        let Held { archive, source, files } = &self.held;
        let picked = Picked::new(archive, source, &[KEY, RAW], |name| {
            [OUTPUT_ID, INCOMPLETE, source.event_time.as_str()].contains(&name)
        })?;
        let places = Arc::new(Places::of(&self.ranges));
        for file in files.iter().filter(|file| may_hold(file, &ranges)) {
            let groups = picked.groups(file, |part| may_hold(part, &ranges)).await?;
            for group in groups {
                let filter = may_be_outputs().and(within(&ranges));
                let (ids, places, event_time) = (self.ids.clone(), Arc::clone(&places), source.event_time.clone());
                let outputs =
                    group.read(filter, move |rows| outputs(&as_events(rows)?, &ids, &places, &event_time)).await?;
                outputs.into_iter().for_each(&mut visit);
            }
        }
        Ok(())
    }
}

/// The numbers of ranges, by log and partition.
struct Places(BTreeMap<String, BTreeMap<i32, usize>>);

impl Places {
    fn of(ranges: &[OffsetRange]) -> Places {
        let mut places: BTreeMap<String, BTreeMap<i32, usize>> = BTreeMap::new();
        for (number, range) in ranges.iter().enumerate() {
            places.entry(range.id.log.clone()).or_default().insert(range.id.partition, number);
        }
        Places(places)
    }
}

fn outputs(rows: &DataFrame, ids: &Ids, places: &Places, event_time: &str) -> PolarsResult<Vec<Output>> {
    let (logs, partitions) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let (offsets, named) = (rows.column(OFFSET)?.i64()?, rows.column(OUTPUT_ID)?.str()?);
    let (keys, payloads) = (rows.column(KEY)?.binary()?, rows.column(RAW)?.binary()?);
    let times = rows.column(event_time)?.i64()?;
    let incomplete = rows.column(INCOMPLETE).ok().map(|column| column.bool()).transpose()?;
    let output = |row: usize| {
        let (lane, position) = ids.parse(named.get(row)?)?;
        let range = *places.0.get(logs.get(row)?)?.get(&partitions.get(row)?)?;
        Some(Output {
            range,
            offset: offsets.get(row)?,
            lane,
            position,
            time_us: times.get(row)?,
            content: payloads.get(row).map(|payload| content_hash(keys.get(row), payload)),
            incomplete: incomplete.and_then(|flags| flags.get(row)) == Some(true),
        })
    };
    Ok((0..rows.height()).filter_map(output).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_lane_and_position() {
        let lanes = [PartitionId::new("topic", 0), PartitionId::new("topic.1", 3)];
        let ids = Ids::new("alerts", "v1", &lanes);
        for (number, lane) in lanes.iter().enumerate() {
            let position = OutputPosition { offset: 41, n: 2 };
            let id = output_id("alerts", "v1", lane, position);
            assert_eq!(ids.parse(&id), Some((number, position)));
        }
        for other in [
            "alerts/v2/topic/0/41/2",
            "others/v1/topic/0/41/2",
            "alerts/v1/topic/1/41/2",
            "alerts/v1/topic.2/0/41/2",
            "alerts/v1/topic/0/41",
            "alerts/v1/topic/0/x/2",
            "",
        ] {
            assert_eq!(ids.parse(other), None, "{other}");
        }
    }
}
