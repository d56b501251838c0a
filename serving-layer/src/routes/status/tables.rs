//! How far each table is materialised.

use futures::future::join_all;
use serde::Serialize;
use shared_logic::catalog::Table;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table::Note;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use crate::snapshot::Snapshot;
use crate::versions::Version;

/// What the status says of a table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableStatus {
    pub(super) name: String,
    /// The version of the Delta table `tables/<name>`.
    #[schema(required = true)]
    version: Option<u64>,
    #[schema(required = true)]
    rows: Option<u64>,
    #[schema(required = true, format = DateTime)]
    materialised_at: Option<String>,
    /// Whether its rows are those of the catalog's definition; if not, the next reconcile makes the table anew.
    #[schema(required = true)]
    current: Option<bool>,
    /// How many offsets are archived and not materialised, in all partitions.
    #[schema(required = true)]
    pub(super) behind: Option<i64>,
}

/// What the status says of every table of a version, and why the store could not be read.
pub(super) async fn of_all(version: &Version, snapshot: &Snapshot) -> (Vec<TableStatus>, Vec<String>) {
    let tables = version.catalog.tables.values().map(async |table| {
        let newest = version.tables.newest(&table.name).await;
        let (newest, error) = match newest {
            Ok(newest) => (newest, None),
            Err(error) => (None, Some(error)),
        };
        let facts = snapshot.archive(&table.name).map(|archive| archive.facts.as_ref());
        let note = newest.as_ref().map(|newest| newest.note.as_ref());
        let is_of = |table: &Table, note: &Note| note.definition == version.catalog.table_definition(table);
        let status = TableStatus {
            name: table.name.clone(),
            version: newest.as_ref().map(|newest| newest.version),
            rows: note.map(|note| note.rows),
            materialised_at: note.map(|note| format_rfc3339(note.committed_at_us)),
            current: note.map(|note| is_of(table, note)),
            behind: note.zip(facts).map(|(note, facts)| behind(note, facts)),
        };
        (status, error)
    });
    let (tables, errors): (Vec<TableStatus>, Vec<Option<String>>) = join_all(tables).await.into_iter().unzip();
    (tables, errors.into_iter().flatten().collect())
}

/// How many offsets are archived and not materialised.
fn behind(note: &Note, facts: &Facts) -> i64 {
    let of_partition = facts.partitions().map(|(id, known)| known.next - note.next.get(&id).unwrap_or(known.begin));
    of_partition.map(|behind| behind.max(0)).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_logic::catalog::Catalog;
    use shared_logic::log::PartitionId;

    use super::*;

    #[test]
    fn a_table_is_behind_by_what_is_archived_and_not_materialised() {
        let (one, other) = (PartitionId::new("log", 0), PartitionId::new("log", 1));
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n\
                       [tables.t]\nkey = \"id\"\n[tables.t.fields]\nid = \"string\"\n";
        let catalog = Catalog::parse(catalog).expect("a valid catalog");
        let note = Note {
            definition: catalog.table_definition(&catalog.tables["t"]),
            rules: catalog.sources["t"].rules(),
            next: [(one.clone(), 7)].into_iter().collect(),
            archive_version: 1,
            rows: 2,
            shares: 1,
            others: BTreeMap::new(),
            superseded: BTreeMap::new(),
            committed_at_us: 0,
        };
        let mut facts = Facts::default();
        facts.begin(&one, 5);
        assert_eq!(behind(&note, &facts), 0, "an archive that is older than the table");
        facts.begin(&other, 3);
        assert!(facts.advance(&one, 5, 9) && facts.advance(&other, 3, 10));
        assert_eq!(behind(&note, &facts), 2 + 7);
    }
}
