//! The sample source `views`: its catalog, and seeded events with duplicates, late ones and broken ones.

use std::collections::VecDeque;
use std::fmt::Write;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::kafka::Record;
use crate::time::rfc3339;

/// The sample metric's name, and its source's.
pub const METRIC: &str = "views";

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Events that are not late happened within this before they are sent.
pub const FRESH_MS: i64 = 10 * MINUTE_MS;
/// Late events happened within this before they are sent.
pub const LATE_MS: i64 = 3 * DAY_MS;
/// How many records back a duplicate's first copy lies at most.
const NEAR: usize = 5_000;

/// What a catalog for [`Views`] may vary.
pub struct CatalogOptions<'a> {
    /// The deployment's name.
    pub name: &'a str,
    /// The topic of the source `views`.
    pub topic: &'a str,
    /// When reconciles run; cron with seconds.
    pub reconcile: &'a str,
    /// How many records back the speed layer looks for duplicates.
    pub dedup_window: u64,
}

impl<'a> CatalogOptions<'a> {
    /// A deployment named like its topic, which reconciles only when told to and has the platform's default window.
    pub fn of(topic: &'a str) -> CatalogOptions<'a> {
        CatalogOptions { name: topic, topic, reconcile: NEVER, dedup_window: 500_000 }
    }
}

/// A cron expression that never comes due while a scenario runs.
pub const NEVER: &str = "0 0 0 29 2 *";

/// A catalog with the source and the metric `views`.
pub fn catalog(options: &CatalogOptions<'_>) -> String {
    let CatalogOptions { name, topic, reconcile, dedup_window } = options;
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{reconcile}"

[sources.views]
topic = "{topic}"
partitions = 4
event_id = "event_id"
event_time = "occurred_at"
key = "video_id"
dedup_window = {dedup_window}
[sources.views.fields]
event_id = "string"
occurred_at = "timestamp"
video_id = "string"
user_id = "string"
url = "string?"
status = "int"
dwell_ms = "int?"

[metrics.views]
source = "views"
where = "status = 200"
by = ["video_id"]
grain = "1m"
[metrics.views.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
[metrics.views.derived]
avg_dwell_ms = "dwell_ms / views"
"#
    )
}

/// What an event says, as far as a count depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Identifies the event together with its time.
    pub id: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The group key.
    pub video: String,
    /// Only 200 counts.
    pub status: i64,
    /// Summed where it is present.
    pub dwell_ms: Option<i64>,
}

/// A record together with the truth about it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What goes to Kafka.
    pub record: Record,
    /// What it says; nothing if it must be rejected.
    pub event: Option<Event>,
}

/// Shares of the unusual events, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Copies of an event sent shortly before.
    pub duplicates: f64,
    /// Events that happened hours or days ago.
    pub late: f64,
    /// Records that must be rejected.
    pub broken: f64,
}

impl Mix {
    /// Only fresh, sound, single events.
    pub const PLAIN: Mix = Mix { duplicates: 0.0, late: 0.0, broken: 0.0 };
    /// No copies, for scenarios in which two copies could meet in two partitions or logs: speed would count both until the
    /// next reconcile.
    pub const NO_COPIES: Mix = Mix { duplicates: 0.0, late: 0.02, broken: 0.01 };
    /// What the scenario `exact` asks for, and a good default.
    pub const USUAL: Mix = Mix { duplicates: 0.03, late: 0.02, broken: 0.01 };
}

/// An endless, seeded stream of events.
pub struct Views {
    rng: StdRng,
    now_ms: i64,
    mix: Mix,
    videos: u32,
    sent: u64,
    near: VecDeque<Event>,
}

impl Views {
    /// Events about `videos` videos, the first ones more often, that happen before `now_us`.
    pub fn new(rng: StdRng, now_us: i64, videos: u32, mix: Mix) -> Views {
        Views { rng, now_ms: now_us / 1000, mix, videos, sent: 0, near: VecDeque::new() }
    }

    /// The next `count` records.
    pub fn batch(&mut self, count: usize) -> Vec<Sent> {
        self.by_ref().take(count).collect()
    }

    /// A fresh, sound event about the named video.
    pub fn about(&mut self, video: &str) -> Sent {
        let event = Event { video: video.to_owned(), status: 200, ..self.event() };
        sound(event, &mut self.rng)
    }

