//! Where fields stand in a payload: paths, names of columns.

use super::*;
use crate::schema::Step;

#[test]
fn a_field_says_where_it_stands() {
    let place = |path: &str| {
        let text = GOOD.replace("note = \"string?\"", &format!("note = {{ type = \"string?\", path = {path} }}"));
        Catalog::parse(&text).expect(path).sources["views"].field("note").expect("declared").place.clone()
    };
    let member = |name: &str| Step::Member(name.to_owned());
    for (path, steps) in [
        ("\"user.note\"", vec![member("user"), member("note")]),
        (
            "\"items[0].tags[12][3]\"",
            vec![member("items"), Step::Element(0), member("tags"), Step::Element(12), Step::Element(3)],
        ),
        ("\"@note\"", vec![member("@note")]),
        ("\"fecha-venta\"", vec![member("fecha-venta")]),
        ("[\"foo.bar\", \"a[0]\", \"\"]", vec![member("foo.bar"), member("a[0]"), member("")]),
    ] {
        assert_eq!(place(path), Place::Path(steps), "{path}");
    }
    assert_eq!(place("\"note\""), Place::Own, "its own name is no other place");
}

#[test]
fn a_misspelt_key_of_a_field_is_no_name() {
    let found = mistakes(&GOOD.replace("weight = \"float\"", "weight = { typ = \"float\" }"));
    assert!(found.iter().any(|mistake| mistake.fix.contains("did you mean `type`?")), "{found:?}");
}

#[test]
fn a_column_has_no_path_but_a_name() {
    let text = GOOD.replace("topic = \"views\"", "format = \"tsv\"");
    let found = mistakes(&text.replace("note = \"string?\"", "note = { type = \"string?\", path = \"user.note\" }"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].line, 21);
    assert!(found[0].what.contains("the path of `note` has several steps, and tsv has columns"), "{found:?}");
    let named = text.replace("note = \"string?\"", "note = { type = \"string?\", path = \"A note\" }");
    let catalog = Catalog::parse(&named).expect("a header may call the column so");
    assert_eq!(catalog.sources["views"].field("note").map(|field| field.column()), Some("A note"));
    let found = mistakes(&text.replace("note = \"string?\"", "\"@note\" = \"string?\""));
    assert_eq!(found.len(), 1, "{found:?}");
    let fix = &found[0].fix;
    assert!(fix.contains("any name will do: note = { type = \"…\", path = \"@note\" } if a header has"), "{fix}");
}
