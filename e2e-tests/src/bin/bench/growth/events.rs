//! View events of so many videos, each equally often, in so many minutes; and a catalog with so many metrics of them.

use std::fmt::Write;

use e2e_tests::kafka::Record;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, catalog as sample};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use shared_logic::time::DAY_US;

const MINUTE_MS: i64 = 60_000;

/// An endless stream of events of about 146 bytes, of yesterday's noon and the minutes after it, one minute after the other.
pub(super) struct Events {
    rng: StdRng,
    keys: u32,
    /// How many of them a minute has.
    per_minute: u64,
    begin_ms: i64,
    sent: u64,
}

impl Events {
    /// Of so many videos; so many of them fill so many minutes.
    pub(super) fn of(keys: u32, count: u64, minutes: u64) -> Events {
        let begin_ms = (now_us() / DAY_US * DAY_US - DAY_US / 2) / 1_000;
        Events { rng: StdRng::seed_from_u64(29), keys, per_minute: count.div_ceil(minutes), begin_ms, sent: 0 }
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Record {
        let (id, minute) = (self.sent, self.sent / self.per_minute);
        self.sent += 1;
        let at_ms = self.begin_ms + minute as i64 * MINUTE_MS + self.rng.random_range(0..MINUTE_MS);
        let (video, user) = (self.rng.random_range(0..self.keys), self.rng.random_range(0..100_000));
        let dwell = self.rng.random_range(100..10_000);
        let payload = format!(
            r#"{{"event_id":"{id:016x}","occurred_at":{at_ms},"video_id":"v{video}","user_id":"u{user}","url":"/watch/v{video}","status":200,"dwell_ms":{dwell}}}"#
        );
        Record { key: format!("v{video}"), payload: payload.into_bytes(), partition: None }
    }
}

/// The sample source with so many partitions, and so many metrics like the sample one. Each has a condition of its own, which all events meet.
pub(super) fn catalog(name: &str, partitions: i32, metrics: u32) -> String {
    let text = sample(&CatalogOptions::of(name)).replacen("partitions = 4", &format!("partitions = {partitions}"), 1);
    let mut text = text.replacen("where = \"status = 200\"", "where = \"dwell_ms >= 0\"", 1);
    for at in 1..metrics {
        write!(
            text,
            "[metrics.views_{at}]\nsource = \"views\"\nwhere = \"dwell_ms >= {at}\"\nby = [\"video_id\"]\ngrain = \"1m\"\n\
             [metrics.views_{at}.measures]\nviews = \"count()\"\ndwell_ms = \"sum(dwell_ms)\"\n"
        )
        .expect("a string takes every character");
    }
    text
}
