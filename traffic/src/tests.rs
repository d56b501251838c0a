//! The made-up records are what they claim to be, according to the layers' own decoder.

mod fraud;
mod tables;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use shared_logic::catalog::Catalog;
use shared_logic::decode::Decoder;
use shared_logic::rejection::Reason;
use shared_logic::time::{DAY_US, HOUR_US, SECOND_US, bucket_start, format_rfc3339};

use super::*;

const SHIPPED: &str = include_str!("../../catalog.toml");

const NOW_US: i64 = 1_777_023_000_000_000;
const MINUTE_US: i64 = 60_000_000;

const STRANGE: &str = r#"
[sources.readings]
topic = "readings"
event_id = ["siteId", "n"]
event_time = "measuredAt"
max_age = "90m"
max_record = "2KiB"
dedup_window = 40
[sources.readings.fields]
n = "int"
measuredAt = "timestamp"
siteId = { type = "string", path = "site.id" }
floor = { type = "int", path = "site.floor" }
celsius = { type = "float", path = "values[1]" }
humidity = "float?"
ok = "bool?"
installed = "timestamp?"
[metrics.climate]
source = "readings"
by = ["siteId", "ok"]
grain = "1h"
[metrics.climate.measures]
readings = "count()"
warmest = "max(celsius)"
driest = "min(humidity)"
[metrics.hot]
source = "readings"
where = "celsius > 30"
grain = "1h"
[metrics.hot.measures]
readings = "count()"
"#;

/// Formats with columns, and event times as they write them.
const TABLES: &str = r#"
[sources.access]
format = "combined"
event_time = "time"
key = "target"
[sources.access.fields]
status = "int"
time = "timestamp"
method = "string"
target = "string"
protocol = "string?"
agent = { type = "string?", path = "user_agent" }
[sources.sales]
format = "csv"
event_id = "id"
event_time = { fields = ["date", "time"], format = "%d.%m.%Y %H:%M:%S" }
time_zone = "Europe/Berlin"
null = ["-", ""]
max_record = "2KiB"
[sources.sales.fields]
date = "string"
id = "string"
time = "string"
note = "string?"
paid = "bool?"
[sources.ticks]
format = "tsv"
event_time = "at"
[sources.ticks.fields]
at = { type = "timestamp", format = "epoch_us" }
name = "string"
"#;

fn shipped() -> Catalog {
    Catalog::parse(SHIPPED).expect("the shipped catalog is valid")
}

fn mix() -> Mix {
    Mix { keys: 50, zipf: 1.1, duplicates: 0.03, late: 0.02, broken: 0.05, fraud: 0.0, spread: 10 * MINUTE_US }
}

fn samples(catalog: &Catalog, source: &str, mix: &Mix, seed: u64, count: usize) -> Vec<Sample> {
    let mut generator = Generator::new(catalog, &catalog.sources[source], mix, seed).expect("a valid mix");
    (0..count).map(|_| generator.sample(NOW_US)).collect()
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let catalog = shipped();
    for source in catalog.inputs().map(|source| source.name.as_str()) {
        let first = samples(&catalog, source, &mix(), 7, 2_000);
        assert_eq!(first, samples(&catalog, source, &mix(), 7, 2_000));
        assert_ne!(first, samples(&catalog, source, &mix(), 8, 2_000));
    }
}

