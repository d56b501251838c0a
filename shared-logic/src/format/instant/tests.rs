use chrono::{DateTime, FixedOffset, TimeZone, Utc};
use proptest::prelude::*;

use super::*;
use crate::time::{DAY_US, SECOND_US};

/// 2026-11-25T10:00:00Z.
const TEN_US: i64 = 1_795_600_800 * SECOND_US;
const BERLIN: Tz = Tz::Europe__Berlin;

fn usual(text: &str, zone: Option<Tz>) -> Result<i64, Reason> {
    Instants::Usual.read(text.as_bytes(), zone)
}

fn epoch(unit: EpochUnit, text: &str) -> Result<i64, Reason> {
    Instants::Epoch(unit).read(text.as_bytes(), None)
}

fn pattern(pattern: &str, text: &str, zone: Option<Tz>) -> Result<i64, Reason> {
    Instants::of(&InstantFormat::Pattern(pattern.to_owned())).read(text.as_bytes(), zone)
}

#[test]
fn the_usual_form_is_a_date_and_a_time_or_milliseconds() {
    let (wrong, out) = (Err(Reason::WrongType), Err(Reason::OutOfRange));
    for (text, zone, want) in [
        ("2026-11-25T10:00:00Z", None, Ok(TEN_US)),
        ("2026-11-25T10:00Z", None, Ok(TEN_US)),
        ("2026-11-25T11:00:00+0100", Some(BERLIN), Ok(TEN_US)),
        ("2026-11-25T11:00:00", Some(BERLIN), Ok(TEN_US)),
        ("2026-11-25 11:00", Some(BERLIN), Ok(TEN_US)),
        ("2026-11-25T11:00:00", None, wrong),
        ("1795600800000", None, Ok(TEN_US)),
        ("1795600800000", Some(BERLIN), Ok(TEN_US)),
        ("1.7956008e12", None, Ok(TEN_US)),
        ("1795600800000.25", None, Ok(TEN_US + 250)),
        ("0001-01-01T00:00:00Z", None, Ok(MIN_INSTANT_US)),
        ("0001-01-01T00:00:00+00:01", None, out),
        ("9999-12-31T23:59:60Z", None, Ok(MAX_INSTANT_US - 1)),
        ("9999-12-31T23:59:59-00:01", None, out),
        ("0001-01-01T00:00:00", Some(BERLIN), out),
        ("0000-06-01T00:00:00Z", None, out),
        ("2026-11-25", None, wrong),
        ("2026-11-25T10:00:00 Z", None, wrong),
        ("", None, wrong),
        (" 1795600800000", None, wrong),
        ("ü", None, wrong),
    ] {
        assert_eq!(usual(text, zone), want, "{text} {zone:?}");
    }
}

#[test]
fn numbers_are_read_exactly_in_their_unit() {
    use EpochUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
    let (wrong, out) = (Err(Reason::WrongType), Err(Reason::OutOfRange));
    for (unit, text, want) in [
        (Seconds, "1795600800", Ok(TEN_US)),
        (Seconds, "1795600800.25", Ok(TEN_US + 250_000)),
        // Cut off, not rounded.
        (Seconds, "1795600800.9999999", Ok(TEN_US + 999_999)),
        (Seconds, "-0.0000019", Ok(-1)),
        (Seconds, "1.7956008e9", Ok(TEN_US)),
        (Seconds, "17956008000E-1", Ok(TEN_US)),
        (Seconds, "0.0e99999999999999999999", Ok(0)),
        (Seconds, "-0", Ok(0)),
        (Seconds, "007", Ok(7 * SECOND_US)),
        (Milliseconds, "1795600800000", Ok(TEN_US)),
        (Milliseconds, "0.0009", Ok(0)),
        (Milliseconds, "253402300799999.9999", Ok(MAX_INSTANT_US - 1)),
        (Milliseconds, "253402300800000", out),
        (Milliseconds, "-62135596800000", Ok(MIN_INSTANT_US)),
        (Milliseconds, "-62135596800000.001", out),
        (Microseconds, "1795600800000000", Ok(TEN_US)),
        (Microseconds, "1.9e0", Ok(1)),
        (Nanoseconds, "1795600800000000000", Ok(TEN_US)),
        (Nanoseconds, "1795600800000000999", Ok(TEN_US)),
        (Nanoseconds, "999", Ok(0)),
        (Nanoseconds, "00000000000000000000000000000000007000", Ok(7)),
        (Seconds, "1e400", out),
        (Seconds, "1e99999999999999999999", out),
        (Seconds, "1e-99999999999999999999", Ok(0)),
        (Seconds, "123456789012345678901234567890", out),
        (Seconds, "", wrong),
        (Seconds, "-", wrong),
        (Seconds, "+1", wrong),
        (Seconds, ".5", wrong),
        (Seconds, "1.", wrong),
        (Seconds, "1e", wrong),
        (Seconds, "1e+", wrong),
        (Seconds, "1e5x", wrong),
        (Seconds, "1 ", wrong),
        (Seconds, "0x10", wrong),
        (Seconds, "NaN", wrong),
        (Seconds, "2026-11-25T10:00:00Z", wrong),
    ] {
        assert_eq!(epoch(unit, text), want, "{text} {unit:?}");
    }
}

