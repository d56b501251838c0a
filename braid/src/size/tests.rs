//! The model beside what was measured, and how it grows.

use platform::settings::Span;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Points {
    point: Vec<Point>,
}

/// A measured amount, and the workload that it was measured of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    name: String,
    /// The layers whose amounts were measured together.
    layers: Vec<String>,
    /// A member of a layer, as JSON names it.
    of: String,
    measured: f64,
    /// How far the model may be off, as a share of what was measured.
    tolerance: f64,
    source: String,
    workload: Workload,
}

fn estimate(workload: &Workload) -> Estimate {
    Estimate::of(workload, &Coefficients::measured().expect("they are whole")).expect("a workload")
}

/// The amount of a layer, by its names in JSON.
fn amount(estimate: &Estimate, layer: &str, of: &str) -> f64 {
    let found = estimate.layers.iter().find(|found| found.name == layer);
    let layer = serde_json::to_value(found.unwrap_or_else(|| panic!("no layer {layer}"))).expect("JSON");
    layer[of].as_f64().unwrap_or_else(|| panic!("no number {of}: {layer}"))
}

#[test]
fn the_model_is_near_what_was_measured() {
    let points: Points = toml::from_str(include_str!("points.toml")).expect("points");
    for Point { name, layers, of, measured, tolerance, source, workload } in points.point {
        let estimate = estimate(&workload);
        let predicted: f64 = layers.iter().map(|layer| amount(&estimate, layer, &of)).sum();
        let off = predicted / measured - 1.0;
        assert!(off.abs() <= tolerance, "{name}: {predicted} {of}, measured {measured} ({source}), off by {off:.2}");
        assert!(tolerance < 0.5 && !source.is_empty(), "{name}: a tolerance that allows all shows nothing");
    }
}

fn usual() -> Workload {
    let (events_per_second, keys, metrics) = (20_000.0, 1_000_000, 2);
    Workload { events_per_second, keys, metrics, ..Workload::USUAL }
}

#[test]
fn twice_the_events_take_twice_the_disk_and_at_most_twice_the_cores() {
    let (once, twice) = (estimate(&usual()), estimate(&Workload { events_per_second: 40_000.0, ..usual() }));
    for (layer, of) in [("kafka", "disk_bytes"), ("archive", "disk_bytes"), ("archive", "cores"), ("kafka", "cores")] {
        let ratio = amount(&twice, layer, of) / amount(&once, layer, of);
        assert!((ratio - 2.0).abs() < 1e-9, "{of} of {layer}: {ratio}");
    }
    for layer in ["speed", "redis", "reconcile"] {
        let ratio = amount(&twice, layer, "cores") / amount(&once, layer, "cores");
        assert!(ratio > 1.0 && ratio < 2.0, "more events of a micro-batch share a counter: {layer} {ratio}");
    }
}

#[test]
fn each_flag_changes_what_it_should_and_nothing_that_it_should_not() {
    let before = estimate(&usual());
    let of = |estimate: &Estimate| -> Vec<(&'static str, f64, f64, f64)> {
        let amounts = |layer: &Layer| (layer.name, layer.cores, layer.memory_bytes, layer.disk_bytes);
        estimate.layers.iter().map(amounts).collect()
    };
    let changes: [(Workload, &[&str]); 9] = [
        (Workload { keys: 10_000_000, ..usual() }, &["speed", "redis", "reconcile", "serving"]),
        (Workload { metrics: 3, ..usual() }, &["speed", "redis", "reconcile", "serving"]),
        (Workload { event_bytes: 288, ..usual() }, &["kafka", "archive"]),
        (Workload { retain: Span::from_secs(86_400), ..usual() }, &["archive", "reconcile", "serving"]),
        (Workload { kafka_retention: Span::from_secs(86_400), ..usual() }, &["kafka"]),
        (Workload { reconcile_every: Span::from_secs(3_600), ..usual() }, &["redis", "reconcile"]),
        (Workload { queries_per_second: 200.0, ..usual() }, &["serving"]),
        (Workload { replicas: 3, ..usual() }, &["kafka", "redis", "serving"]),
        (Workload { late: 0.0, ..usual() }, &["speed", "redis", "reconcile"]),
    ];
    for (workload, expected) in changes {
        let after = estimate(&workload);
        let changed: Vec<&str> =
            of(&before).iter().zip(of(&after)).filter(|(one, other)| *one != other).map(|(one, _)| one.0).collect();
        assert_eq!(changed, expected, "{workload:?}");
    }
}

