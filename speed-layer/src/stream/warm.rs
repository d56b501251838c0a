//! T8: where reading has to begin, so that a lane without a snapshot knows all of the past that matters.

use std::collections::BTreeMap;

use platform::kafka::KafkaError;
use shared_logic::catalog::Source;
use shared_logic::stream::Horizon;

use super::source::Shared;

/// Where a lane's past begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// The first record that the operators take.
    pub from: i64,
    /// The first record that may be a copy of one of those: `dedup_window` earlier.
    pub warm_from: i64,
}

impl Past {
    /// A past of which operators take what begins at `from`. `window` is that of the source, see [`window`], and `first_begin` is where the
    /// partition's first log begins for the deployment: nothing before it is counted, so nothing is a copy of that.
    pub fn of(from: i64, window: i64, first_begin: i64) -> Past {
        Past { from, warm_from: from.saturating_sub(window).max(first_begin.min(from)) }
    }

    /// T8: what a past lacks that is read of a log which begins at `start`, of a stream whose past begins at `begin`:
    /// `None` if it is whole. Otherwise the first offset at which a past that is needed later has to begin so that it is whole again:
    /// then the log held all records that may be copies of its events, and one before all of them, so that it has lost none.
    ///
    /// `holds_state`: whether the operators' state at `from` is known, so that nothing before it matters but for copies. `window` is
    /// that of the source, see [`window`].
    pub fn whole_from(&self, start: i64, begin: i64, holds_state: bool, window: i64) -> Option<i64> {
        // What was deleted before the stream began does not matter. Where the log begins with what is needed, it may have held more.
        let begins_too_late = !holds_state && self.from <= start && begin < start;
        (begins_too_late || self.warm_from < start).then(|| start.saturating_add(window.max(1)))
    }
}

impl Past {
    /// T8: [`Past::whole_from`], or `sure_from` if that is farther: before it, it is not known what was late. `None` if the past begins there
    /// already.
    pub fn incomplete_until(
        &self,
        start: i64,
        begin: i64,
        holds_state: bool,
        window: i64,
        sure_from: Option<i64>,
    ) -> Option<i64> {
        let whole_from = self.whole_from(start, begin, holds_state, window).max(sure_from);
        whole_from.filter(|whole_from| self.from < *whole_from)
    }
}

/// How many offsets before an event a copy of it is found.
pub fn window(source: &Source) -> i64 {
    if source.event_id.is_empty() { 0 } else { i64::try_from(source.dedup_window).unwrap_or(i64::MAX) }
}

/// Where the past begins that each stream needs in a lane at `at`: with the first record that can hold an event which matters to it. Event
/// time may pass more slowly than record time, but no event is ahead of its record by more than `max_ahead`.
///
/// `begins` says where their pasts begin; nothing before matters.
///
/// # Errors
/// If Kafka does not answer.
pub async fn needed(
    shared: &Shared,
    partition: i32,
    horizons: &[Horizon],
    begins: &[i64],
    at: i64,
) -> Result<Vec<i64>, KafkaError> {
    let (mut found, mut needed) = (BTreeMap::new(), Vec::with_capacity(horizons.len()));
    for (horizon, begin) in horizons.iter().zip(begins) {
        let from = match horizon {
            Horizon::All => *begin,
            Horizon::Nothing => at,
            Horizon::Since(need_us) => {
                let record_ms = need_us.saturating_sub(shared.source.max_ahead_us).div_euclid(1_000);
                match found.get(&record_ms) {
                    Some(known) => *known,
                    None => {
                        let asked = BTreeMap::from([(partition, record_ms)]);
                        let offsets = shared.topics.offsets_at(&shared.source.topic, &asked).await?;
                        let first = offsets.get(&partition).copied().flatten().unwrap_or(at);
                        found.insert(record_ms, first);
                        first
                    }
                }
            }
        };
        needed.push(from.clamp((*begin).min(at), at));
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: i64 = 10;

    fn past(from: i64) -> Past {
        Past { from, warm_from: (from - WINDOW).max(0) }
    }

    #[test]
    fn a_past_is_whole_if_the_log_holds_all_that_may_be_a_copy_of_its_events() {
        let whole_from = |from| past(from).whole_from(100, 0, false, WINDOW);
        assert_eq!((whole_from(111), whole_from(110)), (None, None), "reading begins at or behind the log's start");
        for from in [0, 99, 100, 101, 109] {
            assert_eq!(whole_from(from), Some(110), "from {from}");
        }
        assert_eq!(past(0).whole_from(0, 0, false, WINDOW), None, "the log was never cut");
        let all = Past { from: 100, warm_from: 100 };
        assert_eq!(all.whole_from(100, 100, false, 0), None, "what was deleted before the begin does not matter");
    }

    #[test]
    fn a_past_that_begins_with_the_log_may_have_begun_earlier() {
        let without_ids = |from| Past { from, warm_from: from };
        assert_eq!(without_ids(100).whole_from(100, 0, false, 0), Some(101));
        assert_eq!(without_ids(101).whole_from(100, 0, false, 0), None);
        assert_eq!(without_ids(100).whole_from(100, 0, true, 0), None, "the state there comes from a snapshot");
        assert_eq!(past(105).whole_from(100, 0, true, WINDOW), Some(110), "and copies before it are not known");
    }

    #[test]
    fn each_stream_is_incomplete_for_itself() {
        // The lane goes on at 500, and the log begins at 100; the archive began at 0.
        let until =
            |from, begin, sure_from| Past::of(from, WINDOW, 0).incomplete_until(100, begin, false, WINDOW, sure_from);
        assert_eq!(until(60, 0, None), Some(110), "the log no longer holds all of it");
        assert_eq!(until(300, 0, None), None);
        assert_eq!(until(200, 200, None), None, "sessions that were added there have no past before");
        assert_eq!(until(100, 100, None), Some(110), "a first start may take copies of what the log has lost");
        assert_eq!(until(300, 0, Some(500)), Some(500), "nobody knows what was late");
        assert_eq!(until(500, 0, Some(500)), None, "a map does not need to know it");
        assert_eq!(until(500, 500, None), None);
    }
}
