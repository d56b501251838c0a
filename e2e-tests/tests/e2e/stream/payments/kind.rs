//! The streams over payments, and what each decides by the oracle.

use e2e_tests::streams::detect::Detector;
use e2e_tests::streams::fraud::JUDGES;
use e2e_tests::streams::log::{Event, Source, Step, Type};
use e2e_tests::streams::map::Map;
use e2e_tests::streams::session::Sessions;
use e2e_tests::streams::window::Windows;
use e2e_tests::streams::{Decided, decide, fields};
use serde_json::{Map as Fields, Value, json};

use super::{DEDUP_WINDOW, LARGE};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

/// The source, as the catalog declares it.
const PAYMENTS: Source = Source {
    event_id: Some("id"),
    event_time: "at",
    fields: &[
        ("id", Type::Text),
        ("at", Type::Instant),
        ("user_id", Type::Text),
        ("country", Type::Text),
        ("amount", Type::Float),
        ("lat", Type::Float),
        ("lon", Type::Float),
    ],
    dedup_window: DEDUP_WINDOW,
    is_stream: false,
    is_rekeyed: false,
};
/// What the re-keying map writes, as a source.
const BY_COUNTRY: Source = Source {
    event_id: Some("output_id"),
    event_time: "output_time",
    fields: &[
        ("output_id", Type::Text),
        ("output_time", Type::Instant),
        ("country", Type::Text),
        ("payer", Type::Text),
        ("amount", Type::Float),
        ("cents", Type::Float),
    ],
    dedup_window: DEDUP_WINDOW,
    is_stream: true,
    is_rekeyed: true,
};

/// A stream over payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A detector with the rules of the example.
    Alerts,
    /// Windows of a minute.
    Spent,
    /// Windows of five minutes, every minute.
    Trend,
    /// Sessions with gaps of two minutes that never cross ten.
    Visits,
    /// A map that keeps keys and partitions.
    Large,
    /// A map that keys payments by their country.
    ByCountry,
    /// Windows of a minute over what that map writes.
    Revenue,
}

impl Kind {
    /// All of them, each behind what it reads.
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Alerts, Kind::Spent, Kind::Trend, Kind::Visits, Kind::Large, Kind::ByCountry, Kind::Revenue];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Alerts => "alerts",
            Kind::Spent => "spent",
            Kind::Trend => "trend",
            Kind::Visits => "visits",
            Kind::Large => "large",
            Kind::ByCountry => "by_country",
            Kind::Revenue => "revenue",
        }
    }

    /// The stream that it reads, unless it reads the source.
    pub(crate) fn from(self) -> Option<Kind> {
        (self == Kind::Revenue).then_some(Kind::ByCountry)
    }

    pub(crate) fn is_rekeying(self) -> bool {
        self == Kind::ByCountry
    }

    pub(crate) fn has_late(self) -> bool {
        !matches!(self, Kind::Large | Kind::ByCountry)
    }

    pub(crate) fn source(self) -> Source {
        if self.from().is_some() { BY_COUNTRY } else { PAYMENTS }
    }

    /// What it must write of a partition.
    pub(crate) fn decide(self, steps: &[Step]) -> Vec<Decided> {
        match self {
            Kind::Alerts => {
                let detector = Detector::new("user_id", HOUR_US, &JUDGES);
                decide(steps, 5 * MINUTE_US, |_| true, detector)
            }
            Kind::Spent => spent_within(steps, 10),
            Kind::Trend => {
                let windows = Windows::new("user_id", 5 * MINUTE_US, MINUTE_US, trend);
                decide(steps, 20 * SECOND_US, |_| true, windows)
            }
            Kind::Visits => {
                let sessions = Sessions::new("user_id", 2 * MINUTE_US, Some(10 * MINUTE_US), visit);
                decide(steps, 10 * SECOND_US, |_| true, sessions)
            }
            Kind::Large => large(steps, LARGE),
            Kind::ByCountry => {
                let map = Map { fields: by_country, key: Some(|event| event.text("country").to_owned()) };
                decide(steps, 0, |event| event.number("amount") > 1.0, map)
            }
            Kind::Revenue => {
                let windows = Windows::new("country", MINUTE_US, MINUTE_US, revenue);
                decide(steps, 10 * SECOND_US, |_| true, windows)
            }
        }
    }
}

/// What [`Kind::Large`] must write if a payment is large from that amount on.
pub(crate) fn large(steps: &[Step], least: i64) -> Vec<Decided> {
    let map = Map { fields: |event| event.fields.clone(), key: None };
    decide(steps, 0, |event| event.number("amount") >= least as f64, map)
}

/// What [`Kind::Spent`] must write if it waits so many seconds for events that are out of order.
pub(crate) fn spent_within(steps: &[Step], lateness_s: i64) -> Vec<Decided> {
    decide(steps, lateness_s * SECOND_US, |_| true, Windows::new("user_id", MINUTE_US, MINUTE_US, spent))
}

fn amounts(events: &[Event]) -> impl Iterator<Item = f64> {
    events.iter().map(|event| event.number("amount"))
}

fn spent(events: &[Event]) -> Fields<String, Value> {
    let amount: f64 = amounts(events).sum();
    fields([("payments", json!(events.len())), ("amount", json!(amount))])
}

/// A mean is kept as sum and count.
fn trend(events: &[Event]) -> Fields<String, Value> {
    let sum: f64 = amounts(events).sum();
    let mean = sum / events.len() as f64;
    fields([
        ("amount_sum", json!(sum)),
        ("amount_count", json!(events.len())),
        ("largest", json!(amounts(events).fold(f64::MIN, f64::max))),
        ("amount", json!(mean)),
        ("twice", json!(mean * 2.0)),
    ])
}

fn visit(events: &[Event]) -> Fields<String, Value> {
    let amount: f64 = amounts(events).sum();
    fields([
        ("payments", json!(events.len())),
        ("smallest", json!(amounts(events).fold(f64::MAX, f64::min))),
        ("amount", json!(amount)),
        ("mean", json!(amount / events.len() as f64)),
    ])
}

fn by_country(event: &Event) -> Fields<String, Value> {
    let amount = event.number("amount");
    fields([
        ("country", json!(event.text("country"))),
        ("payer", json!(event.text("user_id"))),
        ("amount", json!(amount)),
        ("cents", json!(amount * 100.0)),
    ])
}

fn revenue(events: &[Event]) -> Fields<String, Value> {
    let cents: f64 = events.iter().map(|event| event.number("cents")).sum();
    fields([("orders", json!(events.len())), ("cents", json!(cents))])
}
