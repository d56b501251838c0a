//! What of erased events search indexes may still hold (I4).
//!
//! A build names how many erasures its rows came behind. So it can be told from the state alone whether a build has to go, by whoever asks and
//! whenever: nothing has to be remembered where the server could not be reached.

use std::collections::BTreeSet;

use shared_logic::catalog::DefinitionHash;
use shared_logic::version::{DeployedVersions, IndexUnit};
use storage::{SearchClient, SearchError};

/// A search index that may still hold what was erased.
#[derive(Debug)]
pub(crate) struct LeftInIndex {
    /// Its name.
    pub(crate) index: String,
    /// Its builds of before the erasure, or why it is not known which there are.
    pub(crate) builds: Result<Vec<u64>, SearchError>,
}

/// What is meant: an archive, by its name and by that of its source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erased<'a> {
    /// The source.
    pub(crate) source: &'a str,
    /// Its archive.
    pub(crate) archive: &'a str,
    /// How many commits have taken erased events out of that.
    pub(crate) erasures: usize,
}

impl Erased<'_> {
    /// The indexes of any version that follow it.
    pub(crate) fn indexes(&self, versions: &DeployedVersions) -> BTreeSet<String> {
        versions.indexes().into_iter().filter(|unit| self.is_followed_by(unit)).map(|unit| unit.index).collect()
    }

    /// Those that may still hold something of it.
    pub(crate) async fn left_in(&self, client: &SearchClient, versions: &DeployedVersions) -> Vec<LeftInIndex> {
        let mut left = Vec::new();
        for index in self.indexes(versions) {
            let builds = client.state(&index).await.map(|read| {
                let is_meant = self.is_meant(&index, versions);
                read.state.holding_erased(is_meant, self.erasures)
            });
            if !builds.as_ref().is_ok_and(Vec::is_empty) {
                left.push(LeftInIndex { index, builds });
            }
        }
        left
    }

    /// Of which definitions an index follows it. One that no version has any more is looked after with the active version's, or the first.
    fn is_meant(&self, index: &str, versions: &DeployedVersions) -> impl Fn(&DefinitionHash) -> bool {
        let units: Vec<IndexUnit> = versions.indexes().into_iter().filter(|unit| unit.index == index).collect();
        let of_others = units.iter().find(|unit| unit.is_active).or(units.first());
        let of_others = of_others.is_some_and(|unit| self.is_followed_by(unit));
        let known: Vec<(DefinitionHash, bool)> =
            units.iter().map(|unit| (unit.definition.clone(), self.is_followed_by(unit))).collect();
        move |definition| {
            let known = known.iter().find(|(known, _)| known == definition);
            known.map_or(of_others, |(_, is_followed)| *is_followed)
        }
    }

    fn is_followed_by(&self, unit: &IndexUnit) -> bool {
        unit.source == self.source && unit.catalog.deployment.archive_name(&unit.source) == self.archive
    }
}

#[cfg(test)]
mod tests {
    use platform::settings;
    use shared_logic::catalog::Catalog;

    use super::*;
    use crate::table::tests::bench::{CATALOG, INDEX};

    /// A table without an index.
    const ORDERS: &str = r#"
[tables.orders]
key = "id"
[tables.orders.fields]
id = "string"
"#;

    fn versions() -> DeployedVersions {
        let catalog = Catalog::parse(&format!("{CATALOG}{ORDERS}{INDEX}"));
        DeployedVersions::alone(catalog.expect("a catalog"))
    }

    fn erased<'a>(source: &'a str, archive: &'a str) -> Erased<'a> {
        Erased { source, archive, erasures: 1 }
    }

    #[test]
    fn builds_of_definitions_that_no_version_has_go_with_those_of_the_active_one() {
        let (versions, other) = (versions(), "00000000000000aa".parse().expect("16 digits"));
        let own = versions.indexes().remove(0).definition;
        for (source, archive, expected) in
            [("users", "users", true), ("users", "users.2", false), ("orders", "orders", false)]
        {
            let erased = erased(source, archive);
            let is_meant = erased.is_meant("users", &versions);
            assert_eq!((is_meant(&own), is_meant(&other)), (expected, expected), "{source} {archive}");
        }
        assert_eq!(erased("users", "users").indexes(&versions), BTreeSet::from(["users".to_owned()]));
        assert!(erased("orders", "orders").indexes(&versions).is_empty());
    }

    #[tokio::test]
    async fn an_index_of_which_the_server_says_nothing_may_hold_anything() {
        let versions = versions();
        let search = settings::Search { url: "http://127.0.0.1:9".to_owned(), ..settings::Search::default() };
        let client = SearchClient::new(&search, &versions.active().deployment).expect("a client").expect("it is named");
        let left = erased("users", "users").left_in(&client, &versions).await;
        assert!(matches!(left.as_slice(), [LeftInIndex { index, builds: Err(_) }] if index == "users"), "{left:?}");
        assert!(erased("orders", "orders").left_in(&client, &versions).await.is_empty());
    }
}