#[test]
fn a_detector_is_a_layer_and_another_reader() {
    let with = estimate(&Workload { remembered: 10_000_000, ..usual() });
    assert_eq!(amount(&with, "streams", "memory_bytes"), 9.5e8);
    let read = |estimate: &Estimate| {
        let drivers = &estimate.layers[0].drivers;
        drivers.iter().find(|driver| driver.what == "records that are read").expect("a driver").amount
    };
    let readers = read(&with) / read(&estimate(&usual()));
    assert!((readers - 1.5).abs() < 1e-9, "{readers}");
}

#[test]
fn a_longer_history_makes_no_reconcile_dearer() {
    let cores = |days| {
        let workload = Workload { retain: Span::from_secs(days * 86_400_u64), ..usual() };
        amount(&estimate(&workload), "reconcile", "cores")
    };
    assert_eq!(cores(1), cores(3_650));
}

/// What an estimate takes for a limit is about what `bench growth` saw a reconcile and an archiver take on 2026-11-27.
#[test]
fn a_limit_is_about_what_was_seen() {
    let (events_per_second, keys, metrics) = (1e5, 100_000, 1);
    let even = Workload { events_per_second, keys, metrics, peak: 1.0, late: 0.0, skew: 0.0, ..Workload::USUAL };
    let sized = estimate(&even);
    let up_to = |what: &str| {
        let limit = sized.limits.iter().find(|limit| limit.what.starts_with(what));
        limit.unwrap_or_else(|| panic!("no limit {what}")).events_per_second
    };
    // Increments of 200,000, 400,000 and 800,000 rows, and an archiver that drained a topic.
    let seen = [
        ("one reconcile", 200_000.0 / 0.42),
        ("one reconcile", 400_000.0 / 0.66),
        ("one reconcile", 800_000.0 / 1.40),
        ("one archiver", 1_010_000.0),
    ];
    for (what, seen) in seen {
        let off = up_to(what) / seen - 1.0;
        assert!(off.abs() < 0.3, "{what}: {} and {seen} events/s", up_to(what));
    }
}

#[test]
fn the_limit_that_is_reached_first_comes_first() {
    let large = estimate(&Workload { events_per_second: 1e7, peak: 1.0, ..usual() });
    let used: Vec<f64> = large.limits.iter().map(|limit| limit.used).collect();
    assert!(used.is_sorted_by(|one, other| one >= other), "{used:?}");
    assert!(large.limits[0].is_exceeded());
    for limit in &large.limits {
        let at = Workload {
            events_per_second: limit.events_per_second,
            peak: 1.0,
            partitions: Some(large.partitions as u32),
            ..usual()
        };
        let again = estimate(&at);
        let again = again.limits.iter().find(|again| again.what == limit.what).expect("the same limits");
        assert!((again.used - 1.0).abs() < 0.01, "{again:?}");
    }
    assert!(estimate(&usual()).limits.iter().all(|limit| !limit.is_exceeded()));
}

#[test]
fn partitions_are_as_many_as_the_busiest_time_needs_unless_they_are_said() {
    assert_eq!(estimate(&usual()).partitions, 4.0);
    assert_eq!(estimate(&Workload { partitions: Some(12), ..usual() }).partitions, 12.0);
    let large = estimate(&Workload { events_per_second: 1e7, ..usual() });
    let limit = large.limits.iter().find(|limit| limit.what.starts_with("the partitions")).expect("a limit");
    assert!(limit.used <= 0.5 && limit.used > 0.45, "{limit:?}");
}

#[test]
fn what_was_not_measured_is_named_and_is_in_it_once_it_was() {
    let measured = Coefficients::measured().expect("they are whole");
    let neither = Coefficients { segment_bytes_per_row: None, kafka_us_per_record_written: None, ..measured };
    let without = Estimate::of(&usual(), &neither).expect("a workload");
    assert_eq!(without.not_measured.len(), 2, "{:?}", without.not_measured);
    assert_eq!(amount(&without, "serving", "disk_bytes"), 0.0);

    let written = "[kafka_us_per_record_written]\nvalue = 10\nunit = \"µs\"\ngroup = \"growth\"\nfigure = \"f\"\nhow = \"h\"\nmachine = \"m\"\ndate = \"d\"\n";
    let both = Coefficients::with(written).expect("another value");
    let with = Estimate::of(&usual(), &both).expect("a workload");
    assert!(with.not_measured.is_empty(), "{:?}", with.not_measured);
    assert!(amount(&with, "serving", "disk_bytes") > 0.0);
    // 40,000 records at the busiest time, 10 µs each.
    let written =
        with.layers[0].drivers.iter().find(|driver| driver.what == "records that are written").expect("a driver");
    assert!((written.amount - 0.4).abs() < 1e-9, "{written:?}");
}
