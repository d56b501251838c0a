//! What a catalog defines of search indexes, as text for a person.

use shared_logic::catalog::{Catalog, Index};

/// `1 index`, `2 indexes`.
pub(super) fn count(indexes: usize) -> String {
    if indexes == 1 { "1 index".to_owned() } else { format!("{indexes} indexes") }
}

/// One index: what it follows, and the fields of its documents.
pub(super) fn of_index(catalog: &Catalog, index: &Index) -> String {
    let Index { name, from, id, fields } = index;
    let fields: Vec<String> = fields.iter().map(|field| format!("{} {}", field.name, field.kind.name())).collect();
    let definition = catalog.index_definition(index);
    format!("index {name}: follows {from}, id {id} (definition {definition}): {}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_summed_up() {
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.users]\nkey = \"id\"\n\
                       [tables.users.fields]\nid = \"string\"\nname = \"string\"\n[indexes.people]\nfrom = \"tables.users\"\n\
                       [indexes.people.fields]\nname = \"text\"\nchanged_at = \"time\"\n";
        let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let text = of_index(&catalog, &catalog.indexes["people"]);
        assert!(text.starts_with("index people: follows tables.users, id id (definition "), "{text}");
        assert!(text.ends_with("): name text, changed_at time"), "{text}");
        assert_eq!((count(1), count(2)), ("1 index".to_owned(), "2 indexes".to_owned()));
    }
}
