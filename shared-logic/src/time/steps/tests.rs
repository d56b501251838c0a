use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{SECOND_US, day_of, format_day, format_rfc3339, local_day, parse_rfc3339};
use super::*;

const MINUTE_US: i64 = 60 * SECOND_US;

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

/// The begins of the steps of a range, and their lengths in minutes.
fn cut(width: Width, zone: Tz, from: &str, to: &str) -> Vec<(String, i64)> {
    let steps = Steps::new(width, zone);
    let boundaries = steps.boundaries(steps.widened(TimeRange { from_us: at(from), to_us: at(to) }));
    boundaries.windows(2).map(|step| (format_rfc3339(step[0]), (step[1] - step[0]) / MINUTE_US)).collect()
}

fn expected(steps: &[(&str, i64)]) -> Vec<(String, i64)> {
    steps.iter().map(|(start, minutes)| ((*start).to_owned(), *minutes)).collect()
}

#[test]
fn a_day_of_23_or_25_hours_is_one_day() {
    let berlin = Tz::Europe__Berlin;
    let spring = [("2026-03-27T23:00:00Z", 1_440), ("2026-03-28T23:00:00Z", 23 * 60), ("2026-03-29T22:00:00Z", 1_440)];
    assert_eq!(cut(Width::Days(1), berlin, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"), expected(&spring));
    let autumn = [("2026-10-23T22:00:00Z", 1_440), ("2026-10-24T22:00:00Z", 25 * 60), ("2026-10-25T23:00:00Z", 1_440)];
    assert_eq!(cut(Width::Days(1), berlin, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"), expected(&autumn));
    for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
        let noon = format!("{day}T12:00:00Z");
        let steps = cut(Width::Within(HOUR_US), berlin, &noon, &noon.replace("12:00:00", "12:00:01"));
        assert_eq!(steps.len(), 1);
        let whole = Steps::new(Width::Days(1), berlin).around(at(&noon));
        let of_day = Steps::new(Width::Within(HOUR_US), berlin).boundaries(whole);
        assert_eq!(of_day.len() - 1, hours, "{day}");
    }
}

#[test]
fn weeks_begin_on_mondays_and_months_on_their_first_day() {
    let weeks = [("2026-04-20T00:00:00Z", 7 * 1_440), ("2026-04-27T00:00:00Z", 7 * 1_440)];
    assert_eq!(cut(Width::Days(7), Tz::UTC, "2026-04-26T23:59:59Z", "2026-04-27T00:00:01Z"), expected(&weeks));
    let spring = [("2026-03-22T23:00:00Z", 7 * 1_440 - 60), ("2026-03-29T22:00:00Z", 7 * 1_440)];
    assert_eq!(
        cut(Width::Days(7), Tz::Europe__Berlin, "2026-03-29T12:00:00Z", "2026-03-30T12:00:00Z"),
        expected(&spring)
    );
    let months = [("2024-01-31T23:00:00Z", 29 * 1_440), ("2024-02-29T23:00:00Z", 31 * 1_440 - 60)];
    assert_eq!(
        cut(Width::Months(1), Tz::Europe__Berlin, "2024-02-03T00:00:00Z", "2024-03-03T00:00:00Z"),
        expected(&months)
    );
    let quarters = [("2025-10-01T00:00:00Z", 92 * 1_440), ("2026-01-01T00:00:00Z", 90 * 1_440)];
    assert_eq!(cut(Width::Months(3), Tz::UTC, "2025-12-31T00:00:00Z", "2026-01-01T00:00:01Z"), expected(&quarters));
    let utc = |width, instant: &str| format_rfc3339(Steps::utc(width).start_of(at(instant)));
    assert_eq!(utc(Width::Days(14), "1970-01-05T00:00:00Z"), "1969-12-29T00:00:00Z", "two weeks begin on Mondays, too");
    assert_eq!(utc(Width::Days(3), "1970-01-05T00:00:00Z"), "1970-01-04T00:00:00Z", "others are counted from 1970");
    assert_eq!(utc(Width::Days(7), "0001-01-03T00:00:00Z"), "0001-01-01T00:00:00Z");
}

#[test]
fn steps_wider_than_an_hour_begin_when_clocks_show_it() {
    let spring = [
        ("2026-03-28T23:00:00Z", 5 * 60),
        ("2026-03-29T04:00:00Z", 6 * 60),
        ("2026-03-29T10:00:00Z", 6 * 60),
        ("2026-03-29T16:00:00Z", 6 * 60),
    ];
    let day = ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_eq!(cut(Width::Within(6 * HOUR_US), Tz::Europe__Berlin, day.0, day.1), expected(&spring));
    // Two hours, and the first of these was skipped.
    let first = cut(Width::Within(2 * HOUR_US), Tz::Europe__Berlin, day.0, "2026-03-29T04:00:00Z");
    let two = [("2026-03-28T23:00:00Z", 120), ("2026-03-29T01:00:00Z", 60), ("2026-03-29T02:00:00Z", 120)];
    assert_eq!(first, expected(&two));
}

#[test]
fn a_day_that_clocks_skip_is_none_and_one_that_begins_late_is_one() {
    // Samoa went over the date line, and had no 30th of December.
    let samoa = [("2011-12-29T10:00:00Z", 1_440), ("2011-12-30T10:00:00Z", 1_440)];
    assert_eq!(
        cut(Width::Days(1), Tz::Pacific__Apia, "2011-12-29T20:00:00Z", "2011-12-31T02:00:00Z"),
        expected(&samoa)
    );
    // In São Paulo, clocks were put from midnight to one.
    let late = [("2018-11-03T03:00:00Z", 1_440), ("2018-11-04T03:00:00Z", 23 * 60)];
    assert_eq!(
        cut(Width::Days(1), Tz::America__Sao_Paulo, "2018-11-03T12:00:00Z", "2018-11-04T12:00:00Z"),
        expected(&late)
    );
    // And from midnight back to eleven: the last hour of the day comes twice, and belongs to it.
    let early = [("2018-02-17T02:00:00Z", 25 * 60), ("2018-02-18T03:00:00Z", 1_440)];
    assert_eq!(
        cut(Width::Days(1), Tz::America__Sao_Paulo, "2018-02-18T02:30:00Z", "2018-02-18T12:00:00Z"),
        expected(&early)
    );
    // Where a second pass reaches back over the begin of a step, each instant is in one step all the same.
    let troll = Steps::new(Width::Within(2 * HOUR_US), Tz::Antarctica__Troll);
    for minute in 0..600 {
        let instant = at("2026-10-24T20:00:00Z") + minute * MINUTE_US;
        let step = troll.around(instant);
        assert!(step.contains(instant) && troll.around(step.to_us).from_us == step.to_us, "{instant} in {step:?}");
    }
}

#[test]
fn widths_are_read_back_and_divide_each_other() {
    let of_us = |us| Width::of_us(us).map(|width| width.to_string());
    assert_eq!(
        [of_us(HOUR_US), of_us(7 * DAY_US), of_us(5 * HOUR_US), of_us(0), of_us(-DAY_US)]
            .map(|text| text.unwrap_or_default()),
        ["1h", "7d", "", "", ""]
    );
    assert_eq!(Width::Months(3).to_string(), "3mo");
    for (long, short, count) in [
        (Width::Days(7), Width::Days(1), Some(7)),
        (Width::Days(1), Width::Within(HOUR_US), Some(24)),
        (Width::Within(36 * HOUR_US), Width::Within(HOUR_US), Some(36)),
        (Width::Within(HOUR_US), Width::Days(1), None),
        (Width::Days(1), Width::Days(7), None),
        (Width::Months(12), Width::Months(3), Some(4)),
        (Width::Months(1), Width::Days(1), None),
        (Width::Days(366), Width::Months(1), None),
    ] {
        assert_eq!(long.in_steps(short), count, "{long} in steps of {short}");
    }
}

const ZONES: [Tz; 8] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__Sao_Paulo,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Asia__Kathmandu,
    Tz::Africa__Casablanca,
    Tz::Antarctica__Troll,
];

fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(vec![
        Width::Within(5 * MINUTE_US),
        Width::Within(HOUR_US),
        Width::Within(2 * HOUR_US),
        Width::Within(6 * HOUR_US),
        Width::Days(1),
        Width::Days(3),
        Width::Days(7),
        Width::Months(1),
        Width::Months(3),
        Width::Months(12),
    ])
}

proptest! {
    #[test]
    fn each_instant_is_in_one_step_and_each_step_ends_where_the_next_begins(
        instant_us in MIN_INSTANT_US..MAX_INSTANT_US,
        recent_us in at("1990-01-01T00:00:00Z")..at("2040-01-01T00:00:00Z"),
        width in width(),
        zone in prop::sample::select(ZONES.to_vec()),
    ) {
        let steps = Steps::new(width, zone);
        for instant_us in [instant_us, recent_us] {
            let step = steps.around(instant_us);
            prop_assert!(step.contains(instant_us), "{step:?}");
            prop_assert_eq!(steps.around(step.from_us), step);
            prop_assert_eq!(steps.around(step.to_us - 1), step);
            prop_assert_eq!(steps.around(step.to_us).from_us, step.to_us);
            prop_assert_eq!((steps.at_or_after(step.from_us), steps.at_or_after(step.from_us + 1)), (step.from_us, step.to_us));
            let three = steps.after(step.from_us, 3);
            prop_assert_eq!(steps.before(three, 3), step.from_us);
            let range = TimeRange { from_us: step.from_us, to_us: three };
            prop_assert_eq!(steps.boundaries(range).len(), 4);
            prop_assert_eq!((steps.widened(range), steps.widened(TimeRange { from_us: instant_us, to_us: instant_us + 1 })), (range, step));
        }
    }

    #[test]
    fn days_are_those_of_reports(day in 7_305..29_220_i64, zone in prop::sample::select(ZONES.to_vec())) {
        let range = local_day(day, zone).expect("a day");
        prop_assume!(range.from_us < range.to_us);
        prop_assert_eq!(Steps::new(Width::Days(1), zone).around(range.from_us), range, "{}", format_day(day));
    }
}

#[test]
fn months_are_those_of_the_calendar() {
    let mut days: BTreeMap<i64, i64> = BTreeMap::new();
    for day in day_of(at("1896-01-01T00:00:00Z"))..day_of(at("2104-01-01T00:00:00Z")) {
        *days.entry(Steps::utc(Width::Months(1)).start_of(day * DAY_US)).or_default() += 1;
    }
    assert_eq!(days.len(), 208 * 12);
    for (start_us, count) in days {
        let text = format_day(day_of(start_us));
        assert_eq!(
            (&text[8..], Steps::utc(Width::Months(1)).end_of(start_us)),
            ("01", start_us + count * DAY_US),
            "{text}"
        );
    }
}
