//! Whether the rows of a day may hold what was erased since they were computed (P1).

use std::collections::{BTreeMap, BTreeSet};

use crate::time::{HOUR_US, TimeRange};

/// Events that a commit has taken out of the archive of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOut {
    /// The name of the source.
    pub source: String,
    /// The version of its archive that this commit made.
    pub version: u64,
    /// The hours in which the events happened, named by their starts in microseconds since 1970; `None`: they may be in any row.
    pub hours: Option<BTreeSet<i64>>,
}

/// P1: whether the rows of a day, which has these instants, may hold some of these events: they were computed before the events were taken
/// out, and some of the events happened on that day. `known` is, by source, the version of its archive that had last taken events out when the
/// rows were computed.
pub fn may_hold_erased(known: &BTreeMap<String, u64>, times: TimeRange, taken_out: &[TakenOut]) -> bool {
    let is_of_day =
        |hours: &BTreeSet<i64>| hours.range(times.from_us.saturating_sub(HOUR_US) + 1..times.to_us).next().is_some();
    taken_out.iter().any(|part| {
        let is_known = known.get(&part.source).is_some_and(|version| *version >= part.version);
        !is_known && part.hours.as_ref().is_none_or(is_of_day)
    })
}

/// Whether rows of which that is known hold none of the events that were erased by then. `erased` is what would be known of rows that are
/// computed now.
pub fn is_free_of(known: &BTreeMap<String, u64>, erased: &BTreeMap<String, u64>) -> bool {
    erased.iter().all(|(source, version)| known.get(source).is_some_and(|known| known >= version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_US;

    fn known(erased: &[(&str, u64)]) -> BTreeMap<String, u64> {
        erased.iter().map(|(source, version)| ((*source).to_owned(), *version)).collect()
    }

    fn part(version: u64, hours: Option<&[i64]>) -> TakenOut {
        let hours = hours.map(|hours| hours.iter().map(|hour| hour * HOUR_US).collect());
        TakenOut { source: "s".to_owned(), version, hours }
    }

    #[test]
    fn a_day_is_written_anew_for_what_was_erased_of_its_hours_since() {
        let second = TimeRange { from_us: DAY_US, to_us: 2 * DAY_US };
        let may = |of: &[(&str, u64)], hours: Option<&[i64]>| may_hold_erased(&known(of), second, &[part(5, hours)]);
        assert!(may(&[], Some(&[24])) && may(&[("s", 4)], Some(&[3, 47])) && may(&[("s", 4)], None));
        assert!(!may(&[("s", 5)], Some(&[24])) && !may(&[("s", 6)], None), "it was computed without them");
        assert!(!may(&[], Some(&[23, 48])) && !may(&[], Some(&[])), "they happened on other days");
        assert!(may(&[("users", 9)], Some(&[30])), "that is another archive");
        // A day of a zone may begin within an hour of UTC.
        let shifted = TimeRange { from_us: DAY_US + HOUR_US / 2, to_us: 2 * DAY_US + HOUR_US / 2 };
        for (hour, is_of_day) in [(23, false), (24, true), (48, true), (49, false)] {
            assert_eq!(may_hold_erased(&known(&[]), shifted, &[part(5, Some(&[hour]))]), is_of_day, "{hour}");
        }
    }

    #[test]
    fn rows_are_free_of_what_was_erased_by_the_version_that_they_name_or_before() {
        let now = |version| known(&[("s", version)]);
        assert!(is_free_of(&known(&[]), &BTreeMap::new()), "nothing was erased");
        assert!(is_free_of(&known(&[("s", 7)]), &now(7)) && is_free_of(&known(&[("s", 7)]), &now(5)));
        assert!(!is_free_of(&known(&[("s", 7)]), &now(8)) && !is_free_of(&known(&[]), &now(8)));
    }
}
