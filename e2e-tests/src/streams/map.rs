//! What a map writes: an output for each event.

use serde_json::{Map as Fields, Value};

use super::{Operator, Said};
use crate::streams::log::Event;

/// A map.
pub struct Map {
    /// The output's fields.
    pub fields: fn(&Event) -> Fields<String, Value>,
    /// The text of the field that records are keyed by anew; without one they keep their keys.
    pub key: Option<fn(&Event) -> String>,
}

impl Operator for Map {
    fn event(&mut self, event: &Event, _watermark_us: i64, said: &mut Vec<Said>) {
        let key = self.key.map_or_else(|| event.key.clone(), |key| Some(key(event).into_bytes()));
        said.push(Said::Output { time_us: event.at_us, key, fields: (self.fields)(event) });
    }

    fn close(&mut self, _watermark_us: i64, _said: &mut Vec<Said>) {}
}
