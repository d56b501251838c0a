//! The coefficients of this machine, as they follow from what was measured.

use std::fmt::Write;

use anyhow::{Context, Result};
use e2e_tests::scenario::now_us;
use shared_logic::time::{day_of, format_day};

use super::archived::Archived;
use super::asked::Asked;
use super::counted::Counted;
use super::fit::{fit, line};
use super::reconciled::Reconciles;

/// A number, what it counts, and how it follows from what was measured.
struct Coefficient {
    name: &'static str,
    value: f64,
    unit: &'static str,
    figure: &'static str,
    how: &'static str,
}

/// All that were measured here.
pub(super) struct Coefficients(Vec<Coefficient>);

impl Coefficients {
    /// Those that follow.
    ///
    /// # Errors
    /// If a fit has too few points, or ones that say the same.
    pub(super) fn of(
        counted: &[Counted],
        archived: &Archived,
        reconciles: &Reconciles,
        asked: &Asked,
    ) -> Result<Coefficients> {
        let mut found = Coefficients(Vec::new());
        found.of_counting(counted)?;
        found.of_reconciles(reconciles)?;
        let (archive, ask) = ("growth, an archiver that drains a topic", "growth, 16 clients that ask for totals");
        found.add(
            "archive_us_per_row",
            archived.us_per_row,
            "µs of CPU of the archiver, for a record",
            archive,
            MEASURED,
        );
        found.add(
            "archive_bytes_per_payload_byte",
            archived.bytes_per_payload_byte,
            "bytes of the archive, for a byte of payload",
            archive,
            "as measured; other payloads may compress otherwise",
        );
        found.add("archive_rows_per_second", archived.rows_per_second, "rows/s of one archiver", archive, MEASURED);
        found.add("archive_mib", archived.peak_mib, "MiB of an archiver that catches up", archive, MEASURED);
        let unit = "µs of CPU of serving, for a total of one key";
        found.add("serving_us_per_request", asked.us_per_request, unit, ask, "CPU of the process, without the clients");
        let unit = "bytes of segments, for a row of a day or of a month";
        found.add(
            "segment_bytes_per_row",
            asked.segment_bytes_per_row,
            unit,
            ask,
            "after one reconcile of 20,000 keys",
        );
        Ok(found)
    }

    /// As `coefficients.toml` has them.
    pub(super) fn text(&self) -> Result<String> {
        let cores = std::thread::available_parallelism().context("no processors")?;
        let (machine, date) = (format!("{cores} cores that also ran Kafka and Redis"), format_day(day_of(now_us())));
        let mut text = String::new();
        for Coefficient { name, value, unit, figure, how } in &self.0 {
            writeln!(
                text,
                "[{name}]\nvalue = {}\nunit = \"{unit}\"\ngroup = \"growth\"\nfigure = \"{figure}\"\nhow = \"{how}\"\n\
                 machine = \"{machine}\"\ndate = \"{date}\"\n",
                rounded(*value)
            )?;
        }
        Ok(text)
    }

