//! Fields that are called like words of SQL.

use sqlparser::keywords::ALL_KEYWORDS;

use super::*;

/// The words that a name is written in quotes for.
const GRAMMAR: [&str; 15] =
    ["AND", "AS", "BETWEEN", "CASE", "ELSE", "END", "FALSE", "IN", "IS", "NOT", "NULL", "OR", "THEN", "TRUE", "WHEN"];

/// Texts in which `#` stands for a field, wherever one may stand.
const TEXTS: [&str; 9] = [
    "# = 1",
    "1 < # + 2 AND NOT # = 3",
    "# IN (1, 2) OR # NOT IN (3)",
    "# BETWEEN # AND # * 2",
    "CASE WHEN # IS NULL THEN 1 WHEN 2 > # THEN # ELSE # END = -#",
    "abs(#) - floor(#) > coalesce(#, 7)",
    "CAST(# AS DOUBLE) / #::double precision > # % 2",
    "(#) IS NOT NULL",
    "#\n/* a field */ >= 0 -- and\n",
];

fn scope(name: &str) -> Scope {
    Scope::of_fields(&[Field::new(name, FieldType::Int, true)])
}

/// Every word that the parser knows and a field can be called, in small letters and in capitals.
fn words() -> impl Iterator<Item = (String, bool)> {
    let plain = ALL_KEYWORDS.iter().filter(|word| word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'));
    plain.flat_map(|word| [word.to_lowercase(), (*word).to_owned()].map(|name| (name, GRAMMAR.contains(word))))
}

#[test]
fn a_field_may_be_called_like_any_word() {
    assert!(words().count() > 1_500, "the parser's list of words is another one");
    for text in TEXTS {
        let plain = Expression::parse(&text.replace('#', "xx_1"), &scope("xx_1")).expect(text).to_string();
        for (name, _) in words().filter(|(_, grammar)| !grammar) {
            let text = text.replace('#', &name);
            let read = Expression::parse(&text, &scope(&name)).unwrap_or_else(|refused| panic!("{text}: {refused}"));
            assert_eq!(read.to_string(), plain.replace("\"xx_1\"", &format!("\"{name}\"")), "{text}");
        }
    }
    for (name, _) in words().filter(|(_, grammar)| !grammar) {
        let measure = Expression::parse_measure(&format!("sum({name})"), &scope(&name));
        assert!(matches!(measure, Ok(Aggregation::Measure(MeasureKind::SumInt, Some(_)))), "{name}: {measure:?}");
    }
}

#[test]
fn only_words_of_expressions_are_quoted() {
    for (name, _) in words().filter(|(_, grammar)| *grammar) {
        for text in ["# = 1", "1 + # > 2", "CASE WHEN xx_1 THEN # END = 1", "xx_1 And #", "#"] {
            let text = text.replace('#', &name);
            let fields = [&name[..], "xx_1"].map(|name| Field::new(name, FieldType::Bool, true));
            let refused = Expression::parse(&text, &Scope::of_fields(&fields)).expect_err(&text);
            assert!(refused.what.contains("is a field and a word of expressions"), "{text}: {refused}");
            assert!(refused.fix.contains('"'), "{text}: {refused}");
        }
        // Nothing is ambiguous in quotes, and none of the words in the other case.
        let other: fn(&str) -> String = if name == name.to_uppercase() { str::to_lowercase } else { str::to_uppercase };
        let texts = TEXTS[..4].iter().map(|text| other(text).replace('#', &format!("\"{name}\"")));
        for text in texts {
            assert!(Expression::parse(&text, &scope(&name)).is_ok(), "{text}");
        }
    }
}

#[test]
fn words_keep_their_meaning_where_no_field_is_called_so() {
    let fields = ["user", "timestamp", "double", "order"].map(|name| match name {
        "timestamp" => Field::new(name, FieldType::Timestamp, false),
        "double" => Field::new(name, FieldType::Float, false),
        _ => Field::new(name, FieldType::String, false),
    });
    let scope = Scope::of_fields(&fields);
    for (text, canonical) in [
        ("user = 'x'", "(\"user\" = 'x')"),
        ("timestamp > TIMESTAMP '2026-01-31T00:00:00Z'", "(\"timestamp\" > TIMESTAMP '2026-01-31T00:00:00Z')"),
        ("timestamp > timestamp '2026-01-31T00:00:00Z'", "(\"timestamp\" > TIMESTAMP '2026-01-31T00:00:00Z')"),
        ("CAST(length(user) AS double) > double", "(CAST(length(\"user\") AS DOUBLE) > \"double\")"),
        (
            "length(user)::double > double AND order > 'a'",
            "((CAST(length(\"user\") AS DOUBLE) > \"double\") AND (\"order\" > 'a'))",
        ),
    ] {
        let read = Expression::parse(text, &scope).unwrap_or_else(|refused| panic!("{text}: {refused}"));
        assert_eq!(read.to_string(), canonical, "{text}");
    }
    for (text, what, fix) in [
        ("User = 'x'", "unknown field `User`", "did you mean `user`?"),
        ("ordre = 'x'", "unknown field `ordre`", "did you mean `order`?"),
        ("timestamp > now()", "`now` looks at a clock", "event time"),
        ("user LIKE 'a%'", "patterns are not offered", "starts_with"),
        ("user = 'x' order", "`order` follows the end", "write SQL"),
        ("session_user = 'x'", "`session_user` looks at a clock", "field of the event"),
    ] {
        let refused = Expression::parse(text, &scope).expect_err(text);
        assert!(refused.what.contains(what) && refused.fix.contains(fix), "{text}: {refused}");
    }
}
