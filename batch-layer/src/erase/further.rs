//! What is left to be done about an erasure in streams that were made of the source or look into the table that it is.
//!
//! Their archives are named, and not erased by the same condition unless an operator asks for it: a map may have given a field of that name
//! another meaning, and what is erased does not come back.

use shared_logic::catalog::{Catalog, Lookup, Source, Stream};

use super::condition::Condition;

/// The steps: of a table and what was looked up in it, then in the order in which streams feed each other. `goes_on`:
/// streams that have the fields of the condition are erased as well, so nothing is left to be done about these.
pub(super) fn steps(catalog: &Catalog, source: &Source, condition: &Condition, goes_on: bool) -> Vec<String> {
    let mut steps = Vec::from_iter(of_deletes(source, condition));
    steps.extend(of_lookups(catalog, &source.name));
    for of_stream in downstream(catalog, &source.name) {
        let (name, text) = (&of_stream.name, condition.text());
        match on_stream(of_stream, condition) {
            Some(_) if goes_on => {}
            Some(_) => steps.push(format!(
                "the stream {name} has the fields of the condition: if they mean the same there, `batch-layer erase {name} --where \"{text}\"`, \
                 or --downstream for all such streams"
            )),
            None => steps.push(format!(
                "the stream {name} lacks fields of the condition: if its outputs name the person, erase them by a condition of their own"
            )),
        }
    }
    steps
}

/// The streams that were made of the source, each behind the one that it reads, as far as they have the fields of the condition; with the
/// condition on them.
pub(super) fn with_fields<'a>(
    catalog: &'a Catalog,
    source: &Source,
    condition: &Condition,
) -> Vec<(&'a Source, Condition)> {
    let streams = downstream(catalog, &source.name).into_iter();
    streams.filter_map(|of_stream| Some((of_stream, on_stream(of_stream, condition)?))).collect()
}

/// The same condition on a stream; `None` if that lacks fields of it.
fn on_stream(of_stream: &Source, condition: &Condition) -> Option<Condition> {
    Condition::parse(of_stream, condition.text(), condition.invalid_with()).ok()
}

/// Streams that look into the table, and those that are made of these. Their fields mean something else than the table's, so no condition is
/// tried on them.
fn of_lookups(catalog: &Catalog, table: &str) -> Vec<String> {
    let looking = catalog.streams.values().filter_map(|stream| {
        let lookup = stream.lookups().iter().find(|lookup| lookup.table == table)?;
        Some((stream, lookup))
    });
    looking.flat_map(|(stream, lookup)| of_lookup(catalog, stream, lookup)).collect()
}

fn of_lookup(catalog: &Catalog, stream: &Stream, lookup: &Lookup) -> Vec<String> {
    let Lookup { table, on, take, .. } = lookup;
    let (name, taken) = (&stream.name, take.join(", "));
    let has_field = catalog.sources.get(name).is_some_and(|of_stream| of_stream.field(on).is_some());
    let by = if has_field {
        format!(
            "erase those of the person by the field {on}, which holds the row's key: `batch-layer erase {name} --where \"{on} = …\"`"
        )
    } else {
        "if they name the person, erase them by a condition of their own".to_owned()
    };
    let own = format!(
        "outputs of the stream {name} hold {taken} of the rows of {table}, and whatever the row's key is in them: {by}"
    );
    let further = downstream(catalog, name).into_iter().map(|of_stream| {
        format!(
            "the stream {} is made of {name}, which looks into {table}: if its outputs name the person, erase them by a condition of their own",
            of_stream.name
        )
    });
    std::iter::once(own).chain(further).collect()
}

/// What deletes of a table say of a person: they have a key, which no condition reads, and Debezium writes the row of before into them.
fn of_deletes(source: &Source, condition: &Condition) -> Option<String> {
    let is_left = source.is_table && condition.invalid_with().is_none();
    is_left.then(|| {
        format!(
            "deletes of {0} hold the key of their row, and may hold the row: if that names the person, erase again with --invalid-with \
             '<the key>', and with the same condition, as the rows of before rise again where only their delete is erased",
            source.name
        )
    })
}

/// What is out of reach of an erasure of a table: whoever has read its rows has them.
pub(super) fn rows(source: &Source) -> Option<String> {
    let name = &source.name;
    source.is_table.then(|| {
        format!(
            "copies of older versions of the table tables/{name}, and of what streams have looked up in it, that other programs made"
        )
    })
}

/// What is out of reach of an erasure where streams read the source.
pub(super) fn lanes(catalog: &Catalog, source: &Source) -> Option<String> {
    catalog.streams_of(&source.name).next()?;
    Some(format!(
        "what lanes remember of {}, and so the snapshots that they write from now on, until it is older than their windows, gaps and \
         histories",
        source.name
    ))
}

