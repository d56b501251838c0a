//! What lanes have looked up in tables, found again (B4).
//!
//! Each archived output says as of which changes it has looked. So before an event is decided again, the output that it has caused is
//! looked at for that, and the row is found in what is archived of the table's changes. A stream that keeps its partitions writes the
//! outputs of a lane in their order; a map that re-keys does so in each partition of its topic. So all of them are read once beside the
//! events of a lane.
//!
//! An event whose output is not archived has no row: then what is decided of it is missing anyway. One that went to the side output, as
//! it had no row which it must have, goes there again (B5).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::catalog::{Catalog, OUTPUT_ID, StreamKind};
use shared_logic::contracts::archive::RAW;
use shared_logic::log::OffsetRange;
use shared_logic::stream::{Found, LaneError, LanePlan, LookedUp, LookupPlan, Records, Seen};
use storage::Storage;

use super::records::{Reading, Shape};
use super::rejected::{as_events, may_be_outputs};
use super::replay::ReplayError;
use super::written::Written;
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{may_hold, within};
use crate::rows::RowsError;
use crate::table::{Cursors, History};

/// So much memory the changes of a table may take in any case.
const HISTORY_BYTES_MIN: usize = 64 << 20;

/// Finds again what lanes have looked up.
pub(super) struct LookedUpAgain<'a> {
    plan: Arc<LanePlan>,
    /// By table.
    histories: BTreeMap<String, History>,
    streams: Vec<Looking<'a>>,
    /// The lane at hand, by its number.
    lane: Option<usize>,
    /// What is found for events of which no archived output says anything.
    otherwise: Otherwise,
    memory: usize,
}

/// What is found for an event of which no archived output says as of which changes it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// Nothing: the output is missing.
    Nothing,
    /// The rows at the time of its record.
    AtItsTime,
}

/// A stream that looks something up, and its archived outputs.
struct Looking<'a> {
    written: &'a Written,
    rekeys: bool,
    /// Which of the plan's lookups, and the field that says as of which changes.
    lookups: Vec<(usize, String)>,
    /// Those of the lane at hand.
    readers: Vec<OutputReader<'a>>,
}

/// The offset of an event, and what its output has seen by each lookup.
type SeenBy = (i64, Vec<Option<Arc<str>>>);

/// Reads what the outputs of one lane have seen, in one partition of a stream's topic.
struct OutputReader<'a> {
    reading: Reading<'a>,
    /// What was read and is not passed, by the offsets of the events.
    waiting: VecDeque<SeenBy>,
    is_over: bool,
}

