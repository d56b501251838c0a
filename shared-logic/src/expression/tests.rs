//! What may be said, what is refused and why; and that Polars and the row evaluator answer as a naive interpreter does.

mod generate;
mod looks;
mod naive;
mod row;
mod sketches;
mod words;

use polars::prelude::{DataFrame, DataType, IntoLazy, col, df, lit};
use proptest::prelude::*;

use super::*;
use crate::schema::Field;
use naive::Row;

fn fields() -> Scope {
    let field = |(name, kind): (&str, FieldType)| Field::new(name, kind, true);
    let all = [
        ("a", FieldType::Int),
        ("b", FieldType::Int),
        ("x", FieldType::Float),
        ("y", FieldType::Float),
        ("s", FieldType::String),
        ("url", FieldType::String),
        ("p", FieldType::Bool),
        ("q", FieldType::Bool),
        ("at", FieldType::Timestamp),
        ("case", FieldType::Int),
        ("videoId", FieldType::String),
    ];
    Scope::of_fields(&all.map(field))
}

fn parse(text: &str) -> Expression {
    Expression::parse(text, &fields()).unwrap_or_else(|refused| panic!("{text}: {refused}"))
}

#[test]
fn what_is_refused_says_why_and_what_to_write() {
    let table: &[(&str, &str, &str)] = &[
        ("", "empty", "write SQL"),
        ("a = ", "is not an expression", "write SQL"),
        ("a = 1 b", "follows the end", "write SQL"),
        ("a = 1; b = 2", "follows the end", "write SQL"),
        ("1 = 1", "names no field", "leave a constant condition out"),
        ("c = 1", "unknown field `c`", "did you mean"),
        ("videoid = 'v'", "unknown field `videoid`", "did you mean `videoId`?"),
        ("t.a = 1", "names a table", "write `a`"),
        ("lower(s = 1", "is not an expression", "write SQL"),
        ("case = 1", "`case` is a field and a word of expressions", "write \"case\" in quotes"),
        // Other rows, clocks, chance.
        ("sum(a) > 1", "`sum` is an aggregate", "top of a measure"),
        ("a > avg(a)", "`avg` is an aggregate", "top of a measure"),
        ("count(*) > 1", "`count` is an aggregate", "top of a measure"),
        ("row_number() OVER (ORDER BY a) = 1", "window function", "one event"),
        ("lag(a) = a", "window function", "one event"),
        ("sum(a) OVER () > 1", "window function", "one event"),
        ("a = (SELECT 1)", "subquery", "one event"),
        ("a IN (SELECT 1)", "subquery", "one event"),
        ("EXISTS (SELECT 1)", "subquery", "one event"),
        ("at > now()", "`now` looks at a clock", "event time"),
        ("at > CURRENT_TIMESTAMP", "`current_timestamp` looks at a clock", "event time"),
        ("x < random()", "`random` looks at a clock, chance", "field of the event"),
        ("s = uuid()", "`uuid` looks at", "field of the event"),
        // Functions.
        ("lenght(s) > 1", "unknown function `lenght`", "did you mean `length`?"),
        ("soundex(s) = 'x'", "unknown function `soundex`", "functions are abs, ceil"),
        ("length(s, s) = 1", "`length` with 2 arguments, it takes 1", "write length(string)"),
        ("length(a) = 1", "`length` wants string, but `a` is int", "write length(string)"),
        ("coalesce() = 1", "without arguments", "write coalesce(a, b, …)"),
        ("length(DISTINCT s) = 1", "is not offered", "plain arguments"),
        // Types.
        ("a = 's'", "int and string", "write both sides as int"),
        ("s > 1", "string and int", "both sides"),
        ("a + s > 1", "+ wants numbers, but `s` is string", "int or a float"),
        ("a AND p", "AND wants conditions, but `a` is int", "comparison"),
        ("NOT a", "NOT wants a condition, but `a` is int", "comparison"),
        ("p < q", "< wants an order", "= or <>"),
        ("at + 1 > at", "+ wants numbers, but `at` is timestamp", "int or a float"),
        ("at > '31.1.2026'", "'31.1.2026' is no timestamp", "RFC 3339"),
        ("at > 5", "timestamp and int", "timestamps compare"),
        ("s > at", "timestamp and string", "timestamps compare"),
        ("a IN (1, 's')", "int and string", "both sides"),
        ("a IN (1, b)", "`\"b\"` in the list of IN", "takes literals"),
        ("a IN (1, NULL)", "NULL in the list", "IS NULL"),
        ("a = NULL", "never true", "IS NULL"),
        ("a BETWEEN NULL AND 2", "never true", "IS NULL"),
        ("CASE WHEN p THEN 1 ELSE 's' END = 1", "int and string", "both sides"),
        ("CASE WHEN p THEN NULL END = 1", "every value of CASE is NULL", "a value"),
        ("CASE a WHEN 1 THEN 2 END = 1", "is not offered", "CASE WHEN a = "),
        // What SQL has and we have not.
        ("s LIKE 'a%'", "patterns are not offered", "starts_with"),
        ("CAST(s AS INT) = 1", "a cast to INT is not offered", "CAST(… AS DOUBLE)"),
        ("TRY_CAST(a AS DOUBLE) = 1", "is not offered", "CAST(… AS DOUBLE)"),
        ("s || s = 'a'", "the operator `||` is not offered", "expressions hold"),
        ("p IS TRUE", "is not offered", "expressions hold"),
        ("a = 99999999999999999999", "does not fit into 64 bits", "write 99999999999999999999.0"),
        ("x = 1e999", "no finite number", "smaller"),
    ];
    for (text, what, fix) in table {
        match Expression::parse(text, &fields()) {
            Ok(expression) => panic!("{text} was read as {expression}"),
            Err(refused) => {
                assert!(refused.what.contains(what), "{text}: {refused}");
                assert!(refused.fix.contains(fix), "{text}: {refused}");
            }
        }
    }
}

