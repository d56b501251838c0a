use chrono::{Duration, Timelike};
use proptest::prelude::*;

use super::*;

const BERLIN: Tz = Tz::Europe__Berlin;

fn cron(text: &str) -> Cron {
    text.parse().expect("a cron expression")
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("an instant").with_timezone(&Utc)
}

/// The next ticks after a moment.
fn ticks(expression: &str, zone: Tz, after: &str, count: usize) -> Vec<DateTime<Utc>> {
    let cron = cron(expression);
    let mut last = at(after);
    let mut found = Vec::new();
    while found.len() < count {
        last = cron.next(last, zone).expect("there are more");
        found.push(last);
    }
    found
}

#[test]
fn a_tick_is_later_than_the_moment_before_it() {
    let every = "0 */10 * * * *";
    let expected = [at("2026-11-26T10:10:00Z"), at("2026-11-26T10:20:00Z")];
    assert_eq!(ticks(every, Tz::UTC, "2026-11-26T10:00:00Z", 2), expected, "never the moment itself");
    assert_eq!(ticks(every, Tz::UTC, "2026-11-26T10:00:00.5Z", 2), expected);
    assert_eq!(ticks(every, Tz::UTC, "2026-11-26T10:09:59.999999Z", 2), expected);
    assert_eq!(ticks("0 15 3 * * *", BERLIN, "2026-11-26T10:00:00Z", 1), [at("2026-11-27T02:15:00Z")], "UTC+1");
    assert_eq!(ticks("0 15 3 * * *", Tz::Asia__Kolkata, "2026-11-26T10:00:00Z", 1), [at("2026-11-26T21:45:00Z")]);
}

#[test]
fn an_hour_that_is_left_out_runs_when_it_ends() {
    // 02:00 to 03:00 is left out.
    let night = ticks("0 30 2 * * *", BERLIN, "2026-03-27T12:00:00Z", 3);
    assert_eq!(night, [at("2026-03-28T01:30:00Z"), at("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z")]);
    // Six ticks are left out, and the one at 03:00 is at the same instant.
    let often = ticks("0 */10 * * * *", BERLIN, "2026-03-29T00:45:00Z", 3);
    assert_eq!(often, [at("2026-03-29T00:50:00Z"), at("2026-03-29T01:00:00Z"), at("2026-03-29T01:10:00Z")]);
    // 00:00 to 01:00: the day has no midnight.
    let midnight = ticks("0 0 0 * * *", Tz::America__Sao_Paulo, "2018-11-03T12:00:00Z", 2);
    assert_eq!(midnight, [at("2018-11-04T03:00:00Z"), at("2018-11-05T02:00:00Z")]);
    // Half an hour, from 02:00 to 02:30.
    let half = ticks("0 15 2 * * *", Tz::Australia__Lord_Howe, "2026-10-03T00:00:00Z", 2);
    assert_eq!(half, [at("2026-10-03T15:30:00Z"), at("2026-10-04T15:15:00Z")]);
    // A whole day, which Samoa left out.
    let day = ticks("0 0 12 30 12 *", Tz::Pacific__Apia, "2011-12-01T00:00:00Z", 1);
    assert_eq!(day, [at("2011-12-30T10:00:00Z")]);
}

