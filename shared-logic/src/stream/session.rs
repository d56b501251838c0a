//! Sessions: activity of a key between gaps.
//!
//! The open sessions of a key are at least the gap apart, so an event joins at most the one before it and the one behind. Joined
//! sessions are merged, the earlier one first, and then the event is added. With `longest`, a session lies between two *borders*,
//! its multiples.
//!
//! A session waits in one place of `due`: under a moment not later than its end, and its start. When that moment comes and the
//! session has grown, it waits again. So an event of a session that is open touches no timer, unless it is the first one now.

use std::collections::BTreeSet;

use super::aggregates::{Aggregates, columns};
use super::budget::Budget;
use super::bytes::{Reader, Writer};
use super::cells::{Cells, NONE};
use super::keyed::{self, Keyed};
use super::least_first::LeastFirst;
use super::output::Outputs;
use super::rows::{RowPlan, Rows};
use crate::catalog::{SESSION_END, SESSION_START, Session};
use crate::measure::Value;
use crate::schema::FieldType;
use crate::time::bucket_start;

/// A stream of sessions, compiled.
#[derive(Debug)]
pub(super) struct SessionPlan {
    aggregates: Aggregates,
    key: usize,
    gap_us: i64,
    longest_us: Option<i64>,
}

/// The open sessions of a partition.
#[derive(Debug)]
pub(super) struct Sessions {
    /// The latest session of each key.
    keys: Keyed<u32>,
    open: Cells<Open>,
    /// When sessions may end, with their starts and places.
    due: BTreeSet<(i64, i64, u32)>,
    closing: Option<Closing>,
}

/// An open session.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its first event.
    first_us: i64,
    /// Its last event.
    last_us: i64,
    /// The moment that it waits for.
    due_us: i64,
    key: u32,
    /// The next earlier session of its key.
    older: u32,
}

/// Sessions with one end and one start, while they are closed.
#[derive(Debug)]
struct Closing(LeastFirst);

/// A session that is closed.
#[derive(Debug)]
pub(super) struct Closed<'a> {
    key: &'a [u8],
    first_us: i64,
    last_us: i64,
    values: &'a [Value],
}

impl SessionPlan {
    /// Compiles the sessions of a checked catalog. `by` are their columns with their types, and `key` the one that outputs are keyed
    /// by.
    pub(super) fn new(
        rows: &mut RowPlan,
        session: &Session,
        by: Vec<(String, FieldType)>,
        key: Option<&str>,
    ) -> SessionPlan {
        SessionPlan {
            key: rows.key(columns(&by)),
            aggregates: Aggregates::new(rows, by, key, &session.measures, &session.derived),
            gap_us: session.gap_us,
            longest_us: session.longest_us,
        }
    }

    /// T8: the earliest event that an open session can hold; `None` if it may have lasted for ever.
    pub(super) fn horizon_us(&self, watermark_us: i64) -> Option<i64> {
        Some(watermark_us.saturating_sub(self.longest_us?).saturating_sub(self.gap_us))
    }

    /// The border behind an instant, which no session crosses.
    fn border(&self, us: i64) -> i64 {
        self.longest_us.map_or(i64::MAX, |longest| bucket_start(us, longest) + longest)
    }

    /// When a session ends whose last event that is.
    fn end(&self, last_us: i64) -> i64 {
        last_us.saturating_add(self.gap_us).min(self.border(last_us))
    }

    /// Writes the output of a session.
    pub(super) fn write(&self, closed: &Closed<'_>, outputs: &mut Outputs<'_>) -> usize {
        let Closed { key, first_us, last_us, values } = closed;
        outputs.output(*last_us, self.aggregates.record_key(key), |object| {
            object.instant(SESSION_START, *first_us);
            object.instant(SESSION_END, *last_us);
            self.aggregates.write(object, key, values);
        })
    }
}

impl Sessions {
    pub(super) fn new(plan: &SessionPlan) -> Sessions {
        let open = Cells::new(plan.aggregates.width());
        Sessions { keys: Keyed::new(), open, due: BTreeSet::new(), closing: None }
    }

