//! What a change of search indexes costs.

use shared_logic::catalog::Catalog;

use super::push_line;

/// What becomes of each index.
pub(super) fn push_indexes(text: &mut String, old: &Catalog, new: &Catalog) {
    for index in new.indexes.values() {
        let name = &index.name;
        let costs = match old.indexes.get(name) {
            None => "new: built from its table",
            Some(before) if old.index_definition(before) == new.index_definition(index) => {
                "holds the same; nothing is built"
            }
            Some(_) => "built anew beside the old one, which is searched as it is until both change places",
        };
        push_line(text, &format!("index {name}: {costs}"));
    }
    for index in old.indexes.values().filter(|index| !new.indexes.contains_key(&index.name)) {
        push_line(text, &format!("index {}: gone; what the server holds stays until `braid index retire`", index.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_built_anew_only_if_it_holds_something_else() {
        let text = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.users]\nkey = \"id\"\n\
                    [tables.users.fields]\nid = \"string\"\nname = \"string\"\n[indexes.people]\nfrom = \"tables.users\"\n\
                    [indexes.people.fields]\nname = \"text\"\n";
        let read = |text: &str| Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let (old, other) = (read(text), read(&text.replace("\"text\"", "\"keyword\"")));
        let none = read(text.split("[indexes").next().unwrap_or_default());
        let of = |old: &Catalog, new: &Catalog| {
            let mut text = String::new();
            push_indexes(&mut text, old, new);
            text
        };
        assert!(of(&old, &old).contains("nothing is built"));
        assert!(of(&old, &other).contains("built anew beside the old one"));
        assert!(of(&none, &old).contains("new:") && of(&old, &none).contains("gone;"));
    }
}
