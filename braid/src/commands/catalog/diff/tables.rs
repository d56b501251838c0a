//! What a change of tables costs.

use shared_logic::catalog::{Catalog, Table};

use super::{differences, push_line};

/// What becomes of a table of the new catalog. All versions of a deployment share it, as they share its archive.
pub(super) fn push_table(text: &mut String, old: &Catalog, new: &Catalog, table: &Table) {
    let name = &table.name;
    let Some(before) = old.tables.get(name) else {
        push_line(
            text,
            &format!("table {name}: new; topic {} is archived, and its rows are materialised", table.topic),
        );
        return;
    };
    if before.topic != table.topic {
        push_line(text, &format!("table {name}: topic {} is read instead of {}", table.topic, before.topic));
    }
    if old.table_definition(before) == new.table_definition(table) {
        push_line(text, &format!("table {name}: has the same rows"));
        return;
    }
    let (was, is) = (&old.sources[name], &new.sources[name]);
    push_line(text, &format!("table {name}: is made anew from its archive: {}", differences(was, is)));
    push_line(text, "  every archived record is decoded again from its bytes, once");
}

/// Tables that the new catalog lacks.
pub(super) fn push_gone(text: &mut String, old: &Catalog, new: &Catalog) {
    for table in old.tables.values().filter(|table| !new.tables.contains_key(&table.name)) {
        push_line(text, &format!("table {}: gone; its archive and its rows stay as they are", table.name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::costs;
    use super::*;

    const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n\
                           [tables.t]\nkey = \"id\"\n[tables.t.fields]\nid = \"string\"\nn = \"int?\"\n";

    #[test]
    fn a_table_is_made_anew_if_its_rows_are_others() {
        let catalog = |text: &str| Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let costs = |old: &str, new: &str| costs(&catalog(old), &catalog(new));
        let same = costs(CATALOG, &CATALOG.replace("key = \"id\"", "key = \"id\"\npartitions = 7"));
        assert!(same.contains("table t: has the same rows\n"), "{same}");
        let other = costs(CATALOG, &CATALOG.replace("n = \"int?\"", "n = \"float?\""));
        assert!(other.contains("table t: is made anew from its archive: n int? → n float?\n"), "{other}");
        let keyed = costs(CATALOG, &CATALOG.replace("key = \"id\"", "key = \"id\"\nformat = \"debezium\""));
        assert!(keyed.contains("is made anew from its archive: format\n"), "{keyed}");
        let without = CATALOG.split("[tables.t]").next().expect("the source");
        assert!(costs(without, CATALOG).contains("table t: new; topic t is archived"));
        let gone = costs(CATALOG, without);
        assert!(gone.contains("table t: gone;") && !gone.contains("source t"), "{gone}");
    }
}
