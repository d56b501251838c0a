//! What is true, counted row by row and in no other way: no plan, no merge, no layers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use serde::Deserialize;

use crate::views::{Event, Sent};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// The measures of some of the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    /// `count()`
    pub views: i64,
    /// `sum(dwell_ms)`
    pub dwell_ms: i64,
}

/// Everything that was sent, counted as the metric `views` means it.
#[derive(Debug, Default)]
pub struct Oracle {
    seen: HashSet<(String, i64)>,
    /// By video and begin of the minute in microseconds.
    minutes: BTreeMap<(String, i64), Counts>,
    /// All records sent.
    pub records: u64,
    /// Records that must be rejected.
    pub broken: u64,
    /// Whether a view of any status counts, not only one of status 200.
    every_status: bool,
}

impl Oracle {
    /// Counts views of every status.
    pub fn of_every_status() -> Oracle {
        Oracle { every_status: true, ..Oracle::default() }
    }

    /// Counts what was sent.
    pub fn observe<'a>(&mut self, sent: impl IntoIterator<Item = &'a Sent>) {
        for sent in sent {
            self.records += 1;
            match &sent.event {
                Some(event) => self.count(event),
                None => self.broken += 1,
            }
        }
    }

    /// The counts of one video, or of all, over a range of event time in microseconds.
    pub fn total(&self, video: Option<&str>, range: Range<i64>) -> Counts {
        let mut total = Counts::default();
        let mut add = |counts: &Counts| {
            total.views += counts.views;
            total.dwell_ms += counts.dwell_ms;
        };
        match video {
            Some(video) => {
                let keys = (video.to_owned(), range.start)..(video.to_owned(), range.end);
                self.minutes.range(keys).for_each(|(_, counts)| add(counts));
            }
            None => {
                let in_range = self.minutes.iter().filter(|((_, minute), _)| range.contains(minute));
                in_range.for_each(|(_, counts)| add(counts));
            }
        }
        total
    }

    /// In how many minutes a video was counted.
    pub fn buckets(&self, video: &str) -> usize {
        self.minutes.range((video.to_owned(), i64::MIN)..=(video.to_owned(), i64::MAX)).count()
    }

    /// In how many minutes anything was counted.
    pub fn minutes(&self) -> usize {
        self.minutes.keys().map(|(_, minute)| minute).collect::<BTreeSet<_>>().len()
    }

    /// On how many days anything was counted.
    pub fn days(&self) -> usize {
        self.minutes.keys().map(|(_, minute)| minute.div_euclid(DAY_US)).collect::<BTreeSet<_>>().len()
    }

    /// All videos that were counted.
    pub fn videos(&self) -> Vec<String> {
        let mut videos: Vec<_> = self.minutes.keys().map(|(video, _)| video.clone()).collect();
        videos.dedup();
        videos
    }

    fn count(&mut self, event: &Event) {
        let first = self.seen.insert((event.id.clone(), event.at_ms));
        if !first || !(self.every_status || event.status == 200) {
            return;
        }
        let at_us = event.at_ms * 1000;
        let minute = at_us - at_us.rem_euclid(MINUTE_US);
        let counts = self.minutes.entry((event.video.clone(), minute)).or_default();
        counts.views += 1;
        counts.dwell_ms += event.dwell_ms.unwrap_or(0);
    }
}

/// All of event time.
pub const EVER: Range<i64> = i64::MIN..i64::MAX;
