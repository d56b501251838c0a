//! What is to be sized.

use anyhow::{Result, ensure};
use platform::settings::Span;
use serde::{Deserialize, Serialize};

/// As many columns as a metric may group by.
const COLUMNS_MAX: u32 = 4;

/// Events, what is counted of them, how long they are kept, and what is asked. One source; add several up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Workload {
    /// Events per second, on average
    #[arg(long, value_name = "N")]
    pub(crate) events_per_second: f64,
    /// Different group keys of a metric: combinations of values of all its columns
    #[arg(long, value_name = "N")]
    pub(crate) keys: u64,
    /// Metrics of the source
    #[arg(long, value_name = "N")]
    pub(crate) metrics: u32,
    /// Group-by columns of a metric
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.columns)]
    pub(crate) columns: u32,
    /// Bytes of a record's payload
    #[arg(long, value_name = "BYTES", default_value_t = Workload::USUAL.event_bytes)]
    pub(crate) event_bytes: u32,
    /// The exponent of Zipf's law by which keys come; 0 if all come equally often
    #[arg(long, value_name = "S", default_value_t = Workload::USUAL.skew)]
    pub(crate) skew: f64,
    /// The metrics' bucket
    #[arg(long, value_name = "DURATION", default_value_t = Workload::USUAL.grain)]
    pub(crate) grain: Span,
    /// How many times the average arrives at the busiest time; cores and network are for that
    #[arg(long, value_name = "TIMES", default_value_t = Workload::USUAL.peak)]
    pub(crate) peak: f64,
    /// Partitions of the topic; as many as the busiest time needs if it is left out
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<u32>,
    /// How long the archive and the views keep events: the days of history, or the source's `retain`
    #[arg(long, value_name = "DURATION", default_value_t = Workload::USUAL.retain)]
    pub(crate) retain: Span,
    /// How long Kafka keeps records
    #[arg(long, value_name = "DURATION", default_value_t = Workload::USUAL.kafka_retention)]
    pub(crate) kafka_retention: Span,
    /// The time between two reconciles
    #[arg(long, value_name = "DURATION", default_value_t = Workload::USUAL.reconcile_every)]
    pub(crate) reconcile_every: Span,
    /// The share of events that belong to an earlier day, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = Workload::USUAL.late)]
    pub(crate) late: f64,
    /// How many days back late events lie
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.late_days)]
    pub(crate) late_days: u32,
    /// The share of records that are copies of others, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = Workload::USUAL.copies)]
    pub(crate) copies: f64,
    /// The offsets of a partition in which speed knows duplicates: the source's `dedup_window`
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.dedup_window)]
    pub(crate) dedup_window: u64,
    /// Totals that are asked per second, on average
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.queries_per_second)]
    pub(crate) queries_per_second: f64,
    /// Events that a detector remembers, of all keys together; 0 without a detector
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.remembered)]
    pub(crate) remembered: u64,
    /// How many there are of what is kept several times: replicas of Kafka and of Redis, and serving processes
    #[arg(long, value_name = "N", default_value_t = Workload::USUAL.replicas)]
    pub(crate) replicas: u32,
    /// Size the time in which a backlog is counted: micro-batches are full
    #[arg(long)]
    pub(crate) catching_up: bool,
}

impl Workload {
    /// What holds where nothing else is said. Nothing is to be counted yet.
    pub(crate) const USUAL: Workload = Workload {
        events_per_second: 0.0,
        keys: 0,
        metrics: 0,
        columns: 1,
        event_bytes: 144,
        skew: 1.1,
        grain: Span::from_secs(60),
        peak: 2.0,
        partitions: None,
        retain: Span::from_secs(365 * 86_400),
        kafka_retention: Span::from_secs(7 * 86_400),
        reconcile_every: Span::from_secs(600),
        late: 0.02,
        late_days: 60,
        copies: 0.03,
        dedup_window: 500_000,
        queries_per_second: 100.0,
        remembered: 0,
        replicas: 1,
        catching_up: false,
    };

    /// Refuses what there cannot be.
    ///
    /// # Errors
    /// If a value is out of its range, which the message names.
    pub(crate) fn check(&self) -> Result<()> {
        let positive = [("events-per-second", self.events_per_second), ("peak", self.peak)];
        for (name, value) in positive {
            ensure!(value.is_finite() && value > 0.0, "--{name} is {value}: it is a number above 0");
        }
        ensure!(self.peak >= 1.0, "--peak is {}: the busiest time has at least the average, 1", self.peak);
        let counts = [
            ("keys", self.keys),
            ("metrics", self.metrics.into()),
            ("event-bytes", self.event_bytes.into()),
            ("replicas", self.replicas.into()),
            ("partitions", self.partitions.unwrap_or(1).into()),
        ];
        for (name, value) in counts {
            ensure!(value > 0, "--{name} is 0: there is at least one");
        }
        let (columns, skew) = (self.columns, self.skew);
        ensure!(columns <= COLUMNS_MAX, "--columns is {columns}: a metric groups by at most {COLUMNS_MAX}");
        ensure!(self.skew.is_finite() && (0.0..=4.0).contains(&skew), "--skew is {skew}: it is from 0 to 4");
        for (name, value) in [("late", self.late), ("copies", self.copies)] {
            ensure!((0.0..=1.0).contains(&value), "--{name} is {value}: a share is from 0 to 1");
        }
        let asked = self.queries_per_second;
        ensure!(asked.is_finite() && asked >= 0.0, "--queries-per-second is {asked}: it is a number from 0 on");
        let spans = [
            ("grain", self.grain),
            ("retain", self.retain),
            ("kafka-retention", self.kafka_retention),
            ("reconcile-every", self.reconcile_every),
        ];
        for (name, span) in spans {
            ensure!(span.get().as_secs_f64() > 0.0, "--{name} is {span}: it is longer than that");
        }
        Ok(())
    }

    /// Events per second at the busiest time.
    pub(super) fn busiest(&self) -> f64 {
        self.events_per_second * self.peak
    }

    /// Events per second that are no copies, on average.
    pub(super) fn counted(&self) -> f64 {
        self.events_per_second * (1.0 - self.copies)
    }
}

impl Default for Workload {
    fn default() -> Workload {
        Workload::USUAL
    }
}

/// A length of time in seconds.
pub(super) fn seconds(span: Span) -> f64 {
    span.get().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named() {
        let sound = Workload { events_per_second: 1.0, keys: 1, metrics: 1, ..Workload::USUAL };
        assert!(sound.check().is_ok());
        let wrong = [
            ("events-per-second", Workload { events_per_second: f64::NAN, ..sound.clone() }),
            ("keys", Workload { keys: 0, ..sound.clone() }),
            ("metrics", Workload { metrics: 0, ..sound.clone() }),
            ("columns", Workload { columns: 5, ..sound.clone() }),
            ("skew", Workload { skew: -0.1, ..sound.clone() }),
            ("peak", Workload { peak: 0.5, ..sound.clone() }),
            ("partitions", Workload { partitions: Some(0), ..sound.clone() }),
            ("late", Workload { late: 1.1, ..sound.clone() }),
            ("copies", Workload { copies: -0.1, ..sound.clone() }),
            ("grain", Workload { grain: Span::from_secs(0), ..sound.clone() }),
            ("queries-per-second", Workload { queries_per_second: f64::INFINITY, ..sound.clone() }),
            ("replicas", Workload { replicas: 0, ..sound }),
        ];
        for (name, workload) in wrong {
            let error = workload.check().expect_err(name).to_string();
            assert!(error.starts_with(&format!("--{name} ")), "{error}");
        }
    }
}
