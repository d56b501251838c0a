//! One pass gives what a plan for each grouping set gives; and it can be cut anywhere.

use std::collections::BTreeMap;

use polars::prelude::{IntoLazy, df};
use proptest::prelude::*;

use super::*;
use crate::catalog::Catalog;
use crate::group_key::MAX_KEY_BYTES;
use crate::partial::grouping_sets;

const SOURCE: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
t = "string?"
u = "string"
k = "int?"
b = "bool?"
w = "timestamp?"
n = "int?"
x = "float?"
"#;

const BY: [&str; 5] = ["t", "u", "k", "b", "w"];
const GRAINS: [&str; 2] = ["1m", "1h"];
/// Each is null for some events, false for some, and true for some.
const CONDITIONS: [&str; 3] = ["n > 0", "b", "starts_with(t, 'a') OR x < 0.5"];
/// Some of them have one argument.
const MEASURES: [&str; 16] = [
    "count()",
    "count(t)",
    "count(b)",
    "avg(n)",
    "sum(n)",
    "sum(n * 1000)",
    "sum(CASE WHEN b THEN n ELSE 7 END)",
    "sum(x)",
    "min(n)",
    "max(n)",
    "min(x)",
    "max(x)",
    "distinct(t)",
    "distinct(n, 128)",
    "quantile(x)",
    "top(w, 2)",
];

/// How many metrics a catalog has at most.
const METRICS: usize = 3;

/// A metric over the source, as the catalog has it.
fn metric() -> impl Strategy<Value = String> {
    let by = prop::sample::subsequence(BY.to_vec(), 0..=3).prop_shuffle();
    let condition = prop::option::of(prop::sample::select(CONDITIONS.to_vec()));
    let measures = prop::sample::subsequence(MEASURES.to_vec(), 1..=4);
    (by, condition, prop::sample::select(GRAINS.to_vec()), measures).prop_map(|(by, condition, grain, measures)| {
        let filter = condition.map_or(String::new(), |condition| format!("where = \"{condition}\"\n"));
        let measures = measures.iter().enumerate().map(|(at, of)| format!("m{at} = \"{of}\"\n"));
        let measures: String = measures.collect();
        format!("source = \"s\"\n{filter}by = {by:?}\ngrain = \"{grain}\"\n[metrics.NAME.measures]\n{measures}")
    })
}

fn catalog(metrics: &[String]) -> Catalog {
    let named = metrics.iter().enumerate().map(|(at, metric)| {
        let name = format!("metric_{at}");
        format!("[metrics.{name}]\n{}", metric.replace("NAME", &name))
    });
    let text = SOURCE.to_owned() + &named.collect::<String>();
    Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

#[derive(Debug, Clone)]
struct Row {
    at: i64,
    texts: (Option<String>, String),
    keys: (Option<i64>, Option<bool>, Option<i64>),
    n: Option<i64>,
    x: Option<f64>,
}

/// Few values, so that they meet, in the same column and in another one.
fn row() -> impl Strategy<Value = Row> {
    let long = |end: &str| "a".repeat(MAX_KEY_BYTES) + end;
    let texts = vec!["a".to_owned(), "b".to_owned(), String::new(), "\"\n".to_owned(), long("1"), long("2")];
    let text = prop::sample::select(texts);
    let key = prop_oneof![0..3_i64, Just(i64::MIN), Just(i64::MAX)];
    let n = prop_oneof![4 => -3..4_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX, i64::MAX / 1_000])];
    // Quarters add up exactly in any order, and beside the largest they do not matter.
    let x = prop_oneof![8 => (-8..8_i64).prop_map(|quarters| quarters as f64 / 4.0), 1 => Just(1e308)];
    let keys = (prop::option::of(key), prop::option::of(any::<bool>()), prop::option::of(-1..2_i64));
    let at = prop_oneof![-90_000_000..90_000_000_i64, 3_599_000_000..3_601_000_000_i64];
    let texts = (prop::option::of(text.clone()), text);
    (at, texts, keys, prop::option::of(n), prop::option::of(x)).prop_map(|(at, texts, keys, n, x)| Row {
        at,
        texts,
        keys,
        n,
        x,
    })
}

