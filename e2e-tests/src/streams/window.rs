//! What a window stream writes: every window is a list of its events.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Operator, Said};
use crate::streams::log::Event;
use crate::time::rfc3339;

/// Tumbling or sliding windows by one text.
pub struct Windows {
    by: &'static str,
    size_us: i64,
    slide_us: i64,
    measure: fn(&[Event]) -> Map<String, Value>,
    /// By their ends and keys.
    open: BTreeMap<(i64, String), Vec<Event>>,
}

impl Windows {
    /// Windows of that size that start at multiples of `slide_us`. `measure` gives measures and derived values of a window's events.
    pub fn new(by: &'static str, size_us: i64, slide_us: i64, measure: fn(&[Event]) -> Map<String, Value>) -> Windows {
        Windows { by, size_us, slide_us, measure, open: BTreeMap::new() }
    }
}

impl Operator for Windows {
    fn event(&mut self, event: &Event, watermark_us: i64, said: &mut Vec<Said>) {
        let mut missed: Option<(i64, i64)> = None;
        let mut start = event.at_us.div_euclid(self.slide_us) * self.slide_us;
        while start + self.size_us > event.at_us {
            let end = start + self.size_us;
            if end > watermark_us {
                self.open.entry((end, event.text(self.by).to_owned())).or_default().push(event.clone());
            } else {
                missed = Some((start, missed.map_or(end, |(_, last)| last)));
            }
            start -= self.slide_us;
        }
        if missed.is_some() {
            said.push(Said::Late { key: event.key.clone(), payload: event.payload.clone(), missed });
        }
    }

    fn close(&mut self, watermark_us: i64, said: &mut Vec<Said>) {
        while let Some(first) = self.open.first_entry().filter(|first| first.key().0 <= watermark_us) {
            let ((end, key), events) = first.remove_entry();
            let mut fields = Map::new();
            fields.insert("window_start".to_owned(), Value::from(rfc3339(end - self.size_us)));
            fields.insert("window_end".to_owned(), Value::from(rfc3339(end)));
            fields.insert(self.by.to_owned(), Value::from(key.clone()));
            fields.extend((self.measure)(&events));
            said.push(Said::Output { time_us: end - 1, key: Some(key.into_bytes()), fields });
        }
    }
}