    /// Adds the event in a row to its session. Says whether the event came too late (T9).
    pub(super) fn event(&mut self, plan: &SessionPlan, rows: &Rows, row: usize, watermark_us: i64) -> bool {
        let time_us = rows.times_us[row];
        if plan.end(time_us) <= watermark_us {
            return true;
        }
        let (key, hash) = rows.key(plan.key, row);
        let id = self.keys.place(key, hash, || NONE);
        let session = match self.joined(plan, id, time_us) {
            Some(session) => self.grow(session, time_us),
            None => self.add(plan, id, time_us),
        };
        plan.aggregates.fold(self.open.values_mut(session), rows, row);
        false
    }

    /// The session that an event joins, into which the one behind it is merged if the event joins that too.
    fn joined(&mut self, plan: &SessionPlan, id: u32, time_us: i64) -> Option<u32> {
        let mut joined: Option<u32> = None;
        let mut at = self.newest(id);
        while let Some(open) = self.open.head(at).copied() {
            let is_near = open.first_us < time_us.saturating_add(plan.gap_us)
                && time_us < open.last_us.saturating_add(plan.gap_us)
                && plan.border(open.first_us) == plan.border(time_us);
            if is_near {
                if let Some(later) = joined.replace(at) {
                    self.merge(plan, at, later);
                }
            } else if open.last_us < time_us {
                break;
            }
            at = open.older;
        }
        joined
    }

    /// Merges a session into the one before it.
    fn merge(&mut self, plan: &SessionPlan, earlier: u32, later: u32) {
        self.open.merge(&plan.aggregates, earlier, later);
        let Some(removed) = self.remove(later) else { return };
        if let Some(open) = self.open.head_mut(earlier) {
            open.last_us = removed.last_us;
        }
    }

    /// Has a session hold an instant.
    fn grow(&mut self, session: u32, time_us: i64) -> u32 {
        if let Some(open) = self.open.head_mut(session) {
            open.last_us = open.last_us.max(time_us);
            if time_us < open.first_us {
                // It is closed in the order of starts.
                self.due.remove(&(open.due_us, open.first_us, session));
                open.first_us = time_us;
                self.due.insert((open.due_us, open.first_us, session));
            }
        }
        session
    }

    /// A session that begins with an event, without its values.
    fn add(&mut self, plan: &SessionPlan, id: u32, time_us: i64) -> u32 {
        let (mut newer, mut at) = (NONE, self.newest(id));
        while let Some(open) = self.open.head(at).filter(|open| open.first_us > time_us) {
            (newer, at) = (at, open.older);
        }
        let (first_us, last_us, due_us) = (time_us, time_us, plan.end(time_us));
        let open = Open { first_us, last_us, due_us, key: id, older: at };
        let new = self.open.insert(open, plan.aggregates.identity());
        self.due.insert((due_us, first_us, new));
        self.link(id, newer, new);
        new
    }

    fn newest(&self, id: u32) -> u32 {
        self.keys.state(id).map_or(NONE, |newest| *newest)
    }

    /// Has `older` follow `newer` among the sessions of a key; it is the latest if that is [`NONE`].
    fn link(&mut self, id: u32, newer: u32, older: u32) {
        match (self.open.head_mut(newer), self.keys.state_mut(id)) {
            (Some(newer), _) => newer.older = older,
            (None, Some(newest)) => *newest = older,
            (None, None) => {}
        }
    }

    /// Takes a session out.
    fn remove(&mut self, session: u32) -> Option<Open> {
        let open = self.open.remove(session)?;
        self.due.remove(&(open.due_us, open.first_us, session));
        let (mut newer, mut at) = (NONE, self.newest(open.key));
        while let Some(other) = self.open.head(at).filter(|_| at != session) {
            (newer, at) = (at, other.older);
        }
        self.link(open.key, newer, open.older);
        Some(open)
    }