    fn of_counting(&mut self, counted: &[Counted]) -> Result<()> {
        let ends: Vec<&Counted> = counted.iter().filter(|one| super::makes_coefficients(&one.counting)).collect();
        let metrics = |one: &Counted| f64::from(one.counting.metrics);
        let of_worker: Vec<_> = ends.iter().map(|one| ([1.0, metrics(one), one.counters], one.worker_us)).collect();
        let [event, metric, counter] = fit(&of_worker)?;
        let of_redis: Vec<_> = ends.iter().map(|one| ([one.counters], one.redis_us)).collect();
        let [in_redis] = fit(&of_redis)?;
        let held: Vec<_> = ends.iter().map(|one| (one.counting.in_redis(), one.redis_bytes)).collect();
        let [key, bucket] = fit(&held)?;
        let sent: Vec<_> = ends.iter().map(|one| ([one.counters], one.sent_bytes)).collect();
        let [sent] = fit(&sent)?;
        let fitted = "least squares over the ends of the axes of keys and metrics";
        let (cpu, redis, broker) =
            ("growth_worker_cpu_per_event_…", "growth_redis_…", "growth, broker with a heap of 512 MiB");
        self.add(
            "speed_us_per_event",
            event,
            "µs of CPU of the worker, for an event, whatever is counted",
            cpu,
            fitted,
        );
        self.add("speed_us_per_metric", metric, "µs of CPU of the worker, for an event and a metric", cpu, fitted);
        let unit = "µs of CPU of the worker, for a counter that a micro-batch changes";
        self.add("speed_us_per_counter", counter, unit, cpu, fitted);
        let unit = "µs of CPU of Redis, for a counter that a micro-batch changes";
        self.add("redis_us_per_counter", in_redis, unit, redis, fitted);
        let unit = "bytes of Redis, for a group key in a shard, without its buckets";
        self.add("redis_bytes_per_key", key, unit, redis, fitted);
        let unit = "bytes of Redis, for a bucket of a group key with two measures";
        self.add("redis_bytes_per_bucket", bucket, unit, redis, fitted);
        let unit = "bytes to Redis, for a counter that a micro-batch changes";
        self.add("redis_sent_bytes_per_counter", sent, unit, "growth, total_net_input_bytes of Redis", fitted);
        let one = counted.iter().find(|one| one.counting.partitions == 1).context("no point of one partition")?;
        let unit = "events/s of one partition";
        let rate = one.events_per_second;
        self.add(
            "speed_events_per_second_per_partition",
            rate,
            unit,
            "growth_events_per_second_…_1_partitions_…",
            MEASURED,
        );
        let mean = |of: fn(&Counted) -> f64| counted.iter().map(of).sum::<f64>() / counted.len() as f64;
        let unit = "µs of CPU of the broker, for a record that is written";
        self.add("kafka_us_per_record_written", mean(|one| one.written_us), unit, broker, "the mean of all points");
        let unit = "µs of CPU of the broker, for a record that a reader gets";
        self.add("kafka_us_per_record_read", mean(|one| one.read_us), unit, broker, "the mean of all points");
        Ok(())
    }

    fn of_reconciles(&mut self, reconciles: &Reconciles) -> Result<()> {
        let figure = "growth_reconcile_cpu_…";
        let today: Vec<_> = reconciles.of_today.iter().map(|run| (run.new as f64, run.cpu_seconds)).collect();
        let (in_any_case, of_new) = line(&today)?;
        let largest = reconciles.of_today.last().context("no increments")?;
        let late = &reconciles.late;
        let of_late = late.cpu_seconds - in_any_case - of_new * late.new as f64;
        self.add(
            "reconcile_us_per_new_row",
            of_new * 1e6,
            "µs of CPU of a reconcile, for a new row and a metric",
            figure,
            "least squares over larger and larger increments; looks for earlier copies included",
        );
        self.add(
            "reconcile_s_per_run",
            in_any_case,
            "s of CPU of a reconcile, however little is new",
            figure,
            "the same fit; the start of a process included, which a schedule does not need",
        );
        self.add(
            "reconcile_ms_per_late_day",
            of_late * 1e3 / reconciles.late_days,
            "ms of CPU of a reconcile, for an earlier day with late events and a metric",
            figure,
            "an increment of which 2 % are late by up to 60 days, less what the fit says of one without",
        );
        self.add(
            "reconcile_cores",
            largest.cpu_seconds / largest.seconds,
            "cores that one reconcile keeps busy",
            "growth_reconcile_cpu_…, growth_reconcile_seconds_…",
            "CPU over time of the largest increment, of a single day",
        );
        let unit = "bytes of a view, for a bucket of a group key with two measures";
        let how = "all files of the largest view after its first reconcile";
        self.add("view_bytes_per_row", reconciles.view_bytes_per_row, unit, "growth, files of the view", how);
        let unit = "bytes of the index of identities, for an archived event";
        self.add(
            "identity_bytes_per_event",
            reconciles.identity_bytes_per_event,
            unit,
            "growth, runs of the index",
            how,
        );
        Ok(())
    }

    /// Nothing costs less than nothing; a fit may say so of what is lost in the noise.
    fn add(&mut self, name: &'static str, value: f64, unit: &'static str, figure: &'static str, how: &'static str) {
        self.0.push(Coefficient { name, value: value.max(0.0), unit, figure, how });
    }
}

const MEASURED: &str = "as measured";

/// To three digits that say something.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powi(2 - value.log10().floor() as i32);
    (value * unit).round() / unit
}