    /// The same of a view that failed: only its status, 404, is another.
    pub fn failed_about(&mut self, video: &str) -> Sent {
        let event = Event { video: video.to_owned(), status: 404, ..self.event() };
        sound(event, &mut self.rng)
    }

    /// Another copy of an event; its time may be written in the other form.
    pub fn copy(&mut self, event: &Event) -> Sent {
        sound(event.clone(), &mut self.rng)
    }

    fn event(&mut self) -> Event {
        self.sent += 1;
        let age = if self.rng.random_bool(self.mix.late) { HOUR_MS..LATE_MS } else { 0..FRESH_MS };
        // The cube makes the first videos popular.
        let rank = f64::from(self.videos) * self.rng.random::<f64>().powi(3);
        Event {
            id: format!("e-{}-{:08x}", self.sent, self.rng.random::<u32>()),
            at_ms: self.now_ms - self.rng.random_range(age),
            video: video(rank as u32),
            status: if self.rng.random_bool(0.1) { 404 } else { 200 },
            dwell_ms: self.rng.random_bool(0.8).then(|| self.rng.random_range(1..60_000)),
        }
    }
}

impl Iterator for Views {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        if self.rng.random_bool(self.mix.broken) {
            // Never late, so that what is meant to be too far ahead is.
            let event = Event { at_ms: self.now_ms, ..self.event() };
            return Some(broken(&event, &mut self.rng));
        }
        if !self.near.is_empty() && self.rng.random_bool(self.mix.duplicates) {
            let index = self.rng.random_range(0..self.near.len());
            let event = self.near[index].clone();
            return Some(sound(event, &mut self.rng));
        }
        let event = self.event();
        self.near.push_back(event.clone());
        if self.near.len() > NEAR {
            self.near.pop_front();
        }
        Some(sound(event, &mut self.rng))
    }
}

/// The name of the video at a rank of popularity.
pub fn video(rank: u32) -> String {
    format!("video-{rank}")
}

fn sound(event: Event, rng: &mut StdRng) -> Sent {
    let payload = json(&event, rng).into_bytes();
    Sent { record: Record { key: event.video.clone(), payload, partition: None }, event: Some(event) }
}

/// Written by hand, since scenarios send millions. What is written needs no escapes.
fn json(event: &Event, rng: &mut StdRng) -> String {
    let Event { id, at_ms, video, status, dwell_ms } = event;
    let mut text = format!(r#"{{"event_id":"{id}","occurred_at":"#);
    // Writing to a string cannot fail.
    let _ = if rng.random() { write!(text, "{at_ms}") } else { write!(text, "\"{}\"", rfc3339(at_ms * 1000)) };
    let user = rng.random_range(0..10_000);
    let _ = write!(text, r#","video_id":"{video}","user_id":"user-{user}","status":{status}"#);
    match dwell_ms {
        Some(dwell_ms) => {
            let _ = write!(text, r#","dwell_ms":{dwell_ms}"#);
        }
        // Null and absent are the same.
        None if rng.random() => text.push_str(r#","dwell_ms":null"#),
        None => {}
    }
    if rng.random() {
        let _ = write!(text, r#","url":"https://example.org/watch/{video}""#);
    }
    text.push('}');
    text
}

/// A record that resembles the event but must be rejected, for one of several reasons.
fn broken(event: &Event, rng: &mut StdRng) -> Sent {
    let mut value: Value = serde_json::from_str(&json(event, rng)).expect("a sound event is JSON");
    let payload = match rng.random_range(0..10) {
        0 => Vec::new(),
        1 => b"{\"event_id\": \"\xff\xfe\"}".to_vec(),
        2 => value.to_string().into_bytes().split_last().map_or_else(Vec::new, |(_, cut_off)| cut_off.to_vec()),
        3 => json!([value]).to_string().into_bytes(),
        variant => {
            match variant {
                4 => value["video_id"] = json!(null),
                5 => value["status"] = json!("two hundred"),
                6 => value["dwell_ms"] = json!(1e19),
                7 => value["occurred_at"] = json!("yesterday"),
                8 => value["occurred_at"] = json!(event.at_ms - 500 * DAY_MS),
                _ => value["occurred_at"] = json!(event.at_ms + 3 * HOUR_MS),
            }
            value.to_string().into_bytes()
        }
    };
    Sent { record: Record { key: event.video.clone(), payload, partition: None }, event: None }
}
