//! The stream of records: fresh events, late events, copies of earlier events, and broken records. That of a table has changes of its rows
//! instead of events.

use std::collections::VecDeque;
use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::rejection::Reason;
use shared_logic::time::{DAY_US, HOUR_US};

use crate::cell::Row;
use crate::fraud::{Frauds, Planned};
use crate::mix::{Mix, MixError};
use crate::rows::Rows;
use crate::{broken, payload};

/// A copy repeats one of this many last records.
const NEAR_MAX: u64 = 5_000;
/// Late events happened at most this long ago.
const LATE_MAX_US: i64 = 7 * DAY_US;
/// The share of a table's records that delete a row.
const DELETES: f64 = 0.02;

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Decides the partition; a copy has its original's.
    pub key: Vec<u8>,
    /// The record's value; none of a delete.
    pub payload: Option<Vec<u8>>,
    /// What kind of record it is.
    pub kind: Kind,
    /// The values in the payload, one cell per declared field; `None` if the record must be rejected or deletes a row. A table's
    /// `changed_at` is the moment of sending.
    pub row: Option<Row>,
    /// The rule that must alert of it, if it completes a fraud.
    pub alert: Option<&'static str>,
}

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event that has just happened, or a row that a table has from now on.
    Fresh,
    /// An event of hours or days ago.
    Late,
    /// Another copy of an earlier event.
    Copy,
    /// A record that must be rejected, for this reason.
    Broken(Reason),
    /// A record that deletes the row of its key, if there is one.
    Delete,
}

/// An endless stream of records of one source.
#[derive(Debug)]
pub struct Generator {
    source: Source,
    mix: Mix,
    rng: StdRng,
    rows: Rows,
    /// Where the source has payments.
    frauds: Option<Frauds>,
    reasons: Vec<Reason>,
    /// The valid records, without copies, among the last `near_max` records; each with its number, oldest first.
    near: VecDeque<(u64, Sample)>,
    near_max: u64,
    number: u64,
    tally: Tally,
}

/// The number of records of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that had just happened, and rows.
    pub fresh: u64,
    /// Events of hours or days ago.
    pub late: u64,
    /// Copies.
    pub copies: u64,
    /// Records that must be rejected.
    pub broken: u64,
    /// Deletes of rows.
    pub deletes: u64,
}

impl Generator {
    /// A generator of records for `source`, which is one of the catalog; the seed decides them.
    ///
    /// # Errors
    /// If no stream can have this mix, or the source's payloads name schemas.
    pub fn new(catalog: &Catalog, source: &Source, mix: &Mix, seed: u64) -> Result<Generator, MixError> {
        if source.format.names_schemas() {
            return Err(MixError::Format(source.format.name()));
        }
        if mix.duplicates + mix.late + mix.broken + mix.fraud > 1.0 {
            return Err(MixError::Shares);
        }
        // A copy must lie in the deduplication window, which counts the records of one partition. Half of the window leaves
        // room for other producers.
        let near_max = if source.event_id.is_empty() { 0 } else { NEAR_MAX.min(source.dedup_window / 2) };
        Ok(Generator {
            rows: Rows::new(catalog, source, mix.keys, mix.zipf)?,
            frauds: Frauds::of(source, mix),
            rng: StdRng::seed_from_u64(seed),
            reasons: broken::reasons(source),
            near: VecDeque::new(),
            near_max,
            number: 0,
            tally: Tally::default(),
            source: source.clone(),
            mix: mix.clone(),
        })
    }

    /// The next record, for a sender whose clock shows `now_us` (microseconds since 1970).
    pub fn sample(&mut self, now_us: i64) -> Sample {
        let Mix { duplicates, late, broken, fraud, .. } = self.mix;
        self.number += 1;
        if self.source.is_table {
            return self.change(now_us);
        }
        if let Some(planned) = self.frauds.as_mut().and_then(|frauds| frauds.due(now_us)) {
            return self.planned(&planned);
        }
        while self.near.front().is_some_and(|(number, _)| self.number - number > self.near_max) {
            self.near.pop_front();
        }
        let chance: f64 = self.rng.random();
        if chance < broken {
            self.tally.broken += 1;
            return self.broken(now_us);
        }
        if chance < broken + duplicates && !self.near.is_empty() {
            self.tally.copies += 1;
            let original = self.rng.random_range(0..self.near.len());
            return Sample { kind: Kind::Copy, alert: None, ..self.near[original].1.clone() };
        }
        let before_fraud = broken + duplicates + late;
        if let Some(frauds) = &mut self.frauds
            && (before_fraud..before_fraud + fraud).contains(&chance)
            && let Some(planned) = frauds.begin(&mut self.rng, now_us)
        {
            return self.planned(&planned);
        }
        let is_late = (broken + duplicates..broken + duplicates + late).contains(&chance);
        let (kind, age_us) =
            if is_late { (Kind::Late, self.late_age_us()) } else { (Kind::Fresh, self.fresh_age_us()) };
        match kind {
            Kind::Late => self.tally.late += 1,
            _ => self.tally.fresh += 1,
        }
        let time_us = now_us - age_us;
        let mut rank = self.rows.rank(&mut self.rng);
        if let Some(frauds) = &mut self.frauds {
            rank = frauds.calm(rank, time_us, || self.rows.rank(&mut self.rng));
        }
        let row = self.rows.row(&mut self.rng, rank, time_us);
        self.valid(kind, row, None)
    }

