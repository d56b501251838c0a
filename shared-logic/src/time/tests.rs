use super::*;
use proptest::prelude::*;

#[test]
fn instants_are_read_as_programs_write_them() {
    // 2026-11-25T10:00:00Z
    let ten_us = 1_795_600_800 * SECOND_US;
    for (text, want) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("1970-01-01t00:00:00.5z", Some(500_000)),
        ("1970-01-01 00:00:00.1234569Z", Some(123_456)),
        ("1970-01-01T01:00:00+01:00", Some(0)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800 * SECOND_US)),
        ("2026-04-24T09:31:00.000001-02:30", Some(1_777_032_060 * SECOND_US + 1)),
        ("2026-11-25T10:00:00+0000", Some(ten_us)),
        ("2026-11-25T10:00:00+00", Some(ten_us)),
        ("2026-11-25T10:00Z", Some(ten_us)),
        ("2026-11-25T04:30-0530", Some(ten_us)),
        ("2026-11-25 11:00:00 +0100", Some(ten_us)),
        ("2026-11-25 10:00:00,25Z", Some(ten_us + 250_000)),
        // A leap second is the last microsecond of the minute that it ends, whatever its fraction.
        ("2016-12-31T23:59:60Z", Some(1_483_228_800 * SECOND_US - 1)),
        ("2017-01-01T00:59:60.75+01:00", Some(1_483_228_800 * SECOND_US - 1)),
        ("2016-12-31T23:59:61Z", None),
        ("2023-02-29T00:00:00Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T00:60:00Z", None),
        // No zone.
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T00:00", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-01-01T00:00:0Z", None),
        ("1970-01-01T00:00:Z", None),
        ("1970-01-01T00:00.5Z", None),
        ("1970-01-01T00Z", None),
        ("1970-01-01Z", None),
        ("1970-01-01T00:00:00+1:00", None),
        ("1970-01-01T00:00:00+1", None),
        ("1970-01-01T00:00:00+00:", None),
        ("1970-01-01T00:00:00+00:0", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("1970-01-01T00:00:00+0060", None),
        ("1970-01-01T00:00:00+", None),
        ("1970-01-01T00:00:00 Z", None),
        ("1970-01-01T00:00:00  +00", None),
        // A plus sign that a URL's query has made a blank.
        ("1970-01-01T00:00:00 01:00", None),
        ("1970-01-01T00:00:00ZZ", None),
        ("0000-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-00:01", None),
        ("1970-1-01T00:00:00ZZ", None),
        ("", None),
    ] {
        assert_eq!(parse_rfc3339(text.as_bytes()), want, "{text}");
    }
}

#[test]
fn instants_are_written_with_as_many_digits_as_they_need() {
    for (us, want) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_777_032_060 * SECOND_US + 50, "2026-04-24T12:01:00.000050Z"),
        (1_777_032_060 * SECOND_US + 7_000, "2026-04-24T12:01:00.007Z"),
        (MIN_INSTANT_US, "0001-01-01T00:00:00Z"),
        // Where a window begins or ends, it may lie outside of the years that are read.
        (MIN_INSTANT_US - 1, "0000-12-31T23:59:59.999999Z"),
        (MIN_INSTANT_US - 400 * DAY_US, "-001-11-28T00:00:00Z"),
        (MAX_INSTANT_US, "10000-01-01T00:00:00Z"),
    ] {
        assert_eq!(format_rfc3339(us), want);
    }
}

#[test]
fn a_moment_says_whether_it_names_its_zone() {
    let moment = |text: &str| Moment::parse(text.as_bytes()).map(|moment| (moment.local_us, moment.ahead_us));
    assert_eq!(moment("1970-01-01 01:00:00"), Some((HOUR_US, None)));
    assert_eq!(moment("1970-01-01T01:00"), Some((HOUR_US, None)));
    assert_eq!(moment("1970-01-01T01:00:00-02"), Some((HOUR_US, Some(-2 * HOUR_US))));
    assert_eq!(moment("1970-01-01T01:00:00Z"), Some((HOUR_US, Some(0))));
}

/// In Berlin, clocks went from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
#[test]
fn clocks_that_are_changed_show_some_hours_twice_and_skip_others() {
    for (local, want) in [
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        // Skipped: as far behind the change as it stands behind 02:00.
        ("2026-03-29T02:00:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29T02:30:00.5", "2026-03-29T01:30:00.500Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T01:59:59", "2026-10-24T23:59:59Z"),
        // Shown twice: the first pass.
        ("2026-10-25T02:00:00", "2026-10-25T00:00:00Z"),
        ("2026-10-25T02:59:59.999999", "2026-10-25T00:59:59.999999Z"),
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
        ("1900-01-01T00:00:00", "1899-12-31T23:00:00Z"),
        ("9999-12-31T23:59:59", "9999-12-31T22:59:59Z"),
    ] {
        let moment = Moment::parse(local.as_bytes()).expect("a date and a time");
        let instant = instant_of_local(moment.local_us, chrono_tz::Europe::Berlin).map(format_rfc3339);
        assert_eq!(instant.as_deref(), Some(want), "{local}");
    }
}