    /// Closes the sessions that end at or before the watermark, in the order of (end, start, key), as far as the budget goes. Says
    /// whether all are closed.
    pub(super) fn close(
        &mut self,
        plan: &SessionPlan,
        watermark_us: i64,
        budget: &mut Budget,
        write: &mut dyn FnMut(&Closed<'_>, &mut Budget),
    ) -> bool {
        loop {
            if budget.is_spent() {
                return false;
            }
            if let Some(Closing(mut sessions)) = self.closing.take() {
                if let Some(session) = sessions.pop() {
                    self.closing = Some(Closing(sessions));
                    self.close_one(session, &mut |closed| write(closed, budget));
                }
                continue;
            }
            let Some((due_us, first_us, session)) = self.due.first().copied().filter(|due| due.0 <= watermark_us)
            else {
                return true;
            };
            budget.look();
            if !self.wait_again(plan, session) {
                self.closing = Some(self.closing(plan, due_us, first_us));
            }
        }
    }

    /// The key of a session.
    fn key(&self, session: u32) -> &[u8] {
        self.open.head(session).map_or(&[], |open| self.keys.key(open.key))
    }

    /// Has a session wait for its end, if it has grown since it began to wait. Says whether it has.
    fn wait_again(&mut self, plan: &SessionPlan, session: u32) -> bool {
        let Some(open) = self.open.head_mut(session) else { return false };
        let end_us = plan.end(open.last_us);
        let has_grown = end_us > open.due_us;
        if has_grown {
            self.due.remove(&(open.due_us, open.first_us, session));
            open.due_us = end_us;
            self.due.insert((open.due_us, open.first_us, session));
        }
        has_grown
    }

    /// All sessions with this end and start.
    fn closing(&mut self, plan: &SessionPlan, due_us: i64, first_us: i64) -> Closing {
        let waiting: Vec<u32> =
            self.due.range((due_us, first_us, 0)..=(due_us, first_us, u32::MAX)).map(|due| due.2).collect();
        let ended: Vec<u32> = waiting.into_iter().filter(|session| !self.wait_again(plan, *session)).collect();
        Closing(LeastFirst::new(&ended, |session| self.key(session)))
    }

    fn close_one(&mut self, session: u32, write: &mut dyn FnMut(&Closed<'_>)) {
        let Some(Open { first_us, last_us, key: id, .. }) = self.open.head(session).copied() else { return };
        write(&Closed { key: self.keys.key(id), first_us, last_us, values: self.open.values(session) });
        self.remove(session);
        if self.newest(id) == NONE {
            self.keys.remove(id);
        }
    }

    /// T8: the earliest event that can have been in a session that is open, or can be in one that an event to come opens.
    pub(super) fn horizon_us(&self, plan: &SessionPlan, watermark_us: i64) -> i64 {
        let to_come = watermark_us.saturating_sub(plan.gap_us);
        let first_us = self.due.iter().map(|(_, first_us, _)| *first_us).min();
        first_us.map_or(to_come, |first_us| first_us.min(to_come)).saturating_sub(plan.gap_us)
    }

    /// How many sessions are open.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// The memory that it takes, estimated.
    pub(super) fn bytes(&self) -> usize {
        // A node of the set is at least half full.
        self.keys.bytes() + self.open.bytes() + self.due.len() * size_of::<(i64, i64, u32)>() * 3 / 2
    }

    /// T2: appends every key with its sessions.
    pub(super) fn write_to(&self, plan: &SessionPlan, out: &mut Writer) {
        out.length(self.keys.len());
        for (key, newest) in self.keys.in_order() {
            let (mut sessions, mut at) = (Vec::new(), *newest);
            while let Some(open) = self.open.head(at) {
                sessions.push((open.first_us, open.last_us, at));
                at = open.older;
            }
            out.slice(key);
            out.length(sessions.len());
            for (first_us, last_us, session) in sessions.into_iter().rev() {
                out.int(first_us);
                out.int(last_us);
                plan.aggregates.write_values(out.bytes(), self.open.values(session));
            }
        }
    }

    /// T2: the sessions that [`Sessions::write_to`] wrote; `None` if it is something else.
    pub(super) fn read_from(plan: &SessionPlan, from: &mut Reader<'_>) -> Option<Sessions> {
        let mut sessions = Sessions::new(plan);
        for _ in 0..from.length()? {
            let key = from.slice()?;
            let id = sessions.keys.place(key, keyed::hash(key), || NONE);
            for _ in 0..from.length()? {
                let (first_us, last_us) = (from.int()?, from.int()?);
                let values = plan.aggregates.read_values(from.bytes())?;
                let (due_us, older) = (plan.end(last_us), sessions.newest(id));
                let session = sessions.open.insert(Open { first_us, last_us, due_us, key: id, older }, values);
                sessions.due.insert((due_us, first_us, session));
                sessions.link(id, NONE, session);
            }
        }
        Some(sessions)
    }
}
