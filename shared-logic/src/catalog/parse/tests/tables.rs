//! Tables, as sources and when something is wrong with them.

use super::*;
use crate::catalog::{CHANGED_AT, KeptBytes, TableFormat};

const TABLES: &str = r#"[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
user = "string"
[tables.users]
topic = "db.users"
key = "id"
format = "debezium"
[tables.users.fields]
id = "int"
name = { type = "string?", path = "full_name" }
[tables.plans]
key = "plan"
partitions = 2
[tables.plans.fields]
plan = "string"
price = "float?"
"#;

#[test]
fn a_table_is_a_source_with_the_time_of_its_changes() {
    let catalog = Catalog::parse(TABLES).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let users = &catalog.tables["users"];
    assert_eq!((users.topic.as_str(), users.key.as_str(), users.format), ("db.users", "id", TableFormat::Debezium));
    assert_eq!((catalog.tables["plans"].topic.as_str(), catalog.tables["plans"].format), ("plans", TableFormat::Json));
    let source = &catalog.sources["users"];
    assert!(source.is_table && !source.is_stream && source.event_id.is_empty() && source.retain_us.is_none());
    assert_eq!(
        (source.format, source.key.as_deref(), source.kept_bytes),
        (Format::Debezium, Some("id"), KeptBytes::All)
    );
    assert_eq!((source.event_time.as_str(), source.start, source.partitions), (CHANGED_AT, Start::Earliest, 4));
    let fields: Vec<&str> = source.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["id", "name", CHANGED_AT]);
    assert_eq!(source.fields[2].place, Place::Record);
    assert!(catalog.importable("clicks").is_ok() && catalog.input("users").is_ok());
    assert!(catalog.importable("users").is_err(), "a file has no keys and no order");
}

#[test]
fn a_table_has_another_definition_if_its_rows_are_others() {
    let of = |text: &str| {
        let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        catalog.table_definition(&catalog.tables["plans"])
    };
    let same = [
        ("partitions = 2", "partitions = 3"),
        ("user = \"string\"", "user = \"int\""),
        ("[tables.plans]", "[tables.plans]\ntopic = \"p\""),
    ];
    for (old, new) in same {
        assert_eq!(of(&TABLES.replacen(old, new, 1)), of(TABLES), "{new}");
    }
    let others = [
        ("price = \"float?\"", "price = \"int?\""),
        ("price = \"float?\"", "price = \"float\""),
        ("partitions = 2", "format = \"debezium\""),
        ("partitions = 2", "max_record = \"2KiB\""),
    ];
    for (old, new) in others {
        assert_ne!(of(&TABLES.replacen(old, new, 1)), of(TABLES), "{new}");
    }
}

/// Replaces the first `old` by `new` and expects one mistake: what the line there holds, words of what, and words of the fix.
#[test]
fn a_broken_line_of_a_table_is_named_with_what_to_write_instead() {
    let table: &[(&str, &str, &str, &str, &str)] = &[
        ("key = \"id\"\n", "", "[tables.users]", "has no `key`", "add key ="),
        ("key = \"id\"", "key = \"it\"", "key", "undeclared field `it`", "did you mean `id`?"),
        ("id = \"int\"", "id = \"int?\"", "key", "which may be absent", "without \"?\""),
        ("key = \"plan\"", "key = \"price\"", "key", "is float, not string or int", "type string or int"),
        ("id = \"int\"", "id = { type = \"int\", path = \"a.b\" }", "key", "leads into a column", "one step"),
        ("\"debezium\"", "\"csv\"", "format", "`format` is \"csv\"", "\"json\" or \"debezium\""),
        ("price =", "Changed_At =", "Changed_At", "like the one that every table has", "row_changed_at ="),
        ("[tables.plans]", "[tables.plans]\nretain = \"30d\"", "retain", "is for a source", "every change"),
        ("[tables.plans]", "[tables.plans]\nevent_time = \"at\"", "event_time", "is for a source", "`changed_at`"),
        ("[tables.plans]", "[tables.plans]\ncolour = 1", "colour", "unknown key `colour`", "keys are"),
        (
            "[tables.plans.fields]\nplan = \"string\"\nprice = \"float?\"\n",
            "",
            "[tables.plans]",
            "declares no fields",
            "[tables.plans.fields]",
        ),
        (
            "topic = \"db.users\"",
            "topic = \"clicks\"",
            "topic",
            "and the source `clicks` share the topic",
            "another topic",
        ),
        (
            "[tables.plans]",
            "[tables.plans]\ntopic = \"db.users\"",
            "topic",
            "and the table `users` share",
            "another topic",
        ),
        (
            "price = \"float?\"\n",
            "price = \"float?\"\n[metrics.m]\nsource = \"plans\"\nby = []\n[metrics.m.measures]\nn = \"count()\"\n",
            "source = \"plans\"",
            "counts the table `plans`",
            "lookup.plans",
        ),
        (
            "price = \"float?\"\n",
            "price = \"float?\"\n[streams.s]\nfrom = \"plans\"\nwhere = \"price > 1\"\n",
            "from = \"plans\"",
            "reads the table `plans`",
            "lookup.plans",
        ),
        (
            "price = \"float?\"\n",
            "price = \"float?\"\n[streams.users]\nfrom = \"clicks\"\nwhere = \"user <> ''\"\n",
            "[streams.users]",
            "called like a source",
            "call one of them otherwise",
        ),
    ];
    for (old, new, line, what, fix) in table {
        assert!(TABLES.contains(old), "{old} is in the catalog");
        let text = TABLES.replacen(old, new, 1);
        expect_one_mistake(&text, new, line, what, fix);
    }
}

#[test]
fn a_table_that_is_called_like_a_source_is_refused() {
    let text = TABLES.replace("tables.plans", "tables.clicks");
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("table `clicks` is called like a source"), "{found:?}");
    // A source says as little of a format that only tables have.
    let text = TABLES.replace("[sources.clicks]\n", "[sources.clicks]\nformat = \"debezium\"\n");
    assert!(mistakes(&text)[0].what.contains("`format` is \"debezium\""));
}
