//! How many counters there are, and how many a micro-batch changes: one for each group key of every subset of the columns, and bucket.

use platform::settings::Speed;

use super::distinct::distinct;
use super::workload::{Workload, seconds};

const DAY_S: f64 = 86_400.0;

/// Subsets of so many columns each.
#[derive(Debug, Clone, Copy)]
struct Subsets {
    /// How many there are.
    count: f64,
    /// Different keys of each.
    keys: f64,
    /// Whether these are all columns. Such a key lies in one partition, as producers send events by a column of theirs; any other may
    /// lie in all.
    is_whole: bool,
}

/// What a metric's events are counted by.
#[derive(Debug)]
pub(crate) struct Groups<'a> {
    workload: &'a Workload,
    partitions: f64,
    subsets: Vec<Subsets>,
}

impl Groups<'_> {
    /// Those of the workload, whose topic has so many partitions. All columns are taken to have equally many values.
    pub(crate) fn of(workload: &Workload, partitions: f64) -> Groups<'_> {
        let columns = workload.columns;
        let subset = |of: u32| Subsets {
            count: choose(columns, of),
            keys: if of == 0 { 1.0 } else { (workload.keys as f64).powf(f64::from(of) / f64::from(columns)) },
            is_whole: of == columns && of > 0,
        };
        Groups { workload, partitions, subsets: (0..=columns).map(subset).collect() }
    }

    /// How many counters an event changes, of all metrics; less than one of each if a micro-batch has many events of a key.
    pub(crate) fn changed_per_event(&self) -> f64 {
        let Workload { metrics, late, .. } = self.workload;
        let rows = self.rows_of_a_micro_batch();
        let changed = self.among(rows * self.partitions) / (rows * self.partitions);
        // A late event is of a bucket that no other one of its micro-batch has.
        f64::from(*metrics) * (changed + late * self.count())
    }

    /// Group keys that events of so much time leave in the shards, of a metric.
    pub(crate) fn keys_within(&self, time_s: f64) -> f64 {
        self.among(self.workload.counted() * time_s)
    }

    /// The same for pairs of a group key and a bucket, without those of late events.
    pub(crate) fn buckets_within(&self, time_s: f64) -> f64 {
        let (buckets, bucket_s) = self.buckets(time_s);
        self.among(self.workload.counted() * bucket_s) * buckets
    }

    /// Pairs of late events, of a metric, which lie in any bucket of the days before.
    pub(crate) fn late_within(&self, time_s: f64) -> f64 {
        let Workload { late, late_days, .. } = *self.workload;
        let (buckets, _) = self.buckets(f64::from(late_days) * DAY_S);
        self.among(late * self.workload.counted() * time_s / buckets) * buckets
    }

    /// Rows of a metric's view for a day: pairs of a key of all columns and a bucket.
    pub(crate) fn view_rows_per_day(&self) -> f64 {
        let (buckets, bucket_s) = self.buckets(DAY_S);
        let whole = self.subsets.last().map_or(1.0, |subsets| subsets.keys);
        distinct(self.workload.counted() * bucket_s, whole, self.workload.skew) * buckets
    }

    /// Rows of a metric's segments for a day: its buckets, and a row of the day in the segment of its month.
    pub(crate) fn segment_rows_per_day(&self) -> f64 {
        let (buckets, bucket_s) = self.buckets(DAY_S);
        let (rate, skew) = (self.workload.counted(), self.workload.skew);
        let rows = |subsets: &Subsets| {
            let of = |time_s: f64| distinct(rate * time_s, subsets.keys, skew);
            subsets.count * (of(bucket_s) * buckets + of(DAY_S))
        };
        self.subsets.iter().map(rows).sum()
    }

    /// How many subsets there are.
    fn count(&self) -> f64 {
        self.subsets.iter().map(|subsets| subsets.count).sum()
    }

    /// How many keys of all subsets so many events of all partitions have, a key counted in each partition that it lies in.
    fn among(&self, events: f64) -> f64 {
        let Workload { skew, .. } = *self.workload;
        let of_partition = events / self.partitions;
        let keys = |subsets: &Subsets| {
            subsets.count
                * match subsets.is_whole {
                    true => distinct(events, subsets.keys, skew),
                    false => self.partitions * distinct(of_partition, subsets.keys, skew),
                }
        };
        self.subsets.iter().map(keys).sum()
    }

    /// How many buckets so much time has, at least one, and how long each is at most.
    fn buckets(&self, time_s: f64) -> (f64, f64) {
        let grain_s = seconds(self.workload.grain);
        ((time_s / grain_s).max(1.0), grain_s.min(time_s))
    }

    /// How many events of one partition are counted at once, by the usual settings.
    fn rows_of_a_micro_batch(&self) -> f64 {
        let Workload { event_bytes, catching_up, .. } = self.workload;
        let settings = Speed::default();
        let full = (settings.max_rows as f64).min(settings.max_bytes.bytes() as f64 / f64::from(*event_bytes));
        let lingered = self.workload.busiest() / self.partitions * seconds(settings.linger);
        if *catching_up { full } else { lingered.clamp(1.0, full) }
    }
}

