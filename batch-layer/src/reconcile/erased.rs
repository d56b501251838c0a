//! What was erased of an archive since a view, a rebuild or an index was made from it.
//!
//! All three are derived from the archive, so what they took from events that are gone has to go, too: the hours of a view and the
//! days of a rebuild are counted anew, and the days of an index are made anew. Each part of an erasure names the hours of its
//! events. Where the events were found by other rules, or the list of the hours is gone, they may lie in any hour. Days whose rows are
//! retired are left as they are, because nothing of them can be counted or made anew (`retain`).

use std::collections::BTreeSet;

use platform::store::StoreError;
use shared_logic::catalog::RulesHash;
use shared_logic::time::{bucket_start, day_of, format_day};
use storage::{Archive, BatchView, Rebuild};
use tracing::info;

use super::touched::{Touched, units_of};

/// In which hours events were erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Erased {
    /// In these, named by their starts in microseconds since 1970.
    Hours(BTreeSet<i64>),
    /// In any.
    Anywhere,
}

impl Erased {
    /// What was erased after that version of the archive. `rules` are those of the source.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn since(version: u64, archive: &Archive, rules: &RulesHash) -> Result<Erased, StoreError> {
        let (facts, mut hours) = (archive.facts(), BTreeSet::new());
        for part in facts.erased_since(version) {
            match archive.erased(part).await? {
                Some(list) if part.rules == *rules => hours.extend(list.hours.into_values().flatten()),
                _ => return Ok(Erased::Anywhere),
            }
        }
        Ok(Erased::Hours(hours))
    }

    /// Whether events of that day, `YYYY-MM-DD`, were erased.
    pub(super) fn is_of_day(&self, day: &str) -> bool {
        match self {
            Erased::Hours(hours) => hours.iter().any(|hour| format_day(day_of(*hour)) == day),
            Erased::Anywhere => true,
        }
    }

    /// The units, `unit_us` long, of the events. `days` are all days that have rows or events.
    pub(super) fn units<'a>(&self, unit_us: i64, days: impl Iterator<Item = &'a str>) -> Touched {
        let mut touched = Touched::new();
        match self {
            Erased::Hours(hours) => {
                for unit in hours.iter().map(|hour| bucket_start(*hour, unit_us)) {
                    touched.entry(format_day(day_of(unit))).or_default().insert(unit);
                }
            }
            Erased::Anywhere => touched.extend(days.map(|day| (day.to_owned(), units_of(day, unit_us)))),
        }
        touched
    }
}

/// The rebuild, of which those days are to be counted again that were counted before some of their events were erased. The list
/// that is kept of it says the same from then on.
///
/// # Errors
/// If the store cannot be read or written.
pub(super) async fn forget_days(
    mut rebuild: Rebuild,
    view: &BatchView,
    archive: &Archive,
    rules: &RulesHash,
) -> Result<Rebuild, StoreError> {
    let (facts, before) = (archive.facts(), rebuild.archive_version);
    let Some(newest) = facts.erased_since(before).map(|part| part.version).max() else { return Ok(rebuild) };
    let erased = Erased::since(before, archive, rules).await?;
    let mut forgotten = 0;
    let is_forgotten = |day: &str| erased.is_of_day(day) && !facts.is_retired_day(day);
    for (_, day) in rebuild.days.iter_mut().filter(|(day, _)| is_forgotten(day)) {
        forgotten += usize::from(day.counted.take().is_some());
        day.identities = None;
    }
    rebuild.archive_version = newest;
    view.keep_rebuild(&rebuild).await?;
    info!(table = view.path(), days = forgotten, "counting days again of which events were erased");
    Ok(rebuild)
}

#[cfg(test)]
mod tests {
    use shared_logic::time::{DAY_US, HOUR_US};

    use super::*;

    #[test]
    fn hours_belong_to_units_and_days() {
        let erased = Erased::Hours([0, 7 * HOUR_US, DAY_US + 23 * HOUR_US].into());
        let units = |unit_us| erased.units(unit_us, ["1970-01-05"].into_iter());
        let touched = |days: [(&str, &[i64]); 2]| -> Touched {
            days.into_iter().map(|(day, units)| (day.to_owned(), units.iter().copied().collect())).collect()
        };
        let (first, second) = ("1970-01-01", "1970-01-02");
        assert_eq!(units(HOUR_US), touched([(first, &[0, 7 * HOUR_US]), (second, &[DAY_US + 23 * HOUR_US])]));
        assert_eq!(units(8 * HOUR_US), touched([(first, &[0]), (second, &[DAY_US + 16 * HOUR_US])]));
        assert_eq!(units(DAY_US), touched([(first, &[0]), (second, &[DAY_US])]));
        assert_eq!([first, second, "1970-01-03"].map(|day| erased.is_of_day(day)), [true, true, false]);
    }

    #[test]
    fn where_hours_are_not_known_every_unit_of_every_day_is_meant() {
        let days = ["1970-01-01", "1970-01-03"];
        let units = Erased::Anywhere.units(12 * HOUR_US, days.into_iter());
        let of = |day: i64| [day * DAY_US, day * DAY_US + 12 * HOUR_US].into();
        assert_eq!(units, Touched::from([(days[0].to_owned(), of(0)), (days[1].to_owned(), of(2))]));
        assert!(Erased::Anywhere.is_of_day("1970-01-02"));
    }
}
