use super::*;
use crate::catalog::Catalog;

const CATALOG: &str = r#"
[sources.views]
partitions = 4
event_id = "id"
event_time = "at"
key = "video"
max_age = "400d"
max_ahead = "1h"
start = "earliest"
format = "json"
dedup_window = 1000
[sources.views.fields]
id = "string"
at = "timestamp"
other_at = "timestamp"
video = "string"
status = "int"
url = "string"
[metrics.views]
source = "views"
where = "status = 200"
by = ["video"]
grain = "1m"
[metrics.views.measures]
views = "count()"
total = "sum(status)"
[metrics.views.derived]
ratio = "total / views"
"#;

fn hash_of(text: &str) -> DefinitionHash {
    let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    catalog.definition(&catalog.metrics["views"])
}

#[test]
fn whatever_can_change_a_count_changes_the_hash() {
    let changes = [
        ("event_id = \"id\"\n", ""),
        ("event_id = \"id\"", "event_id = \"url\""),
        ("event_id = \"id\"", "event_id = [\"id\", \"url\"]"),
        ("event_time = \"at\"", "event_time = \"other_at\""),
        ("\"400d\"", "\"399d\""),
        ("\"1h\"", "\"2h\""),
        ("\"1h\"", "\"1h\"\nmax_record = \"2MiB\""),
        ("\"json\"", "\"tsv\""),
        ("1000", "1001"),
        ("url = \"string\"", "url = \"string?\""),
        ("url = \"string\"", "url = \"int\""),
        ("url = \"string\"", "link = \"string\""),
        ("url = \"string\"", "url = \"string\"\nmore = \"int?\""),
        ("where = \"status = 200\"\n", ""),
        ("status = 200", "status <> 200"),
        ("status = 200", "status = 201"),
        ("by = [\"video\"]", "by = []"),
        ("by = [\"video\"]", "by = [\"video\", \"status\"]"),
        ("\"1m\"", "\"2m\""),
        ("total = \"sum(status)\"", "total = \"max(status)\""),
        ("total = \"sum(status)\"", "total = \"sum(status + 1)\""),
        ("total = \"sum(status)\"", "total = \"sum(CAST(status AS DOUBLE))\""),
        ("total = \"sum(status)\"", "total = \"sum(status)\"\nleast = \"min(status)\""),
        ("total = \"sum(status)\"", "total = \"distinct(url)\""),
        ("total = \"sum(status)\"", "total = \"distinct(url, 1024)\""),
        ("total = \"sum(status)\"", "total = \"sum(status)\"\nfrequent = \"top(url, 5)\""),
        ("total = \"sum(status)\"", "total = \"sum(status)\"\nfrequent = \"top(url, 6)\""),
        ("views = \"count()\"", "clicks = \"count()\""),
    ];
    let mut seen = vec![hash_of(CATALOG)];
    for (old, new) in changes {
        assert!(CATALOG.contains(old), "the test replaces nothing: {old}");
        let text = CATALOG.replacen(old, new, 1).replace("total / views", "total * 2");
        let hash = hash_of(&text);
        assert!(!seen.contains(&hash), "{old} → {new} kept the hash or met another");
        seen.push(hash);
    }
}

#[test]
fn the_plan_version_changes_the_hash() {
    let catalog = Catalog::parse(CATALOG).expect("the catalog is good");
    let (source, metric) = (&catalog.sources["views"], &catalog.metrics["views"]);
    assert_ne!(canonical(source, metric, 1), canonical(source, metric, 2));
}

#[test]
fn columns_have_an_order_and_members_have_none() {
    let swapped = CATALOG.replace("status = \"int\"\nurl = \"string\"", "url = \"string\"\nstatus = \"int\"");
    assert_ne!(swapped, CATALOG);
    assert_eq!(hash_of(&swapped), hash_of(CATALOG));
    let tsv = |text: &str| text.replace("\"json\"", "\"tsv\"");
    assert_ne!(hash_of(&tsv(&swapped)), hash_of(&tsv(CATALOG)));
}

