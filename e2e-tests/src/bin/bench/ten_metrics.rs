//! Ten metrics by two columns: what each event is counted into 40 times.

use std::fmt::Write;

use e2e_tests::kafka::Record;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, catalog as sample};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};

const VIDEOS: f64 = 1_000.0;
const COUNTRIES: f64 = 10.0;
/// A condition, if there is one, and measures.
const METRICS: [(&str, &[&str]); 10] = [
    ("", &["count()"]),
    ("status = 200", &["count()", "sum(dwell_ms)"]),
    ("status <> 200", &["count()"]),
    ("dwell_ms > 5000", &["count()", "sum(dwell_ms)"]),
    ("dwell_ms <= 5000", &["count()", "sum(dwell_ms)"]),
    ("", &["min(dwell_ms)", "max(dwell_ms)"]),
    ("status = 200", &["min(dwell_ms)", "max(dwell_ms)"]),
    ("", &["sum(dwell_ms / 1000.0)"]),
    ("status = 200 AND dwell_ms > 1000", &["count()"]),
    ("", &["count()", "sum(CASE WHEN status = 200 THEN 1 ELSE 0 END)"]),
];

/// The sample source with a country, and ten metrics instead of the one.
pub(crate) fn catalog(name: &str) -> String {
    let sample = sample(&CatalogOptions::of(name));
    let source = sample.split_once("[metrics.views]").map_or(sample.as_str(), |(source, _)| source);
    let mut text = format!("{source}country = \"string\"\n");
    for (at, (condition, measures)) in METRICS.iter().enumerate() {
        let filter = if condition.is_empty() { String::new() } else { format!("where = \"{condition}\"\n") };
        let measures = measures.iter().enumerate().map(|(measure, of)| format!("of_{measure} = \"{of}\"\n"));
        let measures: String = measures.collect();
        write!(
            text,
            "[metrics.metric_{at}]\nsource = \"views\"\n{filter}by = [\"video_id\", \"country\"]\ngrain = \"1m\"\n\
             [metrics.metric_{at}.measures]\n{measures}"
        )
        .expect("a string takes every character");
    }
    text
}

/// An endless stream of view events of about 140 bytes: of 1,000 videos in 10 countries, each by Zipf's law with exponent 1.1.
pub(crate) struct Events {
    rng: StdRng,
    videos: Zipf<f64>,
    countries: Zipf<f64>,
    id: u64,
}

impl Events {
    /// The same events for the same seed, but for their times.
    pub(crate) fn new(seed: u64) -> Events {
        let zipf = |count: f64| Zipf::new(count, 1.1).expect("valid parameters");
        let (videos, countries) = (zipf(VIDEOS), zipf(COUNTRIES));
        Events { rng: StdRng::seed_from_u64(seed), videos, countries, id: seed << 40 }
    }

    /// The next event, as of now.
    pub(crate) fn next(&mut self) -> Record {
        self.id += 1;
        let (id, at_ms) = (self.id, now_us() / 1_000);
        let [video, country] = [&self.videos, &self.countries].map(|zipf| zipf.sample(&mut self.rng) as u32);
        let (user, dwell) = (self.rng.random_range(0..100_000), self.rng.random_range(0..10_000));
        let status = if self.rng.random_range(0..100) < 95 { 200 } else { 404 };
        let payload = format!(
            r#"{{"event_id":"{id:016x}","occurred_at":{at_ms},"video_id":"v{video}","country":"c{country}","user_id":"u{user}","status":{status},"dwell_ms":{dwell}}}"#
        );
        Record { key: format!("v{video}"), payload: payload.into_bytes(), partition: None }
    }
}