fn events(rows: &[Row]) -> DataFrame {
    df!(
        "at" => rows.iter().map(|row| row.at).collect::<Vec<_>>(),
        "t" => rows.iter().map(|row| row.texts.0.as_deref()).collect::<Vec<_>>(),
        "u" => rows.iter().map(|row| row.texts.1.as_str()).collect::<Vec<_>>(),
        "k" => rows.iter().map(|row| row.keys.0).collect::<Vec<_>>(),
        "b" => rows.iter().map(|row| row.keys.1).collect::<Vec<_>>(),
        "w" => rows.iter().map(|row| row.keys.2).collect::<Vec<_>>(),
        "n" => rows.iter().map(|row| row.n).collect::<Vec<_>>(),
        "x" => rows.iter().map(|row| row.x).collect::<Vec<_>>(),
    )
    .expect("eight columns")
}

/// Partials by what they are about.
type Cells = BTreeMap<(String, i64), Vec<Value>>;

/// Adds partials; what is about the same is merged.
fn add(cells: &mut Cells, metric: &Metric, partials: &Partials) {
    for (key, bucket, values) in partials.rows() {
        match cells.get_mut(&(key.to_string(), bucket)) {
            None => drop(cells.insert((key.to_string(), bucket), values.to_vec())),
            Some(sums) => {
                for ((measure, sum), value) in metric.measures.iter().zip(sums).zip(values) {
                    *sum = measure.kind.merge(sum.clone(), value.clone());
                }
            }
        }
    }
}

/// What plans give that group by some of the metric's columns only: one for each grouping set.
fn planned(source: &Source, metric: &Metric, events: &DataFrame) -> Cells {
    let mut cells = Cells::new();
    for set in grouping_sets(metric.by.len()) {
        let kept = |column: usize| set & (1 << column) != 0;
        let by = metric.by.iter().enumerate().filter(|(column, _)| kept(*column)).map(|(_, name)| name.clone());
        let of_set = Metric { by: by.collect(), ..metric.clone() };
        let frame = Plan::new(source, &of_set).partials(events.clone().lazy()).expect("planned");
        add(&mut cells, metric, &Partials::of_frame(source, metric, &frame, kept).expect("its columns"));
    }
    cells
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_pass_gives_what_a_plan_for_each_grouping_set_gives(
        metrics in prop::collection::vec(metric(), 1..=METRICS),
        rows in prop::collection::vec(row(), 0..30),
    ) {
        let (catalog, events) = (catalog(&metrics), events(&rows));
        let source = &catalog.sources["s"];
        let plan = SourcePlan::new(source, catalog.metrics.values());
        let encoded = plan.encode(events.clone()).expect("evaluated");
        let counted = plan.count(&encoded, 0, &[rows.len()], usize::MAX);
        prop_assert_eq!((counted.to, counted.partials.len()), (rows.len(), metrics.len()));
        for (metric, partials) in catalog.metrics.values().zip(&counted.partials) {
            let mut cells = Cells::new();
            add(&mut cells, metric, partials);
            prop_assert_eq!(partials.len(), cells.len(), "each key and bucket is there once");
            prop_assert_eq!(cells, planned(source, metric, &events), "{:?}", metric);
        }
    }

    /// Whatever a part may hold, the parts together count every event once.
    #[test]
    fn parts_are_bounded_and_add_up(
        metrics in prop::collection::vec(metric(), 1..=METRICS),
        rows in prop::collection::vec(row(), 1..40),
        between in prop::collection::vec(1..5_usize, 40),
        partials_max in 1..200_usize,
    ) {
        // Sums that stay within 64 bits, and floats that add up exactly.
        let rows: Vec<Row> = rows.into_iter().map(|row| Row {
            n: row.n.map(|n| n.clamp(-5, 5)), x: row.x.map(|x| x.min(4.0)), ..row
        }).collect();
        let catalog = catalog(&metrics);
        let plan = SourcePlan::new(&catalog.sources["s"], catalog.metrics.values());
        let encoded = plan.encode(events(&rows)).expect("evaluated");
        let ends = between.iter().scan(0, |end, step| { *end += step; Some(*end) }).take_while(|end| *end < rows.len());
        let ends: Vec<usize> = ends.chain([rows.len()]).collect();
        let whole = plan.count(&encoded, 0, &ends, usize::MAX);
        prop_assert_eq!(whole.to, rows.len());

        let mut parts = vec![Cells::new(); metrics.len()];
        let mut from = 0;
        while from < rows.len() {
            let part = plan.count(&encoded, from, &ends, partials_max);
            prop_assert!(part.to > from && ends.contains(&part.to));
            let made: usize = part.partials.iter().map(Partials::len).sum();
            let is_smallest = ends.iter().find(|end| **end > from) == Some(&part.to);
            prop_assert!(made <= partials_max || is_smallest, "{} partials", made);
            for ((cells, metric), partials) in parts.iter_mut().zip(catalog.metrics.values()).zip(&part.partials) {
                add(cells, metric, partials);
            }
            from = part.to;
        }
        for ((cells, metric), partials) in parts.iter().zip(catalog.metrics.values()).zip(&whole.partials) {
            let mut expected = Cells::new();
            add(&mut expected, metric, partials);
            prop_assert_eq!(cells, &expected, "{:?}", metric);
        }
    }
}

