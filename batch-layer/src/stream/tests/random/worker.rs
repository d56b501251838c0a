//! A lane, and the processes that it runs in, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shared_logic::catalog::Source;
use shared_logic::dedup::Sighting;
use shared_logic::log::PartitionId;
use shared_logic::stream::{
    Decided, Fronts, Horizon, Lane, LanePlan, Limits, OutputPosition, Piece, Progress, Records, SnapshotError,
};
use test_kit::Dice;

use crate::stream::tests::bench::{Row, Stand, records};

const LIMITS: Limits = Limits { pending_events: 10_000, state_bytes: 1 << 30, step_bytes: 1 << 30 };
/// A worker dies so often at most, so that it comes to an end.
const DEATHS_MAX: u32 = 12;

/// What decides the rows of a partition, however often it dies.
pub(super) struct Worker<'a> {
    source: &'a Source,
    plan: Arc<LanePlan>,
    id: PartitionId,
    rows: &'a [Row],
    lane: Lane,
    /// The offset behind all that the lane was given.
    given: i64,
    /// The newest snapshot.
    kept: Option<Kept>,
    /// The pieces that the next snapshot may share.
    shared: BTreeSet<String>,
    deaths: u32,
    /// By stream, the first position that was not decided yet.
    published: Vec<OutputPosition>,
    pub(super) decided: Vec<Decided>,
}

