//! Which versions of the deployment may have counted events of a source, of which some are erased.

use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Erasure;
use shared_logic::version::{DeployedVersions, Stage};

/// A version whose answers may count what is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counting {
    /// Its name.
    pub(super) version: String,
    /// Whether it goes on to count, so that a later reconcile of it gets farther.
    pub(super) gets_farther: bool,
}

/// The versions that may have counted events of the archive that `own` has of a source, `own` first. One that is not verified is among them:
/// what is to be forgotten cannot wait for that. So is one whose catalog this build cannot use, as nobody knows what it has counted.
pub(super) fn versions(all: &DeployedVersions, own: &Catalog, source: &str) -> Vec<Counting> {
    let archive = own.deployment.archive_name(source);
    let shares =
        |catalog: &Catalog| catalog.sources.contains_key(source) && catalog.deployment.archive_name(source) == archive;
    let others = all.living().filter(|(_, catalog)| shares(catalog)).map(|(name, _)| name);
    let others = others.filter(|name| *name != own.deployment.version);
    let mut counting = vec![Counting { version: own.deployment.version.clone(), gets_farther: true }];
    for version in others.chain(all.unreadable().keys().map(String::as_str)) {
        let gets_farther = match all.stage(version) {
            Some(Stage::Counting | Stage::Following) => all.version(version).is_some(),
            Some(Stage::Stopped) => false,
            _ => continue,
        };
        counting.push(Counting { version: version.to_owned(), gets_farther });
    }
    counting
}

impl Counting {
    /// Whether its answers count events of an erasure so far.
    pub(super) fn counts(&self, erasure: Option<&Erasure>) -> bool {
        erasure.is_some_and(|erasure| !erasure.versions.contains_key(&self.version))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_logic::catalog::Changed;
    use shared_logic::contracts::archive::{ErasedIn, ErasedPart, Facts};
    use shared_logic::version::{Change, Pointer, ReplayFrom, StepError};

    use super::*;

    fn change() -> Change {
        Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() }
    }

    /// v1, which is active; v2 behind that step; and v3, which is replayed and whose text is not there.
    fn deployed(step: impl Fn(&Pointer) -> Result<Pointer, StepError>) -> DeployedVersions {
        let file = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let create = |pointer: &Pointer, name| pointer.create(name, "hash", Changed::default(), 4, change());
        let mut pointer = Pointer::begin(&file.deployment.version, change());
        for name in ["v2", "v3"] {
            pointer = create(&pointer, name).expect("created");
        }
        let pointer = pointer.replay("v3", ReplayFrom::Log, false, change()).expect("replayed");
        let texts = BTreeMap::from([("v2".to_owned(), test_kit::catalogs::TINY.to_owned())]);
        DeployedVersions::resolve(3, step(&pointer).expect("allowed"), &file, &texts).expect("resolved")
    }

    fn named(all: &DeployedVersions) -> Vec<(String, bool)> {
        let counting = versions(all, all.active(), "s");
        counting.into_iter().map(|one| (one.version, one.gets_farther)).collect()
    }

    #[test]
    fn each_version_that_has_counted_is_asked_and_those_that_count_on_are_waited_for() {
        let created = deployed(|pointer| Ok(pointer.clone()));
        let (own, unusable) = (("v1".to_owned(), true), ("v3".to_owned(), false));
        assert_eq!(named(&created), [own.clone(), unusable.clone()], "v2 has counted nothing");
        let replay = |pointer: &Pointer| pointer.replay("v2", ReplayFrom::Log, false, change());
        let is = |gets_farther| [own.clone(), ("v2".to_owned(), gets_farther), unusable.clone()];
        assert_eq!(named(&deployed(replay)), is(true), "not verified, and all the same");
        assert_eq!(named(&deployed(|pointer| replay(pointer)?.stop("v2", change()))), is(false));
        let replayed = deployed(replay);
        assert_eq!(versions(&replayed, replayed.active(), "other").len(), 2, "v2 has no such source");
    }

    #[test]
    fn a_version_counts_the_events_until_it_is_noted_that_it_does_not() {
        let mut facts = Facts::default();
        let (v1, v2) = (
            Counting { version: "v1".to_owned(), gets_farther: true },
            Counting { version: "v2".to_owned(), gets_farther: true },
        );
        assert!(!v1.counts(facts.erasure("x")), "nothing was erased");
        let part = ErasedPart { version: 5, rules: "a".into(), list: "list".to_owned(), events: 3, at_us: Some(5) };
        facts.erase("x", Some(part), Some(7));
        let seen = facts.erasures[0].clone();
        facts.note_erased_in(&seen, "v1", ErasedIn { uncounted_at_us: 8, deleted_at_us: None });
        assert!(!v1.counts(facts.erasure("x")) && v2.counts(facts.erasure("x")));
    }
}
