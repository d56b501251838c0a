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
            let id = id.to_owned();
            self.erasures.push(Erasure { id, parts: Vec::new(), completed_at_us: None, versions: BTreeMap::new() });
            self.erasures.len() - 1
        });
        let erasure = &mut self.erasures[at];
        if part.is_some() {
            erasure.versions.clear();
        }
        erasure.parts.extend(part);
        erasure.completed_at_us = completed_at_us;
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
        ErasedPart { version, rules: "a".into(), list: format!("_erased/{version}.json"), events: 3 }
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
