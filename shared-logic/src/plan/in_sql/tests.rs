//! Texts of queries, and what is made of their results.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::catalog::Catalog;
use crate::expression::in_sql::int;
use crate::log::PartitionId;
use crate::measure::Value;
use crate::time::TimeRange;

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
event_id = "id"
[sources.s.fields]
at = "timestamp"
id = "string"
k = "string?"
born = "timestamp?"
n = "int?"
x = "float?"
[metrics.m]
source = "s"
by = ["k", "born"]
where = "x > 0.5"
grain = "1m"
[metrics.m.measures]
events = "count()"
whole = "sum(n)"
twice = "sum(n * 2)"
floats = "sum(x)"
least = "min(n)"
most = "max(x)"
"#;

const RECORD: RecordColumns =
    RecordColumns { log: "_log", partition: "_partition", offset: "_offset", error: "_error" };

fn plan_of(text: &str) -> Plan {
    let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
    Plan::new(&catalog.sources["s"], &catalog.metrics["m"])
}

fn plan() -> Plan {
    plan_of(CATALOG)
}

fn tables() -> Vec<EventTable> {
    let columns = vec![("_n_int".into(), "n".to_owned())];
    let decoded = EventTable { name: "decoded".to_owned(), columns: Vec::new() };
    vec![EventTable { name: "archive".to_owned(), columns }, decoded]
}

fn query(plan: &Plan, times: Option<(&BTreeSet<i64>, i64)>) -> String {
    let (logs, tables) = (["a'b".to_owned(), "c".to_owned()], tables());
    let range = |log: &str, from, to| OffsetRange { id: PartitionId::new(log, 1), from, to };
    let ranges = [range("a'b", i64::MIN, 7), range("c", 0, 5)];
    let events = EventsInSql { tables: &tables, record: RECORD, logs: &logs, ranges: &ranges, times };
    plan.in_sql().expect("no sketch").of_events(&events)
}

/// The text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("`{before}` is in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("`{after}` is in {rest}")).0
}