/// Two events of one minute and one of another.
fn three() -> DataFrame {
    df!(
        "at" => [0_i64, 1, 60_000_000],
        "t" => [Some("a"), None, Some("a")],
        "u" => ["a", "b", "a"],
        "k" => [None, Some(1_i64), None],
        "b" => [Some(true), None, Some(false)],
        "w" => [None::<i64>, None, None],
        "n" => [Some(1_i64), Some(2), None],
        "x" => [None::<f64>, None, None],
    )
    .expect("eight columns")
}

fn shown(partials: &Partials) -> Vec<String> {
    let mut shown: Vec<String> =
        partials.rows().map(|(key, bucket, values)| format!("{key} {}: {values:?}", bucket / 60_000_000)).collect();
    shown.sort();
    shown
}

#[test]
fn an_absent_key_is_a_key_of_its_own_and_every_subset_is_counted() {
    let by = "source = \"s\"\nby = [\"t\", \"u\"]\ngrain = \"1m\"\n";
    let metrics = [
        format!("{by}[metrics.NAME.measures]\nn = \"sum(n)\"\n"),
        format!("{by}where = \"b\"\n[metrics.NAME.measures]\nm = \"max(x)\"\n"),
    ];
    let catalog = catalog(&metrics);
    let plan = SourcePlan::new(&catalog.sources["s"], catalog.metrics.values());
    assert_eq!(plan.sets(), 8);
    assert_eq!(plan.columns(), ["at", "b", "n", "t", "u", "x"]);
    let counted = plan.count(&plan.encode(three()).expect("evaluated"), 0, &[3], usize::MAX);
    let sums = [
        "[\"a\",\"a\"] 0: [Int(1)]",
        "[\"a\",\"a\"] 1: [Int(0)]",
        "[\"a\",null] 0: [Int(1)]",
        "[\"a\",null] 1: [Int(0)]",
        "[] 0: [Int(3)]",
        "[] 1: [Int(0)]",
        "[null,\"a\"] 0: [Int(1)]",
        "[null,\"a\"] 1: [Int(0)]",
        "[null,\"b\"] 0: [Int(2)]",
        "[{},\"b\"] 0: [Int(2)]",
        "[{},null] 0: [Int(2)]",
    ];
    assert_eq!(shown(&counted.partials[0]), sums);
    // Where the condition is null or false, there is no partial, although the other metric has one.
    let one = ["[\"a\",\"a\"]", "[\"a\",null]", "[]", "[null,\"a\"]"].map(|key| format!("{key} 0: [Null]"));
    assert_eq!(shown(&counted.partials[1]), one);
}

#[test]
fn what_metrics_share_is_done_once() {
    let metric = |grain: &str, rest: &str| {
        format!(
            "source = \"s\"\nby = [\"t\"]\ngrain = \"{grain}\"\n{rest}[metrics.NAME.measures]\nn = \"sum(n + 1)\"\n"
        )
    };
    let metrics = [metric("1m", "where = \"b\"\n"), metric("1m", "where = \"b\"\n"), metric("1h", "")];
    let catalog = catalog(&metrics);
    let plan = SourcePlan::new(&catalog.sources["s"], catalog.metrics.values());
    assert_eq!((plan.conditions.len(), plan.arguments.len(), plan.keys.len()), (1, 1, 1));
    assert_eq!((plan.groupings.len(), plan.metrics.len()), (2, 3));
    let counted = plan.count(&plan.encode(three()).expect("evaluated"), 0, &[3], usize::MAX);
    assert_eq!(shown(&counted.partials[0]), shown(&counted.partials[1]));
    assert_ne!(shown(&counted.partials[0]), shown(&counted.partials[2]));
}

#[test]
fn a_column_of_another_type_is_refused() {
    let catalog = catalog(&["source = \"s\"\nby = [\"k\"]\n[metrics.NAME.measures]\nn = \"count()\"\n".to_owned()]);
    let plan = SourcePlan::new(&catalog.sources["s"], catalog.metrics.values());
    for events in [df!("at" => [0_i64], "k" => ["a"]), df!("at" => [0_i64])] {
        assert!(plan.encode(events.expect("columns")).is_err());
    }
}