#[test]
fn patterns_are_those_of_strftime() {
    let (wrong, out) = (Err(Reason::WrongType), Err(Reason::OutOfRange));
    let leap_us = 1_483_228_800 * SECOND_US - 1;
    for (form, text, zone, want) in [
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/2026:11:00:00 +0100", None, Ok(TEN_US)),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/2026:11:00:00 +01:00", Some(BERLIN), Ok(TEN_US)),
        ("%d/%b/%Y:%H:%M:%S %z", "25/nov/2026:11:00:00 +0100", None, Ok(TEN_US)),
        ("%d/%b/%Y:%H:%M:%S %z", "5/Nov/2026:11:00:00 +0100", None, Ok(TEN_US - 20 * DAY_US)),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/2026:11:00:00 .0100", Some(BERLIN), wrong),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/2026:11:00:00", Some(BERLIN), wrong),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Foo/2026:11:00:00 +0100", None, wrong),
        ("%d/%b/%Y:%H:%M:%S %z", "31/Nov/2026:11:00:00 +0100", None, wrong),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/2026:11:00:00 +9900", None, wrong),
        ("%d/%b/%Y:%H:%M:%S %z", "31/Dec/2016:23:59:60 +0000", None, Ok(leap_us)),
        ("%d/%b/%Y:%H:%M:%S %z", "25/Nov/12026:11:00:00 +0100", None, wrong),
        ("%d.%m.%Y %H:%M:%S", "25.11.2026 11:00:00", Some(BERLIN), Ok(TEN_US)),
        ("%d.%m.%Y %H:%M:%S", "25.11.2026 11:00:00", None, wrong),
        ("%d.%m.%Y %H:%M:%S", "29.03.2026 02:30:00", Some(BERLIN), Ok(1_774_747_800 * SECOND_US)),
        ("%m/%d/%Y %I:%M %p", "11/25/2026 10:00 AM", Some(Tz::UTC), Ok(TEN_US)),
        ("%Y%m%d", "20261125", Some(Tz::UTC), Ok(TEN_US - 10 * 3_600 * SECOND_US)),
        ("%Y-%m-%d %H", "2026-11-25 10", Some(Tz::UTC), Ok(TEN_US)),
        ("%Y-%j %H:%M", "2026-329 10:00", Some(Tz::UTC), Ok(TEN_US)),
        ("%s", "1795600800", None, Ok(TEN_US)),
        ("%s %z", "1795600800 +0100", None, Ok(TEN_US)),
        ("%Y-%m-%dT%H:%M:%S%.f%#z", "2026-11-25T11:00:00.25+01", None, Ok(TEN_US + 250_000)),
        ("%+", "2026-11-25T11:00:00+01:00", None, Ok(TEN_US)),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-11-25 11:00:00 CET", Some(BERLIN), Ok(TEN_US)),
        ("%Y-%m-%d", "+12026-11-25", Some(Tz::UTC), out),
        ("%Y-%m-%d", "", Some(Tz::UTC), wrong),
    ] {
        assert_eq!(pattern(form, text, zone), want, "{form}: {text} {zone:?}");
    }
}

#[test]
fn patterns_that_place_no_event_are_refused() {
    for (text, zoned, want) in [
        ("%d/%b/%Y:%H:%M:%S %z", false, None),
        ("%s", false, None),
        ("%s.%3f", false, None),
        ("%+", false, None),
        ("%Y-%m-%dT%H:%M:%S%.f%#z", false, None),
        ("%d.%m.%Y %H:%M", true, None),
        ("%c", true, None),
        ("%e. %B %Y um %k Uhr %M", true, None),
        ("%-d.%-m.%Y", true, None),
        ("%Y-%m-%d %H:%M:%S %Z", true, None),
        ("%d.%m.%Y %H:%M", false, Some(BadPattern::NoZone)),
        ("%Y-%m-%d %H:%M:%S %Z", false, Some(BadPattern::NoZone)),
        ("%H:%M:%S %z", false, Some(BadPattern::NoDate)),
        ("%d.%m. %H:%M", true, Some(BadPattern::NoDate)),
        ("", true, Some(BadPattern::NoDate)),
        ("yesterday", true, Some(BadPattern::NoDate)),
        ("%Q", true, Some(BadPattern::Unknown)),
        ("%Y-%m-%d %", true, Some(BadPattern::Unknown)),
        ("%Y-%m-%d%t%H:%M", true, Some(BadPattern::Control)),
        ("%Y-%m-%d\n%H:%M", true, Some(BadPattern::Control)),
        ("%Y-%m-%d %I:%M", true, Some(BadPattern::Unreadable)),
        ("%-d%-m%Y", true, Some(BadPattern::Unreadable)),
        ("%Y-%m-%d %H:%M %:::z", false, Some(BadPattern::Unreadable)),
    ] {
        assert_eq!(Pattern::checked(text, zoned).err(), want, "{text}");
    }
}

