//! A backtest: what a stream's definition would have written, had it been in place when the archived records arrived.
//!
//! The outputs become a table of their own, `backtest/<stream>`. Where the stream is written already, they are compared with what is
//! archived of that. Nothing else changes.
//!
//! - `report`: what was found;
//! - `command`: the command line.

pub(crate) mod command;
mod report;

use std::collections::BTreeMap;

use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::{DataFile, StoreError};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::backtest::BacktestNote;
use shared_logic::contracts::reconciliation::OutputDifference;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::stream::{Decided, DecidedKind, Fronts};
use shared_logic::time::TimeRange;
use storage::{Backtest, BacktestNotKept, BacktestOutput, Schemas, Storage};

use super::held::{Held, Moment};
use super::looked_up::{LookedUpAgain, Otherwise};
use super::replay::Replay;
use super::rounds::{Begin, LaneSpan, Rounds, Step, StreamSide};
use super::written::{Ids, Written, output_id};
use crate::progress::Progress;
use crate::rows::RowsError;

pub use self::report::{BacktestReport, Compared, PartitionReport};

/// Why there is no backtest.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The catalog has no such stream.
    #[error("the catalog declares no stream `{name}`; it declares {}", .known.join(", "))]
    UnknownStream {
        /// The name.
        name: String,
        /// The names of those that it declares.
        known: Vec<String>,
    },
    /// There is no archive of what the stream reads.
    #[error("nothing of source {source_name} is archived yet")]
    NothingArchived {
        /// The source's name.
        source_name: String,
    },
    /// Events were erased that the outputs may name. The table is empty then.
    #[error("events of source {source_name} were erased meanwhile; try again")]
    Erased {
        /// The source's name.
        source_name: String,
    },
    /// An archive could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The outputs could not be written.
    #[error(transparent)]
    NotKept(#[from] BacktestNotKept),
}

impl From<StoreError> for BacktestError {
    fn from(error: StoreError) -> BacktestError {
        RowsError::from(error).into()
    }
}

/// Finds out what a stream of that catalog would have written for the records of these times, by their timestamps. Says to `progress` how
/// far it has come.
///
/// # Errors
/// [`BacktestError`]. The table of the backtest before stands then.
pub async fn backtest(
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
    name: &str,
    times: TimeRange,
    progress: &Progress,
) -> Result<BacktestReport, BacktestError> {
    let unknown =
        || BacktestError::UnknownStream { name: name.to_owned(), known: catalog.streams.keys().cloned().collect() };
    let stream = catalog.streams.get(name).ok_or_else(unknown)?;
    // Its lanes have no other streams.
    let mut one = catalog.clone();
    one.streams.retain(|of, _| of == name);
    let source = &one.sources[&stream.from];
    let archive = storage.archive(&source.name).await?;
    let archive = archive.ok_or_else(|| BacktestError::NothingArchived { source_name: source.name.clone() })?;
    let schemas = |source: &str| Schemas::new(storage, source, &Registry::new(&settings.registry));
    let held = Held::open(archive, source, &schemas(&source.name)).await?;
    let memory = settings.reconcile.memory.as_usize();
    let replay = Replay::new(&held, &one, &settings.streams, memory / 4);
    let spans = spans(&held, times).await?;
    let ids: Vec<PartitionId> = spans.iter().map(|span| span.id.clone()).collect();
    let written = async || {
        let Some(archive) = storage.archive(name).await? else { return Ok(None) };
        let held = Held::open(archive, &one.sources[name], &schemas(name)).await?;
        let known = Ids::new(name, &one.deployment.version, &ids);
        Ok::<_, BacktestError>(Some(Written::new(held, known, None, &Offsets::default())))
    };
    // B4: an output that is archived says as of which changes of tables it is. Otherwise it is as of its time.
    let looks_up = !replay.plan.lookups().is_empty();
    let looking: Vec<(usize, Written)> =
        if looks_up { written().await?.into_iter().map(|written| (0, written)).collect() } else { Vec::new() };
    let written = written().await?;
    let is_written = written.is_some();
    let side = StreamSide::new(written, stream.rekeys(), false);
    let mut rounds = Rounds::new(&replay, spans, vec![side], memory / 2);
    let mut tables = BTreeMap::new();
    if looks_up {
        let otherwise = Otherwise::AtItsTime;
        let found = LookedUpAgain::of(storage, &one, &replay.plan, &looking, otherwise, memory / 8).await;
        // What cannot be looked up is decided by nobody, so nothing of it is kept.
        tables = found.as_ref().map(LookedUpAgain::archive_versions).unwrap_or_default();
        rounds.looks_up(found)?;
    }
    let mut keeping = Keeping {
        table: storage.create_backtest(name).await?,
        ids,
        outputs: BTreeMap::new(),
        bytes: 0,
        bytes_max: memory / 8,
        files: Vec::new(),
        counts: BTreeMap::new(),
    };
    keeping.run(&mut rounds, progress).await?;
    let note = BacktestNote { source: source.name.clone(), archive_version: held.archive.version(), tables };
    let version = keeping.table.replace(std::mem::take(&mut keeping.files), &note).await?;
    // What was erased while this ran is in what it has read before. An erasure from now on finds the table as it is.
    for read in std::iter::once(&source.name).chain(note.tables.keys()) {
        let Some(newest) = storage.archive(read).await? else { continue };
        for erasure in &newest.facts().erasures {
            if keeping.table.forget(read, erasure).await? {
                return Err(BacktestError::Erased { source_name: read.clone() });
            }
        }
    }
    let found = rounds.streams[0].found();
    let first = found.first.iter().map(|(place, kind)| {
        let id = output_id(name, &one.deployment.version, &rounds.lanes[place.lane].id, place.position);
        OutputDifference { id, kind: *kind }
    });
    let compared = is_written.then(|| Compared {
        outputs: found.compared,
        missing: found.missing,
        extra: found.extra,
        different: found.different,
        first: first.collect(),
    });
    let definition = replay.definitions[name].clone();
    Ok(BacktestReport {
        stream: name.to_owned(),
        definition,
        table: keeping.table.path().to_owned(),
        version,
        partitions: rounds.lanes.iter().enumerate().map(|(at, lane)| keeping.of_lane(at, lane)).collect(),
        compared,
    })
}

