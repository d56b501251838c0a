//! The clocks of a time zone → instants, by the rules of the IANA database that is built in.

use chrono::{DateTime, LocalResult, Offset, TimeZone};
use chrono_tz::{GapInfo, Tz};

use super::SECOND_US;

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