#[test]
fn the_layers_decoder_agrees_about_every_record() {
    let catalogs = [SHIPPED, STRANGE, TABLES].map(|text| Catalog::parse(text).expect("a valid catalog"));
    for (catalog, source) in catalogs.iter().flat_map(|catalog| catalog.inputs().map(move |of| (catalog, of))) {
        let mut decoder = Decoder::new(source);
        let mut reasons = HashSet::new();
        for sample in samples(catalog, &source.name, &mix(), 1, 20_000) {
            let shown = String::from_utf8_lossy(sample.payload.as_deref().unwrap_or(b"a delete")).into_owned();
            let decoded = decoder.decode_keyed(Some(&sample.key), sample.payload.as_deref(), Some(NOW_US));
            match (sample.kind, decoded) {
                (Kind::Broken(reason), Err(rejected)) => {
                    assert_eq!(rejected.reason, reason, "{shown}");
                    reasons.insert(reason);
                }
                (Kind::Broken(reason), Ok(_)) => panic!("not {reason}: {shown}"),
                (Kind::Delete, Err(rejected)) => assert_eq!((rejected.reason, source.is_table), (Reason::Delete, true)),
                (_, Err(rejected)) => panic!("{}: {shown}", rejected.text(&source.fields)),
                (Kind::Delete, Ok(_)) => panic!("not a delete: {shown}"),
                (kind, Ok(event)) => {
                    let age_us = NOW_US - event.time_us;
                    // Some patterns leave out fractions of a second.
                    let oldest_late_us = 7 * DAY_US + SECOND_US;
                    let late = (HOUR_US.min(source.max_age_us / 2 - 2_000)..=oldest_late_us).contains(&age_us);
                    assert!(age_us >= 0 && (kind != Kind::Late || late), "{kind:?} of {age_us} µs: {shown}");
                    assert!(kind != Kind::Fresh || age_us <= 10 * MINUTE_US + SECOND_US, "{age_us}: {shown}");
                }
            }
        }
        assert_eq!(reasons.len(), broken::reasons(source).len(), "{}: {reasons:?}", source.name);
    }
}

#[test]
fn copies_are_equal_and_near() {
    let strange = Catalog::parse(STRANGE).expect("a valid catalog");
    let source = &strange.sources["readings"];
    let samples = samples(&strange, "readings", &Mix { duplicates: 0.3, ..mix() }, 3, 5_000);
    let mut copies = 0;
    for (at, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.kind == Kind::Copy) {
        let window = &samples[at.saturating_sub(source.dedup_window as usize)..at];
        let original = window.iter().find(|earlier| earlier.payload == sample.payload);
        assert_eq!(original.map(|original| &original.key), Some(&sample.key), "the original of record {at}");
        copies += 1;
    }
    assert!((1_000..2_000).contains(&copies), "{copies}");
    // A source without an event id gets no copies.
    let catalog = shipped();
    let log = self::samples(&catalog, "access_log", &mix(), 3, 5_000);
    assert!(log.iter().all(|sample| sample.kind != Kind::Copy));
}

#[test]
fn shares_and_popularity_are_as_asked() {
    let catalog = shipped();
    let source = &catalog.sources["views"];
    let mut generator = Generator::new(&catalog, source, &Mix { broken: 0.01, ..mix() }, 5).expect("a valid mix");
    let mut of_key: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for _ in 0..50_000 {
        *of_key.entry(generator.sample(NOW_US).key).or_default() += 1;
    }
    let tally = generator.tally();
    assert!((1_300..1_700).contains(&tally.copies), "{tally}");
    assert!((800..1_200).contains(&tally.late), "{tally}");
    assert!((400..600).contains(&tally.broken), "{tally}");
    assert_eq!(of_key.len(), 50);
    assert!(of_key[b"video-1".as_slice()] > 20 * of_key[b"video-42".as_slice()]);
    let alike = samples(&catalog, "views", &Mix { zipf: 0.0, ..mix() }, 5, 50_000);
    let of_first = alike.iter().filter(|sample| sample.key == b"video-1").count();
    assert!((800..1_200).contains(&of_first), "{of_first}");
}