/// The offsets of each partition of each log whose records were written in these times. Imports are no records that a lane reads.
async fn spans(held: &Held, times: TimeRange) -> Result<Vec<LaneSpan>, RowsError> {
    let (facts, mut spans) = (held.archive.facts(), Vec::new());
    for (log, partition, known) in facts.entries().filter(|(log, ..)| log.import.is_none()) {
        let id = PartitionId::new(log.log.clone(), partition);
        let whole = OffsetRange { id: id.clone(), from: known.begin, to: known.next };
        let (begins, ends) = (times.from_us > TimeRange::ALL.from_us, times.to_us < TimeRange::ALL.to_us);
        let since = async |us: i64| held.first_since(&whole, Moment { record_us: us, event_us: us }, None).await;
        let from = if begins { since(times.from_us).await? } else { whole.from };
        let to = if ends { since(times.to_us).await? } else { whole.to };
        let begin = if from > known.begin { Begin::Guess(Fronts::at(times.from_us)) } else { Begin::First };
        if from < to {
            let compared = vec![vec![from..to]];
            spans.push(LaneSpan { id, begin, from, to, skip_to: to, follows: false, compared, left_out: None });
        }
    }
    Ok(spans)
}

/// Outputs on their way into the table.
struct Keeping {
    table: Backtest,
    /// The partitions of the lanes.
    ids: Vec<PartitionId>,
    /// By log, those that are not written yet.
    outputs: BTreeMap<String, Vec<BacktestOutput>>,
    bytes: usize,
    bytes_max: usize,
    files: Vec<DataFile>,
    /// By lane, how many outputs there are, and how many events went to the side output.
    counts: BTreeMap<usize, (u64, u64)>,
}

impl Keeping {
    /// Runs all lanes, compares, and writes what they decide.
    async fn run(&mut self, rounds: &mut Rounds<'_>, progress: &Progress) -> Result<(), BacktestError> {
        loop {
            match rounds.step(&mut |at, decided| self.take(at, decided)).await? {
                Step::Going | Step::Ended(..) | Step::LeftOut => {}
                Step::Full => rounds.meet().await?,
                Step::Over => break,
            }
            let (outputs, lanes) = (self.counts.values().map(|(outputs, _)| outputs).sum::<u64>(), rounds.lanes.len());
            progress.say(format_args!("{outputs} outputs of {} partitions, of {lanes}", self.counts.len()));
            if self.bytes >= self.bytes_max {
                self.flush().await?;
            }
        }
        rounds.meet().await?;
        self.flush().await
    }

    fn take(&mut self, lane: usize, decided: &Decided) {
        let (outputs, late) = self.counts.entry(lane).or_default();
        if decided.kind != DecidedKind::Output {
            *late += 1;
            return;
        }
        *outputs += 1;
        let Decided { position, key, payload, time_us, .. } = decided;
        self.bytes += size_of::<BacktestOutput>() + payload.len() + key.as_ref().map_or(0, Vec::len);
        let id = &self.ids[lane];
        let output = BacktestOutput {
            partition: id.partition,
            offset: position.offset,
            n: position.n,
            key: key.clone(),
            payload: payload.clone(),
            time_us: *time_us,
        };
        match self.outputs.get_mut(&id.log) {
            Some(outputs) => outputs.push(output),
            None => drop(self.outputs.insert(id.log.clone(), vec![output])),
        }
    }

    async fn flush(&mut self) -> Result<(), BacktestError> {
        self.bytes = 0;
        for (log, outputs) in std::mem::take(&mut self.outputs) {
            self.files.push(self.table.write(&log, outputs).await?);
        }
        Ok(())
    }

    fn of_lane(&self, at: usize, lane: &LaneSpan) -> PartitionReport {
        let (outputs, late) = self.counts.get(&at).copied().unwrap_or_default();
        PartitionReport {
            log: lane.id.log.clone(),
            partition: lane.id.partition,
            from: lane.from,
            to: lane.to,
            outputs,
            late,
            left_out: lane.left_out,
        }
    }
}
