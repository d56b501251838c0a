//! The check of the streams over a source, at each of its reconciles: what the archive of a stream holds has to be what its definition
//! decides again of the archived records of the source, output for output.
//!
//! It covers what lies below `published`, as the progress topic says it before the ends of the streams' topics are asked for: so
//! all outputs before lie before those ends, and once the archives have passed these, nothing of them can be missing there. It goes on
//! where the last check ended. What the lanes remember there is kept as a snapshot, from which the next check goes on, and a lane that
//! has lost its own.
//!
//! Not compared is what another definition has decided (T13), what was decided from an incomplete past (T8), and what cannot be decided
//! again as the archive does not hold the records as they arrived: because they are erased, retired or lost. Nothing is compared of
//! logs that have ended, nor of side outputs, which are not archived. Nor is anything compared that may have seen rows of a table of before
//! an erasure (B4): the archive holds these no more.
//!
//! - `lanes`: which offsets are checked;
//! - `rows`: what is kept of it.

mod lanes;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use platform::registry::Registry;
use platform::settings;
use platform::store::StoreError;
use platform::task::blocking;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::contracts::stream::{Begins, CheckedLane, CheckedStreams, ProgressNoted};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::stream::{Fronts, Lane};
use storage::{Archive, MaterialisedTable, Schemas, Snapshot, Storage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::lanes::{Archived, Planned, planned};
use self::rows::About;
use super::held::Held;
use super::looked_up::{LookedUpAgain, Otherwise};
use super::progress::Asked;
use super::replay::{Replay, ReplayError};
use super::rounds::{LaneSpan, Rounds, Step, StreamSide};
use super::written::{Ids, Written};
use crate::rows::RowsError;

pub(crate) use self::rows::{STRETCHES_MAX, not_possible};

/// For so long after an erasure of a table, its rows of before may still be in Redis, and in outputs of lanes.
const REFILLED_WITHIN_US: i64 = 600_000_000;

/// Checks the streams of one deployment.
pub(crate) struct Checker<'a> {
    /// The whole catalog.
    pub(crate) catalog: &'a Catalog,
    pub(crate) storage: &'a Storage,
    /// How long the archives are waited for, and how much memory there is.
    pub(crate) reconcile: &'a settings::Reconcile,
    /// What lanes may hold.
    pub(crate) streams: &'a settings::Streams,
    pub(crate) registry: &'a Registry,
}

/// The archives of streams, once they have passed the ends of the streams' topics.
type Passed = BTreeMap<String, (Archive, Offsets)>;