    /// The number of records of each kind so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// A change of a table: its time is that of its record. At first each key gets a row; afterwards popular ones change more often.
    fn change(&mut self, now_us: i64) -> Sample {
        let chance: f64 = self.rng.random();
        if chance < self.mix.broken {
            self.tally.broken += 1;
            return self.broken(now_us);
        }
        let drawn = self.rows.rank(&mut self.rng);
        let rank = i64::try_from(self.number).ok().filter(|_| self.number <= self.mix.keys).unwrap_or(drawn);
        let row = self.rows.row(&mut self.rng, rank, now_us);
        if chance < self.mix.broken + DELETES {
            self.tally.deletes += 1;
            return Sample { key: self.rows.key(&row), payload: None, kind: Kind::Delete, row: None, alert: None };
        }
        self.tally.fresh += 1;
        self.valid(Kind::Fresh, row, None)
    }

    /// The payment of a fraud.
    fn planned(&mut self, planned: &Planned) -> Sample {
        self.tally.fresh += 1;
        let mut row = self.rows.row(&mut self.rng, planned.rank, planned.time_us);
        planned.change(&mut row);
        self.valid(Kind::Fresh, row, planned.alert)
    }

    fn valid(&mut self, kind: Kind, row: Row, alert: Option<&'static str>) -> Sample {
        let payload = Some(payload::encode(&self.source, &row));
        let sample = Sample { key: self.rows.key(&row), payload, kind, row: Some(row), alert };
        if self.near_max > 0 {
            self.near.push_back((self.number, sample.clone()));
        }
        sample
    }

    /// A record that resembles a fresh event but must be rejected.
    fn broken(&mut self, now_us: i64) -> Sample {
        let reason = self.reasons[self.rng.random_range(0..self.reasons.len())];
        let age_us = match reason {
            Reason::TooOld => self.source.max_age_us + self.rng.random_range(HOUR_US..DAY_US),
            Reason::TooFarAhead => -self.source.max_ahead_us - self.rng.random_range(HOUR_US..DAY_US),
            _ => self.fresh_age_us(),
        };
        let rank = self.rows.rank(&mut self.rng);
        let row = self.rows.row(&mut self.rng, rank, now_us - age_us);
        let payload = Some(broken::payload(&self.source, &row, reason, &mut self.rng));
        Sample { key: self.rows.key(&row), payload, kind: Kind::Broken(reason), row: None, alert: None }
    }

    fn fresh_age_us(&mut self) -> i64 {
        let spread_us = self.mix.spread.min(self.oldest_us());
        self.rng.random_range(0..spread_us.max(1))
    }

    /// Hours or days, equally often.
    fn late_age_us(&mut self) -> i64 {
        let oldest_us = LATE_MAX_US.min(self.oldest_us());
        let (from_us, to_us) = if self.rng.random() { (HOUR_US, DAY_US) } else { (DAY_US, LATE_MAX_US) };
        // If the source accepts only younger events, a late event is one that is almost too old.
        let (from_us, to_us) = (from_us.min(oldest_us / 2), to_us.min(oldest_us));
        self.rng.random_range(from_us..to_us.max(from_us + 1))
    }

    /// An age at which an event is surely accepted. The margin is for times being cut to milliseconds.
    fn oldest_us(&self) -> i64 {
        self.source.max_age_us - 2_000
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { fresh, late, copies, broken, deletes } = self;
        write!(f, "{fresh} fresh, {late} late, {copies} copies, {broken} broken")?;
        // Only a table has any.
        if *deletes > 0 { write!(f, ", {deletes} deletes") } else { Ok(()) }
    }
}