/// Patterns with dates, fractions and zones, each with the smallest step between two of its texts.
const WRITTEN: [(&str, i64); 7] = [
    ("%d/%b/%Y:%H:%M:%S %z", SECOND_US),
    ("%Y-%m-%dT%H:%M:%S%.6f%:z", 1),
    ("%a %b %e %T %Y %z", SECOND_US),
    ("%s", SECOND_US),
    ("%G-W%V-%u %H%M %z", 60 * SECOND_US),
    ("%d.%m.%y, %I:%M:%S.%3f %p %z", 1_000),
    ("%Y-%m-%d %z", DAY_US),
];

proptest! {
    #[test]
    fn numbers_agree_with_big_integers(mantissa in any::<i64>(), exponent in -30_i32..12, unit in prop::sample::select(EpochUnit::ALL.to_vec())) {
        let zeros = match unit { EpochUnit::Seconds => 6, EpochUnit::Milliseconds => 3, EpochUnit::Microseconds => 0, EpochUnit::Nanoseconds => -3 };
        let us = match exponent + zeros {
            places @ 0.. => i128::from(mantissa).checked_mul(10_i128.pow(places as u32)),
            places => Some(i128::from(mantissa) / 10_i128.pow(places.unsigned_abs())),
        };
        let inside = us.and_then(|us| i64::try_from(us).ok()).filter(|us| (MIN_INSTANT_US..MAX_INSTANT_US).contains(us));
        let text = format!("{mantissa}e{exponent}");
        prop_assert_eq!(epoch(unit, &text), inside.ok_or(Reason::OutOfRange), "{} {}", text, unit.name());
    }

    /// Digits alone are read in a way of their own.
    #[test]
    fn a_number_is_what_it_is_with_a_point(text in "[0-9]{1,22}", unit in prop::sample::select(EpochUnit::ALL.to_vec())) {
        prop_assert_eq!(epoch(unit, &text), epoch(unit, &format!("{text}.0")), "{} {}", text, unit.name());
    }

    #[test]
    fn what_is_written_in_a_unit_is_read_back(us in MIN_INSTANT_US..MAX_INSTANT_US, unit in prop::sample::select(EpochUnit::ALL.to_vec())) {
        let text = decimal::write(us, unit);
        prop_assert_eq!(epoch(unit, &text), Ok(us), "{}", text);
        prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{} is JSON", text);
    }

    #[test]
    fn what_chrono_writes_is_read_back(
        us in 0..4_000_000_000 * SECOND_US,
        ahead_minutes in -1_439..1_440_i32,
        (form, step_us) in prop::sample::select(WRITTEN.to_vec()),
    ) {
        let zone = FixedOffset::east_opt(ahead_minutes * 60).expect("within a day");
        let ahead_us = i64::from(ahead_minutes) * 60 * SECOND_US;
        // The two-digit year of 2070 is that of 1970.
        let years = ahead_us.abs()..3_155_760_000 * SECOND_US - ahead_us.abs();
        prop_assume!(!form.contains("%y") || years.contains(&us));
        let at = DateTime::from_timestamp_micros(us).expect("within its years").with_timezone(&zone);
        let text = at.format(form).to_string();
        // A text of a day stands for its first moment by its own clocks.
        let local_us = us + ahead_us;
        let want = local_us - local_us.rem_euclid(step_us) - ahead_us;
        prop_assert_eq!(pattern(form, &text, None), Ok(want), "{}: {}", form, text);
        let quickly = common_log::read(text.as_bytes()).map(|moment| moment.local_us - moment.ahead_us.unwrap_or(0));
        prop_assert_eq!(quickly, (form == COMMON_LOG).then_some(want), "{}", text);
    }

    #[test]
    fn what_is_written_for_a_zone_is_read_back(us in 0..4_000_000_000 * SECOND_US, zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())) {
        let us = us - us.rem_euclid(SECOND_US);
        let text = write(&InstantFormat::Pattern("%Y-%m-%d %H:%M:%S".to_owned()), us, Some(zone));
        let local = Utc.timestamp_micros(us).single().expect("within its years").with_timezone(&zone).naive_local();
        // Of an hour that clocks show twice, texts of the second pass are read as the first.
        let first = zone.from_local_datetime(&local).earliest().map(|at| at.timestamp_micros());
        prop_assert_eq!(pattern("%Y-%m-%d %H:%M:%S", &text, Some(zone)).ok(), first, "{} {}", text, zone);
    }
}
