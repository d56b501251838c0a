//! What each layer needs: the workload times what was measured.

use super::coefficients::Coefficients;
use super::groups::Groups;
use super::layer::Resource::{Cores, Disk, Memory};
use super::layer::{Layer, Resource};
use super::workload::{Workload, seconds};

const DAY_S: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;
/// Micro- and milliseconds of CPU in seconds.
const US: f64 = 1e-6;
const MS: f64 = 1e-3;
/// On how many cores a worker or an archiver was measured.
const CORES_OF_A_PROCESS: f64 = 2.0;
/// Speed and the archiver read every record.
const READERS: f64 = 2.0;
/// A shard keeps what was counted since the last reconcile, and until that is released what the one before has covered.
const INTERVALS_IN_REDIS: f64 = 2.0;

/// A workload as all layers see it.
pub(super) struct Load<'a> {
    /// What is sized.
    pub(super) workload: &'a Workload,
    /// What things cost.
    pub(super) costs: &'a Coefficients,
    /// What metrics are counted by.
    pub(super) groups: Groups<'a>,
    /// How many partitions the topic has.
    pub(super) partitions: f64,
}

impl Load<'_> {
    /// All layers, in the order in which events pass them.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![self.kafka(), self.speed(), self.redis()];
        if self.has_detector() {
            layers.push(self.streams());
        }
        layers.extend([self.archive(), self.reconcile(), self.serving()]);
        layers
    }

    /// CPU of a worker for an event, in microseconds.
    pub(super) fn speed_us_per_event(&self) -> f64 {
        self.of_speed().iter().map(|(_, us)| us).sum()
    }

    /// The same for Redis.
    pub(super) fn redis_us_per_event(&self) -> f64 {
        self.groups.changed_per_event() * self.costs.redis_us_per_counter.value
    }

    /// CPU of one reconcile, in seconds.
    pub(super) fn reconcile_s(&self) -> f64 {
        self.of_reconcile().iter().map(|(_, s)| s).sum()
    }

    fn kafka(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let (replicas, rate, record) = (f64::from(workload.replicas), workload.busiest(), self.record_bytes());
        let readers = READERS + f64::from(u8::from(self.has_detector())) + (replicas - 1.0);
        let kept = workload.events_per_second * seconds(workload.kafka_retention) * replicas;
        let mut drivers = vec![
            (Cores, "records that are read", rate * readers * costs.kafka_us_per_record_read.value * US),
            (Memory, "brokers, page cache included", replicas * costs.kafka_mib.value * MIB),
            (Disk, "records within retention", kept * record),
        ];
        if let Some(written) = &costs.kafka_us_per_record_written {
            drivers.push((Cores, "records that are written", rate * replicas * written.value * US));
        }
        let layer = Layer::of("kafka", replicas, &drivers);
        layer.with_network(rate * record * replicas, rate * record * readers)
    }

    fn speed(&self) -> Layer {
        let rate = self.workload.busiest();
        let cores = self.of_speed().map(|(what, us)| (Cores, what, rate * us * US));
        let processes = (self.speed_us_per_event() * US * rate / CORES_OF_A_PROCESS).ceil().max(1.0);
        let window = self.partitions * self.workload.dedup_window as f64 * self.costs.speed_bytes_per_offset.value;
        let memory = [
            (Memory, "processes", processes * self.costs.speed_mib_per_process.value * MIB),
            (Memory, "offsets within dedup_window", window),
        ];
        let layer = Layer::of("speed", processes, &[&cores[..], &memory].concat());
        layer.with_network(rate * self.record_bytes(), self.bytes_to_redis())
    }

    fn redis(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let (replicas, metrics) = (f64::from(workload.replicas), f64::from(workload.metrics));
        let within_s = INTERVALS_IN_REDIS * seconds(workload.reconcile_every);
        let (key, bucket) = (costs.redis_bytes_per_key.value, costs.redis_bytes_per_bucket.value);
        let held = |what: &'static str, bytes: f64| (Memory, what, replicas * metrics * bytes);
        let drivers = [
            (Cores, "counters that change", replicas * workload.busiest() * self.redis_us_per_event() * US),
            (Memory, "processes", replicas * costs.redis_idle_mib.value * MIB),
            held("keys between two reconciles", self.groups.keys_within(within_s) * key),
            held("their buckets", self.groups.buckets_within(within_s) * bucket),
            held("buckets of late events", self.groups.late_within(within_s) * (key + bucket)),
        ];
        Layer::of("redis", replicas, &drivers)
            .with_network(self.bytes_to_redis() * replicas, self.bytes_to_redis() * (replicas - 1.0))
    }

    /// Detectors run in the workers of speed, beside counting.
    fn streams(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let drivers = [
            (Cores, "events that are judged", workload.busiest() * costs.stream_us_per_event.value * US),
            (Memory, "remembered events", workload.remembered as f64 * costs.stream_bytes_per_remembered_event.value),
        ];
        Layer::of("streams", 0.0, &drivers).with_network(workload.busiest() * self.record_bytes(), 0.0)
    }

    fn archive(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let (rate, kept) = (workload.busiest(), workload.events_per_second * seconds(workload.retain));
        let processes = (rate / costs.archive_rows_per_second.value).ceil().max(1.0);
        let row = f64::from(workload.event_bytes) * costs.archive_bytes_per_payload_byte.value;
        let drivers = [
            (Cores, "records", rate * costs.archive_us_per_row.value * US),
            (Memory, "processes that catch up", processes * costs.archive_mib.value * MIB),
            (Disk, "records within retain", kept * row),
            (Disk, "index of identities", kept * costs.identity_bytes_per_event.value),
        ];
        Layer::of("archive", processes, &drivers).with_network(rate * self.record_bytes(), rate * row)
    }

    fn reconcile(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let every_s = seconds(workload.reconcile_every);
        let mut drivers: Vec<(Resource, &'static str, f64)> =
            self.of_reconcile().map(|(what, s)| (Cores, what, s / every_s)).into();
        let rows = self.groups.view_rows_per_day() * seconds(workload.retain) / DAY_S * f64::from(workload.metrics);
        drivers.push((Memory, "reconcile.memory and the process", costs.reconcile_mib.value * MIB));
        drivers.push((Disk, "views", rows * costs.view_bytes_per_row.value));
        Layer::of("reconcile", 1.0, &drivers)
    }

    fn serving(&self) -> Layer {
        let (workload, costs) = (self.workload, self.costs);
        let (asked, replicas) = (workload.queries_per_second * workload.peak, f64::from(workload.replicas));
        let mut drivers = vec![
            (Cores, "requests", asked * costs.serving_us_per_request.value * US),
            (Memory, "processes", replicas * costs.serving_mib.value * MIB),
        ];
        if let Some(row) = &costs.segment_bytes_per_row {
            let days = seconds(workload.retain) / DAY_S;
            let rows = self.groups.segment_rows_per_day() * days * f64::from(workload.metrics);
            drivers.push((Disk, "segments of all subsets of columns", rows * row.value * replicas));
        }
        Layer::of("serving", replicas, &drivers)
    }

    /// CPU of a worker for an event, in microseconds, by what it is for.
    fn of_speed(&self) -> [(&'static str, f64); 3] {
        let costs = self.costs;
        [
            ("events", costs.speed_us_per_event.value),
            ("metrics of each event", costs.speed_us_per_metric.value * f64::from(self.workload.metrics)),
            ("counters that change", costs.speed_us_per_counter.value * self.groups.changed_per_event()),
        ]
    }

    /// CPU of one reconcile, in seconds, by what it is for. What was archived before is no part of that: it is not read again.
    fn of_reconcile(&self) -> [(&'static str, f64); 3] {
        let (workload, costs) = (self.workload, self.costs);
        let metrics = f64::from(workload.metrics);
        let new = workload.events_per_second * seconds(workload.reconcile_every);
        let days = (new * workload.late).min(f64::from(workload.late_days));
        [
            ("new rows, for each metric", new * metrics * costs.reconcile_us_per_new_row.value * US),
            ("runs", costs.reconcile_s_per_run.value),
            ("earlier days with late events", days * metrics * costs.reconcile_ms_per_late_day.value * MS),
        ]
    }

    /// Bytes of a record on Kafka's disk and on the wire.
    fn record_bytes(&self) -> f64 {
        f64::from(self.workload.event_bytes) + self.costs.kafka_bytes_over_payload.value
    }

    /// Bytes per second that workers send to Redis at the busiest time.
    fn bytes_to_redis(&self) -> f64 {
        let counters = self.workload.busiest() * self.groups.changed_per_event();
        counters * self.costs.redis_sent_bytes_per_counter.value
    }

    fn has_detector(&self) -> bool {
        self.workload.remembered > 0
    }
}
