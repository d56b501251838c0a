//! What a look gives to the requests that wait for it.
//!
//! Whether an answer is complete, and as of when it speaks, follows from the snapshot and from the positions of the shards, and not
//! from the group key. So it is judged once for all questions of a look that have both in common.
//!
//! Requests that have asked the same question get the same answer. The first of them writes it, and the others send it as well. It goes
//! with the look, so it is shared with no request that another look answers.

use std::sync::{Arc, OnceLock};

use shared_logic::complete::{self, Standing, Verdict};
use shared_logic::contracts::speed_view::{Counters, State};
use shared_logic::merge::SpeedCell;

use super::ShardReadings;
use super::shard::ShardReading;
use crate::written::Written;

/// What one look found for a question.
#[derive(Debug)]
pub(crate) struct Looked {
    /// When everything was read, microseconds since 1970: for each request that shares this, a moment after it came.
    pub(crate) at_us: i64,
    judged: Arc<Judged>,
    /// For each group key its counters in every slice that counts, shard by shard.
    counters: Vec<Vec<Arc<Counters>>>,
    written: OnceLock<Arc<Written>>,
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

    /// The answer, once one of the requests that share this has written it.
    pub(crate) fn written(&self) -> Option<Arc<Written>> {
        self.written.get().cloned()
    }

    /// Keeps the answer for all requests that share this. If another one has written it meanwhile, it gives that.
    pub(crate) fn write(&self, answer: Written) -> Arc<Written> {
        Arc::clone(self.written.get_or_init(|| Arc::new(answer)))
    }

    /// The counters of the question's key of that number, as cells. Buckets are `grain_us` wide.
    pub(crate) fn cells(&self, key: usize, grain_us: i64) -> impl Iterator<Item = SpeedCell> {
        let of_key = self.counters.get(key).into_iter().flatten();
        let counters = of_key.flat_map(|counters| counters.iter());
        counters.map(move |(bucket, measure, value)| (bucket * grain_us, *measure, value.clone()))
    }
}

/// Judges the questions of one look.
pub(super) struct Judge {
    at_us: i64,
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
    /// Of a look that has read everything by that moment, microseconds since 1970.
    pub(super) fn new(at_us: i64) -> Judge {
        Judge { at_us, judgements: Vec::new() }
    }

    /// What a question gets that has this standing, and was answered by these readings of the shards that the standing names, in
    /// their order.
    pub(super) fn looked(&mut self, standing: &Arc<Standing>, readings: Vec<Option<ShardReading>>) -> Looked {
        let judged = self.judged(standing, &readings);
        // R12: what does not count is not even handed over.
        let counted = readings.into_iter().flatten().filter(|reading| complete::counts(&reading.state.shard));
        let mut counters: Vec<Vec<Arc<Counters>>> = Vec::new();
        for reading in counted {
            counters.resize_with(counters.len().max(reading.counters.len()), Vec::new);
            counters.iter_mut().zip(reading.counters).for_each(|(all, more)| all.extend(more));
        }
        Looked { at_us: self.at_us, judged, counters, written: OnceLock::new() }
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
            verdict: standing.judge(&read.shards, |id| read.begin(id)),
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