#[test]
fn endless_texts_are_refused_without_a_crash() {
    let deep = format!("{}p{}", "(".repeat(3_000), ")".repeat(3_000));
    let long = format!("a = 1{}", " OR a = 1".repeat(1_700));
    let longer = "a = 1 OR ".repeat(3_000) + "p";
    for text in [deep, long, longer] {
        assert!(Expression::parse(&text, &fields()).is_err());
    }
}

#[test]
fn expressions_have_one_text() {
    let table = [
        ("a=200 and not(x>b)", r#"(("a" = 200) AND (NOT ("x" > CAST("b" AS DOUBLE))))"#),
        ("a / 2 != 1", r#"((CAST("a" AS DOUBLE) / 2.0) <> 1.0)"#),
        ("s NOT IN ('it''s', '')", r#"(NOT ("s" IN ('it''s', '')))"#),
        ("a is not null", r#"(NOT ("a" IS NULL))"#),
        ("at >= '2026-01-31T01:00:00+01:00'", r#"("at" >= TIMESTAMP '2026-01-31T00:00:00Z')"#),
        (
            "at BETWEEN TIMESTAMP '2026-01-31T00:00:00.5Z' AND at",
            r#"("at" BETWEEN TIMESTAMP '2026-01-31T00:00:00.500Z' AND "at")"#,
        ),
        ("Case when p then a end = -5", r#"(CASE WHEN "p" THEN "a" ELSE NULL END = -5)"#),
        ("Floor(x) - -a = +1", r#"((floor("x") - CAST((- "a") AS DOUBLE)) = 1.0)"#),
        ("a = -(-(5)) - (-0.0)", r#"(CAST("a" AS DOUBLE) = (5.0 - 0.0))"#),
        ("\"case\" = 1", r#"("case" = 1)"#),
        ("url_path(url) = videoId", r#"(url_path("url") = "videoId")"#),
        ("a::double precision = 1e21", r#"(CAST("a" AS DOUBLE) = 1e21)"#),
    ];
    for (text, canonical) in table {
        let expression = parse(text);
        assert_eq!(expression.to_string(), canonical);
        assert_eq!(parse(canonical), expression);
    }
}

#[test]
fn an_expression_knows_its_columns_and_type() {
    let expression = parse("CASE WHEN p AND s = 'x' THEN a % 10 ELSE length(s) END");
    assert_eq!(expression.columns(), BTreeSet::from(["a", "p", "s"]));
    assert_eq!(expression.kind(), FieldType::Int);
}

#[test]
fn a_measure_aggregates_a_number() {
    let single = |aggregation| match aggregation {
        Aggregation::Measure(kind, of) => (kind, of.map(|of| of.to_string())),
        mean @ Aggregation::Mean { .. } => panic!("{mean:?}"),
    };
    let measure = |text: &str| Expression::parse_measure(text, &fields()).map(single);
    assert_eq!(measure("count()"), Ok((MeasureKind::Count, None)));
    assert_eq!(measure("COUNT(*)"), Ok((MeasureKind::Count, None)));
    assert_eq!(measure("sum(a)"), Ok((MeasureKind::SumInt, Some("\"a\"".to_owned()))));
    assert_eq!(measure("sum(a * x)"), Ok((MeasureKind::SumFloat, Some("(CAST(\"a\" AS DOUBLE) * \"x\")".to_owned()))));
    assert_eq!(measure("min(abs(b))").map(|(kind, _)| kind), Ok(MeasureKind::MinInt));
    assert_eq!(measure("max(x)").map(|(kind, _)| kind), Ok(MeasureKind::MaxFloat));
    for (of, canonical) in [("s", "\"s\""), ("p", "\"p\""), ("at", "\"at\""), ("a + b", "(\"a\" + \"b\")")] {
        let present = format!("CASE WHEN ({canonical} IS NULL) THEN 0 ELSE 1 END");
        assert_eq!(measure(&format!("count({of})")), Ok((MeasureKind::SumInt, Some(present))));
    }
    for (text, what) in [
        ("a", "aggregates nothing"),
        ("mean(a)", "`mean` is not an aggregation"),
        ("sum()", "takes one argument, not 0"),
        ("avg(s)", "`avg` wants int or float, but `s` is string"),
        ("avg(1)", "names no field"),
        ("count(1)", "names no field"),
        ("count(a, b)", "takes one argument, not 2"),
        ("count(DISTINCT a)", "is not offered"),
        ("sum(DISTINCT a)", "is not offered"),
        ("sum(sum(a))", "`sum` is an aggregate"),
        ("max(at)", "`max` wants int or float, but `at` is timestamp"),
        ("sum(a) + 1", "aggregates nothing"),
        ("sum(a) OVER ()", "window function"),
    ] {
        let refused = measure(text).expect_err(text);
        assert!(refused.what.contains(what), "{text}: {refused}");
    }
}

#[test]
fn a_mean_is_a_sum_and_a_count() {
    for (text, kind, of) in [("avg(a)", MeasureKind::SumInt, "\"a\""), ("AVG(x)", MeasureKind::SumFloat, "\"x\"")] {
        let Ok(Aggregation::Mean { sum, count }) = Expression::parse_measure(text, &fields()) else { panic!("{text}") };
        assert_eq!((sum.0, sum.1.to_string().as_str()), (kind, of));
        let present = format!("CASE WHEN ({of} IS NULL) THEN 0 ELSE 1 END");
        assert_eq!((count.0, count.1.to_string()), (MeasureKind::SumInt, present));
    }
}

#[test]
fn a_function_takes_what_can_be_made_of_its_types() {
    let table = [
        ("distance_km(a, x, 1, 0.5) > 0", "(distance_km(CAST(\"a\" AS DOUBLE), \"x\", 1.0, 0.5) > 0.0)"),
        (
            "seconds_between(at, '2026-01-31T00:00:00Z') < 3600",
            "(seconds_between(\"at\", TIMESTAMP '2026-01-31T00:00:00Z') < 3600.0)",
        ),
    ];
    for (text, canonical) in table {
        assert_eq!(parse(text).to_string(), canonical);
        assert_eq!(parse(canonical), parse(text));
    }
    for (text, what) in [
        ("distance_km(s, x, x, x) > 0", "`distance_km` wants float, but `s` is string"),
        ("distance_km(x, x, x) > 0", "`distance_km` with 3 arguments, it takes 4"),
        ("seconds_between(at, 5) > 0", "`seconds_between` wants timestamp, but `5` is int"),
        ("seconds_between(at, 'noon') > 0", "'noon' is no timestamp"),
        ("length('a') = a AND contains(1, s)", "`contains` wants string, but `1` is int"),
    ] {
        let refused = Expression::parse(text, &fields()).expect_err(text);
        assert!(refused.what.contains(what), "{text}: {refused}");
    }
}

#[test]
fn a_value_that_cannot_be_null_is_known() {
    let optional = |name: &str| ["b", "y", "url", "q"].contains(&name);
    let table = [
        ("a", false),
        ("b", true),
        ("coalesce(url, s)", false),
        ("coalesce(url, lower(url))", true),
        ("b IS NULL", false),
        ("a = 1 AND p", false),
        ("a = 1 OR q", true),
        ("a IN (1, 2)", false),
        ("b BETWEEN 1 AND a", true),
        ("CASE WHEN q THEN a ELSE 1 END", false),
        ("CASE WHEN p THEN a END", true),
        ("CAST(a AS DOUBLE)", false),
        ("upper(s)", false),
        ("url_path(s)", false),
        ("url_path(url)", true),
        // What may have no result.
        ("a + 1", true),
        ("x / x", true),
        ("-a", true),
        ("-x", false),
        ("abs(a)", true),
        ("abs(x)", false),
        ("floor(x)", false),
        ("seconds_between(at, at)", false),
        ("distance_km(x, x, x, x)", true),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text).may_be_null(&optional), expected, "{text}");
    }
}

#[test]
fn columns_are_replaced_by_what_they_stand_for() {
    let of = |name: &str| (name == "a").then(|| parse("b * 2"));
    for (text, expected) in [
        ("a", "b * 2"),
        ("b", "b"),
        ("NOT (a IN (1, 2)) AND p", "NOT (b * 2 IN (1, 2)) AND p"),
        ("CASE WHEN a IS NULL THEN x ELSE a END", "CASE WHEN b * 2 IS NULL THEN x ELSE b * 2 END"),
        ("-a BETWEEN abs(a) AND 7", "-(b * 2) BETWEEN abs(b * 2) AND 7"),
    ] {
        assert_eq!(parse(text).with_in_place(&of), parse(expected), "{text}");
    }
}

#[test]
fn the_registry_is_usable() {
    let mut names = functions::names();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), functions::names().len(), "two functions share a name");
    for function in functions::REGISTRY {
        assert!(!function.takes.is_empty() && !function.about.is_empty(), "{}", function.name);
    }
    let frame = df!("url" => [Some("https://h/a?q=1"), None, Some("/b#c")]).expect("columns are of one length");
    let result = frame.lazy().select([parse("url_path(url)").to_polars()]).collect().expect("it runs");
    let paths =
        result.column("url").and_then(|column| column.str()).expect("it is a string").iter().collect::<Vec<_>>();
    assert_eq!(paths, [Some("/a"), None, Some("/b")]);
}

/// Polars takes these for false in a filter, although they are null where `a` is.
#[test]
fn a_filter_keeps_null_apart_from_false() {
    let nulls = df!("a" => [None::<i64>], "p" => [None::<bool>]).expect("columns are of one length");
    for (text, kept) in [
        ("NOT (a > 1 AND a <= 1)", 0),
        ("NOT (p AND NOT p)", 0),
        ("coalesce(p AND NOT p, TRUE)", 1),
        ("(p AND NOT p) IS NULL", 1),
        ("(p AND NOT p) OR a IS NULL", 1),
    ] {
        let rows = nulls.clone().lazy().filter(parse(text).to_polars()).collect().expect(text).height();
        assert_eq!(rows, kept, "{text}");
    }
}

/// In columns and row by row.
#[test]
fn an_integer_that_leaves_64_bits_is_null() {
    let (least, most) = (i64::MIN, i64::MAX);
    for (text, a, b, expected) in [
        ("a + b", most, 1, None),
        ("a + b", most, least, Some(-1)),
        ("a - b", least, 1, None),
        ("a - b", -1, most, Some(least)),
        ("a * b", 1 << 32, 1 << 31, None),
        ("a * b", 1 << 32, -(1 << 31), Some(least)),
        ("a * 3 / 3", most, 0, None),
        ("a % b", least, -1, Some(0)),
        ("a % b", most, 0, None),
        ("-a", least, 0, None),
        ("-a", most, 0, Some(-most)),
        ("abs(a)", least, 0, None),
        ("floor(a)", least, 0, Some(least)),
        // Each result is judged by itself, so no operand comes back from beyond.
        ("a + b - b", most, 1, None),
        ("coalesce(a + b, 7)", most, 1, Some(7)),
        ("CASE WHEN a + b IS NULL THEN 1 ELSE 0 END", most, 1, Some(1)),
        ("CASE WHEN a = 9007199254740993 THEN 1 ELSE 0 END", (1 << 53) + 1, 0, Some(1)),
        ("CASE WHEN a IN (9007199254740992) THEN 1 ELSE 0 END", (1 << 53) + 1, 0, Some(0)),
    ] {
        let expression = parse(text);
        let column = df!("a" => [a], "b" => [b]).expect("two columns").lazy();
        let column = column.select([expression.to_polars().alias("r").cast(DataType::Int64)]).collect().expect(text);
        let in_a_column = column.column("r").and_then(|column| column.i64()).expect("integers").get(0);
        let in_a_row = expression.evaluate_row(&|name| Scalar::Int(if name == "a" { a.into() } else { b.into() }));
        assert_eq!(in_a_column, expected, "{text} of {a} and {b}");
        assert_eq!(in_a_row, expected.map_or(Scalar::Null, |x| Scalar::Int(x.into())), "{text} of {a} and {b}");
    }
}

/// What turns out to be a constant has a row for every event nevertheless.
#[test]
fn a_constant_in_disguise_has_as_many_rows_as_the_frame() {
    for rows in [0, 1, 3] {
        let frame = df!("p" => vec![true; rows]).expect("there is one column");
        for text in
            ["p OR TRUE", "p AND FALSE", "CASE WHEN 1 = 1 THEN 2 ELSE length('p') END = 2 OR p", "coalesce(TRUE, p)"]
        {
            let result = frame.clone().lazy().select([parse(text).to_polars().alias("r")]).collect().expect(text);
            assert_eq!(result.height(), rows, "{text}");
        }
    }
}

#[test]
fn an_empty_frame_gives_an_empty_column() {
    for text in
        ["a % 2", "abs(a) + 1", "x / 0", "a IN (1, 2)", "contains(s, 'x')", "coalesce(a, 1)", "CASE WHEN p THEN 1 END"]
    {
        let result = frame(&[]).lazy().select([parse(text).to_polars().alias("r")]).collect().expect(text);
        assert_eq!(result.height(), 0, "{text}");
    }
}

#[test]
fn derived_values_follow_the_rules_of_merged_numbers() {
    use Value::{Float, Int, Null, Overflow};
    let measure = |(name, kind): (&str, FieldType)| (name.to_owned(), kind);
    let measures = [
        ("n", FieldType::Int),
        ("total", FieldType::Int),
        ("least", FieldType::Float),
        ("gone", FieldType::Int),
        ("huge", FieldType::Int),
    ];
    let scope = Scope::of_measures(measures.map(measure));
    let value_of = |name: &str| match name {
        "n" => Int(4),
        "total" => Int(10),
        "least" => Null,
        "gone" => Int(i128::from(i64::MAX) + 1),
        _ => Int(i128::from(i64::MAX)),
    };
    for (text, expected) in [
        ("total / n", Float(2.5)),
        ("total % n", Int(2)),
        ("-total", Int(-10)),
        ("total / (n - 4)", Null),
        ("total % (n - 4)", Null),
        ("least + 1", Null),
        ("coalesce(least, n)", Int(4)),
        ("gone + 1", Overflow),
        ("coalesce(gone, 1)", Overflow),
        ("gone / 2", Overflow),
        ("huge + 1", Overflow),
        ("huge + 1 - 1", Int(i128::from(i64::MAX))),
        ("huge * huge * huge", Overflow),
        ("1e308 * total", Null),
        ("CASE WHEN n >= 4 AND least IS NULL THEN total ELSE 0 END", Int(10)),
        ("CASE WHEN least > 1 THEN 1 ELSE total END", Int(10)),
        ("CASE WHEN n IN (1, 4) THEN 0.5 ELSE total END", Float(0.5)),
        ("CASE WHEN n BETWEEN 5 AND 6 THEN 1 END", Null),
        ("abs(0 - total) + floor(2.5) + ceil(n)", Float(16.0)),
    ] {
        let derived = Expression::parse(text, &scope).unwrap_or_else(|refused| panic!("{text}: {refused}"));
        let value = derived.evaluate(&value_of);
        // An int beside a float is a float, also where a branch answers.
        let equal = match (&value, &expected) {
            (Float(a), Int(b)) => *a == *b as f64,
            (a, b) => a == b,
        };
        assert!(equal, "{text} gave {value}, not {expected}");
    }
    for text in ["lower('A') = 'a'", "url_path('a') = 'a'", "missing + n"] {
        assert!(Expression::parse(text, &scope).is_err(), "{text}");
    }
}

fn frame(rows: &[Row]) -> DataFrame {
    let column = |name: &str| rows.iter().map(|row| row.get(name)).collect::<Vec<_>>();
    df!(
        "a" => column("a").iter().map(naive::Answer::int).collect::<Vec<_>>(),
        "b" => column("b").iter().map(naive::Answer::int).collect::<Vec<_>>(),
        "x" => column("x").iter().map(naive::Answer::float).collect::<Vec<_>>(),
        "y" => column("y").iter().map(naive::Answer::float).collect::<Vec<_>>(),
        "s" => column("s").iter().map(naive::Answer::text).collect::<Vec<_>>(),
        "url" => column("url").iter().map(naive::Answer::text).collect::<Vec<_>>(),
        "p" => column("p").iter().map(naive::Answer::bool).collect::<Vec<_>>(),
        "q" => column("q").iter().map(naive::Answer::bool).collect::<Vec<_>>(),
        "at" => column("at").iter().map(naive::Answer::instant).collect::<Vec<_>>(),
    )
    .expect("columns are of one length")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The heart of the matter: for any expression and rows with nulls, Polars answers as the naive interpreter does, the
    /// row evaluator answers as Polars does, to the type, and the canonical text reads back as the same expression.
    #[test]
    fn polars_and_rows_answer_as_a_naive_interpreter(
        tree in generate::tree(),
        rows in prop::collection::vec(generate::row(), 0..12),
    ) {
        let text = tree.to_string();
        let expression = match Expression::parse(&text, &fields()) {
            Ok(expression) => expression,
            // Constants are refused by design; nothing else may be.
            Err(refused) => {
                prop_assert!(refused.what.contains("names no field"), "{text}: {refused}");
                return Ok(());
            }
        };
        let read_back = Expression::parse(&expression.to_string(), &fields());
        prop_assert_eq!(read_back.as_ref(), Ok(&expression));

        let result = frame(&rows).lazy().select([expression.to_polars().alias("r")]).collect();
        let result = result.unwrap_or_else(|error| panic!("{text}: {error}"));
        let answers = naive::answers(result.column("r").expect("it was asked for"), expression.kind());
        let expected: Vec<_> = rows.iter().map(|row| tree.answer(row)).collect();
        prop_assert_eq!(answers.len(), expected.len());
        for (i, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
            prop_assert!(answer.is_like(expected), "{text} of {:?} gave {answer:?}, not {expected:?}", rows[i]);
            let value = naive::Answer::from(expression.evaluate_row(&|name| rows[i].scalar(name)));
            prop_assert_eq!(&value, answer, "{} of {:?} is another in the row evaluator", text, rows[i]);
        }

        if expression.kind() == FieldType::Bool {
            let kept = frame(&rows).lazy().filter(expression.to_polars()).collect().expect("it ran before").height();
            prop_assert_eq!(kept, expected.iter().filter(|answer| answer.bool() == Some(true)).count());
        }

        // As a column of its own it can be aggregated in groups.
        let with_column = frame(&rows).lazy().with_columns([expression.to_polars().alias("r")]);
        let known = col("r").is_not_null().sum().cast(DataType::Int64);
        // Of all numbers the last two digits, so that their sum is one of 64 bits.
        let total = if expression.kind() == FieldType::Int { (col("r") % lit(100)).sum() } else { known.clone() };
        let groups = with_column.group_by([col("s")]).agg([known.alias("known"), total.alias("total")]).collect();
        let groups = groups.unwrap_or_else(|error| panic!("{text}: {error}"));
        let column = |name: &str| groups.column(name).expect("it was asked for").as_materialized_series().clone();
        let (keys, known, total) = (column("s"), column("known"), column("total"));
        for (at, key) in keys.str().expect("the key is a string").iter().enumerate() {
            let rows_of_group = rows.iter().zip(&expected).filter(|(row, _)| row.get("s").text() == key);
            let answers: Vec<_> = rows_of_group.map(|(_, answer)| answer).filter(|a| **a != naive::Answer::Null).collect();
            let sum: i64 = match expression.kind() {
                FieldType::Int => answers.iter().filter_map(|answer| answer.int()).map(|int| int.rem_euclid(100)).sum(),
                _ => answers.len() as i64,
            };
            prop_assert_eq!(known.i64().expect("a count").get(at), Some(answers.len() as i64), "{}", text);
            prop_assert_eq!(total.i64().expect("a sum").get(at), Some(sum), "{}", text);
        }
    }
}
