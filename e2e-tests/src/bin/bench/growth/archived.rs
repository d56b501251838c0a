//! A full topic that an archiver drains.

use anyhow::Result;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;
use e2e_tests::{Archive, Layer, Stage};

use crate::archive::drained::Drained;
use crate::load::{Events, Keys};

const EVENTS: u64 = 2_000_000;
/// Of so many events the mean size of a payload is told.
const SAMPLED: usize = 10_000;

/// How it went.
pub(super) struct Archived {
    /// Rows per second that were committed.
    pub(super) rows_per_second: f64,
    /// CPU for a row, in microseconds.
    pub(super) us_per_row: f64,
    /// Bytes on disk for a byte of payload.
    pub(super) bytes_per_payload_byte: f64,
    /// The most memory, in MiB.
    pub(super) peak_mib: f64,
}

impl Archived {
    /// Fills a topic, and lets an archiver drain it.
    pub(super) async fn measure(scenario: &Scenario) -> Result<Archived> {
        let setup = Stage::of(scenario).as_users_get_it().partitions(4).running(&[Layer::Archive]);
        let stage = setup.start().await?;
        let Drained { rate, usage, .. } = Drained::of(&stage, EVENTS).await?;
        let bytes = Archive::bytes(&stage.deployment.store(), METRIC)? as f64;
        let mut events = Events::new(Keys::Zipf, 3);
        let payload: usize = (0..SAMPLED).map(|_| events.next().payload.len()).sum();
        let payload = payload as f64 / SAMPLED as f64;
        Ok(Archived {
            rows_per_second: rate,
            us_per_row: usage.cpu_seconds * 1e6 / EVENTS as f64,
            bytes_per_payload_byte: bytes / EVENTS as f64 / payload,
            peak_mib: usage.peak_mib,
        })
    }
}
