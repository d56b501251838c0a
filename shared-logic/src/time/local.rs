//! The clocks of a time zone → instants, by the rules of the IANA database that is built in.

use std::collections::BTreeSet;

use chrono::{DateTime, LocalResult, Offset, TimeZone};
use chrono_tz::{GapInfo, Tz, TzOffset};

use super::{DAY_US, SECOND_US, TimeRange, day_of};

/// The days whose offsets [`zone_offsets_us`] looks at: the years 2000 to 2050. Before 1970 many zones had offsets of odd seconds.
const LOOKED_AT: std::ops::Range<i64> = 10_957..29_220;
/// No offset of a zone is in use for less than this; in days.
const LOOKED_EVERY: usize = 7;

/// The instant at which clocks of the zone show `local_us`; both are microseconds since 1970.
///
/// Where clocks are put back, they show an hour twice: this is its first pass. Where they are put forward, they skip an hour: a
/// time in it counts by the offset before, so it lies as far behind the change as it stands behind the skipped hour's begin.
/// These are also the rules of `java.time`. `None` only far outside of the years 1 to 9999.
pub fn instant_of_local(local_us: i64, zone: Tz) -> Option<i64> {
    let local = DateTime::from_timestamp(local_us.div_euclid(SECOND_US), 0)?.naive_utc();
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset,
        LocalResult::None => GapInfo::new(&local, &zone)?.begin?.1,
    };
    local_us.checked_sub(i64::from(offset.fix().local_minus_utc()) * SECOND_US)
}

/// The instants of a day of the zone's clocks, `day` days since 1970: mostly 24 hours, 23 or 25 where clocks are put forward or back.
/// A day ends where the next one begins. One that clocks skip altogether has no instants: its range ends where it begins. `None` only
/// far outside of the years 1 to 9999.
pub fn local_day(day: i64, zone: Tz) -> Option<TimeRange> {
    let begin = |day: i64| instant_of_local(day.checked_mul(DAY_US)?, zone);
    Some(TimeRange { from_us: begin(day)?, to_us: begin(day.checked_add(1)?)? })
}

/// The day that clocks of the zone show at an instant, in days since 1970. `None` only far outside of the years 1 to 9999.
pub fn local_date(instant_us: i64, zone: Tz) -> Option<i64> {
    Some(day_of(instant_us.checked_add(offset_us(instant_us, zone)?)?))
}

/// By how much the zone's clocks are ahead of UTC in the years 2000 to 2050; microseconds.
pub fn zone_offsets_us(zone: Tz) -> BTreeSet<i64> {
    LOOKED_AT.step_by(LOOKED_EVERY).filter_map(|day| offset_us(day * DAY_US, zone)).collect()
}

/// What the zone's clocks show at an instant; both are microseconds since 1970. Far outside of the years 1 to 9999 it is UTC's.
pub(super) fn local_us(instant_us: i64, zone: Tz) -> i64 {
    instant_us.saturating_add(offset_us(instant_us, zone).unwrap_or(0))
}

/// The first instant at which clocks of the zone show `local_us` or a later time. Unlike [`instant_of_local`], this is where a skipped
/// hour is skipped for every time in it, so later times never have earlier instants.
pub(super) fn first_instant_at(local_us: i64, zone: Tz) -> i64 {
    if zone == Tz::UTC {
        return local_us;
    }
    let Some(local) = DateTime::from_timestamp(local_us.div_euclid(SECOND_US), 0) else { return local_us };
    let local = local.naive_utc();
    let ahead_us = |offset: &TzOffset| i64::from(offset.fix().local_minus_utc()) * SECOND_US;
    match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => local_us.saturating_sub(ahead_us(&offset)),
        LocalResult::None => match GapInfo::new(&local, &zone).and_then(|gap| gap.end) {
            Some(end) => end.timestamp_micros(),
            None => local_us,
        },
    }
}

fn offset_us(instant_us: i64, zone: Tz) -> Option<i64> {
    let instant = DateTime::from_timestamp(instant_us.div_euclid(SECOND_US), 0)?.naive_utc();
    Some(i64::from(zone.offset_from_utc_datetime(&instant).fix().local_minus_utc()) * SECOND_US)
}
