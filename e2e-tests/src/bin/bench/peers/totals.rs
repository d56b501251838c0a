//! Views and their dwell time, by video and minute: what is true, and what a system says.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use e2e_tests::oracle::Counts;
use serde::Deserialize;

/// Whose counters: the number of a video, and minutes since 1970.
type Key = (u32, i64);

/// Counters by video and minute.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<Key, Counts>);

/// What counts of an event.
#[derive(Deserialize)]
struct Event<'a> {
    occurred_at: i64,
    video_id: &'a str,
    status: i64,
    dwell_ms: i64,
}

impl Totals {
    /// Counts an event, as it was sent.
    pub(super) fn observe(&mut self, payload: &[u8]) -> Result<()> {
        let event: Event<'_> = serde_json::from_slice(payload)?;
        if event.status == 200 {
            let counts = self.0.entry((number(event.video_id)?, event.occurred_at.div_euclid(60_000))).or_default();
            counts.views += 1;
            counts.dwell_ms += event.dwell_ms;
        }
        Ok(())
    }

    /// Notes what a system says of a video and a minute, in place of what it has said before.
    pub(super) fn set(&mut self, video: &str, minute: i64, counts: Counts) -> Result<()> {
        self.0.insert((number(video)?, minute), counts);
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them together.
    pub(super) fn all(&self) -> Counts {
        self.0.values().fold(Counts::default(), |all, counts| Counts {
            views: all.views + counts.views,
            dwell_ms: all.dwell_ms + counts.dwell_ms,
        })
    }

    /// The videos that have any.
    pub(super) fn videos(&self) -> Vec<String> {
        let mut numbers: Vec<u32> = self.0.keys().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| format!("v{number}")).collect()
    }

    /// The first minute that has any, and the last.
    pub(super) fn minutes(&self) -> Option<(i64, i64)> {
        let minutes = || self.0.keys().map(|(_, minute)| *minute);
        Some((minutes().min()?, minutes().max()?))
    }

    /// Whether a system says the same as these, which are the truth.
    ///
    /// # Errors
    /// What is different.
    pub(super) fn are(&self, said: &Totals) -> Result<()> {
        let mut wrong = BTreeMap::new();
        for (key, expected) in &self.0 {
            let counts = said.0.get(key);
            if counts != Some(expected) {
                wrong.insert(key, (Some(expected), counts));
            }
        }
        for (key, counts) in &said.0 {
            if !self.0.contains_key(key) {
                wrong.insert(key, (None, Some(counts)));
            }
        }
        let Some(((video, minute), (expected, counts))) = wrong.first_key_value() else { return Ok(()) };
        bail!(
            "{} of {} totals are wrong, such as that of v{video} at minute {minute}: {counts:?} instead of {expected:?}",
            wrong.len(),
            self.0.len()
        )
    }
}

/// The number of a video, which stands behind a letter.
fn number(video: &str) -> Result<u32> {
    video.strip_prefix('v').and_then(|number| number.parse().ok()).with_context(|| format!("{video:?} is no video"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_found() {
        let event = |video: &str, status: i64| {
            format!(r#"{{"event_id":"e","occurred_at":119999,"video_id":"{video}","status":{status},"dwell_ms":7}}"#)
        };
        let mut truth = Totals::default();
        for (video, status) in [("v1", 200), ("v1", 200), ("v1", 404), ("v2", 200)] {
            truth.observe(event(video, status).as_bytes()).unwrap();
        }
        let said = |totals: &[(&str, i64, i64)]| {
            let mut said = Totals::default();
            for (video, minute, views) in totals {
                said.set(video, *minute, Counts { views: *views, dwell_ms: 7 * views }).unwrap();
            }
            truth.are(&said).map_err(|wrong| wrong.to_string())
        };
        assert_eq!(said(&[("v1", 1, 1), ("v1", 1, 2), ("v2", 1, 1)]), Ok(()), "the last one holds");
        let wrong: [&[(&str, i64, i64)]; 4] = [
            &[("v1", 1, 2)],
            &[("v1", 1, 1), ("v2", 1, 1)],
            &[("v1", 0, 2), ("v2", 1, 1)],
            &[("v1", 1, 2), ("v2", 1, 1), ("v3", 1, 1)],
        ];
        for totals in wrong {
            assert!(said(totals).is_err_and(|wrong| wrong.contains("totals are wrong")), "{totals:?}");
        }
        assert_eq!((truth.all(), truth.minutes()), (Counts { views: 3, dwell_ms: 21 }, Some((1, 1))));
        assert_eq!(truth.videos(), ["v1", "v2"]);
    }
}