/// A snapshot.
struct Kept {
    cursor: i64,
    fronts: Fronts,
    pieces: BTreeMap<String, Vec<u8>>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(source: &'a Source, plan: &Arc<LanePlan>, id: PartitionId, rows: &'a [Row]) -> Worker<'a> {
        Worker {
            source,
            lane: Lane::new(Arc::clone(plan), id.clone(), "v1", 0, LIMITS),
            published: vec![OutputPosition::before(0); plan.streams().len()],
            plan: Arc::clone(plan),
            id,
            rows,
            given: 0,
            kept: None,
            shared: BTreeSet::new(),
            deaths: 0,
            decided: Vec::new(),
        }
    }

    /// Decides up to an offset: takes records in portions, steps as far as chance has it, and dies now and then.
    pub(super) fn reads_to(&mut self, to: i64, dice: &mut Dice) {
        while self.lane.cursor() < to {
            let next = (self.given + dice.between(1, 24)).min(to);
            if next > self.given {
                self.lane.give(self.records(self.given, next)).expect("the next records");
                self.given = next;
            }
            let outputs_max = *dice.pick(&[1, 3, 1_000]);
            if self.deaths == DEATHS_MAX || dice.chance(70) {
                while self.step(outputs_max) == Progress::More {}
                continue;
            }
            for _ in 0..dice.below(20) {
                self.step(outputs_max);
            }
            self.dies(dice);
        }
        assert_eq!(self.lane.cursor(), to);
    }

    /// Where it stands, between two offsets.
    pub(super) fn stand(&self) -> Stand {
        let positions = (0..self.published.len()).map(|stream| self.lane.position(stream)).collect();
        Stand { id: self.id.clone(), positions, fronts: self.lane.fronts() }
    }

    /// How many windows or sessions of a stream are open.
    pub(super) fn unwritten(&self, stream: usize) -> usize {
        self.lane.tallies()[stream].unwritten
    }

    fn records(&self, from: i64, to: i64) -> Records {
        let at = |offset: i64| self.rows.partition_point(|row| row.offset < offset);
        let records = records(self.source, from, &self.rows[at(from)..at(to)]);
        Records { to, ..records }
    }

    /// What refills the window of copies at an offset.
    fn before(&self, at: i64) -> Vec<Sighting> {
        self.records((at - self.source.dedup_window as i64).max(0), at).sightings
    }

    /// Decides some more. What was decided before is decided alike again.
    fn step(&mut self, outputs_max: usize) -> Progress {
        let mut out = Vec::new();
        let progress = self.lane.step(outputs_max, &mut out);
        for decided in out {
            let published = &mut self.published[decided.stream];
            if decided.position < *published {
                let is_same =
                    |before: &&Decided| (before.stream, before.position) == (decided.stream, decided.position);
                assert_eq!(self.decided.iter().find(is_same), Some(&decided), "of {}", self.id);
            } else {
                *published = decided.position.next();
                self.decided.push(decided);
            }
        }
        progress
    }

    /// A new process begins: by a snapshot of just now, by an older one, or by reading the past that matters.
    fn dies(&mut self, dice: &mut Dice) {
        self.deaths += 1;
        match dice.below(3) {
            0 => {
                self.keeps();
                self.loads();
            }
            1 => self.loads(),
            _ => self.is_warmed(),
        }
        self.given = self.lane.cursor();
    }

    /// Steps until the lane is between two offsets.
    fn ends_the_offset(&mut self) -> Vec<Piece> {
        loop {
            match self.lane.snapshot(&self.shared) {
                Ok(pieces) => return pieces,
                Err(SnapshotError::InsideOffset { offset }) => assert!(offset >= self.lane.cursor()),
                Err(error) => panic!("{error}"),
            }
            self.step(1);
        }
    }

    fn keeps(&mut self) {
        let pieces = self.ends_the_offset();
        let mut before = self.kept.take().map(|kept| kept.pieces).unwrap_or_default();
        let content = |piece: Piece| {
            let bytes = piece.bytes.or_else(|| before.remove(&piece.name)).expect("it shares what is kept");
            (piece.name, bytes)
        };
        let pieces = pieces.into_iter().map(content).collect();
        self.kept = Some(Kept { cursor: self.lane.cursor(), fronts: self.lane.fronts(), pieces });
    }

    /// Begins at the newest snapshot, or at the log's begin.
    fn loads(&mut self) {
        let Some(Kept { cursor, fronts, pieces }) = &self.kept else {
            self.lane = self.empty(0);
            self.shared.clear();
            return;
        };
        let piece = |(name, bytes): (&String, &Vec<u8>)| Piece { name: name.clone(), bytes: Some(bytes.clone()) };
        let loaded: Vec<Piece> = pieces.iter().map(piece).collect();
        let (plan, id) = (Arc::clone(&self.plan), self.id.clone());
        let mut lane = Lane::load(plan, id, "v1", *cursor, fronts, &loaded, LIMITS).expect("its own pieces");
        lane.warm(&self.before(*cursor));
        self.shared = pieces.keys().cloned().collect();
        self.lane = lane;
    }

    /// T8: begins where the past does that matters, discards what it decides of it, and takes the fronts.
    fn is_warmed(&mut self) {
        self.ends_the_offset();
        let (at, fronts) = (self.lane.cursor(), self.lane.fronts());
        let from = self.needed(at, &fronts);
        let mut lane = self.empty(from);
        lane.warm(&self.before(from));
        if from > 0 {
            assert!(lane.begin_warming(&fronts), "few lanes become idle here");
        }
        lane.give(self.records(from, at)).expect("the next records");
        let mut discarded = Vec::new();
        while lane.step(1_000, &mut discarded) == Progress::More {}
        lane.take_fronts(&fronts);
        assert_eq!(lane.cursor(), at);
        self.lane = lane;
        self.shared.clear();
    }

    fn needed(&self, at: i64, fronts: &Fronts) -> i64 {
        let horizon = self.plan.horizons(fronts).into_iter().min().expect("there is a stream");
        let need_us = match horizon {
            Horizon::All => return 0,
            Horizon::Nothing => return at,
            Horizon::Since(need_us) => need_us,
        };
        // A record without a time may be as late as any.
        let reaches = |row: &&Row| row.timestamp_us.is_none_or(|us| us >= need_us - self.source.max_ahead_us);
        self.rows.iter().find(reaches).map_or(at, |row| row.offset.min(at))
    }

    fn empty(&self, at: i64) -> Lane {
        Lane::new(Arc::clone(&self.plan), self.id.clone(), "v1", at, LIMITS)
    }
}
