//! What a detector writes: the past of a key is a list of all its events.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::{Operator, Said};
use crate::streams::log::Event;

/// Judges an event by those before it: gives what the rule looked at if it holds.
pub type Judge = fn(&[&Event], &Event) -> Option<Map<String, Value>>;

/// How many events an earlier one has judged again; Braid's default.
const REJUDGE_MAX: usize = 100;

/// A detector by one text.
pub struct Detector {
    key: &'static str,
    history_us: i64,
    rules: Vec<(&'static str, Judge)>,
    /// In the order of (time, offset).
    past: BTreeMap<String, Vec<Event>>,
    /// The rules that have alerted of the event at an offset.
    alerted: HashSet<(i64, &'static str)>,
}

impl Detector {
    /// A detector with those rules, in the order of the catalog.
    pub fn new(key: &'static str, history_us: i64, rules: &[(&'static str, Judge)]) -> Detector {
        Detector { key, history_us, rules: rules.to_vec(), past: BTreeMap::new(), alerted: HashSet::new() }
    }

    fn judge(&mut self, event: &Event, said: &mut Vec<Said>) {
        let past = self.past.get(event.text(self.key)).map(Vec::as_slice).unwrap_or_default();
        let is_before = |other: &&Event| {
            (other.at_us, other.offset) < (event.at_us, event.offset) && other.at_us > event.at_us - self.history_us
        };
        let history: Vec<&Event> = past.iter().filter(is_before).collect();
        for (rule, judge) in &self.rules {
            if self.alerted.contains(&(event.offset, *rule)) {
                continue;
            }
            let Some(looked_at) = judge(&history, event) else { continue };
            self.alerted.insert((event.offset, *rule));
            let mut fields = Map::new();
            fields.insert("rule".to_owned(), json!(rule));
            fields.insert("judged_offset".to_owned(), json!(event.offset));
            fields.insert("looked_at".to_owned(), Value::Object(looked_at));
            fields.extend(event.fields.clone());
            let key = Some(event.text(self.key).as_bytes().to_vec());
            said.push(Said::Output { time_us: event.at_us, key, fields });
        }
    }
}

impl Operator for Detector {
    fn event(&mut self, event: &Event, watermark_us: i64, said: &mut Vec<Said>) {
        if event.at_us < watermark_us {
            said.push(Said::Late { key: event.key.clone(), payload: event.payload.clone(), missed: None });
            return;
        }
        let past = self.past.entry(event.text(self.key).to_owned()).or_default();
        past.push(event.clone());
        past.sort_by_key(|event| (event.at_us, event.offset));
        let is_behind = |other: &&Event| {
            (other.at_us, other.offset) > (event.at_us, event.offset) && other.at_us < event.at_us + self.history_us
        };
        let behind: Vec<Event> = past.iter().filter(is_behind).cloned().collect();
        self.judge(event, said);
        for again in &behind[behind.len().saturating_sub(REJUDGE_MAX)..] {
            self.judge(again, said);
        }
    }

    fn close(&mut self, _watermark_us: i64, _said: &mut Vec<Said>) {}
}