/// The streams that read a source, as sources, and those that read these, each behind the one that it reads.
fn downstream<'a>(catalog: &'a Catalog, source: &str) -> Vec<&'a Source> {
    let read = |from: &str| -> Vec<&'a Source> {
        catalog.streams_of(from).filter_map(|stream| catalog.sources.get(&stream.name)).collect()
    };
    let (mut found, mut at) = (read(source), 0);
    while let Some(next) = found.get(at).copied() {
        found.extend(read(&next.name));
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[sources.payments]
event_id = "id"
event_time = "at"
key = "user"
[sources.payments.fields]
id = "string"
at = "timestamp"
user = "string"
amount = "int"
[streams.large]
from = "payments"
where = "amount > 100"
[streams.sums]
from = "large"
by = ["user"]
window = "1m"
[streams.sums.measures]
total = "sum(amount)"
[sources.others]
event_time = "at"
[sources.others.fields]
at = "timestamp"
"#;

    #[test]
    fn every_stream_that_was_made_of_the_source_is_named() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let source = &catalog.sources["payments"];
        let condition = |text: &str| Condition::parse(source, text, None).expect("a condition");
        let named = steps(&catalog, source, &condition("user = 'u-7'"), false);
        assert!(named[0].contains("batch-layer erase large --where \"user = 'u-7'\""), "{named:?}");
        assert!(named[1].contains("batch-layer erase sums --where"), "{named:?}");
        let with_amount = condition("user = 'u-7' and amount > 5");
        let named = steps(&catalog, source, &with_amount, false);
        assert!(named[1].contains("the stream sums lacks fields"), "{named:?}");
        // Who goes on with streams that have the fields is told of the others alone.
        let names = |streams: Vec<(&Source, Condition)>| {
            streams.into_iter().map(|(of_stream, _)| of_stream.name.clone()).collect::<Vec<String>>()
        };
        assert_eq!(names(with_fields(&catalog, source, &condition("user = 'u-7'"))), ["large", "sums"]);
        assert_eq!(names(with_fields(&catalog, source, &with_amount)), ["large"]);
        let named = steps(&catalog, source, &with_amount, true);
        assert!(named.len() == 1 && named[0].contains("the stream sums lacks fields"), "{named:?}");
        assert!(lanes(&catalog, source).is_some());
        let others = &catalog.sources["others"];
        let condition = Condition::parse(others, "at is not null", None).expect("a condition");
        assert!(steps(&catalog, others, &condition, false).is_empty() && lanes(&catalog, others).is_none());
        assert_eq!(rows(others), None);
    }

    #[test]
    fn deletes_of_a_table_are_named_unless_they_are_erased() {
        let catalog = format!("{CATALOG}[tables.users]\nkey = \"id\"\n[tables.users.fields]\nid = \"string\"\n");
        let catalog = Catalog::parse(&catalog).expect("a valid catalog");
        let users = &catalog.sources["users"];
        let steps = |invalid_with| {
            steps(&catalog, users, &Condition::parse(users, "id = 'u-7'", invalid_with).expect("a condition"), false)
        };
        assert!(steps(None)[0].contains("--invalid-with"), "{:?}", steps(None));
        assert!(steps(Some("u-7")).is_empty());
        assert!(rows(users).is_some_and(|said| said.contains("tables/users")));
    }

    #[test]
    fn streams_that_look_into_a_table_are_named_by_the_field_by_which_they_do() {
        let looking = "[tables.users]\nkey = \"id\"\n[tables.users.fields]\nid = \"string\"\nname = \"string?\"\n\
                       [streams.named]\nfrom = \"payments\"\nlookup.users = { on = \"user\", take = [\"name\"] }\n\
                       [streams.of_named]\nfrom = \"named\"\nwhere = \"name = 'Ada'\"\n";
        let catalog = Catalog::parse(&format!("{CATALOG}{looking}")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let users = &catalog.sources["users"];
        let condition = Condition::parse(users, "id = 'u-7'", Some("u-7")).expect("a condition");
        // An output has another `id`, so the condition is not tried on it, whether or not it goes on downstream.
        for goes_on in [false, true] {
            let named = steps(&catalog, users, &condition, goes_on);
            assert_eq!(named.len(), 2, "{named:?}");
            assert!(named[0].contains("batch-layer erase named --where \"user = …\""), "{named:?}");
            assert!(named[1].starts_with("the stream of_named is made of named"), "{named:?}");
        }
        assert!(with_fields(&catalog, users, &condition).is_empty());
        let payments = &catalog.sources["payments"];
        let condition = Condition::parse(payments, "user = 'u-7'", None).expect("a condition");
        let named = steps(&catalog, payments, &condition, false);
        assert!(!named.iter().any(|step| step.contains("looks into")), "{named:?}");
    }
}