#[test]
fn what_cannot_change_a_count_keeps_the_hash() {
    let changes = [
        ("partitions = 4", "partitions = 8"),
        ("key = \"video\"\n", ""),
        ("\"earliest\"", "\"latest\""),
        ("[sources.views]", "[sources.views]\ntopic = \"elsewhere\""),
        ("[sources.views]", "[sources.views]\nreconcile = \"0 0 * * * *\""),
        ("total / views", "total - views"),
        ("[metrics.views]", "\n# A comment.\n[metrics.views]\n"),
        ("status = 200", "( status=200 ) /* as SQL */"),
        ("\"400d\"", "\"9600h\""),
        ("sum(status)", "SUM( status )"),
        ("count()", "count(*)"),
        ("event_id = \"id\"", "event_id = [\"id\"]"),
        ("\"1h\"", "\"1h\"\nmax_record = \"1MiB\""),
        // Another metric that groups by another text.
        (
            "[metrics.views]",
            "[metrics.a]\nsource = \"views\"\nby = [\"url\"]\nmeasures = {n = \"count()\"}\n[metrics.views]",
        ),
    ];
    for (old, new) in changes {
        assert!(CATALOG.contains(old), "the test replaces nothing: {old}");
        assert_eq!(hash_of(&CATALOG.replacen(old, new, 1)), hash_of(CATALOG), "{old} → {new}");
    }
}

#[test]
fn a_hash_is_read_back() {
    let hash = hash_of(CATALOG);
    assert_eq!(hash.as_str().len(), 16);
    assert_eq!(hash.to_string().parse(), Ok(hash.clone()));
    let json = serde_json::to_string(&hash).expect("a hash is a string");
    assert_eq!(json, format!("\"{hash}\""));
    assert_eq!(serde_json::from_str::<DefinitionHash>(&json).expect("it was just written"), hash);
    assert!("0123456789ABCDEF".parse::<DefinitionHash>().is_err());
    assert!("0123".parse::<DefinitionHash>().is_err());
    assert!(serde_json::from_str::<DefinitionHash>("\"v1\"").is_err());
}

/// Views were built under this text. A change of it must raise the plan version.
#[test]
fn the_hash_of_a_definition_stays() {
    assert_eq!(hash_of(CATALOG).as_str(), "998326572d07318f");
}

/// A detector reads a window, which reads a source. Another window and a map read that, too.
const STREAMS: &str = r#"
[sources.orders]
event_time = "at"
key = "country"
max_ahead = "1h"
dedup_window = 1000
[sources.orders.fields]
at = "timestamp"
country = "string"
price = "float"
[streams.sums]
from = "orders"
where = "price > 0"
by = ["country"]
window = "5m"
slide = "1m"
offset = "10s"
lateness = "10s"
[streams.sums.measures]
revenue = "sum(price)"
[streams.sums.derived]
half = "revenue / 2"
[streams.visits]
from = "orders"
by = ["country"]
session = "30m"
longest = "24h"
[streams.visits.measures]
n = "count()"
[streams.mapped]
from = "orders"
key = "country"
[streams.mapped.fields]
country = "country"
twice = "price * 2"
[streams.alerts]
from = "sums"
key = "country"
history = "1h"
history_max = 100
rejudge_max = 10
[streams.alerts.detect]
jump = "revenue > 2 * history_avg(revenue, '10m')"
[metrics.alerts]
source = "alerts"
by = ["rule"]
[metrics.alerts.measures]
n = "count()"
[metrics.orders]
source = "orders"
by = []
[metrics.orders.measures]
n = "count()"
"#;

const NAMES: [&str; 4] = ["alerts", "mapped", "sums", "visits"];

/// The definitions of the four streams, and of the two metrics.
fn hashes_of(text: &str) -> ([DefinitionHash; 4], [DefinitionHash; 2]) {
    let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    let streams = NAMES.map(|name| catalog.stream_definition(&catalog.streams[name]));
    (streams, ["alerts", "orders"].map(|name| catalog.definition(&catalog.metrics[name])))
}