impl Checker<'_> {
    /// Checks the streams over a source. From `stop` on it begins nothing more, and notes how far it has come.
    ///
    /// # Errors
    /// If a store cannot be read or written.
    pub(crate) async fn check(
        &self,
        source: &Source,
        asked: &Asked,
        stop: &CancellationToken,
    ) -> Result<Vec<Reconciliation>, RowsError> {
        let began = Instant::now();
        let Some(archive) = self.storage.archive(&source.name).await? else { return Ok(Vec::new()) };
        let about = About::new(self.catalog, source, archive.version(), began);
        let passed = match self.passed(source, asked, stop).await? {
            Ok(passed) => passed,
            Err(behind) => return Ok(about.not_yet(&behind)),
        };
        let version = self.catalog.deployment.version.as_str();
        let mut known = archive.checked_streams(version).await?.unwrap_or_default();
        let held = Held::open(archive, source, &self.schemas(&source.name)).await?;
        let memory = self.reconcile.memory.as_usize();
        let mut replay = Replay::new(&held, self.catalog, self.streams, memory / 4);
        replay.set_begins(begins(&held, &replay, asked));
        let lanes = self.lanes(&held, &replay, asked, &known);
        let spans: Vec<LaneSpan> = lanes.iter().map(|lane| lane.span.clone()).collect();
        if spans.iter().all(|span| span.from >= span.to) {
            return Ok(about.nothing());
        }
        let looking = self.looking(&replay, &spans, &passed, &known).await?;
        let erased = self.erased_table(&replay, &passed, known.at_us).await?;
        let mut sides = self.sides(&replay, &spans, passed, &known).await?;
        leave_out(&lanes, &mut sides);
        let mut rounds = Rounds::new(&replay, spans, sides, memory / 2);
        if !replay.plan.lookups().is_empty() {
            let otherwise = Otherwise::Nothing;
            let of = match erased {
                Some(table) => Err(ReplayError::TableErased { table }),
                None => {
                    let memory = memory / 8;
                    LookedUpAgain::of(self.storage, self.catalog, &replay.plan, &looking, otherwise, memory).await
                }
            };
            rounds.looks_up(of)?;
        }
        rounds.sees_keys = true;
        let ended = self.run(&replay, &mut rounds, stop).await?;
        note(&mut known, &lanes, &rounds, &replay, &ended);
        known.at_us = platform::clock::now_us();
        platform::failpoints::pass("streams::before_checked");
        held.archive.note_checked_streams(version, &known).await?;
        Ok(about.rows(rounds, known.at_us))
    }

    /// Runs all lanes, and compares. Returns, by the numbers of the lanes that came to their end or were stopped on their way, the
    /// fronts there.
    async fn run(
        &self,
        replay: &Replay<'_>,
        rounds: &mut Rounds<'_>,
        stop: &CancellationToken,
    ) -> Result<BTreeMap<usize, Fronts>, RowsError> {
        let mut ended = BTreeMap::new();
        loop {
            if stop.is_cancelled() {
                if let Some((at, lane)) = rounds.halt() {
                    ended.insert(at, keep(replay, &rounds.lanes[at].id, lane).await);
                }
                break;
            }
            match rounds.step(&mut |_, _| {}).await? {
                Step::Going | Step::LeftOut => {}
                Step::Ended(at, lane) => {
                    ended.insert(at, keep(replay, &rounds.lanes[at].id, *lane).await);
                }
                Step::Full => rounds.meet().await?,
                Step::Over => break,
            }
        }
        rounds.meet().await?;
        Ok(ended)
    }

    /// Waits until the archives of the streams have passed the ends of their topics, for `reconcile.wait` since these were asked for.
    /// Otherwise says which one has not.
    async fn passed(
        &self,
        source: &Source,
        asked: &Asked,
        stop: &CancellationToken,
    ) -> Result<Result<Passed, String>, StoreError> {
        let deadline = asked.at + self.reconcile.wait.get();
        let streams = self.catalog.streams_of(&source.name);
        let of_streams = streams.map(|stream| (stream.name.as_str(), asked.outputs.get(&stream.name)));
        // What was looked up is found again in what is archived of the tables.
        let of_tables = asked.tables.iter().map(|(table, ends)| (table.as_str(), Some(ends)));
        let followed = of_streams.chain(of_tables).filter_map(|(name, ends)| Some((name, ends?)));
        let mut followed: Vec<_> =
            followed.map(|(name, ends)| (name, ends, self.storage.follow_archive(name))).collect();
        loop {
            let (mut passed, mut behind) = (Passed::new(), None);
            for (name, ends, archive) in &mut followed {
                let Some(archive) = archive.newest().await?.filter(|archive| archive.note().is_some()) else {
                    behind = behind.or_else(|| Some(format!("nothing of {name} is archived yet")));
                    continue;
                };
                let facts = archive.facts();
                let ids = ends.ends.iter().map(|(partition, end)| (facts.current(&ends.log, *partition), *end));
                let ids: Offsets = ids.collect();
                behind = behind.or_else(|| first_behind(name, &ids, &facts));
                passed.insert((*name).to_owned(), (archive.clone(), ids));
            }
            match behind {
                None => return Ok(Ok(passed)),
                Some(behind) if stop.is_cancelled() || Instant::now() >= deadline => return Ok(Err(behind)),
                Some(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.reconcile.poll.get()) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What is checked of each partition of the source.
    fn lanes(&self, held: &Held, replay: &Replay<'_>, asked: &Asked, known: &CheckedStreams) -> Vec<Planned> {
        let facts = held.archive.facts();
        let streams: Vec<(String, DefinitionHash)> =
            replay.definitions.iter().map(|(name, definition)| (name.clone(), definition.clone())).collect();
        let lane = |partition: i32| {
            let id = facts.current(&asked.log, partition);
            let of_archive = facts.partition(&id).filter(|_| !facts.is_ended(&id));
            let (begin, next) = (of_archive.map_or(0, |of| of.begin), of_archive.map(|of| of.next));
            let archived = Archived { begin, next, id };
            planned(&archived, &streams, known.lane(&archived.id), asked.noted.get(&partition))
        };
        (0..asked.partitions).map(lane).collect()
    }

    /// What each stream has written, in the order of the plan.
    async fn sides(
        &self,
        replay: &Replay<'_>,
        spans: &[LaneSpan],
        mut passed: Passed,
        known: &CheckedStreams,
    ) -> Result<Vec<StreamSide>, RowsError> {
        let mut sides = Vec::new();
        for stream in replay.plan.streams() {
            let cut = known.outputs.get(&stream.name);
            let written = match passed.remove(&stream.name) {
                Some((archive, ends)) => Some(self.written(&stream.name, archive, spans, known, &ends).await?),
                None => None,
            };
            sides.push(StreamSide::new(written, stream.rekeys, cut.is_some()));
        }
        Ok(sides)
    }

    /// B4: the archived outputs of the streams that look something up, by their numbers, to be read for what they have seen.
    async fn looking(
        &self,
        replay: &Replay<'_>,
        spans: &[LaneSpan],
        passed: &Passed,
        known: &CheckedStreams,
    ) -> Result<Vec<(usize, Written)>, RowsError> {
        let mut looking = Vec::new();
        for (number, stream) in replay.plan.streams().iter().enumerate() {
            let looks_up = !self.catalog.streams[&stream.name].lookups().is_empty();
            let Some((archive, ends)) = passed.get(&stream.name).filter(|_| looks_up) else { continue };
            let written = self.written(&stream.name, archive.clone(), spans, known, ends).await?;
            looking.push((number, written));
        }
        Ok(looking)
    }

    /// B4: the table of which the outputs since a check at that time may have seen rows that are erased by now.
    async fn erased_table(
        &self,
        replay: &Replay<'_>,
        passed: &Passed,
        checked_us: i64,
    ) -> Result<Option<String>, StoreError> {
        for lookup in replay.plan.lookups() {
            let name = lookup.table.as_str();
            let Some((archive, _)) = passed.get(name) else { continue };
            let facts = archive.facts();
            if facts.erased_parts() == 0 {
                continue;
            }
            let table = self.storage.table(name).await?;
            let made_from = table.as_ref().and_then(MaterialisedTable::note).map(|note| note.archive_version);
            if may_have_seen_erased(&facts, made_from, checked_us) {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// The outputs of a stream that were not looked at in the check before, up to these ends.
    async fn written(
        &self,
        stream: &str,
        archive: Archive,
        spans: &[LaneSpan],
        known: &CheckedStreams,
        ends: &Offsets,
    ) -> Result<Written, RowsError> {
        let lanes: Vec<PartitionId> = spans.iter().map(|span| span.id.clone()).collect();
        let held = Held::open(archive, &self.catalog.sources[stream], &self.schemas(stream)).await?;
        let ids = Ids::new(stream, &self.catalog.deployment.version, &lanes);
        Ok(Written::new(held, ids, known.outputs.get(stream), ends))
    }

    fn schemas(&self, source: &str) -> Schemas {
        Schemas::new(self.storage, source, self.registry)
    }
}

/// Whether outputs that were written since a check at that time, microseconds since 1970, may have seen rows of a table of before an erasure:
/// rows in Redis are filled without them soon after the table was made from an archive without them. `facts` are those of its archive, and
/// `made_from` is the version of that from which the table was made.
fn may_have_seen_erased(facts: &Facts, made_from: Option<u64>, checked_us: i64) -> bool {
    facts.erasures.iter().flat_map(|erasure| &erasure.parts).any(|part| {
        let is_made_without = made_from.is_some_and(|version| version >= part.version);
        let is_recent = |at_us: i64| checked_us < at_us.saturating_add(REFILLED_WITHIN_US);
        !is_made_without || part.at_us.is_some_and(is_recent)
    })
}

/// T8: where the past of the streams begins in each partition of the source, as lanes have noted it.
fn begins(held: &Held, replay: &Replay<'_>, asked: &Asked) -> BTreeMap<PartitionId, Begins> {
    let (facts, streams) = (held.archive.facts(), replay.plan.streams());
    let of_partition = |(partition, noted): (&i32, &ProgressNoted)| {
        let id = facts.current(&asked.log, *partition);
        let begins = noted.begins(streams, &id.log, held.begin(&id));
        (id, begins)
    };
    asked.noted.iter().map(of_partition).collect()
}

/// Leaves out of lanes what streams have decided from an incomplete past (T8).
fn leave_out(lanes: &[Planned], sides: &mut [StreamSide]) {
    for (lane, planned) in lanes.iter().enumerate() {
        for (side, _) in sides.iter_mut().zip(&planned.left_out).filter(|(_, left_out)| **left_out) {
            side.incomplete.insert(lane);
        }
    }
}

/// Which partition of a stream's topic is not archived up to its end.
fn first_behind(stream: &str, ends: &Offsets, archive: &Facts) -> Option<String> {
    ends.iter().find_map(|(id, end)| {
        let next = archive.partition(id).map_or(0, |known| known.next);
        (next < end).then(|| format!("the archive of {stream} is at {next} of {end} in {id}"))
    })
}

/// Keeps what a lane remembers where the check ends, for the next one and for a lane that has lost its own snapshots. If that fails, the
/// past is read again then. Returns the fronts.
async fn keep(replay: &Replay<'_>, id: &PartitionId, lane: Lane) -> Fronts {
    let (cursor, fronts) = (lane.cursor(), lane.fronts());
    match try_keep(replay, id, lane).await {
        Ok(()) => debug!(%id, cursor, "kept a snapshot where the check ends"),
        Err(why) => warn!(%id, cursor, why, "cannot keep a snapshot; the next check reads the past again"),
    }
    fronts
}

/// Keeps a snapshot of a lane, or says why there is none.
async fn try_keep(replay: &Replay<'_>, id: &PartitionId, mut lane: Lane) -> Result<(), String> {
    let (cursor, fronts) = (lane.cursor(), lane.fronts());
    let (archive, definitions) = (&replay.held.archive, &replay.definitions);
    // What it shares with may have been removed meanwhile. Then it is written whole.
    for shared in [replay.loaded(id), BTreeSet::new()] {
        let (of_lane, pieces) = blocking(move || {
            let pieces = lane.snapshot(&shared);
            (lane, pieces)
        })
        .await;
        lane = of_lane;
        let snapshot = Snapshot { cursor, fronts: fronts.clone(), pieces: pieces.map_err(|error| error_text(&error))? };
        let kept = async {
            let is_kept = archive.keep_snapshot(id, definitions, &snapshot).await?;
            if is_kept {
                archive.spare_snapshot(id, definitions, cursor).await?;
                archive.remove_snapshots(id, definitions, cursor).await?;
            }
            Ok::<_, StoreError>(is_kept)
        };
        if kept.await.map_err(|error| error_text(&error))? {
            return Ok(());
        }
    }
    Err("others remove pieces".to_owned())
}

/// Notes how far the lanes were checked, and the archives of the streams looked at.
fn note(
    known: &mut CheckedStreams,
    lanes: &[Planned],
    rounds: &Rounds<'_>,
    replay: &Replay<'_>,
    ended: &BTreeMap<usize, Fronts>,
) {
    for (at, planned) in lanes.iter().enumerate() {
        let span = &rounds.lanes[at];
        let reached = match (span.left_out, ended.get(&at)) {
            (None, Some(fronts)) => Some((rounds.reached(at), fronts.clone())),
            (Some(why), _) => {
                info!(id = %span.id, from = span.from, to = span.to, why, "outputs are not compared");
                planned.otherwise.clone()
            }
            (None, None) => None,
        };
        if let Some((offset, fronts)) = reached {
            let (log, partition, streams) = (span.id.log.clone(), span.id.partition, planned.streams.clone());
            let incomplete = planned.incomplete.clone();
            known.set_lane(CheckedLane { log, partition, offset, fronts, streams, incomplete });
        }
    }
    for (stream, side) in replay.plan.streams().iter().zip(&rounds.streams) {
        if let Some(written) = &side.written {
            known.outputs.insert(stream.name.clone(), written.cut());
        }
    }
    known.outputs.retain(|name, _| replay.definitions.contains_key(name));
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::archive::ErasedPart;

    use super::*;

    #[test]
    fn outputs_may_have_seen_what_is_erased_until_rows_are_filled_again() {
        let part = |version, at_us| ErasedPart { version, rules: "a".into(), list: String::new(), events: 1, at_us };
        let mut facts = Facts::default();
        assert!(!may_have_seen_erased(&facts, None, 0));
        facts.erase("x", Some(part(5, Some(1_000))), None);
        facts.erase("x", Some(part(7, Some(2_000))), Some(3_000));
        let filled_us = 2_000 + REFILLED_WITHIN_US;
        assert!(!may_have_seen_erased(&facts, Some(7), filled_us));
        assert!(may_have_seen_erased(&facts, Some(7), filled_us - 1), "what was written since that check");
        assert!(may_have_seen_erased(&facts, Some(6), filled_us), "the table has such rows");
        assert!(may_have_seen_erased(&facts, None, filled_us), "nothing was made without them");
    }
}