impl<'a> LookedUpAgain<'a> {
    /// Looks nothing up yet. `written` are the archived outputs of the streams that have such, by their numbers; about `memory` bytes of
    /// changes are in memory, and as many of outputs.
    ///
    /// # Errors
    /// If the changes of a table, or what was written, cannot be read.
    pub(super) async fn of(
        storage: &Storage,
        catalog: &Catalog,
        plan: &Arc<LanePlan>,
        written: &'a [(usize, Written)],
        otherwise: Otherwise,
        memory: usize,
    ) -> Result<LookedUpAgain<'a>, ReplayError> {
        let mut streams = Vec::new();
        for (number, written) in written {
            let stream = &plan.streams()[*number];
            let StreamKind::Map(map) = &catalog.streams[&stream.name].kind else { continue };
            let lookups = map.lookups.iter().filter_map(|lookup| {
                let is_same = |known: &LookupPlan| known.table == lookup.table && known.on == lookup.on;
                Some((plan.lookups().iter().position(is_same)?, lookup.seen()))
            });
            let lookups: Vec<(usize, String)> = lookups.collect();
            if !lookups.is_empty() {
                streams.push(Looking { written, rekeys: stream.rekeys, lookups, readers: Vec::new() });
            }
        }
        let mut histories = BTreeMap::new();
        let tables: BTreeSet<&str> = plan.lookups().iter().map(|lookup| lookup.table.as_str()).collect();
        for name in &tables {
            let of_table = |lookup: &&LookupPlan| lookup.table == *name;
            let taken = plan.lookups().iter().filter(of_table).flat_map(|lookup| lookup.take.iter().map(|(_, at)| *at));
            let taken = taken.collect();
            let cursors = match otherwise {
                Otherwise::Nothing => Some(cursors(plan, &streams, name).await?),
                Otherwise::AtItsTime => None,
            };
            let source = &catalog.sources[*name];
            let memory = (memory / tables.len()).max(HISTORY_BYTES_MIN);
            let history = History::load(storage, source, &taken, cursors.as_ref(), memory).await?;
            histories.insert((*name).to_owned(), history);
        }
        Ok(LookedUpAgain { plan: Arc::clone(plan), histories, streams, lane: None, otherwise, memory })
    }

    /// Of each table, the version of its archive from which rows are found.
    pub(super) fn archive_versions(&self) -> BTreeMap<String, u64> {
        let versions = self.histories.iter().map(|(table, history)| Some((table.clone(), history.archive_version()?)));
        versions.flatten().collect()
    }

    /// What the events of a lane find, which come in the order of their offsets.
    ///
    /// # Errors
    /// If outputs cannot be read, or have seen what is not archived.
    pub(super) async fn find(
        &mut self,
        lane: usize,
        partition: i32,
        records: &Records,
    ) -> Result<Vec<LookedUp>, ReplayError> {
        if self.lane != Some(lane) {
            self.lane = Some(lane);
            self.begin(partition).map_err(RowsError::from)?;
        }
        let seen = self.seen(lane, records).await?;
        let mut all = Vec::with_capacity(self.plan.lookups().len());
        for (number, lookup) in self.plan.lookups().iter().enumerate() {
            all.push(self.found(lookup, &seen[number], records)?);
        }
        Ok(all)
    }

    /// Begins to read the outputs of a lane that reads that partition.
    fn begin(&mut self, partition: i32) -> Result<(), StoreError> {
        let readers: usize = self.streams.iter().map(|stream| stream.ranges(partition).count()).sum();
        let memory = self.memory / readers.max(1);
        for stream in &mut self.streams {
            let fields = stream.lookups.iter().map(|(_, seen)| seen.clone());
            let shape = Shape::of_outputs(&stream.written.held.source, fields);
            let ranges: Vec<OffsetRange> = stream.ranges(partition).cloned().collect();
            let written: &'a Written = stream.written;
            let readers = ranges.into_iter().map(|range| {
                let reading = Reading::new(&written.held, range, shape.clone(), memory)?;
                Ok(OutputReader { reading, waiting: VecDeque::new(), is_over: false })
            });
            stream.readers = readers.collect::<Result<_, StoreError>>()?;
        }
        Ok(())
    }

    /// By lookup and event, as of which changes an archived output is, as its text.
    async fn seen(&mut self, lane: usize, records: &Records) -> Result<Vec<Vec<Option<Arc<str>>>>, ReplayError> {
        let mut seen = vec![vec![None; records.offsets.len()]; self.plan.lookups().len()];
        for Looking { written, lookups, readers, .. } in &mut self.streams {
            for reader in readers {
                for (row, offset) in records.offsets.iter().enumerate() {
                    let Some(texts) = reader.at(*offset, lane, written, lookups).await? else { continue };
                    for ((lookup, _), text) in lookups.iter().zip(texts) {
                        let known = &mut seen[*lookup][row];
                        *known = known.take().or(text);
                    }
                }
            }
        }
        Ok(seen)
    }

    fn found(
        &self,
        lookup: &LookupPlan,
        seen: &[Option<Arc<str>>],
        records: &Records,
    ) -> Result<LookedUp, ReplayError> {
        let history = &self.histories[&lookup.table];
        let keys = lookup
            .keys(&records.events)
            .map_err(|source| ReplayError::Lane(LaneError::Evaluate { from: records.from, source }))?;
        let mut looked_up = LookedUp::default();
        // Of the outputs of a micro-batch many have seen the same.
        let mut known: HashMap<(u32, &str), u32> = HashMap::new();
        for (row, key) in keys.of.iter().enumerate() {
            let Some(number) = *key else {
                looked_up.of.push(None);
                continue;
            };
            let (key, text) = (keys.keys[number as usize].as_str(), seen[row].as_deref());
            if let Some(found) = text.and_then(|text| known.get(&(number, text))) {
                looked_up.of.push(Some(*found));
                continue;
            }
            let found = match text {
                Some(text) => {
                    // Outputs of which it cannot be told have another text then.
                    let seen = text.parse::<Seen>().unwrap_or(Seen(Vec::new()));
                    let row = history.row(key, &seen)?;
                    Found { seen: seen.to_string(), row: row.map(|(row, at_us)| lookup.values(row, at_us)) }
                }
                None if self.otherwise == Otherwise::AtItsTime => {
                    let time_us = records.record_times_us[row].unwrap_or(i64::MAX);
                    let (seen, row) = history.row_at(key, time_us);
                    Found { seen: seen.to_string(), row: row.map(|(row, at_us)| lookup.values(row, at_us)) }
                }
                None => Found { seen: String::new(), row: None },
            };
            // There are no more of them than events.
            let place = u32::try_from(looked_up.found.len()).unwrap_or(u32::MAX);
            looked_up.found.push(found);
            looked_up.of.push(Some(place));
            if let Some(text) = text {
                known.insert((number, text), place);
            }
        }
        Ok(looked_up)
    }
}

impl Looking<'_> {
    /// Where the outputs of a lane may lie that reads that partition.
    fn ranges(&self, partition: i32) -> impl Iterator<Item = &OffsetRange> {
        let may_lie = move |range: &&OffsetRange| self.rekeys || range.id.partition == partition;
        self.written.ranges.iter().filter(may_lie).filter(|range| range.from < range.to)
    }
}

