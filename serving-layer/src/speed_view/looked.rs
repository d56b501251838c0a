//! What a look gives to the requests that wait for it.
//!
//! Whether an answer is complete, and as of when it speaks, follows from the snapshot and from the positions of the shards, and not
//! from the group key. So it is judged once for all questions of a look that have both in common.

use std::sync::Arc;

use shared_logic::complete::{self, Standing, Verdict};
use shared_logic::contracts::speed_view::{Counters, State};
use shared_logic::merge::SpeedCell;

use super::ShardReadings;
use super::shard::ShardReading;

/// What one look found for a question.
#[derive(Debug)]
pub(crate) struct Looked {
    judged: Arc<Judged>,
    /// The group key's counters in every slice that counts, shard by shard.
    counters: Vec<Arc<Counters>>,
}

/// What the positions of the shards say of an answer.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What is missing, and from which offsets on slices count.
    pub(crate) verdict: Verdict,
    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(crate) as_of_us: Option<i64>,
}

impl Looked {
    /// What the positions say.
    pub(crate) fn judged(&self) -> &Judged {
        &self.judged
    }

    /// The counters as cells. Buckets are `grain_us` wide.
    pub(crate) fn cells(&self, grain_us: i64) -> impl Iterator<Item = SpeedCell> {
        let counters = self.counters.iter().flat_map(|counters| counters.iter());
        counters.map(move |(bucket, measure, value)| (bucket * grain_us, *measure, value.clone()))
    }
}

/// Judges the questions of one look.
#[derive(Default)]
pub(super) struct Judge {
    judgements: Vec<Judgement>,
}

/// What was judged, and of what.
struct Judgement {
    standing: Arc<Standing>,
    /// In the order in which the standing names the shards; `None` for a partition without one.
    states: Vec<Option<Arc<State>>>,
    judged: Arc<Judged>,
}

impl Judge {
    /// What a question gets that has this standing, and was answered by these readings of the shards that the standing names, in
    /// their order.
    pub(super) fn looked(&mut self, standing: &Arc<Standing>, readings: Vec<Option<ShardReading>>) -> Looked {
        let judged = self.judged(standing, &readings);
        // R12: what does not count is not even handed over.
        let counted = readings.into_iter().flatten().filter(|reading| complete::counts(&reading.state.shard));
        Looked { judged, counters: counted.flat_map(|reading| reading.counters).collect() }
    }

    fn judged(&mut self, standing: &Arc<Standing>, readings: &[Option<ShardReading>]) -> Arc<Judged> {
        if let Some(known) = self.judgements.iter().find(|known| known.is_of(standing, readings)) {
            return Arc::clone(&known.judged);
        }
        let state = |reading: &Option<ShardReading>| reading.as_ref().map(|reading| Arc::clone(&reading.state));
        let states: Vec<Option<Arc<State>>> = readings.iter().map(state).collect();
        let mut read = ShardReadings::default();
        for (id, state) in standing.counted_from().keys().zip(&states) {
            read.add(id.clone(), state.as_deref().cloned());
        }
        let judged = Arc::new(Judged {
            verdict: standing.judge(&read.shards),
            as_of_us: standing.as_of_us(&read.shards, |id| read.as_of_us(id)),
        });
        self.judgements.push(Judgement { standing: Arc::clone(standing), states, judged: Arc::clone(&judged) });
        judged
    }
}

impl Judgement {
    fn is_of(&self, standing: &Arc<Standing>, readings: &[Option<ShardReading>]) -> bool {
        let is_same = |(state, reading): (&Option<Arc<State>>, &Option<ShardReading>)| match (state, reading) {
            (Some(state), Some(reading)) => Arc::ptr_eq(state, &reading.state),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(&self.standing, standing) && self.states.iter().zip(readings).all(is_same)
    }
}
