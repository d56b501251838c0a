//! `[pipeline]`: which deployment, and which version of it, a catalog belongs to.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longer names are refused: they become parts of paths, topics and Redis keys.
pub(super) const NAME_MAX: usize = 64;

/// Names one version of one deployment, so that several can share Kafka, Redis and a store.
///
/// Versions share the topics and archives of what they do not change (K2). A stream or table that a version changes is of another
/// *generation*: what is written of it has the generation in its name, unless that is the deployment's first version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The deployment's name; `[a-z0-9_-]`, at most 64 characters.
    pub name: String,
    /// The version of the deployment's output, for example `v1`; same alphabet as `name`.
    pub version: String,
    /// The deployment's first version; of a catalog file that stands alone, its own.
    pub first: String,
    /// The generation of each stream that is not of the first version: the version in which it, or something that it reads, last
    /// changed.
    pub changed_streams: BTreeMap<String, String>,
    /// The same of tables.
    pub changed_tables: BTreeMap<String, String>,
    /// Whether records are archived. If not, nothing is recounted: everything is counted of the log, by the speed layer alone (K5).
    pub keeps_archive: bool,
}

impl Deployment {
    /// A deployment whose first version is this one.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Deployment {
        let version = version.into();
        Deployment {
            name: name.into(),
            first: version.clone(),
            version,
            changed_streams: BTreeMap::new(),
            changed_tables: BTreeMap::new(),
            keeps_archive: true,
        }
    }

    /// Whether a text can name a deployment or a version.
    pub fn is_name(text: &str) -> bool {
        let is_plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain)
    }

    /// The generation of a stream: the version in whose lanes it is decided.
    pub fn generation<'a>(&'a self, stream: &str) -> &'a str {
        self.changed_streams.get(stream).unwrap_or(&self.first)
    }

    /// The generation of a table: the version that keeps its rows.
    pub fn table_generation<'a>(&'a self, table: &str) -> &'a str {
        self.changed_tables.get(table).unwrap_or(&self.first)
    }

    /// The name of a source's archive. Records of a source are archived once, whichever version they are counted for; but a stream
    /// that changed has a topic of its own, and with it an archive. Names of sources hold no dot.
    pub fn archive_name<'a>(&self, source: &'a str) -> Cow<'a, str> {
        of_generation(source, self.generation(source), &self.first)
    }

    /// The name of the materialised table of a table.
    pub fn table_name<'a>(&self, table: &'a str) -> Cow<'a, str> {
        of_generation(table, self.table_generation(table), &self.first)
    }
}

/// How something of that generation is called: as the catalog does in the first version.
pub(super) fn of_generation<'a>(name: &'a str, generation: &str, first: &str) -> Cow<'a, str> {
    if generation == first { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}.{generation}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_does_not_change_keeps_its_name() {
        let mut deployment = Deployment::new("braid", "v2");
        assert_eq!(
            (deployment.archive_name("alerts"), deployment.table_name("users")),
            ("alerts".into(), "users".into())
        );
        deployment.first = "v1".to_owned();
        assert_eq!((deployment.generation("alerts"), deployment.table_generation("users")), ("v1", "v1"));
        assert_eq!(deployment.archive_name("alerts"), "alerts", "it is shared with the first version");
        deployment.changed_streams.insert("alerts".to_owned(), "v2".to_owned());
        deployment.changed_tables.insert("users".to_owned(), "v3".to_owned());
        assert_eq!((deployment.generation("alerts"), deployment.table_generation("users")), ("v2", "v3"));
        assert_eq!(
            (deployment.archive_name("alerts"), deployment.archive_name("users")),
            ("alerts.v2".into(), "users".into())
        );
        assert_eq!(
            (deployment.table_name("users"), deployment.table_name("alerts")),
            ("users.v3".into(), "alerts".into())
        );
    }

    #[test]
    fn names_are_plain() {
        for name in ["v2", "a-b_c", "0", &"v".repeat(NAME_MAX)] {
            assert!(Deployment::is_name(name), "{name}");
        }
        for name in ["", "V2", "v.2", "v/2", "v 2", &"v".repeat(NAME_MAX + 1)] {
            assert!(!Deployment::is_name(name), "{name}");
        }
    }
}
