//! What is known of an alert, and how a judgement changes it (A1).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::Verdict;
use crate::catalog::DefinitionHash;

/// What is known of an alert: the value of a record of the topic of states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// The definition that it was judged by.
    pub definition: DefinitionHash,
    /// How far it has come, as of the window that was judged last.
    pub phase: Phase,
    /// Why it is not known whether that still is so; `None`: it is.
    pub unknown: Option<String>,
    /// The end of the window that was judged last, microseconds since 1970.
    pub end_us: Option<i64>,
    /// When the alert was met first, microseconds since 1970.
    pub born_us: i64,
    /// How many changes there were.
    pub changes: u64,
    /// What the condition looked at last.
    pub values: Map<String, Json>,
    /// The labels by which receivers know it.
    pub labels: BTreeMap<String, String>,
}

/// How far an alert has come. Moments are ends of windows, microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "phase")]
pub enum Phase {
    /// The condition does not hold.
    Ok,
    /// It holds, not for long enough yet.
    Pending {
        /// The first window of which it held, and of all since.
        since_us: i64,
    },
    /// It has held for long enough.
    Firing {
        /// As of a pending one.
        since_us: i64,
        /// The window with which it began to fire.
        fired_us: i64,
    },
}

/// The state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateWord {
    /// The condition does not hold.
    Ok,
    /// It holds, not for long enough yet.
    Pending,
    /// It has held for long enough.
    Firing,
    /// It is not known, as an answer is not complete, or answers are too old.
    Unknown,
}

/// What receivers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notice {
    /// The alert has begun to fire.
    Firing,
    /// It has ceased to.
    Resolved,
}

/// What decides beside verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// For how long the condition has to hold; microseconds.
    pub for_us: i64,
    /// How far apart the ends of windows are.
    pub grain_us: i64,
}

impl AlertState {
    /// Nothing has been judged yet.
    pub fn new(definition: DefinitionHash, labels: BTreeMap<String, String>, born_us: i64) -> AlertState {
        AlertState {
            definition,
            phase: Phase::Ok,
            unknown: Some("it has not been judged yet".to_owned()),
            end_us: None,
            born_us,
            changes: 0,
            values: Map::new(),
            labels,
        }
    }

    /// The state in one word.
    pub fn word(&self) -> StateWord {
        match (&self.unknown, self.phase) {
            (Some(_), _) => StateWord::Unknown,
            (None, Phase::Ok) => StateWord::Ok,
            (None, Phase::Pending { .. }) => StateWord::Pending,
            (None, Phase::Firing { .. }) => StateWord::Firing,
        }
    }

    /// Since when the condition has held, if it does.
    pub fn since_us(&self) -> Option<i64> {
        match self.phase {
            Phase::Ok => None,
            Phase::Pending { since_us } | Phase::Firing { since_us, .. } => Some(since_us),
        }
    }

    /// The state after the window that ends at `end_us` was judged. What cannot be known changes nothing but that; and a window that
    /// ends before the last one changes nothing at all.
    pub fn judged(&self, rule: Rule, end_us: i64, verdict: Verdict, values: Map<String, Json>) -> AlertState {
        let phase = match verdict {
            Verdict::Unknown(reason) => return self.not_known(reason),
            _ if self.end_us.is_some_and(|last_us| end_us < last_us) => return self.clone(),
            Verdict::Holds => self.phase.holding(rule, self.is_next(rule, end_us), end_us),
            Verdict::Fails => Phase::Ok,
        };
        AlertState { phase, unknown: None, end_us: Some(end_us), values, ..self.clone() }
    }

    /// The state while an answer is not complete, or too old. How far the alert has come stays: it goes on from there.
    pub fn not_known(&self, reason: String) -> AlertState {
        AlertState { unknown: Some(reason), ..self.clone() }
    }

    /// The state while the clock cannot be believed. Of the windows that seem to come meanwhile nobody knows whether they have: the next one is
    /// judged as if it were the first.
    pub fn interrupted(&self, reason: String) -> AlertState {
        AlertState { end_us: None, ..self.not_known(reason) }
    }

    /// What stays at that moment, microseconds since 1970. A window that ends later was judged by a clock that was ahead: the next one is
    /// judged as if it were the first, so that an alert does not stand still until that moment has come.
    pub fn as_of(&self, now_us: i64) -> AlertState {
        AlertState { end_us: self.end_us.filter(|end_us| *end_us <= now_us), ..self.clone() }
    }

    /// The state of an alert that is not declared any more, or declared otherwise.
    pub fn ended(&self) -> AlertState {
        AlertState { phase: Phase::Ok, unknown: None, ..self.clone() }
    }

    /// What receivers are told of the change from `self` to `after`: whether it fires, known or not, is all that they hear of.
    pub fn notice(&self, after: &AlertState) -> Option<Notice> {
        match (self.phase.fires(), after.phase.fires()) {
            (false, true) => Some(Notice::Firing),
            (true, false) => Some(Notice::Resolved),
            _ => None,
        }
    }

    /// Whether the change from `self` to `after` is one of which a record is written.
    pub fn is_change(&self, after: &AlertState) -> bool {
        self.word() != after.word() || self.notice(after).is_some()
    }

    /// Whether no window lies between the one that was judged last and the one that ends at `end_us`.
    fn is_next(&self, rule: Rule, end_us: i64) -> bool {
        self.end_us.is_some_and(|last_us| end_us - last_us <= rule.grain_us)
    }
}

impl Phase {
    /// Whether it fires.
    pub fn fires(self) -> bool {
        matches!(self, Phase::Firing { .. })
    }

    /// The phase after the condition held of the window that ends at `end_us`. `is_next`: no window before that was missed.
    fn holding(self, rule: Rule, is_next: bool, end_us: i64) -> Phase {
        let since_us = match self {
            Phase::Firing { .. } => return self,
            // Of a window that was missed nobody knows whether the condition held.
            Phase::Pending { since_us } if is_next => since_us,
            Phase::Pending { .. } | Phase::Ok => end_us,
        };
        if end_us - since_us >= rule.for_us {
            Phase::Firing { since_us, fired_us: end_us }
        } else {
            Phase::Pending { since_us }
        }
    }
}

impl StateWord {
    /// All of them.
    pub const ALL: [StateWord; 4] = [StateWord::Ok, StateWord::Pending, StateWord::Firing, StateWord::Unknown];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            StateWord::Ok => "ok",
            StateWord::Pending => "pending",
            StateWord::Firing => "firing",
            StateWord::Unknown => "unknown",
        }
    }
}

impl fmt::Display for StateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
