//! Places → the fields of the source, and what is left out.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use shared_logic::catalog::Catalog;

use super::super::instants::Instants;
use super::super::profile::{Profile, Seen};
use super::super::words::field_name;
use super::kind::Kind;

/// A person reads the catalog, so of documents with more places only those are declared that most records have. The archive
/// keeps the bytes of all of them, so a field that is declared later has its values in old records too.
const FIELDS_MAX: usize = 40;

/// A field that the catalog declares.
#[derive(Debug, Clone)]
pub(in crate::commands::init) struct Field {
    /// Its name in the catalog.
    pub(in crate::commands::init) name: String,
    /// Where it stands: the names of the members that lead there; the column's name in formats with columns.
    pub(in crate::commands::init) steps: Vec<String>,
    /// The type of its values.
    pub(in crate::commands::init) kind: Kind,
    /// Whether it may be absent.
    pub(in crate::commands::init) optional: bool,
    /// In how many records it is.
    pub(in crate::commands::init) absent: usize,
    /// How many different values it has.
    pub(in crate::commands::init) distinct: usize,
    /// The position of its place in the profile.
    pub(super) at: usize,
}

/// A place that no field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::init) struct LeftOut {
    /// Where it is.
    pub(in crate::commands::init) steps: Vec<String>,
    /// Why it is left out.
    pub(in crate::commands::init) why: Why,
}

/// Why no field takes a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::init) enum Why {
    /// It holds arrays.
    Lists,
    /// It holds values of different types, such as these.
    Mixed(Vec<String>),
    /// Other places are found in more records; this one in so many.
    Rare(usize),
}

/// The fields in the order in which their places were met, and what is left out. `must` are the positions of places that
/// cannot be. In formats with `columns`, none can.
pub(super) fn of(
    profile: &Profile,
    columns: bool,
    must: &[usize],
    instants: &mut Instants,
) -> (Vec<Field>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut found: Vec<(usize, &Seen, Kind)> = Vec::new();
    for (at, seen) in profile.places.iter().enumerate().filter(|(_, seen)| columns || !seen.values.is_empty()) {
        let without = |why| LeftOut { steps: seen.steps.clone(), why };
        match Kind::of(seen, columns, instants) {
            Kind::Objects => {}
            Kind::Lists => left_out.push(without(Why::Lists)),
            Kind::Mixed => left_out.push(without(Why::Mixed(examples(seen)))),
            kind => found.push((at, seen, kind)),
        }
    }
    if !columns && found.len() > FIELDS_MAX {
        found.sort_by_key(|(at, seen, _)| (!must.contains(at), Reverse(seen.values.len()), seen.steps.len(), *at));
        let rare = found.split_off(FIELDS_MAX);
        left_out.extend(
            rare.into_iter()
                .map(|(_, seen, _)| LeftOut { steps: seen.steps.clone(), why: Why::Rare(seen.values.len()) }),
        );
        found.sort_by_key(|(at, _, _)| *at);
    }
    let mut taken = BTreeSet::new();
    let field = |(at, seen, kind): (usize, &Seen, Kind)| Field {
        name: name(&seen.steps, &mut taken),
        steps: seen.steps.clone(),
        kind,
        optional: seen.values.len() < profile.records(),
        absent: profile.records() - seen.values.len(),
        distinct: seen.distinct(),
        at,
    };
    (found.into_iter().map(field).collect(), left_out)
}

/// One value of each sort, short enough to be shown.
fn examples(seen: &Seen) -> Vec<String> {
    let mut sorts = Vec::new();
    let mut examples = Vec::new();
    for (_, value) in &seen.values {
        let sort = std::mem::discriminant(value);
        if !sorts.contains(&sort) {
            sorts.push(sort);
            examples.push(value.to_string());
        }
    }
    examples
}

