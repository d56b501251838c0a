//! T8: where reading has to begin, so that a lane without a snapshot knows all of the past that matters.

use std::collections::BTreeMap;

use platform::kafka::KafkaError;
use shared_logic::stream::{Fronts, Lane};

use super::source::Shared;

/// Where a lane's past begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// The first record that the operators take.
    pub from: i64,
    /// The first record that may be a copy of one of those: `dedup_window` earlier.
    pub warm_from: i64,
}

/// The past that a lane needs whose fronts are these at `at`: back to the first record that can hold an event that the operators still
/// remember there. Event time may pass more slowly than record time, but no event is ahead of its record by more than `max_ahead`.
///
/// `begin` is where the partition begins for the deployment; nothing before it matters.
///
/// # Errors
/// If Kafka does not answer.
pub async fn needed(
    shared: &Shared,
    partition: i32,
    lane: &Lane,
    fronts: &Fronts,
    at: i64,
    begin: i64,
) -> Result<Past, KafkaError> {
    let from = match lane.horizon_us(fronts) {
        None => begin,
        Some(i64::MAX) => at,
        Some(need_us) => {
            let record_ms = need_us.saturating_sub(shared.source.max_ahead_us).div_euclid(1_000);
            let found =
                shared.topics.offsets_at(&shared.source.topic, &BTreeMap::from([(partition, record_ms)])).await?;
            found.get(&partition).copied().flatten().unwrap_or(at)
        }
    };
    let from = from.clamp(begin.min(at), at);
    let window = i64::try_from(shared.source.dedup_window).unwrap_or(i64::MAX);
    let window = if shared.source.event_id.is_empty() { 0 } else { window };
    Ok(Past { from, warm_from: from.saturating_sub(window).max(begin.min(from)) })
}
