//! A fraud detector as one would write it by hand, and the same as a stream.
//!
//! The class is the one of the specification's source, with its pruning moved before its rules: it remembers an hour of each user's
//! transactions, in the order in which they come.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::decode::{Columns, Decoder};
use shared_logic::dedup::Sighting;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Lane, LanePlan, Records};
use shared_logic::time::format_rfc3339;

use super::log::{LIMITS, SECOND_US, TEN_US, drain, outputs};

const CATALOG: &str = r#"
[sources.transactions]
event_id = "id"
event_time = "at"
key = "user_id"
format = "json"
partitions = 4
[sources.transactions.fields]
id = "int"
at = "timestamp"
user_id = "string"
amount = "float"
lat = "float"
lon = "float"

[streams.fraud_alerts]
from = "transactions"
key = "user_id"
history = "1h"
lateness = "5m"
[streams.fraud_alerts.detect]
high_velocity = "history_count('1m') >= 5"
impossible_travel = "distance_km(previous(lat), previous(lon), lat, lon) > 5000 and seconds_between(previous(at), at) < 3600"
amount_anomaly = "history_avg(amount) > 0 and amount > 10 * history_avg(amount)"
"#;

#[derive(Debug, Clone)]
struct Transaction {
    id: usize,
    second: i64,
    user: &'static str,
    amount: f64,
    place: usize,
}

/// New York, London, Paris, Sydney.
const PLACES: [(f64, f64); 4] = [(40.71, -74.01), (51.51, -0.13), (48.86, 2.35), (-33.87, 151.21)];

/// Which of them are more than 5,000 km apart.
fn are_far(a: usize, b: usize) -> bool {
    let side = |place: usize| [0, 1, 1, 2][place];
    side(a) != side(b)
}

#[derive(Default)]
struct FraudDetector {
    user_state: BTreeMap<&'static str, Vec<Transaction>>,
}

impl FraudDetector {
    /// The alerts of a transaction, as (transaction, rule).
    fn process_event(&mut self, event: &Transaction) -> Vec<(usize, &'static str)> {
        let history = self.user_state.entry(event.user).or_default();
        history.retain(|t| event.second - t.second < 3_600);
        let mut alerts = Vec::new();
        let recent = history.iter().filter(|t| event.second - t.second < 60).count();
        if recent >= 5 {
            alerts.push((event.id, "high_velocity"));
        }
        if let Some(last) = history.last()
            && are_far(last.place, event.place)
            && event.second - last.second < 3_600
        {
            alerts.push((event.id, "impossible_travel"));
        }
        let sum: f64 = history.iter().fold(0.0, |sum, t| sum + t.amount);
        let average = sum / history.len().max(1) as f64;
        if event.amount > average * 10.0 && average > 0.0 {
            alerts.push((event.id, "amount_anomaly"));
        }
        history.push(event.clone());
        alerts
    }
}

/// The alerts of the stream, as (transaction, rule).
fn stream(transactions: &[Transaction]) -> Vec<(usize, String)> {
    let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
    let source = catalog.source("transactions").expect("it is declared");
    let plan = std::sync::Arc::new(LanePlan::new(&catalog, source));
    let mut decoder = Decoder::new(source);
    let mut columns = Columns::new(source, |name| plan.columns().iter().any(|column| column == name), 0);
    let mut records = Records { to: transactions.len() as i64, ..Records::default() };
    for (offset, t) in (0..).zip(transactions) {
        let (lat, lon) = PLACES[t.place];
        let at = format_rfc3339(TEN_US + t.second * SECOND_US);
        let (id, user, amount) = (t.id, t.user, t.amount);
        let payload =
            format!(r#"{{"id":{id},"at":"{at}","user_id":"{user}","amount":{amount:?},"lat":{lat},"lon":{lon}}}"#);
        let event = decoder.decode(Some(payload.as_bytes()), None).expect("an event");
        columns.push(&event);
        records.sightings.extend(event.identity().map(|identity| Sighting { identity, offset }));
        records.offsets.push(offset);
        records.record_times_us.push(None);
        records.originals.push(None, payload.as_bytes());
    }
    records.events = columns.finish().expect("columns of one length");
    let mut lane = Lane::new(plan, PartitionId::new("log", 0), "v1", 0, LIMITS);
    lane.give(records).expect("the next records");
    let mut out = Vec::new();
    drain(&mut lane, 1_000, &mut out);
    let alert = |alert: &serde_json::Value| {
        let id = alert["id"].as_u64().and_then(|id| usize::try_from(id).ok()).expect("the judged transaction");
        (id, alert["rule"].as_str().expect("a rule").to_owned())
    };
    outputs(&out).iter().map(alert).collect()
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let passed = prop_oneof![6 => 0..15_i64, 2 => 15..120_i64, 1 => 3_000..4_000_i64];
    let amount = prop_oneof![4 => 1..2_000_i64, 1 => 0..60_000_i64];
    let one = (passed, prop::sample::select(vec!["u-1", "u-2", "u-3"]), amount, 0..PLACES.len());
    prop::collection::vec(one, 0..150).prop_map(|all| {
        let mut second = 0;
        let transaction = |(id, (passed, user, cents, place)): (usize, (i64, &'static str, i64, usize))| {
            second += passed;
            Transaction { id, second, user, amount: cents as f64 / 100.0, place }
        };
        all.into_iter().enumerate().map(transaction).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// In order, alert for alert, in the order in which they are written.
    #[test]
    fn it_alerts_as_the_class_does(transactions in transactions()) {
        let mut by_hand = FraudDetector::default();
        let expected = transactions.iter().flat_map(|event| by_hand.process_event(event));
        let expected: Vec<(usize, String)> = expected.map(|(id, rule)| (id, rule.to_owned())).collect();
        prop_assert_eq!(stream(&transactions), expected);
    }

    /// Out of order, within the lateness: every burst of six is found, whatever its order, and no rule alerts twice of one payment.
    #[test]
    fn no_burst_hides_behind_its_order(
        bursts in prop::collection::vec((0..3_000_i64, prop::collection::vec((0..60_i64, 0..120_i64), 6)), 1..6),
        others in prop::collection::vec((0..3_600_i64, 0..250_i64), 0..60),
    ) {
        let users = ["u-1", "u-2", "u-3", "u-4", "u-5"];
        let mut all: Vec<(i64, i64, &'static str)> = others.iter().map(|(at, delay)| (*at, *delay, "other")).collect();
        for (user, (begin, payments)) in users.into_iter().zip(&bursts) {
            all.extend(payments.iter().map(|(at, delay)| (begin + at, *delay, user)));
        }
        // They arrive in the order of event time and delay.
        all.sort_by_key(|(second, delay, _)| second + delay);
        let payment = |(id, (second, _, user)): (usize, (i64, i64, &'static str))| {
            Transaction { id, second, user, amount: 1.0, place: 0 }
        };
        let all: Vec<Transaction> = all.into_iter().enumerate().map(payment).collect();
        let alerts = stream(&all);
        let distinct: BTreeSet<&(usize, String)> = alerts.iter().collect();
        prop_assert_eq!(distinct.len(), alerts.len(), "a rule alerts once of a payment");
        for user in users.into_iter().take(bursts.len()) {
            let is_of_user = |(id, rule): &(usize, String)| all[*id].user == user && rule == "high_velocity";
            prop_assert!(alerts.iter().any(is_of_user), "the burst of {user} is hidden");
        }
    }
}
