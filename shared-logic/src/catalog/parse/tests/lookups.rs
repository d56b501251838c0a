//! What maps look up: the fields that outputs have from it, its part in the definition, and every mistake.

use super::*;
use crate::catalog::{DefinitionHash, Lookup};
use crate::schema::Field;

const LOOKUPS: &str = r#"[sources.clicks]
event_time = "at"
key = "user_id"
[sources.clicks.fields]
user_id = "string"
page = "int?"
at = "timestamp"
[tables.users]
key = "id"
[tables.users.fields]
id = "string"
plan = "string"
age = "int?"
[tables.pages]
key = "id"
[tables.pages.fields]
id = "int"
title = "string"
[streams.rich]
from = "clicks"
where = "page > 0"
lookup.users = { on = "user_id", take = ["plan", "changed_at"] }
lookup.pages = { on = "page", take = ["title"], require = true }
[streams.rich.fields]
user_id = "user_id"
page = "page"
[streams.by_plan]
from = "rich"
key = "plan_or_none"
[streams.by_plan.fields]
plan_or_none = "coalesce(plan, '-')"
"#;

fn read(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[test]
fn outputs_have_what_is_taken_and_as_of_what_it_is() {
    let catalog = read(LOOKUPS);
    let lookups = catalog.streams["rich"].lookups();
    // Tables of TOML are in the order of the file.
    let expected = Lookup {
        table: "users".to_owned(),
        on: "user_id".to_owned(),
        take: vec!["plan".to_owned(), "changed_at".to_owned()],
        require: false,
    };
    assert_eq!((lookups.len(), &lookups[0]), (2, &expected));
    let fields: Vec<Field> = catalog.sources["rich"].fields[4..].to_vec();
    let expected = [
        Field::new("plan", FieldType::String, true),
        Field::new("changed_at", FieldType::Timestamp, true),
        // The key of a user is always there.
        Field::new("users_seen", FieldType::String, false),
        Field::new("title", FieldType::String, false),
        Field::new("pages_seen", FieldType::String, false),
    ];
    assert_eq!(fields[..5], expected);
    assert!(catalog.streams["rich"].has_side_output() && !catalog.streams["by_plan"].has_side_output());
    let optional = read(&LOOKUPS.replace(", require = true", ""));
    assert!(!optional.streams["rich"].has_side_output());
    assert!(optional.sources["rich"].field("title").is_some_and(|title| title.optional));
    assert!(optional.sources["rich"].field("pages_seen").is_some_and(|seen| seen.optional), "a click may name no page");
}

#[test]
fn whatever_changes_what_is_found_changes_the_definition() {
    let definition = |text: &str| -> (DefinitionHash, DefinitionHash) {
        let catalog = read(text);
        let of = |name: &str| catalog.stream_definition(&catalog.streams[name]);
        (of("rich"), of("by_plan"))
    };
    let before = definition(LOOKUPS);
    for (old, new) in [
        ("\"plan\", \"changed_at\"", "\"plan\""),
        ("\"plan\", \"changed_at\"", "\"changed_at\", \"plan\""),
        (", require = true", ""),
        ("plan = \"string\"\n", "plan = \"string?\"\n"),
        ("age = \"int?\"", "age = \"int?\"\nname = \"string?\""),
        ("[tables.users]", "[tables.users]\nformat = \"debezium\""),
    ] {
        assert!(LOOKUPS.contains(old), "the test replaces nothing: {old}");
        let after = definition(&LOOKUPS.replacen(old, new, 1));
        assert_ne!(after.0, before.0, "{old} -> {new}");
        assert_ne!(after.1, before.1, "what reads the stream: {old} -> {new}");
    }
    let elsewhere = LOOKUPS.replacen("[tables.users]", "[tables.users]\ntopic = \"elsewhere\"\npartitions = 9", 1);
    assert_eq!(definition(&elsewhere), before);
}

#[test]
fn a_broken_lookup_is_named_with_what_to_write_instead() {
    for (old, new, what, fix) in [
        ("lookup.users", "lookup.user", "names the unknown table `user`", "`users`"),
        ("lookup.users", "lookup.clicks", "names `clicks`, which is no table", "[tables."),
        ("on = \"user_id\", take", "on = \"user\", take", "names the undeclared field `user`", "user_id"),
        ("on = \"user_id\", take", "on = \"page\", take", "is int, and `users` is keyed by string", "holds `id`"),
        ("on = \"user_id\", take", "take", "has no `on`", "add on ="),
        ("\"plan\", \"changed_at\"", "\"plans\"", "names `plans`, which `users` does not declare", "`plan`"),
        ("\"plan\", \"changed_at\"", "", "takes no field", "add take = [\"id\"]"),
        ("require = true", "required = true", "unknown key `required`", "`require`"),
        ("\"title\"", "\"title\", \"title\"", "two fields `title`", "otherwise"),
        ("page = \"page\"\n[", "title = \"page\"\n[", "two fields `title`", "otherwise"),
        ("page > 0", "plan = 'pro'", "`where` reads `plan`, which the same stream looks up", "a second stream"),
        ("page > 0", "users_seen <> ''", "`where` reads `users_seen`", "a second stream"),
        (
            "page = \"page\"\n[",
            "page = \"page\"\nupper = \"upper(plan)\"\n[",
            "`upper` reads `plan`",
            "a second stream",
        ),
        ("where = \"page > 0\"", "key = \"plan\"", "`key` reads `plan`, which the same stream", "a second stream"),
    ] {
        assert!(LOOKUPS.contains(old), "the test replaces nothing: {old}");
        let found = mistakes(&LOOKUPS.replacen(old, new, 1));
        let is_named = found.iter().any(|mistake| mistake.what.contains(what) && mistake.fix.contains(fix));
        assert!(is_named, "{old} -> {new}: {found:?}");
    }
}

/// A field of the source that is called like one that is taken is meant where the source is read.
#[test]
fn a_condition_reads_the_source() {
    let text = LOOKUPS.replacen("page = \"int?\"", "page = \"int?\"\nplan = \"string?\"", 1).replacen(
        "page > 0",
        "plan = 'pro'",
        1,
    );
    assert!(read(&text).streams["rich"].filter.is_some());
}

#[test]
fn a_window_looks_nothing_up() {
    let window = "[streams.w]\nfrom = \"clicks\"\nby = [\"user_id\"]\nwindow = \"1m\"\nlookup.users = { on = \"user_id\", take = [\"plan\"] }\n[streams.w.measures]\nn = \"count()\"\n";
    let found = mistakes(&format!("{LOOKUPS}{window}"));
    assert!(found.iter().any(|mistake| mistake.what.contains("`lookup` is for a map")), "{found:?}");
}
