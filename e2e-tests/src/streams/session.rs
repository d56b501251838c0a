//! What a session stream writes: every session is a list of its events.

use serde_json::{Map, Value};

use super::{Operator, Said};
use crate::streams::log::Event;
use crate::time::rfc3339;

/// Sessions by one text.
pub struct Sessions {
    by: &'static str,
    gap_us: i64,
    longest_us: Option<i64>,
    measure: fn(&[Event]) -> Map<String, Value>,
    open: Vec<Vec<Event>>,
}

impl Sessions {
    /// Sessions that end at such a gap, and at multiples of `longest_us`. `measure` gives measures and derived values of a session's
    /// events.
    pub fn new(
        by: &'static str,
        gap_us: i64,
        longest_us: Option<i64>,
        measure: fn(&[Event]) -> Map<String, Value>,
    ) -> Sessions {
        Sessions { by, gap_us, longest_us, measure, open: Vec::new() }
    }

    fn border(&self, at_us: i64) -> i64 {
        self.longest_us.map_or(i64::MAX, |longest_us| (at_us.div_euclid(longest_us) + 1) * longest_us)
    }

    /// When a session ends whose last event was then.
    fn end(&self, last_us: i64) -> i64 {
        (last_us + self.gap_us).min(self.border(last_us))
    }

    fn joins(&self, session: &[Event], event: &Event) -> bool {
        let same = |other: &Event| {
            other.text(self.by) == event.text(self.by) && self.border(other.at_us) == self.border(event.at_us)
        };
        session.iter().any(|other| same(other) && (other.at_us - event.at_us).abs() < self.gap_us)
    }
}

impl Operator for Sessions {
    fn event(&mut self, event: &Event, watermark_us: i64, said: &mut Vec<Said>) {
        if self.end(event.at_us) <= watermark_us {
            said.push(Said::Late { key: event.key.clone(), payload: event.payload.clone(), missed: None });
            return;
        }
        let all = std::mem::take(&mut self.open);
        let (joined, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|session| self.joins(session, event));
        self.open = others;
        self.open.push(joined.into_iter().flatten().chain([event.clone()]).collect());
    }

    fn close(&mut self, watermark_us: i64, said: &mut Vec<Said>) {
        let span = |session: &[Event]| {
            let times = || session.iter().map(|event| event.at_us);
            (times().min().unwrap_or_default(), times().max().unwrap_or_default())
        };
        let all = std::mem::take(&mut self.open);
        let (due, open): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|session| self.end(span(session).1) <= watermark_us);
        self.open = open;
        let mut due: Vec<(i64, i64, String, Vec<Event>)> = due
            .into_iter()
            .map(|session| (self.end(span(&session).1), span(&session).0, session[0].text(self.by).to_owned(), session))
            .collect();
        due.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        for (_, _, key, session) in due {
            let (first_us, last_us) = span(&session);
            let mut fields = Map::new();
            fields.insert("session_start".to_owned(), Value::from(rfc3339(first_us)));
            fields.insert("session_end".to_owned(), Value::from(rfc3339(last_us)));
            fields.insert(self.by.to_owned(), Value::from(key.clone()));
            fields.extend((self.measure)(&session));
            said.push(Said::Output { time_us: last_us, key: Some(key.into_bytes()), fields });
        }
    }
}
