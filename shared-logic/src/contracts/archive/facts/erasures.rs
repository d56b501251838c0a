//! Erasures: events of which nothing may be left, because an operator said so.
//!
//! An erasure takes the events that a condition selects out of the archive, in one commit or in several. Each of these commits is
//! a [part](ErasedPart): it empties the rows of records, and names the list of hours that their events lie in. A view that was
//! counted from an older version of the archive recomputes these hours with its next commit, so the parts say all that a
//! reconcile has to know, whether the erasure was completed or its process was killed.
//!
//! The condition names a person, so it is not kept: an erasure is known by a hash of it. It need not be applied again, either.
//! A record that is erased keeps its place in the archive, and whatever reads the log again finds out there that it is erased.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::Facts;
use crate::catalog::RulesHash;
use crate::expression::Expression;

/// Events of one source that were taken out of its archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// What stands for the condition, see [`Erasure::id_of`].
    pub id: String,
    /// The commits that took events out, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ErasedPart>,
    /// When the archive last held none of the events, microseconds since 1970; `None`: a process began with it and did not come
    /// to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_us: Option<i64>,
    /// How far it has come in the versions of the deployment. Versions share the archive, but neither views nor shards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, ErasedIn>,
    /// What it could not reach when it was completed.
    #[serde(default, skip_serializing_if = "Unreached::is_nothing")]
    pub unreached: Unreached,
}

/// A commit of the archive that emptied rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedPart {
    /// The version of the archive that this commit made.
    pub version: u64,
    /// The rules by which the events were found.
    pub rules: RulesHash,
    /// The file beside the archive that lists in which hours they lie.
    pub list: String,
    /// How many events there were.
    pub events: u64,
    /// When it was about to be committed, microseconds since 1970; `None`: an older build did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_us: Option<i64>,
}

/// What an erasure could not look at. Invalid records, which have no fields, are not among it: no erasure ever ends their being there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// The first day, in days since 1970, of which the archive held every row; `None`: it held those of all days. Events of earlier days
    /// were not found, and views go on counting them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// How many records the rules could not decode, as their bytes were not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_bytes: u64,
}

/// Where events of an erasure may be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeftIn {
    /// In the archive, and so everywhere: a process began with it and did not come to its end.
    Archive,
    /// In answers.
    Answers,
    /// In files of older versions, or in builds of search indexes that are not deleted yet.
    OldFiles,
}

/// How far an erasure has come in one version of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedIn {
    /// When a reconcile found that no answer counts the events any more, microseconds since 1970.
    pub uncounted_at_us: i64,
    /// When it had deleted the last file that could hold them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at_us: Option<i64>,
}

impl Erasure {
    /// What stands for a condition on the events of a source: a hash, as 32 digits. Two texts with one meaning that the catalog's
    /// language prints alike have one id. `invalid_with` is the text by which invalid records are selected, if they are. Who guesses
    /// both can confirm them by the id; nothing else follows from it.
    pub fn id_of(source: &str, condition: &Expression, invalid_with: Option<&str>) -> String {
        let invalid_with = invalid_with.map(|text| format!("\n{text}")).unwrap_or_default();
        format!("{:032x}", xxh3_128(format!("{source}\n{condition}{invalid_with}").as_bytes()))
    }

    /// What stands for an erasure of what a stream has made of events: a hash of the id by which these were erased.
    pub fn id_of_outputs(stream: &str, id: &str) -> String {
        format!("{:032x}", xxh3_128(format!("{stream}\nmade of\n{id}").as_bytes()))
    }

    /// How many events it has taken out of the archive.
    pub fn events(&self) -> u64 {
        self.parts.iter().map(|part| part.events).sum()
    }

    /// Where events of it may be left in that version of the deployment, apart from what it could not reach; `None`: nowhere.
    pub fn left_in(&self, version: &str) -> Option<LeftIn> {
        match (self.completed_at_us, self.versions.get(version)) {
            (None, _) => Some(LeftIn::Archive),
            (Some(_), None) => Some(LeftIn::Answers),
            (Some(_), Some(ErasedIn { deleted_at_us: None, .. })) => Some(LeftIn::OldFiles),
            (Some(_), Some(_)) => None,
        }
    }

    /// Since when that is so, microseconds since 1970; `None`: nothing is taken out of the archive yet, or an older build has not noted
    /// when it was.
    pub fn since_us(&self, version: &str) -> Option<i64> {
        let reached = self.versions.get(version);
        match self.left_in(version) {
            Some(LeftIn::Archive) => self.parts.last().and_then(|part| part.at_us),
            Some(LeftIn::Answers) => self.completed_at_us,
            Some(LeftIn::OldFiles) => reached.map(|reached| reached.uncounted_at_us),
            None => reached.and_then(|reached| reached.deleted_at_us),
        }
    }
}

impl Unreached {
    /// Whether everything was looked at.
    pub fn is_nothing(&self) -> bool {
        *self == Unreached::default()
    }

