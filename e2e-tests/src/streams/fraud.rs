//! The rules against fraud that the contract has as its example.

use serde_json::{Map, Value, json};

use super::detect::Judge;
use super::log::Event;

/// The rules in a catalog, of a source with `amount`, `lat`, `lon` and `at`.
pub const RULES: &str = r#"
high_velocity = "history_count('1m') >= 5"
impossible_travel = "distance_km(previous(lat), previous(lon), lat, lon) > 5000 and seconds_between(previous(at), at) < 3600"
amount_anomaly = "history_avg(amount) > 0 and amount > 10 * history_avg(amount)"
"#;
/// The same, judged.
pub const JUDGES: [(&str, Judge); 3] =
    [("high_velocity", high_velocity), ("impossible_travel", impossible_travel), ("amount_anomaly", amount_anomaly)];

const SECOND_US: i64 = 1_000_000;
const EARTH_KM: f64 = 6_371.0;

/// Five payments or more in the minute before it.
pub fn high_velocity(history: &[&Event], event: &Event) -> Option<Map<String, Value>> {
    let count = within(history, event, 60 * SECOND_US);
    (count >= 5).then(|| looked_at([("history_count('1m')", json!(count))]))
}

/// Farther away than anyone travels within an hour.
pub fn impossible_travel(history: &[&Event], event: &Event) -> Option<Map<String, Value>> {
    let last = history.last()?;
    let place = |of: &Event| (of.number("lat"), of.number("lon"));
    let is_far = distance_km(place(last), place(event)) > 5_000.0;
    let is_soon = event.at_us - last.at_us < 3_600 * SECOND_US;
    (is_far && is_soon).then(|| {
        let previous = |field: &str| last.fields.get(field).cloned().unwrap_or_default();
        looked_at([
            ("previous(lat)", previous("lat")),
            ("previous(lon)", previous("lon")),
            ("previous(at)", previous("at")),
        ])
    })
}

/// More than ten times what the user usually pays.
pub fn amount_anomaly(history: &[&Event], event: &Event) -> Option<Map<String, Value>> {
    let sum: f64 = history.iter().map(|event| event.number("amount")).sum();
    let mean = sum / history.len() as f64;
    (mean > 0.0 && event.number("amount") > 10.0 * mean).then(|| looked_at([("history_avg(amount)", json!(mean))]))
}

/// How many events of the past are less than that much older than an event.
pub fn within(history: &[&Event], event: &Event, span_us: i64) -> usize {
    history.iter().filter(|other| other.at_us > event.at_us - span_us).count()
}

/// What a rule looked at, in the order of its text.
pub fn looked_at<const N: usize>(of: [(&str, Value); N]) -> Map<String, Value> {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The way along the earth's surface between two places, each a latitude and a longitude in degrees.
pub fn distance_km((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let [lat1, lon1, lat2, lon2] = [lat1, lon1, lat2, lon2].map(f64::to_radians);
    // The chord through the earth, between the two as points in space.
    let point = |lat: f64, lon: f64| [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()];
    let (from, to) = (point(lat1, lon1), point(lat2, lon2));
    let chord = from.iter().zip(to).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    2.0 * EARTH_KM * (chord / 2.0).min(1.0).asin()
}