#[test]
fn events_are_read_numbered_evaluated_and_grouped() {
    let query = query(&plan(), None);
    let grouped = between(&query, "SELECT ", " FROM (");
    assert_eq!(
        grouped,
        r#""k", "born", "_bucket", count(*) AS "events", sum("_1_of" >> 32) AS "whole.high", sum("_1_of" & 4294967295) AS "whole.low", "#
            .to_owned()
            + r#"sum("_2_of" >> 32) AS "twice.high", sum("_2_of" & 4294967295) AS "twice.low", sum("_3_of") AS "floats", "#
            + r#"min("_4_of") AS "least", max(braid_finite("_5_of")) AS "most""#
    );
    let order = r#"GROUP BY "k", "born", "_bucket" ORDER BY "k" ASC NULLS FIRST, "born" ASC NULLS FIRST, "_bucket" ASC NULLS FIRST"#;
    assert!(query.ends_with(order), "{query}");
    // A key is shortened where a measure and the condition see all of the text.
    let evaluated = between(&query, "FROM (SELECT ", " FROM (SELECT");
    let arguments = r#""n" AS "_1_of", braid_multiply("n", CAST('2' AS BIGINT)) AS "_2_of", "x" AS "_3_of", "n" AS "_4_of", "x" AS "_5_of""#;
    assert!(evaluated.starts_with(r#"braid_key_text("k") AS "k", "born", "#), "{evaluated}");
    assert!(evaluated.ends_with(arguments), "{evaluated}");
    let fields = |n: &str| {
        let record =
            r#"SELECT "_log", "_partition", "_offset", CAST("at" AS BIGINT) AS "at", "id" AS "id", "k" AS "k", "#;
        format!(r#"{record}CAST("born" AS BIGINT) AS "born", "{n}" AS "n", braid_finite("x") AS "x" FROM "#)
    };
    let (archive, decoded) = (fields("_n_int"), fields("n"));
    let read = format!(
        r#"FROM ({archive}"archive" WHERE "_error" IS NULL UNION ALL {decoded}"decoded" WHERE "_error" IS NULL) AS read"#
    );
    assert!(query.contains(&read), "{query}");
}

#[test]
fn the_first_copy_stands_whether_it_is_counted_or_not() {
    let copies = query(&plan(), None);
    let number = between(&copies, "row_number() OVER (", r#") AS "_copy""#);
    let logs = r#"CASE "_log" WHEN 'a''b' THEN CAST('0' AS BIGINT) WHEN 'c' THEN CAST('1' AS BIGINT) ELSE CAST('4294967295' AS BIGINT) END"#;
    assert_eq!(number, format!(r#"PARTITION BY "id", "at" ORDER BY {logs}, "_partition", "_offset""#));
    // The condition stands where copies are numbered already.
    assert_eq!(
        between(&copies, "AS numbered ", ") AS evaluated"),
        r#"WHERE "_copy" = 1 AND ("x" > CAST('0.5' AS DOUBLE))"#
    );
    let without = query(&plan_of(&CATALOG.replace("event_id = \"id\"", "")), None);
    assert!(!without.contains("row_number") && !without.contains("_copy"), "{without}");
    let counts_all = CATALOG.replace("event_id = \"id\"", "").replace("where = \"x > 0.5\"", "");
    assert!(query(&plan_of(&counts_all), None).contains(") AS numbered) AS evaluated"));
}

#[test]
fn only_the_ranges_and_times_that_are_asked_for_are_read() {
    let range = |log: &str, from: i64, to: i64| {
        let is_in = format!(r#"WHEN "_log" = '{log}' AND "_partition" = CAST('1' AS BIGINT)"#);
        format!(
            r#"{is_in} AND "_offset" >= CAST('{from}' AS BIGINT) AND "_offset" < CAST('{to}' AS BIGINT) THEN CAST('{to}' AS BIGINT)"#
        )
    };
    // From the first offset of all ranges to the last one.
    let bounds = format!(r#""_offset" >= {} AND "_offset" < {}"#, int(i64::MIN), int(7));
    let ranges =
        format!(r#"WHERE {bounds} AND "_offset" < CASE {} {} END"#, range("a''b", i64::MIN, 7), range("c", 0, 5));
    assert!(query(&plan(), None).contains(&format!("AS read {ranges}) AS numbered")));
    let starts = BTreeSet::from([-7_200, 3_600]);
    let times = query(&plan(), Some((&starts, 3_600)));
    let time = r#""at" >= CAST('-7200' AS BIGINT) AND "at" < CAST('7200' AS BIGINT)"#;
    let start = r#"("at" - ("at" % CAST('3600' AS BIGINT) + CAST('3600' AS BIGINT)) % CAST('3600' AS BIGINT))"#;
    let starts = "IN (CAST('-7200' AS BIGINT), CAST('3600' AS BIGINT))";
    assert!(times.contains(&format!("{ranges} AND {time} AND {start} {starts}) AS numbered")), "{times}");
    assert!(query(&plan(), Some((&BTreeSet::new(), 3_600))).contains("END AND FALSE) AS numbered"));
    let plan = plan();
    let (in_sql, tables) = (plan.in_sql().expect("no sketch"), tables());
    let nothing = EventsInSql { tables: &tables, record: RECORD, logs: &[], ranges: &[], times: None };
    let text = in_sql.of_events(&nothing);
    assert!(text.contains("AS read WHERE FALSE)") && text.contains(r#"ORDER BY "_partition", "_offset")"#), "{text}");
}

#[test]
fn buckets_are_whole_also_before_1970() {
    let minute = "CAST('60000000' AS BIGINT)";
    let bucket = format!(r#"("at" - ("at" % {minute} + {minute}) % {minute}) AS "_bucket""#);
    assert!(query(&plan(), None).contains(&bucket));
}

#[test]
fn rows_of_a_view_are_merged_over_a_period() {
    let plan = plan();
    let range = TimeRange { from_us: -5, to_us: 60 };
    let query = plan.in_sql().expect("no sketch").of_rows("view", "bucket", range);
    let sum = |name: &str| {
        format!(
            r#"sum("{name}" >> 32) AS "{name}.high", sum("{name}" & 4294967295) AS "{name}.low", count(*) - count("{name}") AS "{name}.lost""#
        )
    };
    let lost = r#"count("most") - count(braid_finite("most")) AS "most.lost""#;
    assert_eq!(
        between(&query, "SELECT ", " FROM ("),
        format!(
            r#""k", "born", {}, {}, {}, sum("floats") AS "floats", min("least") AS "least", max(braid_finite("most")) AS "most", {lost}"#,
            sum("events"),
            sum("whole"),
            sum("twice"),
        )
    );
    assert!(
        query.ends_with(
            r#"FROM (SELECT "k", CAST("born" AS BIGINT) AS "born", "events", "whole", "twice", "floats", "least", "most" FROM "view" WHERE CAST("bucket" AS BIGINT) >= CAST('-5' AS BIGINT) AND CAST("bucket" AS BIGINT) < CAST('60' AS BIGINT)) AS kept GROUP BY "k", "born" ORDER BY "k" ASC NULLS FIRST, "born" ASC NULLS FIRST"#
        ),
        "{query}"
    );
    let of_all = plan_of(&CATALOG.replace(r#"by = ["k", "born"]"#, "by = []"));
    let query = of_all.in_sql().expect("no sketch").of_rows("view", "bucket", range);
    assert!(query.ends_with("AS kept HAVING count(*) > 0"), "{query}");
}

#[test]
fn what_sql_has_no_law_for_is_refused_by_name() {
    for (measure, says) in [("distinct(n)", "(`distinct`)"), ("quantile(x)", "(`quantile`)"), ("top(k, 3)", "(`top`)")]
    {
        let plan = plan_of(&format!("{CATALOG}odd = \"{measure}\"\n"));
        let refused = plan.in_sql().expect_err("a sketch");
        let text = refused.to_string();
        assert!(text.starts_with("the measure `odd` is a sketch") && text.contains(says), "{text}");
    }
    let nested = |times: usize| format!("{}n{}", "abs(".repeat(times), ")".repeat(times));
    assert_eq!(plan_of(&format!("{CATALOG}odd = \"sum({})\"\n", nested(24))).in_sql().err(), None);
    let refused = plan_of(&format!("{CATALOG}odd = \"sum({})\"\n", nested(25))).in_sql().expect_err("too deep");
    assert!(refused.to_string().starts_with("the measure `odd` is nested too deeply"), "{refused}");
    let refused = plan_of(&CATALOG.replace("x > 0.5", &format!("{} > 0", nested(25)))).in_sql().expect_err("too deep");
    assert!(refused.to_string().starts_with("the condition `where` is nested too deeply"), "{refused}");
}

/// Halves as the query of events adds them up.
fn halves(ints: &[Option<i64>]) -> (Option<i64>, Option<i64>) {
    let sum = |half: fn(i64) -> i64| ints.iter().flatten().map(|x| half(*x)).reduce(|a, b| a + b);
    (sum(|x| x >> 32), sum(|x| x & 4_294_967_295))
}

/// An event of the first minute: `k`, `n` and `x`.
type Row = (Option<&'static str>, Option<i64>, Option<f64>);

const SMALL: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string?"
n = "int?"
x = "float?"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
events = "count()"
whole = "sum(n)"
floats = "sum(x)"
least = "min(n)"
most = "max(x)"
"#;

/// Events as a query of them answers, one row per key, or a query of rows that were made of them.
fn result(rows: &[Row], of_rows: bool) -> DataFrame {
    let mut groups: BTreeMap<Option<&str>, Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(row.0).or_default().push(*row);
    }
    let groups: Vec<(Option<&str>, Vec<Row>)> = groups.into_iter().collect();
    let each = |of: &dyn Fn(&[Row]) -> Option<i64>| groups.iter().map(|(_, rows)| of(rows)).collect::<Vec<_>>();
    let floats = |of: fn(f64, f64) -> f64| {
        let of = |rows: &Vec<Row>| rows.iter().filter_map(|row| row.2).reduce(of);
        groups.iter().map(|(_, rows)| of(rows)).collect::<Vec<_>>()
    };
    let ints = |rows: &[Row]| rows.iter().map(|row| row.1).collect::<Vec<_>>();
    let (high, low) = (each(&|rows| halves(&ints(rows)).0), each(&|rows| halves(&ints(rows)).1));
    let events = each(&|rows| Some(rows.len() as i64));
    let mut result = df!(
        "k" => groups.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        "whole.high" => high,
        "whole.low" => low,
        "floats" => floats(|a, b| a + b),
        "least" => each(&|rows| rows.iter().filter_map(|row| row.1).min()),
        "most" => floats(f64::max),
    )
    .expect("columns");
    let nothing = vec![0_i64; groups.len()];
    let others = if of_rows {
        df!("events.high" => &nothing, "events.low" => events, "events.lost" => &nothing, "whole.lost" => &nothing,
            "most.lost" => &nothing)
    } else {
        df!(BUCKET => &nothing, "events" => events)
    };
    result.hstack_mut(others.expect("columns").columns()).expect("as many rows");
    result
}

fn events(rows: &[Row]) -> LazyFrame {
    let events = df!(
        "at" => vec![0_i64; rows.len()],
        "k" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "n" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "x" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
    );
    events.expect("four columns").lazy()
}

fn row() -> impl Strategy<Value = Row> {
    let int = prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MIN), Just(i64::MAX)];
    let float = prop_oneof![(-8_i32..8).prop_map(f64::from), Just(f64::MAX)];
    (prop_oneof![Just(None), Just(Some("")), Just(Some("a"))], prop::option::of(int), prop::option::of(float))
}

proptest! {
    #[test]
    fn a_result_is_made_the_rows_that_a_count_of_the_events_gives(rows in prop::collection::vec(row(), 0..12)) {
        let plan = plan_of(SMALL);
        let in_sql = plan.in_sql().expect("no sketch");
        let expected = plan.view_rows(events(&rows), None).expect("planned");
        let found = in_sql.rows(result(&rows, false)).expect("its columns");
        prop_assert!(found.equals_missing(&expected), "{} is not {}", found, expected);
        let found = in_sql.rows_of_period(result(&rows, true), 0).expect("its columns");
        prop_assert!(found.equals_missing(&expected), "{} is not {}", found, expected);
    }
}

#[test]
fn columns_are_those_of_the_queries_and_others_are_refused() {
    let plan = plan_of(SMALL);
    let in_sql = plan.in_sql().expect("no sketch");
    let rows: [Row; 1] = [(Some("a"), Some(1), Some(1.0))];
    for (columns, of_rows) in [(in_sql.columns(), false), (in_sql.columns_of_rows(), true)] {
        let result = result(&rows, of_rows);
        assert_eq!(result.width(), columns.len());
        for (name, kind) in &columns {
            assert_eq!(*result.column(name).expect("there").dtype(), kind.column_type(), "{name}");
            let read = |result| if of_rows { in_sql.rows_of_period(result, 0) } else { in_sql.rows(result) };
            assert!(read(result.drop(name).expect("dropped")).is_err(), "without {name}");
            let mut other = result.clone();
            other.with_column(Column::new(name.as_str().into(), [None::<i32>])).expect("as many rows");
            assert!(read(other).is_err(), "{name} of another type");
        }
    }
}

#[test]
fn a_sum_that_leaves_64_bits_stands_in_several_rows() {
    let plan = plan_of(SMALL);
    let wide: [Row; 3] = [(None, Some(i64::MIN), None), (None, Some(i64::MIN), None), (Some("a"), Some(-1), None)];
    let rows = plan.in_sql().expect("no sketch").rows(result(&wide, false)).expect("its columns");
    let ints = |name: &str| rows.column(name).expect("there").i64().expect("ints").iter().collect::<Vec<_>>();
    let (whole, events, least) = (ints("whole"), ints("events"), ints("least"));
    let mut all: Vec<_> = (0..rows.height()).map(|row| (whole[row], events[row], least[row])).collect();
    all.sort_unstable();
    let part = |events, least| (Some(i64::MIN), Some(events), least);
    assert_eq!(all, [part(0, None), part(2, Some(i64::MIN)), (Some(-1), Some(1), Some(-1))]);
}

#[test]
fn an_overflow_that_an_older_build_has_written_stays_one() {
    let plan = plan_of(SMALL);
    let mut result = result(&[(None, Some(3), Some(1.0))], true);
    for name in ["events.lost", "whole.lost", "most.lost"] {
        result.with_column(Column::new(name.into(), [1_i64])).expect("as many rows");
    }
    result.with_column(Column::new("floats".into(), [f64::NAN])).expect("as many rows");
    let rows = plan.in_sql().expect("no sketch").rows_of_period(result, 60).expect("its columns");
    for (kind, name, _) in &plan.measures {
        let value = kind.cells(rows.column(name).expect("a measure")).expect("its type");
        let expected = if name == "least" { Value::Int(3) } else { Value::Overflow };
        assert_eq!(value, [expected], "{name}");
    }
    assert_eq!(rows.column(BUCKET).expect("there").i64().expect("instants").get(0), Some(60));
}
