//! The erasures of which something is outstanding: they are not finished, or could not reach everything.

use shared_logic::contracts::archive::{Erasure, Facts};
use shared_logic::time::{format_day, format_rfc3339};

use super::body::ErasureStatus;

/// How many are shown of a source. Of the others, only their number is.
const SHOWN: usize = 20;

/// Those that are shown, and how many others there are. Those that are not finished come first, and of each kind the newest.
///
/// `version` is the deployment's, and `first_held` is the first day of each of its views of the source, in days since 1970 (`None`: every
/// day).
pub(super) fn outstanding(facts: &Facts, version: &str, first_held: &[Option<i64>]) -> (Vec<ErasureStatus>, usize) {
    let status = |erasure: &Erasure| {
        let left_in = erasure.left_in(version);
        let unreached = erasure.unreached.in_views(first_held.iter().copied());
        (left_in.is_some() || !unreached.is_nothing()).then(|| ErasureStatus {
            id: erasure.id.clone(),
            events: erasure.events(),
            left_in,
            since: erasure.since_us(version).map(format_rfc3339),
            retired_before: unreached.retired_before.map(format_day),
            without_bytes: unreached.without_bytes,
        })
    };
    let mut all: Vec<ErasureStatus> = facts.erasures.iter().rev().filter_map(status).collect();
    all.sort_by_key(|erasure| erasure.left_in.is_none());
    let not_shown = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    (all, not_shown)
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::archive::{ErasedIn, ErasedPart, LeftIn, Unreached};

    use super::*;

    fn part(version: u64) -> ErasedPart {
        ErasedPart { version, rules: "a".into(), list: String::new(), events: 2, at_us: Some(0) }
    }

    /// Notes an erasure that came to its end in `v1`.
    fn finished(facts: &mut Facts, id: &str, unreached: Unreached) {
        facts.erase(id, Some(part(1)), Some(0));
        facts.note_unreached(id, unreached);
        let seen = facts.erasure(id).expect("noted").clone();
        facts.note_erased_in(&seen, "v1", ErasedIn { uncounted_at_us: 0, deleted_at_us: Some(0) });
    }

    fn ids(facts: &Facts, version: &str, first_held: &[Option<i64>]) -> Vec<String> {
        outstanding(facts, version, first_held).0.into_iter().map(|erasure| erasure.id).collect()
    }

    #[test]
    fn erasures_are_listed_until_they_are_finished_and_for_as_long_as_something_is_out_of_reach() {
        let mut facts = Facts::default();
        let (retired, without_bytes) = (Unreached { retired_before: Some(10), without_bytes: 0 }, 4);
        facts.erase("ended", Some(part(1)), None);
        finished(&mut facts, "whole", Unreached::default());
        finished(&mut facts, "retired", retired);
        finished(&mut facts, "bytes", Unreached { without_bytes, ..Unreached::default() });
        facts.erase("answers", Some(part(2)), Some(5_000_000));
        let held = [Some(10), None];
        assert_eq!(ids(&facts, "v1", &held), ["answers", "ended", "bytes", "retired"]);
        assert_eq!(ids(&facts, "v1", &[Some(10)]), ["answers", "ended", "bytes"], "no view holds these days any more");
        assert_eq!(ids(&facts, "v2", &held).len(), 5, "another version has views of its own");
        let (all, not_shown) = outstanding(&facts, "v1", &held);
        let [answers, ended, bytes, retired] = <[ErasureStatus; 4]>::try_from(all).expect("four");
        assert_eq!((answers.left_in, answers.since.as_deref()), (Some(LeftIn::Answers), Some("1970-01-01T00:00:05Z")));
        assert_eq!((ended.left_in, ended.events, not_shown), (Some(LeftIn::Archive), 2, 0));
        assert_eq!((bytes.left_in, bytes.without_bytes, bytes.retired_before), (None, 4, None));
        assert_eq!((retired.without_bytes, retired.retired_before.as_deref()), (0, Some("1970-01-11")));
    }

    #[test]
    fn however_many_there_are_the_newest_are_shown_and_those_that_are_not_finished_first() {
        let mut facts = Facts::default();
        facts.erase("ended", None, None);
        for n in 0..30 {
            finished(&mut facts, &format!("bytes-{n}"), Unreached { retired_before: None, without_bytes: 1 });
        }
        let (shown, not_shown) = outstanding(&facts, "v1", &[]);
        assert_eq!((shown.len(), not_shown), (SHOWN, 11));
        assert_eq!((shown[0].id.as_str(), shown[1].id.as_str()), ("ended", "bytes-29"));
    }
}
