//! Conditions of rules, which look at the past of a key.

use proptest::prelude::*;

use super::*;

const HOUR_US: i64 = 3_600_000_000;

fn scope() -> Scope {
    let fields = [
        ("amount", FieldType::Float),
        ("n", FieldType::Int),
        ("city", FieldType::String),
        ("at", FieldType::Timestamp),
    ];
    Scope::of_past(&fields.map(|(name, kind)| Field::new(name, kind, true)), HOUR_US)
}

fn rule(text: &str) -> (Expression, Vec<Look>) {
    Expression::parse_rule(text, &scope()).unwrap_or_else(|refused| panic!("{text}: {refused}"))
}

#[test]
fn a_look_is_a_column_of_its_canonical_text() {
    let table = [
        ("history_count('60s') >= 5", "(\"history_count('1m')\" >= 5)", vec!["history_count('1m')"]),
        (
            "history_avg(amount) > 0 and amount > 10 * History_Avg( amount )",
            "((\"history_avg(amount)\" > 0.0) AND (\"amount\" > (10.0 * \"history_avg(amount)\")))",
            vec!["history_avg(amount)"],
        ),
        (
            "previous(city) <> city AND seconds_between(previous(at), at) < 3600",
            "((\"previous(city)\" <> \"city\") AND (seconds_between(\"previous(at)\", \"at\") < 3600.0))",
            vec!["previous(city)", "previous(at)"],
        ),
        (
            "history_sum(n * 2, '10m') > history_count()",
            "(\"history_sum((\"\"n\"\" * 2), '10m')\" > \"history_count()\")",
            vec!["history_sum((\"n\" * 2), '10m')", "history_count()"],
        ),
        (
            "history_min(n) < history_max(amount, '1h')",
            "(CAST(\"history_min(n)\" AS DOUBLE) < \"history_max(amount, '1h')\")",
            vec!["history_min(n)", "history_max(amount, '1h')"],
        ),
    ];
    for (text, canonical, columns) in table {
        let (condition, looks) = rule(text);
        assert_eq!(condition.to_string(), canonical);
        assert_eq!(looks.iter().map(|look| look.column.as_str()).collect::<Vec<_>>(), columns, "{text}");
    }
}

#[test]
fn a_look_says_what_it_looks_at_how_far_and_of_which_type() {
    let looks = |text: &str| rule(text).1;
    let (amount, n) = (Expression::column("amount", FieldType::Float), Expression::column("n", FieldType::Int));
    let city = Expression::column("city", FieldType::String);
    for (text, kind, span_us, of) in [
        ("history_count() > 1", LookKind::Count, None, FieldType::Int),
        ("history_count('90s') > 1", LookKind::Count, Some(90_000_000), FieldType::Int),
        ("history_sum(n) > 1", LookKind::Sum(n.clone()), None, FieldType::Int),
        ("history_sum(amount) > 1", LookKind::Sum(amount.clone()), None, FieldType::Float),
        ("history_avg(n, '1h') > 1", LookKind::Avg(n.clone()), Some(HOUR_US), FieldType::Float),
        ("history_min(n) > 1", LookKind::Min(n), None, FieldType::Int),
        ("history_max(amount) > 1", LookKind::Max(amount), None, FieldType::Float),
        ("previous(city) IS NULL", LookKind::Previous(city), None, FieldType::String),
    ] {
        let looks = looks(text);
        let column = looks[0].column.clone();
        assert_eq!(looks, [Look { column, kind, span_us, of }], "{text}");
    }
    assert!(looks("amount > 1").is_empty());
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_what_to_write() {
    for (text, what, fix) in [
        ("history_cuont('1m') > 5", "unknown function `history_cuont`", "did you mean `history_count`?"),
        ("history_count(1) > 5", "looks back for 1", "in quotes, such as '10m'"),
        ("history_count('soon') > 5", "looks back for 'soon'", "such as '10m'"),
        ("history_count('0s') > 5", "looks back for '0s'", "such as '10m'"),
        ("history_count('61m') > 5", "a key remembers 1h", "write at most '1h', or raise `history`"),
        ("history_count(n, '1m') > 5", "`history_count` with 2 arguments", "history_count('1m')"),
        ("previous() = n", "`previous` with 0 arguments", "write previous(…)"),
        ("previous(n, '1m') = n", "`previous` with 2 arguments", "of the event before"),
        ("history_avg(city) > 5", "`history_avg` wants int or float, but `city` is string", "history_avg(…, '10m')"),
        ("history_avg(1) > 5", "names no field", "history_count()"),
        ("history_avg(previous(n)) > 5", "looks at the past of the past", "fields of the earlier events only"),
        ("previous(n) > 1 AND history_sum(n + previous(n)) > 5", "looks at the past of the past", "fields"),
        ("history_avg(ammount) > 5", "unknown field `ammount`", "did you mean `amount`?"),
        ("avg(amount) > 5", "`avg` is an aggregate", "history_sum(…)"),
        ("1 = 1", "names no field", "constant"),
    ] {
        let refused = Expression::parse_rule(text, &scope()).expect_err(text);
        assert!(refused.what.contains(what), "{text}: {refused}");
        assert!(refused.fix.contains(fix), "{text}: {refused}");
    }
}

#[test]
fn only_rules_look_at_the_past() {
    let measures = Scope::of_measures([("n".to_owned(), FieldType::Int)]);
    for scope in [fields(), measures] {
        for text in ["history_count() > 1", "previous(n) > 1", "history_sum(n, '1m') > 1"] {
            let refused = Expression::parse(text, &scope).expect_err(text);
            assert!(refused.what.contains("looks at earlier events"), "{text}: {refused}");
            assert!(refused.fix.contains("[streams.….detect]"), "{text}: {refused}");
        }
    }
}

proptest! {
    /// A condition's text is read back, where its looks are columns.
    #[test]
    fn the_canonical_text_of_a_rule_is_read_back(
        rules in prop::collection::vec((0..LOOKS.len(), prop::sample::select(vec!["=", "<", ">="]), 0..100_i64), 1..5),
    ) {
        let parts: Vec<String> =
            rules.iter().map(|(look, operator, than)| format!("{} {operator} {than}", LOOKS[*look])).collect();
        let (condition, looks) = rule(&parts.join(" OR "));
        let columns = [("amount", FieldType::Float), ("n", FieldType::Int)].map(|(name, kind)| Field::new(name, kind, true));
        let looks = looks.iter().map(|look| Field::new(&look.column, look.of, true));
        let scope = Scope::of_fields(&columns.into_iter().chain(looks).collect::<Vec<_>>());
        prop_assert_eq!(Expression::parse(&condition.to_string(), &scope), Ok(condition));
    }
}

const LOOKS: [&str; 8] = [
    "history_count()",
    "history_count('10m')",
    "history_sum(n)",
    "history_sum(n * 2 - 1, '60s')",
    "history_avg(amount) + n",
    "history_max(abs(amount), '1h')",
    "previous(n) * 2",
    "coalesce(previous(amount), 0)",
];
