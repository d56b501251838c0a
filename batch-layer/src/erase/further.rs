//! What is left to be done about an erasure in streams that were made of the source or look into the table that it is.
//!
//! Streams of which it is not known which outputs go with the events are named, and not erased by the same condition unless an operator asks
//! for it: a map may have given a field of that name another meaning, and what is erased does not come back.

use shared_logic::catalog::{Catalog, Lookup, Source, Stream};

use super::condition::Condition;
use super::downstream::{Streams, outputs};

/// The steps: of a table and what was looked up in it, then in the order in which streams feed each other. `streams`: with which of them
/// the erasure goes on, so that nothing is left to be done about these.
pub(super) fn steps(catalog: &Catalog, source: &Source, condition: &Condition, streams: Streams) -> Vec<String> {
    let mut steps = Vec::from_iter(of_deletes(source, condition));
    steps.extend(of_lookups(catalog, &source.name));
    for output in outputs(catalog, source, condition, streams) {
        let (name, text) = (&output.of_stream.name, condition.text());
        let by_name = condition.on(output.of_stream).is_some();
        match (output.is_reached(), by_name) {
            (true, _) if streams != Streams::Left => {}
            (true, _) => steps.push(format!(
                "the stream {name} was left out (--only-source): its outputs of the person stay until this is called without that, or the \
                 source is erased from again"
            )),
            (false, true) => steps.push(format!(
                "the stream {name} has fields of these names, which may mean something else, as a stream before it sets them: if they mean \
                 the same, `batch-layer erase {name} --where \"{text}\"`, or --downstream for all such streams"
            )),
            (false, false) => steps.push(format!(
                "the stream {name} lacks fields of the condition: if its outputs name the person, erase them by a condition of their own"
            )),
        }
    }
    steps
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
    let further = further_streams(catalog, name).into_iter().map(|of_stream| {
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
         histories; and what they write of events that they have not read yet: call this again once they have",
        source.name
    ))
}

/// The streams that read a stream, as sources, and those that read these, each behind the one that it reads.
fn further_streams<'a>(catalog: &'a Catalog, source: &str) -> Vec<&'a Source> {
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
    fn streams_that_are_not_reached_are_named() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let source = &catalog.sources["payments"];
        let condition = |text: &str| Condition::parse(source, text, None).expect("a condition");
        assert!(steps(&catalog, source, &condition("user = 'u-7'"), Streams::Reached).is_empty());
        let named = steps(&catalog, source, &condition("user = 'u-7'"), Streams::Left);
        assert!(named.len() == 2 && named[0].contains("the stream large was left out (--only-source)"), "{named:?}");
        let with_amount = condition("user = 'u-7' and amount > 5");
        for streams in [Streams::Reached, Streams::ByName] {
            let named = steps(&catalog, source, &with_amount, streams);
            assert!(named.len() == 1 && named[0].contains("the stream sums lacks fields"), "{named:?}");
        }
        let renamed = CATALOG.replace(
            "where = \"amount > 100\"",
            "key = \"user\"\n[streams.large.fields]\nuser = \"id\"\namount = \"amount\"",
        );
        let catalog = Catalog::parse(&renamed).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let source = &catalog.sources["payments"];
        let condition = Condition::parse(source, "user = 'u-7'", None).expect("a condition");
        let named = steps(&catalog, source, &condition, Streams::Reached);
        assert!(named.len() == 1 && named[0].contains("batch-layer erase sums --where \"user = 'u-7'\""), "{named:?}");
        assert!(steps(&catalog, source, &condition, Streams::ByName).is_empty());
        assert!(lanes(&catalog, source).is_some());
        let others = &catalog.sources["others"];
        let condition = Condition::parse(others, "at is not null", None).expect("a condition");
        assert!(steps(&catalog, others, &condition, Streams::Left).is_empty() && lanes(&catalog, others).is_none());
        assert_eq!(rows(others), None);
    }

    #[test]
    fn deletes_of_a_table_are_named_unless_they_are_erased() {
        let catalog = format!("{CATALOG}[tables.users]\nkey = \"id\"\n[tables.users.fields]\nid = \"string\"\n");
        let catalog = Catalog::parse(&catalog).expect("a valid catalog");
        let users = &catalog.sources["users"];
        let steps = |invalid_with| {
            steps(
                &catalog,
                users,
                &Condition::parse(users, "id = 'u-7'", invalid_with).expect("a condition"),
                Streams::Reached,
            )
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
        for streams in [Streams::Left, Streams::Reached, Streams::ByName] {
            let named = steps(&catalog, users, &condition, streams);
            assert_eq!(named.len(), 2, "{named:?}");
            assert!(named[0].contains("batch-layer erase named --where \"user = …\""), "{named:?}");
            assert!(named[1].starts_with("the stream of_named is made of named"), "{named:?}");
        }
        assert!(outputs(&catalog, users, &condition, Streams::ByName).is_empty());
        let payments = &catalog.sources["payments"];
        let condition = Condition::parse(payments, "user = 'u-7'", None).expect("a condition");
        let named = steps(&catalog, payments, &condition, Streams::Left);
        assert!(!named.iter().any(|step| step.contains("looks into")), "{named:?}");
    }
}
