//! What a reconcile can still do with days whose rows are retired: taken out of the archive, because they are older than the source's
//! `retain`.
//!
//! A view keeps such days, and new events are added to them. But they cannot be counted again. So a rebuild carries them over from the
//! view if that counts the same definition, and is refused if it does not. A rebuild that starts from nothing counts the days that the
//! archive holds, and its view says from which day on that is.

use platform::store::DataFile;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::log::Offsets;
use shared_logic::time::{format_day, parse_day};

use super::error::MetricError;
use super::plan::{Carried, Counted, Staged, day_of_file};
use super::touched::Touched;

/// What of a view is carried over to a rebuild by that definition, which counts no day before `retired_before`.
pub(super) fn carried(
    view: Option<&Note>,
    definition: &DefinitionHash,
    retired_before: Option<i64>,
) -> Option<Carried> {
    let note = view.filter(|note| note.definition == *definition && note.retired_before < retired_before)?;
    Some(Carried { cut: note.cut.clone(), retired_before: note.retired_before })
}

/// The first day that the next view holds, in days since 1970; `None`: every day.
pub(super) fn first_held(counted: &Counted, view: Option<&Note>, facts: &Facts) -> Option<i64> {
    match counted {
        Counted::InView(_) => view.and_then(|note| note.retired_before),
        Counted::Staged(Staged { retired_before, carried, .. }) => match carried {
            Some(carried) => carried.retired_before,
            None => *retired_before,
        },
        Counted::Nothing => facts.retired_before,
    }
}

/// Whether the next view can be counted: the archive has every row of the days that it lacks, and no day of the view is dropped only
/// because the archive does not hold its rows any more.
///
/// # Errors
/// [`MetricError::Retired`].
pub(super) fn check(
    counted: &Counted,
    (view, files): (Option<&Note>, &[DataFile]),
    (definition, facts): (&DefinitionHash, &Facts),
) -> Result<(), MetricError> {
    // Rows that were retired before this was counted, of a day that it holds.
    let lacks = |cut: &Offsets, first: Option<i64>| first < facts.retired_before && facts.retired_beyond(cut);
    let (lacks_rows, first_counted) = match counted {
        Counted::InView(cut) => (lacks(cut, first_held(counted, view, facts)), None),
        Counted::Staged(staged) => {
            let of_carried = staged.carried.as_ref().is_some_and(|carried| lacks(&carried.cut, carried.retired_before));
            (of_carried || lacks(&staged.cut, staged.retired_before), staged.retired_before)
        }
        Counted::Nothing => (false, facts.retired_before),
    };
    let is_same = view.is_some_and(|note| note.definition == *definition);
    let is_dropped = |file: &DataFile| first_counted.zip(day_of_file(file)).is_some_and(|(first, day)| day < first);
    if lacks_rows || !is_same && files.iter().any(is_dropped) {
        let before = facts.retired_before.map(format_day).unwrap_or_default();
        return Err(MetricError::Retired { before });
    }
    Ok(())
}

/// Those of the units of erased events that can be recomputed. In retired days what was counted stands, erased events included.
pub(super) fn recomputable(mut erased: Touched, facts: &Facts) -> Touched {
    erased.retain(|day, _| !facts.is_retired_day(day));
    erased
}

/// Takes days that are carried over out of those that a rebuild has counted above the next cut: it has not counted them.
///
/// # Errors
/// [`MetricError::RetiredAbove`] if another day that would have to be recomputed is retired.
pub(super) fn take_out(above: &mut Touched, counted: &Counted, facts: &Facts) -> Result<(), MetricError> {
    if let Counted::Staged(Staged { retired_before: Some(before), .. }) = counted {
        above.retain(|day, _| parse_day(day).is_none_or(|day| day >= *before));
    }
    let retired = above.keys().find(|day| facts.is_retired_day(day));
    retired.map_or(Ok(()), |day| Err(MetricError::RetiredAbove { day: day.clone() }))
}

/// Up to where the index of identities has to name events: all that is counted of any day.
pub(super) fn indexed(own: &Offsets, counted: &Counted) -> Offsets {
    let mut indexed = own.clone();
    if let Counted::Staged(Staged { carried: Some(carried), .. }) = counted {
        for (id, offset) in carried.cut.iter() {
            let known = indexed.get(id).unwrap_or(i64::MIN);
            indexed.set(id.clone(), known.max(offset));
        }
    }
    indexed
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::batch_view::Asked;
    use shared_logic::log::PartitionId;

    use super::*;

    #[test]
    fn a_view_that_has_counted_less_than_was_retired_is_refused_as_long_as_it_holds_such_days() {
        let id = PartitionId::new("log", 0);
        let up_to = |offset: i64| -> Offsets { [(id.clone(), offset)].into_iter().collect() };
        let mut facts = Facts::default();
        facts.begin(&id, 0);
        facts.retire(10, &up_to(50));
        let definition: DefinitionHash = "0000000000000001".parse().expect("16 digits");
        let files: &[DataFile] = &[];
        for (cut, first, refused) in [(50, None, false), (49, None, true), (49, Some(9), true), (49, Some(10), false)] {
            let cut = up_to(cut);
            let (counted, definition_of) = (Counted::InView(cut.clone()), definition.clone());
            let note = Note {
                definition: definition_of,
                cut,
                archive_version: 1,
                retired_before: first,
                committed_at_us: 0,
                asked: Asked::default(),
            };
            let checked = check(&counted, (Some(&note), files), (&definition, &facts));
            assert_eq!(matches!(checked, Err(MetricError::Retired { .. })), refused, "{note:?}");
        }
    }
}
