//! Events to measure with: a million keys, few or many of them hot; and how they flow.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e_tests::Stage;
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
pub(crate) struct Events {
    rng: StdRng,
    zipf: Zipf<f64>,
    keys: Keys,
    id: u64,
}

impl Events {
    /// The same events for the same seed, but for their times.
    pub(crate) fn new(keys: Keys, seed: u64) -> Events {
        let zipf = Zipf::new(f64::from(KEYS), 1.1).expect("valid parameters");
        Events { rng: StdRng::seed_from_u64(seed), zipf, keys, id: seed << 40 }
    }

    /// The next event, as of now.
    pub(crate) fn next(&mut self) -> Record {
        self.next_at(now_us() / 1_000)
    }

    /// The next event, as of that moment in milliseconds since 1970.
    pub(crate) fn next_at(&mut self, at_ms: i64) -> Record {
        let key = match self.keys {
            Keys::Zipf => self.zipf.sample(&mut self.rng) as u32,
            Keys::Uniform => self.rng.random_range(0..KEYS),
        };
        self.about_at(&format!("v{key}"), at_ms)
    }

    /// An event about that video, as of now.
    pub(crate) fn about(&mut self, video: &str) -> Record {
        self.about_before(video, 0)
    }

    /// An event about that video, so many milliseconds ago.
    pub(crate) fn about_before(&mut self, video: &str, ago_ms: i64) -> Record {
        self.about_at(video, now_us() / 1_000 - ago_ms)
    }

    fn about_at(&mut self, video: &str, at_ms: i64) -> Record {
        self.id += 1;
        let id = self.id;
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

/// Whether the sample metric counts the event.
pub(crate) fn is_counted(record: &Record) -> bool {
    record.payload.windows(STATUS_200.len()).any(|part| part == STATUS_200)
}

const STATUS_200: &[u8] = br#""status":200"#;

/// Events that are sent at a rate until they are stopped.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<Flowed>>,
}

/// What has flowed.
pub(crate) struct Flowed {
    /// Events per second that were reached.
    pub(crate) rate: f64,
    /// Events that the sample metric counts.
    pub(crate) counted: i64,
    /// When the last one had arrived, in microseconds since 1970.
    pub(crate) arrived_us: i64,
}

impl Flow {
    /// Sends what `next` gives, from a thread of its own.
    pub(crate) fn start(stage: &Stage, rate: u64, mut next: impl FnMut() -> Record + Send + 'static) -> Result<Flow> {
        let stop = Arc::new(AtomicBool::new(false));
        let (producer, stopping) = (stage.producer()?, Arc::clone(&stop));
        let sender = std::thread::spawn(move || {
            let began = Instant::now();
            let (mut sent, mut counted) = (0_u64, 0);
            while !stopping.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
                while sent < due {
                    let record = next();
                    counted += i64::from(is_counted(&record));
                    producer.send(&record)?;
                    sent += 1;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let rate = sent as f64 / began.elapsed().as_secs_f64();
            Ok(Flowed { rate, counted, arrived_us: producer.flush()? })
        });
        Ok(Flow { stop, sender })
    }

    /// Stops, and waits until everything has arrived.
    pub(crate) fn stop(self) -> Result<Flowed> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("a load does not panic")
    }
}
