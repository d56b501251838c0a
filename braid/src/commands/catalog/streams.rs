//! What a catalog defines of streams, as text for a person.

use shared_logic::catalog::{Catalog, Detect, Map, Session, Stream, StreamKind, Window};
use shared_logic::time::{HOUR_US, format_duration_us};

use super::{fields_of, grouped};

/// One stream: what it does, what it reads and writes, and its fields.
pub(super) fn of_stream(catalog: &Catalog, stream: &Stream) -> String {
    let Stream { name, from, topic, lateness_us, .. } = stream;
    let waits = match stream.kind {
        StreamKind::Map(_) => String::new(),
        _ => format!(", lateness {}", format_duration_us(*lateness_us)),
    };
    let definition = catalog.stream_definition(stream);
    let (does, fields) = (does(stream), fields_of(&catalog.sources[name]));
    format!("stream {name}: {does}, from {from}, topic {topic}{waits} (definition {definition}): {fields}")
}

fn does(stream: &Stream) -> String {
    match &stream.kind {
        StreamKind::Map(Map { key, lookups, .. }) => {
            let keyed = key.as_ref().map(|key| format!(", keyed by {key} anew")).unwrap_or_default();
            let looked_up = lookups.iter().map(|lookup| {
                let must = if lookup.require { " which must be there" } else { "" };
                format!(", with {} of {} by {}{must}", lookup.take.join(" and "), lookup.table, lookup.on)
            });
            format!("record by record{keyed}{}", looked_up.collect::<String>())
        }
        StreamKind::Window(Window { by, size_us, slide_us, .. }) => {
            let every =
                if slide_us == size_us { String::new() } else { format!(" every {}", format_duration_us(*slide_us)) };
            format!("windows of {}{every} {}, {}", format_duration_us(*size_us), grouped(by), outputs(*slide_us))
        }
        StreamKind::Session(Session { by, gap_us, longest_us, .. }) => {
            let cut = longest_us.map(|us| format!(" and cut every {}", format_duration_us(us))).unwrap_or_default();
            format!("sessions with gaps of {}{cut} {}", format_duration_us(*gap_us), grouped(by))
        }
        StreamKind::Detect(Detect { key, history_us, rules, .. }) => {
            let rules: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
            format!("alerts by {key} with {} of history by {}", format_duration_us(*history_us), rules.join(", "))
        }
    }
}

/// How much windows write for a key that always has events: one output each time that a window starts.
fn outputs(slide_us: i64) -> String {
    if slide_us > HOUR_US {
        return format!("an output per active key and {}", format_duration_us(slide_us));
    }
    let per_hour = format!("{:.1}", HOUR_US as f64 / slide_us as f64);
    let per_hour = per_hour.trim_end_matches(".0");
    format!("{per_hour} output{} per active key and hour", if per_hour == "1" { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[sources.orders]
event_time = "at"
key = "country"
[sources.orders.fields]
at = "timestamp"
country = "string"
city = "string"
price = "float"
[streams.a_window]
from = "orders"
by = ["country", "city"]
window = "1h"
slide = "450s"
[streams.a_window.measures]
revenue = "sum(price)"
[streams.b_session]
from = "orders"
topic = "sessions"
by = ["country"]
session = "30m"
longest = "24h"
[streams.b_session.measures]
n = "count()"
[streams.c_detector]
from = "orders"
key = "country"
history = "1h"
[streams.c_detector.detect]
dear = "price > 10 * history_avg(price)"
many = "history_count('1m') > 5"
[streams.d_map]
from = "orders"
key = "city"
[tables.cities]
key = "name"
[tables.cities.fields]
name = "string"
people = "int?"
[streams.e_lookup]
from = "orders"
lookup.cities = { on = "city", take = ["people"], require = true }
"#;

    #[test]
    fn streams_say_what_they_do_read_and_write() {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        for (name, expected) in [
            (
                "a_window",
                "stream a_window: windows of 1h every 450s by country, city, 8 outputs per active key and hour, from orders, \
                 topic a_window, lateness 10s (definition ",
            ),
            (
                "a_window",
                "): output_id string, output_time timestamp, window_start timestamp, window_end timestamp, country",
            ),
            (
                "b_session",
                "stream b_session: sessions with gaps of 30m and cut every 1d by country, from orders, topic sessions, lateness",
            ),
            (
                "c_detector",
                "stream c_detector: alerts by country with 1h of history by dear, many, from orders, topic c_detector, \
                 lateness 5m (definition ",
            ),
            ("d_map", "stream d_map: record by record, keyed by city anew, from orders, topic d_map (definition "),
            ("d_map", "at timestamp, country string, city string, price float, incomplete bool?"),
            ("e_lookup", "record by record, with people of cities by city which must be there, from orders"),
            ("e_lookup", "people int?, cities_seen string, incomplete bool?"),
        ] {
            let shown = of_stream(&catalog, &catalog.streams[name]);
            assert!(shown.contains(expected), "{shown}");
        }
    }

    #[test]
    fn windows_say_how_much_they_write() {
        for (slide_us, expected) in [
            (HOUR_US / 60, "60 outputs per active key and hour"),
            (HOUR_US, "1 output per active key and hour"),
            (420_000_000, "8.6 outputs per active key and hour"),
            (24 * HOUR_US, "an output per active key and 1d"),
        ] {
            assert_eq!(outputs(slide_us), expected);
        }
    }
}
