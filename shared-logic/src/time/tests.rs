use super::*;
use proptest::prelude::*;

#[test]
fn reads_what_rfc_3339_allows_and_nothing_else() {
    for (text, want) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("1970-01-01t00:00:00.5z", Some(500_000)),
        ("1970-01-01 00:00:00.1234569Z", Some(123_456)),
        ("1970-01-01T01:00:00+01:00", Some(0)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800 * SECOND_US)),
        ("2026-04-24T09:31:00.000001-02:30", Some(1_777_032_060 * SECOND_US + 1)),
        ("2023-02-29T00:00:00Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T00:00:60Z", None),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-01-01T00:00:00+1:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("1970-1-01T00:00:00ZZ", None),
        ("", None),
    ] {
        assert_eq!(parse_rfc3339(text.as_bytes()), want, "{text}");
    }
}

#[test]
fn durations_name_their_unit() {
    assert_eq!(parse_duration_us("400d"), Some(400 * DAY_US));
    assert_eq!(parse_duration_us("50ms"), Some(50_000));
    for bad in ["", "5", "m", "-5m", "5 m", "99999999999999999d"] {
        assert_eq!(parse_duration_us(bad), None, "{bad}");
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
