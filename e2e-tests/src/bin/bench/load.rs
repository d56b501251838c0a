//! Events to measure with: a million keys, few or many of them hot.

use std::fmt::Write;

use e2e_tests::kafka::Record;
use e2e_tests::scenario::now_us;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// How many keys there are.
const KEYS: u32 = 1_000_000;

/// How often each key comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// By Zipf's law with exponent 1.1.
    Zipf,
    /// Equally often.
    Uniform,
}

impl Keys {
    /// The figure names' ending.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Keys::Zipf => "zipf",
            Keys::Uniform => "uniform",
        }
    }
}

/// An endless stream of view events of about 146 bytes.
pub(crate) struct Load {
    rng: StdRng,
    zipf: Zipf<f64>,
    keys: Keys,
    id: u64,
}

impl Load {
    /// The same events for the same seed, but for their times.
    pub(crate) fn new(keys: Keys, seed: u64) -> Load {
        let zipf = Zipf::new(f64::from(KEYS), 1.1).expect("valid parameters");
        Load { rng: StdRng::seed_from_u64(seed), zipf, keys, id: seed << 40 }
    }

    /// The next event, as of now.
    pub(crate) fn next(&mut self) -> Record {
        let key = match self.keys {
            Keys::Zipf => self.zipf.sample(&mut self.rng) as u32,
            Keys::Uniform => self.rng.random_range(0..KEYS),
        };
        self.about(&format!("v{key}"))
    }

    /// An event about that video.
    pub(crate) fn about(&mut self, video: &str) -> Record {
        self.id += 1;
        let (id, at_ms) = (self.id, now_us() / 1_000);
        let (user, dwell) = (self.rng.random_range(0..100_000), self.rng.random_range(0..10_000));
        let status = if self.rng.random_range(0..100) < 95 { 200 } else { 404 };
        let mut payload = String::with_capacity(160);
        write!(
            payload,
            r#"{{"event_id":"{id:016x}","occurred_at":{at_ms},"video_id":"{video}","user_id":"u{user}","url":"/watch/{video}","status":{status},"dwell_ms":{dwell}}}"#
        )
        .expect("a string takes every character");
        Record { key: video.to_owned(), payload: payload.into_bytes(), partition: None }
    }
}