    /// The same, if views hold events from these days on, in days since 1970 (`None`: of all days): of retired days that no view holds any
    /// more, nothing is left.
    pub fn in_views(self, first_held: impl IntoIterator<Item = Option<i64>>) -> Unreached {
        let is_held = |before: &i64| first_held.into_iter().any(|first| first < Some(*before));
        Unreached { retired_before: self.retired_before.filter(is_held), ..self }
    }
}

impl fmt::Display for LeftIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftIn::Archive => "was ended before its end: call `batch-layer erase` with the same condition again",
            LeftIn::Answers => "erased from the archive; the next reconciles take them out of answers",
            LeftIn::OldFiles => {
                "in no answer; later reconciles delete the last old files, and builds of search indexes"
            }
        })
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Facts {
    /// Notes that a commit, of which `part` is what it takes out, erases events; `completed_at_us`: after it the archive holds none
    /// of them. What later versions have reported of the same erasure is forgotten, as there is more to be done.
    pub fn erase(&mut self, id: &str, part: Option<ErasedPart>, completed_at_us: Option<i64>) {
        if part.is_some() {
            let open = self.logs.iter_mut().filter(|log| !log.closed).flat_map(|log| log.partitions.values_mut());
            open.filter(|facts| !facts.closed).for_each(|facts| facts.erased_below = Some(facts.next));
        }
        let at = self.erasures.iter().position(|known| known.id == id).unwrap_or_else(|| {
            let (id, unreached) = (id.to_owned(), Unreached::default());
            let (parts, versions) = (Vec::new(), BTreeMap::new());
            self.erasures.push(Erasure { id, parts, completed_at_us: None, versions, unreached });
            self.erasures.len() - 1
        });
        let erasure = &mut self.erasures[at];
        if part.is_some() {
            erasure.versions.clear();
        }
        erasure.parts.extend(part);
        erasure.completed_at_us = completed_at_us;
    }

    /// Notes what an erasure that is completed could not look at.
    pub fn note_unreached(&mut self, id: &str, unreached: Unreached) {
        if let Some(known) = self.erasures.iter_mut().find(|known| known.id == id) {
            known.unreached = unreached;
        }
    }

    /// Notes how far an erasure has come in a version of the deployment, unless it has taken out more since it was `seen` so.
    pub fn note_erased_in(&mut self, seen: &Erasure, version: &str, reached: ErasedIn) {
        let is_same = |known: &&mut Erasure| known.id == seen.id && known.parts == seen.parts;
        if let Some(known) = self.erasures.iter_mut().find(is_same).filter(|known| known.completed_at_us.is_some()) {
            known.versions.insert(version.to_owned(), reached);
        }
    }

    /// The erasure with that id.
    pub fn erasure(&self, id: &str) -> Option<&Erasure> {
        self.erasures.iter().find(|known| known.id == id)
    }

    /// The commits that took events out of the archive after that version of it.
    pub fn erased_since(&self, version: u64) -> impl Iterator<Item = &ErasedPart> {
        self.erasures.iter().flat_map(|erasure| &erasure.parts).filter(move |part| part.version > version)
    }

    /// How many commits took events out of the archive. It never falls.
    pub fn erased_parts(&self) -> usize {
        self.erasures.iter().map(|erasure| erasure.parts.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::archive::ERASED;
    use crate::expression::Scope;
    use crate::log::PartitionId;
    use crate::rejection::Reason;
    use crate::schema::{Field, FieldType};

    fn part(version: u64) -> ErasedPart {
        let (list, at_us) = (format!("_erased/{version}.json"), Some(version as i64));
        ErasedPart { version, rules: "a".into(), list, events: 3, at_us }
    }

    fn id(source: &str, condition: &str) -> String {
        let fields = [Field::new("user_id", FieldType::String, false), Field::new("n", FieldType::Int, true)];
        let condition = Expression::parse(condition, &Scope::of_fields(&fields)).expect("a condition");
        Erasure::id_of(source, &condition, None)
    }

    #[test]
    fn an_id_stands_for_what_a_condition_means_and_does_not_say_it() {
        let own = id("views", "user_id = 'u-7'");
        assert_eq!(own, id("views", "  user_id  =  'u-7' "));
        assert_ne!(own, id("views", "user_id = 'u-8'"));
        assert_ne!(own, id("orders", "user_id = 'u-7'"));
        assert!(own.len() == 32 && !own.contains("u-7"), "{own}");
        let of_outputs = |stream: &str| Erasure::id_of_outputs(stream, &own);
        assert!(of_outputs("a") != of_outputs("b") && of_outputs("a") != own && of_outputs("a").len() == 32);
    }

    #[test]
    fn parts_are_kept_and_the_last_one_completes() {
        let mut facts = Facts::default();
        facts.erase("x", Some(part(5)), None);
        facts.erase("y", Some(part(6)), Some(60));
        facts.erase("x", Some(part(7)), Some(70));
        let versions = |version| facts.erased_since(version).map(|part| part.version).collect::<Vec<_>>();
        assert_eq!((versions(4), versions(5), versions(7)), (vec![5, 7, 6], vec![7, 6], vec![]));
        assert_eq!((facts.erased_parts(), facts.erasures.len()), (3, 2));
        let completed = |id| facts.erasure(id).expect("known").completed_at_us;
        assert_eq!((completed("x"), completed("y")), (Some(70), Some(60)));
    }

    #[test]
    fn what_versions_have_done_of_an_erasure_counts_until_it_takes_out_more() {
        let mut facts = Facts::default();
        facts.erase("x", Some(part(5)), Some(50));
        let (seen, done) = (facts.erasures[0].clone(), ErasedIn { uncounted_at_us: 55, deleted_at_us: None });
        facts.note_erased_in(&seen, "v1", done);
        facts.erase("x", None, Some(60));
        assert_eq!(facts.erasures[0].versions.get("v1"), Some(&done), "nothing more was found");
        facts.erase("x", Some(part(9)), None);
        assert_eq!((facts.erasures[0].versions.len(), facts.erasures[0].completed_at_us), (0, None));
        facts.note_erased_in(&seen, "v1", done);
        assert_eq!(facts.erasures[0].versions.len(), 0, "that was of before");
    }

    #[test]
    fn what_is_outstanding_follows_from_how_far_it_has_come_in_a_version() {
        let mut facts = Facts::default();
        let standing = |facts: &Facts, version: &str| {
            let erasure = &facts.erasures[0];
            (erasure.left_in(version), erasure.since_us(version))
        };
        facts.erase("x", Some(part(5)), None);
        assert_eq!(standing(&facts, "v1"), (Some(LeftIn::Archive), Some(5)));
        facts.erase("x", Some(part(7)), Some(70));
        assert_eq!(standing(&facts, "v1"), (Some(LeftIn::Answers), Some(70)));
        for (deleted_at_us, expected) in [(None, (Some(LeftIn::OldFiles), Some(80))), (Some(90), (None, Some(90)))] {
            let seen = facts.erasures[0].clone();
            facts.note_erased_in(&seen, "v1", ErasedIn { uncounted_at_us: 80, deleted_at_us });
            assert_eq!(standing(&facts, "v1"), expected);
            assert_eq!(standing(&facts, "v2"), (Some(LeftIn::Answers), Some(70)), "it has views of its own");
        }
        assert_eq!(facts.erasures[0].events(), 6);
        facts.erase("x", Some(part(9)), None);
        assert_eq!(standing(&facts, "v1"), (Some(LeftIn::Archive), Some(9)), "more was found");
    }

    #[test]
    fn what_an_erasure_could_not_reach_is_kept_and_ends_with_the_days_that_views_hold() {
        let mut facts = Facts::default();
        facts.keep_bytes(&RulesHash::from("rules"), None);
        facts.erase("x", Some(part(5)), Some(50));
        assert!(!serde_json::to_string(&facts).expect("written").contains("unreached"), "older builds wrote none");
        let unreached = Unreached { retired_before: Some(10), without_bytes: 4 };
        facts.note_unreached("x", unreached);
        facts.note_unreached("y", unreached);
        let read: Facts = serde_json::from_str(&serde_json::to_string(&facts).expect("written")).expect("read");
        assert_eq!((read.erasures.len(), read.erasures[0].unreached), (1, unreached));
        for (first_held, is_held) in
            [(vec![None], true), (vec![Some(10), Some(9)], true), (vec![Some(10)], false), (vec![], false)]
        {
            let left = unreached.in_views(first_held.clone());
            assert_eq!((left.retired_before.is_some(), left.without_bytes), (is_held, 4), "{first_held:?}");
        }
        assert!(Unreached { without_bytes: 0, ..unreached }.in_views([Some(10)]).is_nothing());
    }

    #[test]
    fn below_what_is_archived_when_a_part_is_taken_out_events_may_be_erased() {
        let (id, mut facts) = (PartitionId::new("log", 0), Facts::default());
        facts.begin(&id, 3);
        assert!(facts.advance(&id, 3, 50));
        facts.erase("x", None, Some(40));
        let erased_below = |facts: &Facts| facts.partition(&id).expect("begun").erased_below;
        assert_eq!(erased_below(&facts), None, "nothing was found");
        facts.erase("x", Some(part(5)), Some(50));
        assert!(facts.advance(&id, 50, 80));
        assert_eq!(erased_below(&facts), Some(50));
        facts.erase("y", Some(part(6)), Some(60));
        assert_eq!(erased_below(&facts), Some(80));
    }

    #[test]
    fn no_decoder_gives_the_reason_of_an_erased_record() {
        assert!(Reason::ALL.iter().all(|reason| reason.name() != ERASED));
    }

    #[test]
    fn older_programs_refuse_facts_with_erasures_and_read_all_others() {
        let mut facts = Facts::default();
        facts.keep_bytes(&RulesHash::from("rules"), None);
        let without = serde_json::to_string(&facts).expect("written");
        assert!(without.contains("\"format\":2") && !without.contains("erasures"), "{without}");
        facts.erase("x", Some(part(5)), Some(50));
        let with = serde_json::to_string(&facts).expect("written");
        assert!(with.contains("\"format\":3"), "{with}");
        assert_eq!(serde_json::from_str::<Facts>(&with).expect("read"), facts);
    }
}
