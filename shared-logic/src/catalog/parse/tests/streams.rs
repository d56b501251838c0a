//! Streams: what they are as sources, every mistake, and texts that are read back.

mod mistaken;
mod read_back;

use super::*;
use crate::catalog::{Detect, LookKind, Map, Session, Source, Stream, StreamKind, Window};
use crate::time::SECOND_US;

/// Streams of every kind. One reads another that stands behind it.
const STREAMS: &str = r#"[sources.transactions]
event_id = "transaction_id"
event_time = "at"
key = "user_id"
max_ahead = "2h"
retain = "500d"
dedup_window = 7
[sources.transactions.fields]
transaction_id = "string"
user_id = "string"
amount = "float"
lat = "float"
lon = "float"
at = "timestamp"
merchant = { type = "string?", path = "shop.name" }
[sources.orders]
event_time = "at"
key = "country"
[sources.orders.fields]
order_id = "string"
country = "string"
price = "float"
at = "timestamp"
[sources.clicks]
event_time = "at"
key = "user_id"
[sources.clicks.fields]
user_id = "string"
url = "string"
country = "string?"
at = { type = "timestamp", format = "epoch_ms" }
[sources.single]
partitions = 1
event_time = "at"
[sources.single.fields]
at = "timestamp"
n = "int?"

[streams.revenue_1h]
from = "revenue_5m"
by = ["country"]
window = "1h"
[streams.revenue_1h.measures]
revenue = "sum(revenue)"

[streams.fraud_alerts]
from = "transactions"
key = "user_id"
history = "1h"
lateness = "5m"
[streams.fraud_alerts.detect]
high_velocity     = "history_count('1m') >= 5"
impossible_travel = "distance_km(previous(lat), previous(lon), lat, lon) > 5000 and seconds_between(previous(at), at) < 3600"
amount_anomaly    = "history_avg(amount) > 0 and amount > 10 * history_avg(amount)"

[streams.revenue_5m]
from = "orders"
by = ["country"]
window = "5m"
slide = "1m"
lateness = "20s"
[streams.revenue_5m.measures]
orders = "count()"
revenue = "sum(price)"
price = "avg(price)"
[streams.revenue_5m.derived]
mean = "revenue / orders"
twice = "price * 2"

[streams.visits]
from = "clicks"
by = ["user_id"]
session = "30m"
longest = "24h"
[streams.visits.measures]
clicks = "count()"

[streams.clicks_by_country]
topic = "clicks.by.country"
from = "clicks"
where = "starts_with(url, 'https')"
key = "land"
[streams.clicks_by_country.fields]
land = "coalesce(country, '-')"
path = "url_path(url)"
at = "at"

[streams.everything]
from = "transactions"
where = "amount > 0"

[metrics.alerts]
source = "fraud_alerts"
by = ["rule"]
[metrics.alerts.measures]
alerts = "count()"
"#;

