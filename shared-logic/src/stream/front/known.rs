//! What was known of upstream partitions at an earlier offset (T8).
//!
//! An idle upstream partition holds up no front. So a lane that is warmed has to know who was idle where it begins, and what the log
//! holds behind that offset does not tell. Therefore fronts remember their *turns*: each record behind which something besides the
//! fronts themselves was known, with what was known before. Undone from the newest back, they say what was known at any offset that
//! they reach back to.
//!
//! How far upstream partitions had come there is not needed: not as far as the horizon, or else the records that said so would lie
//! behind that offset.

use serde::{Deserialize, Serialize};

use super::{Seen, Upstreams};

/// How many turns are remembered. A partition makes two whenever it has stood idle, which takes it at least `streams.idle_after`.
const TURNS_MAX: usize = 512;

/// A record behind which something else was known than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// Its offset.
    at: i64,
    before: Before,
}

/// What was known before a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Before {
    /// The upstream partition was not seen.
    Unseen(i32),
    /// It was idle.
    Idle(i32),
    /// It was not idle.
    Awake(i32),
    /// It had another log, or is read no more.
    Of { partition: i32, log: String, idle: bool },
    /// Another topic was read, or the topic had fewer partitions.
    Read { topic: String, partitions: i32 },
}

impl Upstreams {
    /// Notes what was known before the record at an offset.
    pub(super) fn turn(&mut self, at: i64, before: Before) {
        self.turns.push_back(Turn { at, before });
        if self.turns.len() > TURNS_MAX
            && let Some(forgotten) = self.turns.pop_front()
        {
            self.known_from = self.known_from.max(forgotten.at + 1);
        }
    }

    /// What was known before the record at `offset`, without fronts; and whether turns reach back that far. If they do not, it is
    /// what was known at the offset next to it.
    pub(super) fn known_at(&self, offset: i64) -> (Upstreams, bool) {
        let mut known = self.clone();
        while known.turns.back().is_some_and(|turn| turn.at >= offset) {
            if let Some(turn) = known.turns.pop_back() {
                known.undo(turn.before);
            }
        }
        known.seen.values_mut().for_each(|seen| seen.front_us = None);
        (known, offset >= self.known_from)
    }

    fn undo(&mut self, before: Before) {
        match before {
            Before::Unseen(partition) => {
                self.seen.remove(&partition);
            }
            Before::Idle(partition) => self.set_idle(partition, true),
            Before::Awake(partition) => self.set_idle(partition, false),
            Before::Of { partition, log, idle } => {
                self.seen.insert(partition, Seen { log, front_us: None, idle });
            }
            Before::Read { topic, partitions } => (self.topic, self.partitions) = (topic, partitions),
        }
    }

    fn set_idle(&mut self, partition: i32, idle: bool) {
        if let Some(seen) = self.seen.get_mut(&partition) {
            seen.idle = idle;
        }
    }
}