#[test]
fn an_hour_that_comes_twice_runs_once() {
    let night = ticks("0 30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 2);
    assert_eq!(night, [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
    // After each moment of the second pass.
    for after in ["2026-10-25T01:00:00Z", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z", "2026-10-25T01:59:59Z"] {
        assert_eq!(ticks("0 30 2 * * *", BERLIN, after, 1), [at("2026-10-26T01:30:00Z")], "{after}");
    }
    let often = ticks("0 */30 * * * *", BERLIN, "2026-10-24T23:45:00Z", 4);
    let expected = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"];
    assert_eq!(often, expected.map(at));
    // Midnight follows upon the second pass of 23:00 to 24:00.
    let midnight = ticks("0 30 23 * * *", Tz::America__Sao_Paulo, "2018-02-17T12:00:00Z", 2);
    assert_eq!(midnight, [at("2018-02-18T01:30:00Z"), at("2018-02-19T02:30:00Z")]);
    let half = ticks("0 45 1 * * *", Tz::Australia__Lord_Howe, "2026-04-04T00:00:00Z", 2);
    assert_eq!(half, [at("2026-04-04T14:45:00Z"), at("2026-04-05T15:15:00Z")]);
}

#[test]
fn years_end() {
    assert_eq!(cron("0 0 0 1 1 * 2027").next(at("2026-11-26T00:00:00Z"), Tz::UTC), Some(at("2027-01-01T00:00:00Z")));
    assert_eq!(cron("0 0 0 1 1 * 2020").next(at("2026-11-26T00:00:00Z"), Tz::UTC), None);
}

#[test]
fn what_names_no_moment_is_refused() {
    assert_eq!("0 0 0 30 2 *".parse::<Cron>(), Err(NotCron::Never));
    assert_eq!("*/10 * * * *".parse::<Cron>(), Err(NotCron::NoSeconds));
    assert!(matches!("0 0 25 * * *".parse::<Cron>(), Err(NotCron::Unreadable(_))));
    assert_eq!(cron("0 0 0 29 2 *").to_string(), "0 0 0 29 2 *");
}

/// The ticks between two full minutes, found minute by minute: a local time is due at the first minute at which clocks show it or
/// a later one. `expression` names full minutes.
fn minute_by_minute(expression: &str, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let expression: cron::Schedule = expression.parse().expect("a cron expression");
    let shown = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    // Two days earlier, so that no local time before `from` was shown before that.
    let mut minute = from - Duration::days(2);
    let mut latest = shown(minute);
    let mut due = Vec::new();
    while minute < to {
        minute += Duration::minutes(1);
        let mut is_due = false;
        while latest < shown(minute) {
            latest += Duration::minutes(1);
            is_due |= expression.includes(latest.and_utc());
        }
        if is_due && minute > from {
            due.push(minute);
        }
    }
    due
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every local time is one tick, in order and never twice, whatever the clocks do.
    #[test]
    fn every_local_time_is_one_tick(
        near in prop::sample::select(vec![
            (BERLIN, "2026-03-29T01:00:00Z"),
            (BERLIN, "2026-10-25T01:00:00Z"),
            (Tz::America__Sao_Paulo, "2018-11-04T03:00:00Z"),
            (Tz::America__Sao_Paulo, "2018-02-18T02:00:00Z"),
            (Tz::Australia__Lord_Howe, "2026-10-03T15:30:00Z"),
            (Tz::Australia__Lord_Howe, "2026-04-04T15:00:00Z"),
            (Tz::Asia__Kolkata, "2026-06-01T00:00:00Z"),
        ]),
        begins in -2_880_i64..120,
        expression in prop_oneof![
            (0..60_u32, 0..24_u32).prop_map(|(minute, hour)| format!("0 {minute} {hour} * * *")),
            (1..30_u32).prop_map(|every| format!("0 */{every} * * * *")),
            (0..60_u32, 1..5_u32).prop_map(|(minute, every)| format!("0 {minute} */{every} * * *")),
        ],
    ) {
        let ((zone, change), expression) = (near, expression.as_str());
        let from = at(change) + Duration::minutes(begins);
        prop_assert_eq!(from.second(), 0);
        let to = from + Duration::days(3);
        let (cron, mut last, mut found) = (cron(expression), from, Vec::new());
        while let Some(next) = cron.next(last, zone).filter(|next| *next <= to) {
            prop_assert!(next > last);
            found.push(next);
            last = next;
        }
        prop_assert_eq!(found, minute_by_minute(expression, zone, from, to), "{} in {}", expression, zone);
    }
}