#[test]
fn whatever_can_change_an_output_changes_the_definition_of_the_stream_and_of_all_that_reads_it() {
    let all: &[&str] = &NAMES;
    // Which streams are others then.
    let changes: [(&str, &str, &[&str]); 28] = [
        ("price = \"float\"", "price = \"float?\"", all),
        ("country = \"string\"", "country = { type = \"string\", path = \"land\" }", all),
        ("max_ahead = \"1h\"", "max_ahead = \"2h\"", all),
        ("max_ahead = \"1h\"", "max_age = \"2h\"\nmax_ahead = \"1h\"", all),
        ("dedup_window = 1000", "dedup_window = 1001", all),
        ("dedup_window = 1000", "event_id = \"country\"", all),
        ("price > 0", "price > 1", &["alerts", "sums"]),
        ("where = \"price > 0\"\n", "", &["alerts", "sums"]),
        ("window = \"5m\"", "window = \"10m\"", &["alerts", "sums"]),
        ("slide = \"1m\"", "slide = \"30s\"", &["alerts", "sums"]),
        ("offset = \"10s\"", "offset = \"20s\"", &["alerts", "sums"]),
        ("lateness = \"10s\"", "lateness = \"20s\"", &["alerts", "sums"]),
        ("sum(price)", "max(price)", &["alerts", "sums"]),
        ("revenue / 2", "revenue / 3", &["alerts", "sums"]),
        ("half =", "part =", &["alerts", "sums"]),
        ("by = [\"country\"]", "by = [\"country\", \"at\"]", &["alerts", "sums"]),
        ("session = \"30m\"", "session = \"31m\"", &["visits"]),
        ("longest = \"24h\"", "longest = \"12h\"", &["visits"]),
        ("longest = \"24h\"\n", "", &["visits"]),
        ("key = \"country\"\n[streams.mapped.fields]", "[streams.mapped.fields]", &["mapped"]),
        ("price * 2", "price * 3", &["mapped"]),
        ("twice =", "double =", &["mapped"]),
        ("history = \"1h\"", "history = \"2h\"", &["alerts"]),
        ("history_max = 100", "history_max = 101", &["alerts"]),
        ("rejudge_max = 10", "rejudge_max = 11", &["alerts"]),
        ("'10m'", "'11m'", &["alerts"]),
        ("jump =", "leap =", &["alerts"]),
        ("revenue > 2", "revenue > 3", &["alerts"]),
    ];
    let (before, metrics) = hashes_of(STREAMS);
    let mut seen: Vec<DefinitionHash> = before.to_vec();
    for (old, new, others) in changes {
        assert!(STREAMS.contains(old), "the test replaces nothing: {old}");
        let (now, of_metrics) = hashes_of(&STREAMS.replacen(old, new, 1));
        for ((name, now), before) in NAMES.iter().zip(now).zip(&before) {
            let differs = others.contains(name);
            assert_eq!(now != *before, differs, "{old} → {new}: {name}");
            assert!(!differs || !seen.contains(&now), "{old} → {new}: {name} met another");
            seen.push(now);
        }
        assert_eq!(of_metrics[0] != metrics[0], others.contains(&"alerts"), "{old} → {new}");
        let is_of_the_source = others == all;
        assert_eq!(of_metrics[1] != metrics[1], is_of_the_source, "{old} → {new}: a metric of the source");
    }
}

#[test]
fn what_changes_no_output_keeps_the_definition_of_a_stream() {
    let before = hashes_of(STREAMS);
    for (old, new) in [
        ("key = \"country\"\nmax_ahead", "key = \"country\"\npartitions = 8\nretain = \"500d\"\nmax_ahead"),
        ("[streams.sums]", "[streams.sums]\ntopic = \"elsewhere\""),
        ("slide = \"1m\"", "slide = \"60s\"\nwindows_max = 7\nopen_max = 50000"),
        ("price > 0", "( price>0 )"),
        ("'10m'", "'600s'"),
        ("rejudge_max = 10\n", "rejudge_max = 10\nlateness = \"300s\"\n"),
        ("at = \"timestamp\"\ncountry = \"string\"", "country = \"string\"\nat = \"timestamp\""),
    ] {
        assert!(STREAMS.contains(old), "the test replaces nothing: {old}");
        assert_eq!(hashes_of(&STREAMS.replacen(old, new, 1)), before, "{old} → {new}");
    }
    // Nor does its name.
    let renamed = Catalog::parse(&STREAMS.replace("streams.sums", "streams.totals").replace("\"sums\"", "\"totals\""));
    let renamed = renamed.expect("a valid catalog");
    assert_eq!(renamed.stream_definition(&renamed.streams["totals"]), before.0[2]);
}

#[test]
fn the_versions_change_the_definition_of_a_stream() {
    let catalog = Catalog::parse(STREAMS).expect("a valid catalog");
    let stream = &catalog.streams["sums"];
    let text = |plan, version| canonical_stream(&catalog.sources[&stream.from], stream, plan, version);
    assert_ne!(text(1, 1), text(2, 1));
    assert_ne!(text(1, 1), text(1, 2));
}