#[test]
fn durations_name_their_unit() {
    assert_eq!(parse_duration_us("400d"), Some(400 * DAY_US));
    assert_eq!(parse_duration_us("50ms"), Some(50_000));
    for bad in ["", "5", "m", "-5m", "5 m", "99999999999999999d"] {
        assert_eq!(parse_duration_us(bad), None, "{bad}");
    }
    for (us, text) in [(90_000_000, "90s"), (3_600_000_000, "1h"), (48 * HOUR_US, "2d"), (1_500, "1500us"), (0, "0us")]
    {
        assert_eq!(format_duration_us(us), text);
        assert_eq!(parse_duration_us(text), Some(us));
    }
}

#[test]
fn months_have_as_many_days_as_the_calendar_says() {
    for (first, next, days) in [
        ("2026-01-01", "2026-02-01", 31),
        ("2026-02-01", "2026-03-01", 28),
        ("2024-02-01", "2024-03-01", 29),
        ("1900-02-01", "1900-03-01", 28),
        ("2026-04-01", "2026-05-01", 30),
        ("1969-12-01", "1970-01-01", 31),
    ] {
        let (first, next) = (parse_day(first).expect("a day"), parse_day(next).expect("a day"));
        assert_eq!(next - first, days);
        for day in first..next {
            assert_eq!((month_start(day), next_month_start(day)), (first, next), "{}", format_day(day));
        }
    }
}

proptest! {
    #[test]
    fn what_rfc_3339_says_chrono_says_too(
        us in MIN_INSTANT_US..MAX_INSTANT_US,
        ahead_minutes in -1_439..1_440_i32,
        digits in prop::sample::select(vec![chrono::SecondsFormat::Secs, chrono::SecondsFormat::Millis, chrono::SecondsFormat::Nanos]),
    ) {
        let zone = chrono::FixedOffset::east_opt(ahead_minutes * 60).expect("within a day");
        let at = chrono::DateTime::from_timestamp_micros(us).expect("within its years").with_timezone(&zone);
        let text = at.to_rfc3339_opts(digits, true);
        let read = chrono::DateTime::parse_from_rfc3339(&text).map(|at| at.timestamp_micros());
        // A year of five digits, or none, is not of that form.
        prop_assert_eq!(parse_rfc3339(text.as_bytes()), read.ok().filter(|us| (MIN_INSTANT_US..MAX_INSTANT_US).contains(us)), "{}", text);
        for shorter in [text.replacen("+", " +", 1), format!("{}{}", &text[..text.len() - 3], text[text.len() - 3..].replace(':', ""))] {
            prop_assert_eq!(parse_rfc3339(shorter.as_bytes()), parse_rfc3339(text.as_bytes()), "{}", shorter);
        }
    }

    #[test]
    fn a_local_time_is_what_clocks_show_at_its_instant(local_us in 0..4_000_000_000 * SECOND_US, zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())) {
        use chrono::{Offset, TimeZone};
        let us = instant_of_local(local_us, zone).expect("within all years");
        let ahead_us = |us: i64| {
            let at = chrono::DateTime::from_timestamp_micros(us).expect("within all years").naive_utc();
            i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc()) * SECOND_US
        };
        // Where no clock shows it, it counts by the offset of a day before: zones do not change twice a day.
        prop_assert!(us + ahead_us(us) == local_us || us + ahead_us(us - DAY_US) == local_us, "{} in {}", format_rfc3339(local_us), zone);
    }

    #[test]
    fn instants_survive_text(us in MIN_INSTANT_US..MAX_INSTANT_US) {
        prop_assert_eq!(parse_rfc3339(format_rfc3339(us).as_bytes()), Some(us));
    }

    #[test]
    fn every_instant_lies_in_exactly_one_bucket(us in MIN_INSTANT_US..MAX_INSTANT_US, grain in prop::sample::select(vec![1_000_000, 60_000_000, HOUR_US, DAY_US])) {
        let start = bucket_start(us, grain);
        prop_assert!(start <= us && us < start + grain);
        prop_assert_eq!(bucket_index(us, grain) * grain, start);
        prop_assert_eq!(parse_day(&format_day(day_of(us))), Some(day_of(us)));
    }

    #[test]
    fn widening_covers_and_is_whole_buckets(from in -DAY_US..DAY_US, len in 0..DAY_US, grain in prop::sample::select(vec![1_000_000, 60_000_000])) {
        let range = TimeRange { from_us: from, to_us: from + len };
        let wide = range.widened(grain);
        prop_assert!(wide.from_us <= range.from_us && range.to_us <= wide.to_us);
        prop_assert!(range.from_us - wide.from_us < grain && wide.to_us - range.to_us < grain);
        prop_assert_eq!(wide.widened(grain), wide);
    }
}
