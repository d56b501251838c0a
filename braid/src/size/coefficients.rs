//! What one event, counter, row or request costs, as it was measured. The numbers stand in `coefficients.toml`, each with its source.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use toml::{Table, Value};

/// The ones that come with the program.
const MEASURED: &str = include_str!("coefficients.toml");

/// A number, and where it is from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coefficient {
    /// The number.
    pub(crate) value: f64,
    /// What it counts, and for what.
    pub(crate) unit: String,
    /// The group of the benchmark that measures the figure; empty if it is from elsewhere.
    pub(crate) group: String,
    /// The figures that it follows from.
    pub(crate) figure: String,
    /// How it follows from them.
    pub(crate) how: String,
    /// What they were measured on.
    pub(crate) machine: String,
    /// The day of that.
    pub(crate) date: String,
}

/// All of them. The beginning of a name says the layer, and the rest the unit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coefficients {
    /// CPU of a worker for an event, whatever is counted.
    pub(crate) speed_us_per_event: Coefficient,
    /// CPU of a worker for an event and a metric.
    pub(crate) speed_us_per_metric: Coefficient,
    /// CPU of a worker for a counter that a micro-batch changes.
    pub(crate) speed_us_per_counter: Coefficient,
    /// Events per second that one partition can be counted at.
    pub(crate) speed_events_per_second_per_partition: Coefficient,
    /// Memory of a worker, without what its partitions take.
    pub(crate) speed_mib_per_process: Coefficient,
    /// Memory of a worker for an offset in which it knows duplicates.
    pub(crate) speed_bytes_per_offset: Coefficient,
    /// CPU of Redis for a counter that a micro-batch changes.
    pub(crate) redis_us_per_counter: Coefficient,
    /// Memory of Redis for a group key, without its buckets.
    pub(crate) redis_bytes_per_key: Coefficient,
    /// Memory of Redis for a bucket of a group key.
    pub(crate) redis_bytes_per_bucket: Coefficient,
    /// What is sent to Redis for a counter that a micro-batch changes.
    pub(crate) redis_sent_bytes_per_counter: Coefficient,
    /// Memory of a Redis that holds nothing.
    pub(crate) redis_idle_mib: Coefficient,
    /// What a record takes on Kafka's disk and on the wire besides its payload.
    pub(crate) kafka_bytes_over_payload: Coefficient,
    /// CPU of the broker for a record that is written; not measured yet if it is missing.
    pub(crate) kafka_us_per_record_written: Option<Coefficient>,
    /// CPU of the broker for a record that a reader gets.
    pub(crate) kafka_us_per_record_read: Coefficient,
    /// Memory of a broker.
    pub(crate) kafka_mib: Coefficient,
    /// CPU of the archiver for a record.
    pub(crate) archive_us_per_row: Coefficient,
    /// Bytes of the archive for a byte of payload.
    pub(crate) archive_bytes_per_payload_byte: Coefficient,
    /// Rows per second that one archiver commits.
    pub(crate) archive_rows_per_second: Coefficient,
    /// Memory of an archiver.
    pub(crate) archive_mib: Coefficient,
    /// Bytes of the index of identities for an archived event.
    pub(crate) identity_bytes_per_event: Coefficient,
    /// CPU of a reconcile for a new row and a metric.
    pub(crate) reconcile_us_per_new_row: Coefficient,
    /// CPU of a reconcile, however little is new.
    pub(crate) reconcile_s_per_run: Coefficient,
    /// CPU of a reconcile for an earlier day with late events and a metric.
    pub(crate) reconcile_ms_per_late_day: Coefficient,
    /// Cores that one reconcile keeps busy.
    pub(crate) reconcile_cores: Coefficient,
    /// Memory of a reconcile.
    pub(crate) reconcile_mib: Coefficient,
    /// Bytes of a view for a bucket of a group key.
    pub(crate) view_bytes_per_row: Coefficient,
    /// Bytes of a segment for a row; not measured yet if it is missing.
    pub(crate) segment_bytes_per_row: Option<Coefficient>,
    /// CPU of the serving layer for a total.
    pub(crate) serving_us_per_request: Coefficient,
    /// Memory of a serving process.
    pub(crate) serving_mib: Coefficient,
    /// CPU of a worker for an event that a detector judges.
    pub(crate) stream_us_per_event: Coefficient,
    /// Memory of a worker for an event that a detector remembers.
    pub(crate) stream_bytes_per_remembered_event: Coefficient,
}

