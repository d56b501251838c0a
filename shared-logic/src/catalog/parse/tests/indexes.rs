//! Indexes: what they are read as, and every mistake with its line.

use super::*;
use crate::catalog::{Index, IndexField, IndexFrom, IndexKind};

/// Indexes without mistakes; each broken one below changes one of their lines.
const INDEXES: &str = r#"[sources.clicks]
event_id = "click"
event_time = "at"
key = "user"
[sources.clicks.fields]
click = "string"
at = "timestamp"
user = "string"
page = "string"
ms = "int?"
[tables.users]
key = "id"
[tables.users.fields]
id = "int"
name = "string?"
limit = "int?"
vip = "bool?"
[streams.long_clicks]
from = "clicks"
where = "ms > 1000"
[indexes.users]
from = "tables.users"
id = "id"
[indexes.users.fields]
name = "text"
vip = "boolean"
changed_at = "time"
[indexes.clicks]
from = "streams.long_clicks"
id = "user"
[indexes.clicks.fields]
page = "keyword"
ms = "float"
"#;

fn refused(from: &str, to: &str, line: usize, what: &str, fix: &str) {
    assert!(INDEXES.contains(from), "the test replaces nothing: {from}");
    let found = mistakes(&INDEXES.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    assert_eq!(found[0].line, line, "{to}: {found:?}");
    assert!(found[0].what.contains(what), "{to}: {found:?}");
    assert!(found[0].fix.contains(fix), "{to}: {found:?}");
}

fn read(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[test]
fn an_index_follows_a_table_or_a_stream() {
    let catalog = read(INDEXES);
    let field = |name: &str, kind| IndexField { name: name.to_owned(), kind };
    let users = Index {
        name: "users".to_owned(),
        from: IndexFrom::Table("users".to_owned()),
        id: "id".to_owned(),
        fields: vec![
            field("name", IndexKind::Text),
            field("vip", IndexKind::Boolean),
            field("changed_at", IndexKind::Time),
        ],
    };
    assert_eq!(catalog.indexes["users"], users);
    assert_eq!(read(&INDEXES.replacen("id = \"id\"\n", "", 1)).indexes["users"], users, "its key is the id");
    let clicks = &catalog.indexes["clicks"];
    assert_eq!((&clicks.from, clicks.id.as_str()), (&IndexFrom::Stream("long_clicks".to_owned()), "user"));
    assert_eq!(catalog.indexes_of("users").count(), 1);
    assert_eq!(catalog.indexed_table(&users), "users");
    assert_eq!(catalog.indexed_table(clicks), "stream.long_clicks.user");
    let rows = catalog.indexed_source(clicks);
    assert!(rows.is_table && rows.key.as_deref() == Some("user") && rows.field("output_time").is_some());
    assert_eq!(rows.fields.last().map(|field| &field.place), Some(&Place::Record));
    read(&INDEXES.replacen("id = \"user\"", "id = \"output_id\"", 1));
}

#[test]
fn the_definition_of_an_index_is_what_its_documents_are() {
    let of = |text: &str| {
        let catalog = read(text);
        (catalog.index_definition(&catalog.indexes["users"]), catalog.index_definition(&catalog.indexes["clicks"]))
    };
    let (users, clicks) = of(INDEXES);
    let (other, same) = of(&INDEXES.replacen("vip = \"boolean\"\n", "", 1));
    assert!(other != users && same == clicks);
    let (other, same) = of(&INDEXES.replacen("name = \"string?\"", "name = { type = \"string?\", path = \"n\" }", 1));
    assert!(other != users && same == clicks, "its rows are others");
    let (same, other) = of(&INDEXES.replacen("ms > 1000", "ms > 2000", 1));
    assert!(same == users && other != clicks, "its records are others");
    assert_eq!(of(&INDEXES.replacen("[tables.users]\n", "[tables.users]\ntopic = \"u\"\n", 1)), (users, clicks));
}

#[test]
fn every_mistake_of_an_index_has_its_line_and_a_fix() {
    refused("from = \"tables.users\"\n", "", 21, "has no `from`", "add from = \"streams.long_clicks\"");
    refused("\"tables.users\"", "\"tables.user\"", 22, "unknown `tables.user`", "did you mean `tables.users`?");
    refused("\"tables.users\"", "\"sources.clicks\"", 22, "a source, whose records are no rows", "tables.users");
    refused("id = \"id\"", "id = \"ids\"", 23, "undeclared field `ids`", "did you mean `id`?");
    refused("id = \"id\"", "id = \"vip\"", 23, "may lie in several partitions", "id = \"id\", the key of the table");
    refused("id = \"user\"\n", "", 28, "has no `id`", "add id = \"user\"");
    refused("id = \"user\"", "id = \"page\"", 30, "may lie in several partitions", "id = \"user\", by which");
    refused("name = \"text\"", "nam = \"text\"", 25, "undeclared field `nam`", "did you mean `name`?");
    refused("name = \"text\"", "name = \"texts\"", 25, "unknown kind \"texts\"", "did you mean `text`?");
    refused(
        "name = \"text\"",
        "name = \"integer\"",
        25,
        "is string, and indexed as \"integer\"",
        "\"text\" or \"keyword\"",
    );
    refused("name = \"text\"", "name = 7", 25, "not a string", "name = ");
    refused("name = \"text\"", "limit = \"integer\"", 25, "a search has a parameter `limit`", "another name");
    refused("id = \"id\"", "id = \"id\"\nshards = 3", 24, "unknown key `shards`", "keys are");
    refused(
        "[indexes.users]\nfrom = \"tables.users\"\nid = \"id\"\n[indexes.users.fields]",
        "[indexes.Users]\nfrom = \"tables.users\"\nid = \"id\"\n[indexes.Users.fields]",
        21,
        "no name for an index",
        "a-z",
    );
    refused(
        "[indexes.clicks.fields]\npage = \"keyword\"\nms = \"float\"\n",
        "",
        28,
        "has no `fields`",
        "[indexes.clicks.fields]",
    );
    refused(
        "event_time = \"at\"",
        "event_time = \"at\"\nretain = \"500d\"",
        30,
        "after `retain`",
        "leave `retain` out",
    );
}
