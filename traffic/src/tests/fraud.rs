//! The frauds that are planted are the only ones, as far as rules judge that are written once more here.

use std::collections::{BTreeMap, BTreeSet};

use shared_logic::catalog::Catalog;
use shared_logic::time::SECOND_US;

use super::*;

const PAYMENTS: &str = r#"
[sources.transactions]
event_id = "transaction_id"
event_time = "at"
key = "user_id"
[sources.transactions.fields]
transaction_id = "string"
user_id = "string"
amount = "float"
lat = "float"
lon = "float"
at = "timestamp"
"#;
/// How much time passes from one record to the next.
const STEP_US: i64 = 5_000;

/// A payment: id, amount, latitude and longitude.
type Payment = (String, f64, (f64, f64));

fn mix() -> Mix {
    Mix { keys: 400, zipf: 0.8, duplicates: 0.03, late: 0.0, broken: 0.01, fraud: 0.005, spread: 5 * SECOND_US }
}

fn payments(seed: u64, count: i64) -> Vec<Sample> {
    let catalog = Catalog::parse(PAYMENTS).expect("a valid catalog");
    let mut generator = Generator::new(&catalog, &catalog.sources["transactions"], &mix(), seed).expect("a valid mix");
    (0..count).map(|n| generator.sample(NOW_US + n * STEP_US)).collect()
}

#[test]
fn every_planted_fraud_is_an_alert_and_nothing_else_is() {
    let samples = payments(17, 40_000);
    let mut by_user: BTreeMap<String, BTreeMap<(i64, usize), Payment>> = BTreeMap::new();
    for (offset, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.kind == Kind::Fresh) {
        let row = sample.row.as_deref().expect("an event");
        let [Some(Cell::Text(id)), Some(Cell::Text(user)), amount, lat, lon, Some(Cell::Instant(at_us))] = row else {
            panic!("not a payment: {row:?}")
        };
        let [amount, lat, lon] = [amount, lat, lon].map(|cell| match cell {
            Some(Cell::Float(number)) => *number,
            other => panic!("no number: {other:?}"),
        });
        by_user.entry(user.clone()).or_default().insert((*at_us, offset), (id.clone(), amount, (lat, lon)));
    }
    let found: BTreeSet<(String, &str)> = by_user.values().flat_map(alerts).collect();
    let planted = samples.iter().filter_map(|sample| {
        let id = sample.row.as_ref()?[0].as_ref().map(crate::cell::text)?;
        Some((id, sample.alert?))
    });
    assert_eq!(found, planted.collect::<BTreeSet<(String, &str)>>());
    let rules: BTreeSet<&str> = found.iter().map(|(_, rule)| *rule).collect();
    assert!(rules.len() == 3 && found.len() > 50, "{found:?}");
}

/// What the sample catalog's rules say of the payments of one user, in the order of time.
fn alerts(payments: &BTreeMap<(i64, usize), Payment>) -> Vec<(String, &'static str)> {
    let mut alerts = Vec::new();
    for ((at_us, offset), (id, amount, place)) in payments {
        let history: Vec<(&(i64, usize), &Payment)> =
            payments.range((at_us - 3_600 * SECOND_US + 1, 0)..(*at_us, *offset)).collect();
        let recent = history.iter().filter(|((other_us, _), _)| at_us - other_us < 60 * SECOND_US).count();
        let mean = history.iter().map(|(_, (_, amount, _))| amount).sum::<f64>() / history.len() as f64;
        let is_far = history.last().is_some_and(|(_, (_, _, last))| degrees_between(*last, *place) > 45.0);
        let rules = [
            (recent >= 5, "high_velocity"),
            // An eighth of the way around the earth is 5,004 km.
            (is_far, "impossible_travel"),
            (mean > 0.0 && *amount > 10.0 * mean, "amount_anomaly"),
        ];
        alerts.extend(rules.iter().filter(|(holds, _)| *holds).map(|(_, rule)| (id.clone(), *rule)));
    }
    alerts
}

fn degrees_between((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let [lat1, lon1, lat2, lon2] = [lat1, lon1, lat2, lon2].map(f64::to_radians);
    let cosine = lat1.sin() * lat2.sin() + lat1.cos() * lat2.cos() * (lon1 - lon2).cos();
    cosine.clamp(-1.0, 1.0).acos().to_degrees()
}

#[test]
fn the_counts_name_the_alerts() {
    let catalog = Catalog::parse(PAYMENTS).expect("a valid catalog");
    let mut expected = Expected::new(&catalog, &catalog.sources["transactions"]);
    let samples = payments(3, 20_000);
    samples.iter().for_each(|sample| expected.observe(sample));
    let alerts = expected.to_json()["alerts"].clone();
    for rule in ["high_velocity", "impossible_travel", "amount_anomaly"] {
        let planted = samples.iter().filter(|sample| sample.alert == Some(rule)).count();
        assert_eq!(alerts[rule].as_array().map(Vec::len), Some(planted), "{alerts}");
    }
}

/// Without a share of frauds there are none, and other sources have none either.
#[test]
fn frauds_are_planted_only_where_they_are_wanted() {
    let catalog = Catalog::parse(PAYMENTS).expect("a valid catalog");
    let none = samples(&catalog, "transactions", &Mix { fraud: 0.0, ..mix() }, 5, 5_000);
    assert!(none.iter().all(|sample| sample.alert.is_none()));
    let views = samples(&shipped(), "views", &mix(), 5, 5_000);
    let same = samples(&shipped(), "views", &Mix { fraud: 0.0, ..mix() }, 5, 5_000);
    assert_eq!(views, same, "a share of frauds changes nothing where there are no payments");
}