fn catalog() -> Catalog {
    Catalog::parse(STREAMS).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// The fields of a source as a catalog has them.
fn shown(source: &Source) -> String {
    let field = |field: &crate::schema::Field| {
        assert_eq!(field.place, Place::Own, "a stream writes its fields under their names");
        assert_eq!(field.instants, crate::schema::InstantFormat::Usual);
        format!("{} {}{}", field.name, field.kind.name(), if field.optional { "?" } else { "" })
    };
    source.fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

#[test]
fn streams_are_read() {
    let catalog = catalog();
    let kind = |name: &str| catalog.streams[name].kind.clone();
    let StreamKind::Window(Window { by, size_us, slide_us, offset_us, measures, derived }) = kind("revenue_5m") else {
        panic!("a window")
    };
    assert_eq!((by, size_us, slide_us, offset_us), (vec!["country".to_owned()], 300 * SECOND_US, 60 * SECOND_US, 0));
    let names: Vec<&str> = measures.iter().map(|measure| measure.name.as_str()).collect();
    assert_eq!(names, ["orders", "revenue", "price_sum", "price_count"]);
    let derived: Vec<String> = derived.iter().map(|derived| format!("{} = {}", derived.name, derived.of)).collect();
    let price = "(\"price_sum\" / CAST(\"price_count\" AS DOUBLE))";
    let mean = "mean = (\"revenue\" / CAST(\"orders\" AS DOUBLE))".to_owned();
    assert_eq!(derived, [format!("price = {price}"), mean, format!("twice = ({price} * 2.0)")]);

    let StreamKind::Window(Window { size_us, slide_us, .. }) = kind("revenue_1h") else { panic!("a window") };
    assert_eq!((size_us, slide_us), (HOUR_US, HOUR_US), "tumbling");
    let StreamKind::Session(Session { by, gap_us, longest_us, .. }) = kind("visits") else { panic!("a session") };
    assert_eq!((by, gap_us, longest_us), (vec!["user_id".to_owned()], HOUR_US / 2, Some(DAY_US)));
    let StreamKind::Detect(Detect { key, history_us, history_max, rejudge_max, rules }) = kind("fraud_alerts") else {
        panic!("a detector")
    };
    assert_eq!((key.as_str(), history_us, history_max, rejudge_max), ("user_id", HOUR_US, 10_000, 100));
    let looks: Vec<usize> = rules.iter().map(|rule| rule.looks.len()).collect();
    assert_eq!((rules[0].name.as_str(), looks), ("high_velocity", vec![1, 3, 1]));
    assert_eq!((&rules[0].looks[0].kind, rules[0].looks[0].span_us), (&LookKind::Count, Some(60 * SECOND_US)));
    let StreamKind::Map(Map { key, fields, .. }) = kind("clicks_by_country") else { panic!("a map") };
    assert_eq!((key.as_deref(), fields[1].1.to_string().as_str()), (Some("land"), "url_path(\"url\")"));

    let lateness = |name: &str| catalog.streams[name].lateness_us / SECOND_US;
    assert_eq!(
        ["revenue_5m", "revenue_1h", "visits", "fraud_alerts", "everything"].map(lateness),
        [20, 10, 10, 300, 0]
    );
    let streams: Vec<&str> = catalog.streams_of("clicks").map(|stream| stream.name.as_str()).collect();
    assert_eq!(streams, ["clicks_by_country", "visits"]);
    let (stream, other) = (&catalog.streams["clicks_by_country"], &catalog.streams["visits"]);
    assert_eq!((stream.topic.as_str(), stream.rekeys(), other.rekeys()), ("clicks.by.country", true, false));
    assert_eq!((stream.filter.is_some(), other.late_topic().as_str()), (true, "visits.late"));
    assert_eq!(catalog.metrics_of("fraud_alerts").count(), 1, "a stream has metrics as any source");
}

#[test]
fn a_stream_is_a_source() {
    let catalog = catalog();
    for (name, key, fields) in [
        (
            "fraud_alerts",
            Some("user_id"),
            "output_id string, output_time timestamp, rule string, judged_offset int, truncated bool?, transaction_id string, \
             user_id string, amount float, lat float, lon float, at timestamp, merchant string?, incomplete bool?",
        ),
        (
            "revenue_5m",
            Some("country"),
            "output_id string, output_time timestamp, window_start timestamp, window_end timestamp, country string, orders int, \
             revenue float?, price_sum float?, price_count int?, price float?, mean float?, twice float?, \
             incomplete bool?",
        ),
        (
            "revenue_1h",
            Some("country"),
            "output_id string, output_time timestamp, window_start timestamp, window_end timestamp, country string, \
             revenue float?, incomplete bool?",
        ),
        (
            "visits",
            Some("user_id"),
            "output_id string, output_time timestamp, session_start timestamp, session_end timestamp, user_id string, \
             clicks int, incomplete bool?",
        ),
        (
            "clicks_by_country",
            Some("land"),
            "output_id string, output_time timestamp, land string, path string, at timestamp, incomplete bool?",
        ),
        (
            "everything",
            Some("user_id"),
            "output_id string, output_time timestamp, transaction_id string, user_id string, amount float, lat float, \
             lon float, at timestamp, merchant string?, incomplete bool?",
        ),
    ] {
        let source = &catalog.sources[name];
        assert_eq!((source.key.as_deref(), shown(source).as_str()), (key, fields), "{name}");
        assert_eq!(
            (source.event_id.as_slice(), source.event_time.as_str()),
            (["output_id".to_owned()].as_slice(), "output_time")
        );
        assert_eq!((source.format, source.is_stream, source.max_age_us), (Format::Json, true, i64::MAX));
        assert_eq!(source.rekeyed, name == "clicks_by_country");
        assert_eq!(source.written_by, Some(catalog.stream_definition(&catalog.streams[name])));
    }
    let (alerts, transactions) = (&catalog.sources["fraud_alerts"], &catalog.sources["transactions"]);
    assert_eq!(
        (alerts.max_ahead_us, alerts.retain_us, alerts.dedup_window, alerts.partitions),
        (2 * HOUR_US, transactions.retain_us, 7, transactions.partitions)
    );
    assert!(!transactions.is_stream && transactions.written_by.is_none());
}

#[test]
fn a_field_is_handed_on_under_its_own_name_and_as_it_was() {
    let catalog = catalog();
    let hands_on = |name: &str, field: &str| {
        let stream = &catalog.streams[name];
        stream.hands_on(&catalog.sources[&stream.from], field)
    };
    for (stream, field, is_handed_on) in [
        ("everything", "user_id", true),
        ("everything", "output_id", false),
        ("fraud_alerts", "user_id", true),
        ("fraud_alerts", "rule", false),
        ("visits", "user_id", true),
        // It is a measure.
        ("visits", "clicks", false),
        ("revenue_5m", "country", true),
        ("revenue_5m", "price", false),
        // The map computes it of another field, or leaves it out.
        ("clicks_by_country", "path", false),
        ("clicks_by_country", "user_id", false),
        ("clicks_by_country", "at", true),
    ] {
        assert_eq!(hands_on(stream, field), is_handed_on, "{stream}.{field}");
    }
    let maps: Vec<&str> =
        catalog.streams.values().filter(|stream| stream.is_map()).map(|one| one.name.as_str()).collect();
    assert_eq!(maps, ["clicks_by_country", "everything"]);
}

#[test]
fn an_output_names_the_record_that_caused_it() {
    use crate::catalog::origin_of;
    assert_eq!(origin_of("large/v1/abc.2/7/1041/0"), Some(("abc.2", 7, 1_041)));
    for broken in ["", "large/v1/abc/7/x/0", "abc/7/1041", "7/1/0"] {
        assert!(origin_of(broken).is_none(), "{broken}");
    }
}

/// Where a map keeps partitions, the field that records are keyed by may be called otherwise, or be gone.
#[test]
fn a_map_knows_what_its_records_are_keyed_by() {
    let key = |fields: &str| {
        let text = format!("{STREAMS}[streams.mapped]\nfrom = \"clicks\"\nfields = {{ {fields} }}\n");
        Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["mapped"].key.clone()
    };
    assert_eq!(key("visitor = \"user_id\", url = \"url\"").as_deref(), Some("visitor"));
    assert_eq!(key("url = \"url\""), None);
    assert_eq!(key("user_id = \"lower(user_id)\""), None);
}

/// Fields of its own that a stream hands on are those of the new output.
#[test]
fn a_stream_of_a_stream_has_its_own_identity() {
    let text = format!("{STREAMS}[streams.copy]\nfrom = \"visits\"\nwhere = \"clicks > 1\"\n");
    let catalog = Catalog::parse(&text).expect("a valid catalog");
    let expected = "output_id string, output_time timestamp, session_start timestamp, session_end timestamp, user_id string, \
                    clicks int, incomplete bool?";
    assert_eq!(shown(&catalog.sources["copy"]), expected);
}

#[test]
fn one_partition_needs_no_key() {
    let window = |by: &str| {
        let text = format!(
            "{STREAMS}[streams.w]\nfrom = \"single\"\nby = {by}\nwindow = \"1m\"\nmeasures = {{ m = \"count(n)\" }}\n"
        );
        Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["w"].key.clone()
    };
    assert_eq!(window("[]"), None);
    assert_eq!(window("[\"n\"]").as_deref(), Some("n"));
}

#[test]
fn streams_are_read_in_any_order() {
    let chain = |order: [usize; 3]| {
        let tables = ["a", "b", "c"].iter().zip(["clicks", "a", "b"]);
        let tables: Vec<String> = tables
            .map(|(name, from)| format!("[streams.{name}]\nfrom = \"{from}\"\nwhere = \"url <> ''\"\n"))
            .collect();
        let tables = order.map(|at| tables[at].clone()).concat();
        Catalog::parse(&format!("{STREAMS}{tables}")).expect("a valid catalog")
    };
    let first = chain([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [2, 1, 0], [2, 0, 1], [1, 2, 0]] {
        assert_eq!(chain(order), first, "{order:?}");
    }
    assert_eq!(first.sources["c"].key.as_deref(), Some("user_id"));
}

fn stream<'a>(catalog: &'a Catalog, name: &str) -> &'a Stream {
    &catalog.streams[name]
}