/// A name that a catalog takes, also for a column to count by, and that no other field has.
fn name(steps: &[String], taken: &mut BTreeSet<String>) -> String {
    let name = field_name(steps);
    let name = if may_be_counted_by(&name) { name } else { format!("event_{name}") };
    let (mut free, mut number) = (name.clone(), 1);
    // Columns of the archive are told apart without regard to case.
    while !taken.insert(free.to_lowercase()) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}

/// Gives a field of that name another one, because the catalog needs the name for something else.
pub(super) fn keep_free(taken: &str, fields: &mut [Field]) {
    let mut names: BTreeSet<String> = fields.iter().map(|field| field.name.to_lowercase()).collect();
    for field in fields.iter_mut().filter(|field| field.name.eq_ignore_ascii_case(taken)) {
        field.name = name(&field.steps, &mut names);
    }
}

/// Whether a catalog takes a field of that name as a column to count by. Parameters of queries, for example, have their names
/// for themselves.
fn may_be_counted_by(name: &str) -> bool {
    let text = format!(
        "[sources.sample]\nevent_time = \"moment_of_it\"\n[sources.sample.fields]\nmoment_of_it = \"timestamp\"\n\
         {name} = \"string\"\n[metrics.sample]\nsource = \"sample\"\nby = [\"{name}\"]\n\
         [metrics.sample.measures]\nnumber_of_them = \"count()\"\n"
    );
    Catalog::parse(&text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::profile::{of_documents, of_rows};
    use super::*;

    fn fields(documents: &[&str]) -> (Vec<String>, Vec<LeftOut>) {
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 0)));
        let (fields, left_out) = of(&profile, false, &[], &mut Instants::new());
        (fields.into_iter().map(|field| field.name).collect(), left_out)
    }

    #[test]
    fn every_name_can_be_declared_and_counted_by() {
        let document =
            r#"{"from": "a", "user": {"id": 1}, "user_id": 2, "User-Id": 3, "bucket": 4, "moment": 5, "@t": 6}"#;
        let (names, left_out) = fields(&[document]);
        assert_eq!(names, ["event_from", "user_id", "user_id_2", "user_id_3", "event_bucket", "moment", "t"]);
        assert!(left_out.is_empty(), "{left_out:?}");
    }

    #[test]
    fn what_no_type_takes_is_left_out_with_examples() {
        let documents = [r#"{"a": [1], "b": "x", "c": null}"#, r#"{"a": [2], "b": false, "c": null}"#];
        let (names, left_out) = fields(&documents);
        assert_eq!(names, Vec::<String>::new());
        let why: Vec<&Why> = left_out.iter().map(|left_out| &left_out.why).collect();
        assert_eq!(why, [&Why::Lists, &Why::Mixed(vec!["x".to_owned(), "false".to_owned()])]);
    }

    #[test]
    fn of_many_places_those_of_most_records_are_declared() {
        let members: Vec<String> = (0..2 * FIELDS_MAX).map(|n| format!("\"m{n}\": {n}")).collect();
        let whole = format!("{{{}}}", members.join(", "));
        let (names, left_out) = fields(&[&whole, "{\"m70\": 1, \"m71\": 2}"]);
        assert_eq!((names.len(), left_out.len()), (FIELDS_MAX, FIELDS_MAX));
        assert_eq!(names.last().map(String::as_str), Some("m71"), "in the order in which they were met");
        assert_eq!(left_out.first().map(|left_out| &left_out.why), Some(&Why::Rare(1)));
    }

    #[test]
    fn columns_are_all_declared() {
        let names = ["a", "", "a"].map(str::to_owned);
        let rows = [(["1", "", "x"].map(str::to_owned).to_vec(), 0)];
        let (fields, left_out) = of(&of_rows(&names, &rows), true, &[], &mut Instants::new());
        let names: Vec<_> =
            fields.iter().map(|field| (field.name.as_str(), field.kind.clone(), field.absent)).collect();
        let text = Kind::Text { numbers: false };
        assert_eq!(names, [("a", Kind::Int, 0), ("field", text.clone(), 1), ("a_2", text, 0)]);
        assert!(left_out.is_empty(), "{left_out:?}");
    }
}