impl OutputReader<'_> {
    /// What the output of the event at that offset has seen; `None` if there is none. Offsets are asked for in their order.
    async fn at(
        &mut self,
        offset: i64,
        lane: usize,
        written: &Written,
        lookups: &[(usize, String)],
    ) -> Result<Option<Vec<Option<Arc<str>>>>, RowsError> {
        loop {
            while self.waiting.front().is_some_and(|(of, _)| *of < offset) {
                self.waiting.pop_front();
            }
            if let Some((of, texts)) = self.waiting.front() {
                return Ok((*of == offset).then(|| texts.clone()));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.reading.next().await? {
                None => self.is_over = true,
                Some(records) => {
                    let outputs = outputs(&records.events, lane, written, lookups);
                    self.waiting.extend(outputs.map_err(|source| frame_error(written, source))?);
                }
            }
        }
    }
}

/// What outputs of a lane have seen, by the offsets of their events.
fn outputs(rows: &DataFrame, lane: usize, written: &Written, lookups: &[(usize, String)]) -> PolarsResult<Vec<SeenBy>> {
    if rows.height() == 0 {
        return Ok(Vec::new());
    }
    let ids = rows.column(OUTPUT_ID)?.str()?;
    let seen = lookups.iter().map(|(_, name)| rows.column(name)?.str()).collect::<PolarsResult<Vec<_>>>()?;
    let mut outputs: Vec<SeenBy> = Vec::new();
    for row in 0..rows.height() {
        let parsed = ids.get(row).and_then(|id| written.ids.parse(id));
        let Some((_, position)) = parsed.filter(|(of, _)| *of == lane) else { continue };
        let texts = seen.iter().enumerate().map(|(at, seen)| {
            let text = seen.get(row)?;
            // Most have the same as the one before.
            let before = outputs.last().and_then(|(_, texts)| texts[at].as_ref());
            Some(before.filter(|before| ***before == *text).map_or_else(|| Arc::from(text), Arc::clone))
        });
        let texts = texts.collect();
        outputs.push((position.offset, texts));
    }
    Ok(outputs)
}

/// Between which cursors of a table outputs have seen it.
async fn cursors(plan: &LanePlan, streams: &[Looking<'_>], table: &str) -> Result<Cursors, ReplayError> {
    let mut cursors = Cursors::new();
    for Looking { written, lookups, .. } in streams {
        for (_, name) in lookups.iter().filter(|(number, _)| plan.lookups()[*number].table == table) {
            let held = &written.held;
            let picked = Picked::new(&held.archive, &held.source, &[RAW], |field| field == name.as_str())
                .map_err(RowsError::from)?;
            let ranges: Vec<OffsetRange> =
                written.ranges.iter().filter(|range| range.from < range.to).cloned().collect();
            for file in held.files.iter().filter(|file| may_hold(file, &ranges)) {
                let groups = picked.groups(file, |part| may_hold(part, &ranges)).await.map_err(RowsError::from)?;
                for group in groups {
                    let (filter, name) = (may_be_outputs().and(within(&ranges)), name.clone());
                    let seen = group.read(filter, move |rows| different(&as_events(rows)?, &name));
                    let seen = seen.await.map_err(RowsError::from)?;
                    seen.iter().filter_map(|text| text.parse::<Seen>().ok()).for_each(|seen| widen(&mut cursors, seen));
                }
            }
        }
    }
    Ok(cursors)
}

/// The texts of a column, those that follow on the same but once.
fn different(rows: &DataFrame, name: &str) -> PolarsResult<Vec<String>> {
    let mut texts: Vec<String> = Vec::new();
    for text in rows.column(name)?.str()?.iter().flatten() {
        if texts.last().is_none_or(|last| last != text) {
            texts.push(text.to_owned());
        }
    }
    Ok(texts)
}

fn widen(cursors: &mut Cursors, seen: Seen) {
    for (id, cursor) in seen.0 {
        let range = cursors.entry(id).or_insert(cursor..cursor);
        (range.start, range.end) = (range.start.min(cursor), range.end.max(cursor));
    }
}

fn frame_error(written: &Written, source: PolarsError) -> RowsError {
    let table = written.held.archive.path().to_owned();
    StoreError::Frame { operation: "read outputs", table, source }.into()
}

#[cfg(test)]
mod tests {
    use shared_logic::log::PartitionId;

    use super::*;

    #[test]
    fn the_least_and_the_greatest_cursor_are_known_of_each_partition() {
        let mut cursors = Cursors::new();
        for text in ["a/0/7", "a/0/5,a/1/9", "a/0/30"] {
            widen(&mut cursors, text.parse().expect("it says as of what"));
        }
        assert_eq!(cursors[&PartitionId::new("a", 0)], 5..30);
        assert_eq!(cursors[&PartitionId::new("a", 1)], 9..9);
    }

    #[test]
    fn texts_that_follow_on_the_same_are_looked_at_once() {
        let rows = df!("users_seen" => [Some("a/0/1"), Some("a/0/1"), None, Some("a/0/2"), Some("a/0/1")]);
        let texts = different(&rows.expect("a column"), "users_seen").expect("texts");
        assert_eq!(texts, ["a/0/1", "a/0/2", "a/0/1"]);
    }
}