impl Coefficients {
    /// Those that come with the program.
    ///
    /// # Errors
    /// If they are not whole, which a test excludes.
    pub(crate) fn measured() -> Result<Coefficients> {
        Coefficients::with("")
    }

    /// The same, but for those that `others` names, which has the form of `coefficients.toml`.
    ///
    /// # Errors
    /// If that is no TOML, or has a name, a key or a number that no coefficient can have.
    pub(crate) fn with(others: &str) -> Result<Coefficients> {
        let mut all: Table = MEASURED.parse().context("the coefficients of this program are no TOML")?;
        let others: Table = others.parse().context("the coefficients are no TOML")?;
        for (name, other) in &others {
            let value = other.get("value").and_then(number).with_context(|| format!("{name} has no number `value`"))?;
            ensure!(value.is_finite() && value >= 0.0, "{name} is {value}: a coefficient is a number from 0 on");
        }
        all.extend(others);
        all.try_into().context("these are no coefficients")
    }

    /// When and on what most of them were measured.
    pub(crate) fn source(&self) -> String {
        format!("{}, {}", self.speed_us_per_event.date, self.speed_us_per_event.machine)
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coefficient_says_where_it_is_from() {
        let table: Table = MEASURED.parse().expect("TOML");
        assert!(Coefficients::measured().is_ok(), "{:?}", Coefficients::measured());
        for (name, value) in table {
            let Coefficient { value, unit, figure, how, machine, date, .. } = value.try_into().expect("a coefficient");
            assert!(value.is_finite() && value >= 0.0, "{name}");
            assert!([&unit, &figure, &how, &machine].iter().all(|text| !text.is_empty()), "{name}");
            assert_eq!(date.len(), "2026-11-27".len(), "{name}");
        }
    }

    fn of_mine(name: &str, value: &str) -> String {
        format!(
            "[{name}]\nvalue = {value}\nunit = \"µs\"\ngroup = \"growth\"\nfigure = \"f\"\nhow = \"h\"\nmachine = \"m\"\ndate = \"2026-11-28\"\n"
        )
    }

    #[test]
    fn those_of_another_machine_replace_the_ones_that_they_name() {
        let (own, mine) = (Coefficients::measured(), Coefficients::with(&of_mine("speed_us_per_event", "3")));
        let (own, mine) = (own.expect("whole"), mine.expect("one replaced"));
        assert_eq!(mine.speed_us_per_event.value, 3.0);
        assert_eq!(mine.redis_us_per_counter, own.redis_us_per_counter);
        let missing = Coefficients::with(&of_mine("segment_bytes_per_row", "20.5")).expect("one that may be missing");
        assert_eq!(missing.segment_bytes_per_row.map(|one| one.value), Some(20.5));
    }

    #[test]
    fn what_is_no_coefficient_is_refused() {
        let unnamed = Coefficients::with(&of_mine("speed_us_per_evnt", "3")).expect_err("no such name");
        assert!(format!("{unnamed:#}").contains("speed_us_per_evnt"), "{unnamed:#}");
        for wrong in ["-1", "nan", "inf", "\"1\""] {
            let refused = Coefficients::with(&of_mine("speed_us_per_event", wrong)).expect_err(wrong);
            assert!(format!("{refused:#}").contains("speed_us_per_event"), "{refused:#}");
        }
        assert!(Coefficients::with("what").is_err());
    }
}