/// Counts the payloads again without the rows: they are accepted by the layers' decoder and read as plain JSON.
#[test]
fn expected_counts_equal_a_recount_of_the_payloads() {
    let catalog = shipped();
    let source = &catalog.sources["views"];
    let mut expected = Expected::new(&catalog, source);
    let mut decoder = Decoder::new(source);
    let mut seen = HashSet::new();
    let mut counts: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    let samples = samples(&catalog, "views", &mix(), 11, 20_000);
    for sample in &samples {
        expected.observe(sample);
        let Ok(event) = decoder.decode(sample.payload.as_deref(), Some(NOW_US)) else { continue };
        if !seen.insert(event.identity().expect("views have an id")) {
            continue;
        }
        let minute = format_rfc3339(bucket_start(event.time_us, MINUTE_US));
        let payload = sample.payload.as_deref().expect("decoded, so it is there");
        let view: Value = serde_json::from_slice(payload).expect("decoded, so it is JSON");
        if view["status"] == 200 {
            let video = view["video_id"].as_str().expect("decoded, so it is text").to_owned();
            let count = counts.entry((video, minute)).or_default();
            *count = (count.0 + 1, count.1 + view["dwell_ms"].as_i64().unwrap_or(0));
        }
    }
    let expected = expected.to_json();
    assert_eq!(expected["records"], 20_000);
    assert_eq!(expected["not_counted"], serde_json::json!({}));
    let views = &expected["metrics"]["views"];
    let mut answered = BTreeMap::new();
    for entry in views["keys"].as_array().expect("keys") {
        let video = entry["key"]["video_id"].as_str().expect("a video").to_owned();
        let mut of_video = (0, 0);
        for point in entry["points"].as_array().expect("points") {
            let count = (int(&point["values"], "views"), int(&point["values"], "dwell_ms"));
            of_video = (of_video.0 + count.0, of_video.1 + count.1);
            answered.insert((video.clone(), point["start"].as_str().expect("a start").to_owned()), count);
        }
        assert_eq!((int(&entry["values"], "views"), int(&entry["values"], "dwell_ms")), of_video, "{video}");
    }
    assert_eq!(answered, counts);
    let total = counts.values().fold((0, 0), |total, count| (total.0 + count.0, total.1 + count.1));
    assert_eq!((int(&views["overall"]["values"], "views"), int(&views["overall"]["values"], "dwell_ms")), total);
}

#[test]
fn expected_names_what_it_does_not_count() {
    let catalog = Catalog::parse(STRANGE).expect("a valid catalog");
    let source = &catalog.sources["readings"];
    let mut expected = Expected::new(&catalog, source);
    samples(&catalog, "readings", &mix(), 2, 1_000).iter().for_each(|sample| expected.observe(sample));
    let expected = expected.to_json();
    assert_eq!(expected["not_counted"]["hot"], "its `where` is not `status = 200`");
    let overall = &expected["metrics"]["climate"]["overall"]["values"];
    let counted = 1_000 - int(&expected, "rejected") - int(&expected, "duplicates");
    assert_eq!(int(overall, "readings"), counted);
    assert!(overall["warmest"].as_f64() > overall["driest"].as_f64(), "{overall}");
    // An absent `ok` is a key of its own.
    let keys = expected["metrics"]["climate"]["keys"].as_array().expect("keys");
    assert_eq!(keys.iter().map(|key| int(&key["values"], "readings")).sum::<i64>(), counted);
    for ok in [Value::Null, true.into(), false.into()] {
        assert!(keys.iter().any(|key| key["key"]["ok"] == ok), "no key with ok {ok}");
    }
}

/// Events of two sites may have the same number, and only all fields of an event id tell copies apart.
#[test]
fn expected_drops_copies_by_every_field_of_the_event_id() {
    let catalog = Catalog::parse(STRANGE).expect("a valid catalog");
    let mut expected = Expected::new(&catalog, &catalog.sources["readings"]);
    let one = samples(&catalog, "readings", &Mix { broken: 0.0, ..mix() }, 4, 1).remove(0);
    let mut other = one.clone();
    let row = other.row.as_mut().expect("an event");
    row[2] = Some(Cell::Text("another site".to_owned()));
    [&one, &other, &one, &other].into_iter().for_each(|sample| expected.observe(sample));
    let expected = expected.to_json();
    assert_eq!((int(&expected, "records"), int(&expected, "duplicates")), (4, 2), "{expected}");
}

fn int(values: &Value, name: &str) -> i64 {
    values[name].as_i64().unwrap_or_else(|| panic!("no integer {name} in {values}"))
}
