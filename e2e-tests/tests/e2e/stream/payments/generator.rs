//! Made-up payments, by the scenario's seed.

use std::collections::VecDeque;

use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

const USERS: f64 = 40.0;
const COUNTRIES: i64 = 5;
/// How long before the stage was ready the first payment is sent.
const BEFORE_MS: i64 = 2 * DAY_MS;
pub(crate) const DAY_MS: i64 = 24 * 3_600_000;
/// How many records back a copy's original lies at most, over all partitions.
const NEAR: usize = 300;
/// New York, London, Berlin and Sydney; only the middle two are near each other.
const PLACES: [(f64, f64); 4] = [(40.75, -74.0), (51.5, -0.125), (52.5, 13.375), (-33.875, 151.25)];

/// How regular the payments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Late, early, out of order, with copies and broken records among them.
    Usual,
    /// Each arrives at once.
    InOrder,
}

/// A record with its own timestamp.
#[derive(Debug, Clone)]
pub(crate) struct Dated {
    pub(crate) record: Record,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: i64,
}

/// An endless stream of payments. Its clock goes on by up to 1.5 s from one record to the next, and by a pause.
pub(crate) struct Generator {
    rng: StdRng,
    mix: Mix,
    partitions: i32,
    /// The only partition that gets any, if there is one.
    only: Option<i32>,
    clock_ms: i64,
    pause_ms: i64,
    sent: u64,
    near: VecDeque<Record>,
    /// Who pays several times in a few seconds, and how often yet.
    burst: Option<(i32, u32)>,
}

impl Generator {
    pub(super) fn new(rng: StdRng, now_ms: i64, partitions: i32, mix: Mix) -> Generator {
        let clock_ms = now_ms - BEFORE_MS;
        let (near, only, burst) = (VecDeque::new(), None, None);
        Generator { rng, mix, partitions, only, clock_ms, pause_ms: 0, sent: 0, near, burst }
    }

    /// From now on, among so many partitions.
    pub(crate) fn divide_among(&mut self, partitions: i32) {
        self.partitions = partitions;
    }

    /// From now on, only into that partition, or into all.
    pub(crate) fn send_only_to(&mut self, partition: Option<i32>) {
        (self.only, self.burst) = (partition, None);
    }

    /// From now on, so much later each time.
    pub(crate) fn pause_for(&mut self, ms: i64) {
        self.pause_ms = ms;
    }

    /// What its clock shows, in microseconds since 1970.
    pub(crate) fn clock_us(&self) -> i64 {
        self.clock_ms * 1_000
    }

    pub(super) fn next_record(&mut self) -> Dated {
        self.sent += 1;
        let user = self.user();
        let timestamp_ms = self.clock_ms;
        let is_usual = self.mix == Mix::Usual;
        if is_usual && !self.near.is_empty() && self.rng.random_bool(0.03) {
            let original = self.rng.random_range(0..self.near.len());
            return Dated { record: self.near[original].clone(), timestamp_ms };
        }
        let payment = self.payment(user);
        if is_usual && self.rng.random_bool(0.02) {
            let payload = self.broken(payment);
            return Dated { record: self.record(user, payload), timestamp_ms };
        }
        let record = self.record(user, payment.to_string().into_bytes());
        self.near.push_back(record.clone());
        if self.near.len() > NEAR {
            self.near.pop_front();
        }
        Dated { record, timestamp_ms }
    }

    /// Who pays next. Some users pay far more often than others.
    fn user(&mut self) -> i32 {
        if let Some((user, left)) = self.burst {
            self.clock_ms += self.rng.random_range(0..1_000);
            self.burst = (left > 1).then_some((user, left - 1));
            return user;
        }
        self.clock_ms += self.rng.random_range(0..1_500) + self.pause_ms;
        let user = (USERS * self.rng.random::<f64>().powi(2)) as i32;
        let user = self.only.map_or(user, |only| user - user % self.partitions + only);
        if self.rng.random_bool(0.01) {
            self.burst = Some((user, 5));
        }
        user
    }

    /// Amounts are quarters, so that their sums are the same in any order.
    fn payment(&mut self, user: i32) -> Value {
        let at_ms = self.clock_ms - self.delay_ms();
        let home = PLACES[user as usize % PLACES.len()];
        let (lat, lon) = if self.rng.random_bool(0.02) { PLACES[self.rng.random_range(0..PLACES.len())] } else { home };
        let usual = self.rng.random_range(1..400) as f64 * 0.25;
        let amount = if self.rng.random_bool(0.01) { usual * 40.0 } else { usual };
        let at = if self.rng.random() { json!(at_ms) } else { json!(rfc3339(at_ms * 1_000)) };
        json!({
            "id": format!("p-{}", self.sent),
            "at": at,
            "user_id": format!("user-{user}"),
            "country": format!("country-{}", self.rng.random_range(0..COUNTRIES)),
            "amount": amount,
            "lat": lat,
            "lon": lon,
        })
    }

    /// How long before its record a payment happened: mostly within the lateness, sometimes hours ago, and sometimes later than its
    /// record says.
    fn delay_ms(&mut self) -> i64 {
        let chance = self.rng.random_range(0..1_000);
        let range = match chance {
            _ if self.mix == Mix::InOrder => return 0,
            0..600 => 0..1_000,
            600..920 => 0..10_000,
            920..960 => 0..60_000,
            960..975 => 60_000..7_200_000,
            _ => -180_000..0,
        };
        self.rng.random_range(range)
    }

    /// A payment that must be rejected.
    fn broken(&mut self, mut payment: Value) -> Vec<u8> {
        match self.rng.random_range(0..6) {
            0 => return Vec::new(),
            1 => return payment.to_string().into_bytes().split_off(1),
            2 => payment["amount"] = json!("much"),
            3 => payment["user_id"] = json!(null),
            4 => payment["at"] = json!(self.clock_ms + 3 * 3_600_000),
            _ => payment["at"] = json!(self.clock_ms - 500 * DAY_MS),
        }
        payment.to_string().into_bytes()
    }

    fn record(&self, user: i32, payload: Vec<u8>) -> Record {
        Record { key: format!("user-{user}"), payload, partition: Some(user % self.partitions) }
    }
}