/// In how many ways so many can be chosen.
fn choose(of: u32, chosen: u32) -> f64 {
    (0..chosen).fold(1.0, |ways, taken| ways * f64::from(of - taken) / f64::from(taken + 1))
}

#[cfg(test)]
mod tests {
    use platform::settings::Span;

    use super::*;

    fn workload() -> Workload {
        let (events_per_second, keys, metrics) = (100_000.0, 10_000, 1);
        Workload { events_per_second, keys, metrics, late: 0.0, copies: 0.0, skew: 0.0, ..Workload::USUAL }
    }

    #[test]
    fn every_subset_of_the_columns_has_counters() {
        assert_eq!([0, 1, 2, 3, 4].map(|chosen| choose(4, chosen)), [1.0, 4.0, 6.0, 4.0, 1.0]);
        let four = Workload { columns: 4, ..workload() };
        // A second is enough for each key of ten values to come in each partition, and for all 10,000 of four.
        let keys = Groups::of(&four, 2.0).keys_within(1_000.0);
        let expected = 2.0 * (1.0 + 4.0 * 10.0 + 6.0 * 100.0 + 4.0 * 1_000.0) + 10_000.0;
        assert!((keys / expected - 1.0).abs() < 1e-6, "{keys} and {expected}");
    }

    #[test]
    fn a_metric_without_columns_has_one_counter_in_each_partition() {
        let none = Workload { columns: 0, ..workload() };
        let groups = Groups::of(&none, 4.0);
        assert!((groups.keys_within(600.0) - 4.0).abs() < 1e-9);
        assert!((groups.buckets_within(600.0) - 40.0).abs() < 1e-9);
        assert!((groups.view_rows_per_day() - 1_440.0).abs() < 1e-6, "{}", groups.view_rows_per_day());
    }

    #[test]
    fn the_more_events_a_micro_batch_has_the_fewer_counters_an_event_changes() {
        let (waiting, full) = (workload(), Workload { catching_up: true, ..workload() });
        let changed = |workload: &Workload| Groups::of(workload, 4.0).changed_per_event();
        assert!(changed(&full) < changed(&waiting), "{} and {}", changed(&full), changed(&waiting));
        // Ten thousand keys, and one of all events in each of four partitions.
        let rows = 4.0 * (8_388_608.0_f64 / 144.0);
        assert!((changed(&full) - (10_000.0 + 4.0) / rows).abs() < 1e-6, "{}", changed(&full));
        let ten = Workload { metrics: 10, ..workload() };
        assert!((changed(&ten) / changed(&waiting) - 10.0).abs() < 1e-9);
        let late = Workload { late: 0.5, ..workload() };
        assert!((changed(&late) - changed(&waiting) - 0.5 * 2.0).abs() < 1e-9, "of the key and of all keys");
    }

    #[test]
    fn late_events_have_buckets_of_their_own_until_all_are_there() {
        let late = |late, events_per_second| {
            let workload = Workload { late, late_days: 1, events_per_second, columns: 0, ..workload() };
            Groups::of(&workload, 1.0).late_within(600.0)
        };
        assert_eq!(late(0.0, 100.0), 0.0);
        assert!((late(0.001, 10.0) - 6.0).abs() < 0.1, "six late ones of 1,440 minutes: {}", late(0.001, 10.0));
        assert!((late(0.1, 100_000.0) - 1_440.0).abs() < 1e-6, "never more: {}", late(0.1, 100_000.0));
    }

    #[test]
    fn keys_are_there_once_and_buckets_as_often_as_they_come() {
        let groups = |workload: &Workload| Groups::of(workload, 1.0).buckets_within(600.0);
        let (minutes, hours) = (workload(), Workload { grain: Span::from_secs(3_600), ..workload() });
        assert!((groups(&minutes) - 10.0 * 10_001.0).abs() < 1.0, "{}", groups(&minutes));
        assert!((groups(&hours) - 10_001.0).abs() < 1.0, "ten minutes are in one hour: {}", groups(&hours));
    }
}
