//! A field is added, taken out, retyped, or may be absent or not: every record counts as its bytes say under the newest
//! declaration, whichever declarations its file has seen.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::super::Catalog;
use super::parsed;
use super::tables::{Sent, Tables};

/// 2026-04-24, in milliseconds.
const AT_MS: i64 = 1_776_988_800_000;
/// What records hold of the field `k`.
pub(super) const MEMBERS: [&str; 8] = [
    r#", "k": 5"#,
    r#", "k": 7"#,
    r#", "k": "5""#,
    r#", "k": "a""#,
    r#", "k": 1.5"#,
    r#", "k": 2.0"#,
    r#", "k": null"#,
    "",
];

/// How `k` is declared, and what is counted of a record with each of the [`MEMBERS`].
pub(super) struct Declared {
    pub(super) text: &'static str,
    events: i64,
    /// The sum of `k`, where it is a number.
    sum: f64,
    /// How many events there are for each `k`, where it is a text. `-` stands for none.
    keys: &'static [(&'static str, i64)],
}

const NOT: Declared = Declared { text: "", events: 8, sum: 0.0, keys: &[] };
const INT: Declared = Declared { text: r#""int""#, events: 3, sum: 14.0, keys: &[] };
const INT_OR_ABSENT: Declared = Declared { text: r#""int?""#, events: 5, sum: 14.0, keys: &[] };
const FLOAT: Declared = Declared { text: r#""float""#, events: 4, sum: 15.5, keys: &[] };
const FLOAT_OR_ABSENT: Declared = Declared { text: r#""float?""#, events: 6, sum: 15.5, keys: &[] };
const STRING: Declared = Declared { text: r#""string""#, events: 2, sum: 0.0, keys: &[("5", 1), ("a", 1)] };
const STRING_OR_ABSENT: Declared =
    Declared { text: r#""string?""#, events: 4, sum: 0.0, keys: &[("-", 2), ("5", 1), ("a", 1)] };
/// The digits of a number as they are written, which no column of numbers holds.
pub(super) const DIGITS: Declared = Declared {
    text: r#"{ type = "string", numbers = true }"#,
    events: 6,
    sum: 0.0,
    keys: &[("1.5", 1), ("2.0", 1), ("5", 2), ("7", 1), ("a", 1)],
};
/// All of these, the last one unknown to builds that kept no bytes.
pub(super) const ALL: [Declared; 8] =
    [NOT, INT, INT_OR_ABSENT, FLOAT, FLOAT_OR_ABSENT, STRING, STRING_OR_ABSENT, DIGITS];

impl Declared {
    pub(super) fn catalog(&self) -> Catalog {
        let field = if self.text.is_empty() { String::new() } else { format!("k = {}\n", self.text) };
        let by = if self.keys.is_empty() { "" } else { r#""k""# };
        let total = if self.sum > 0.0 { "total = \"sum(k)\"\n" } else { "" };
        parsed(&format!(
            "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n{field}\
             [metrics.m]\nsource = \"s\"\nby = [{by}]\ngrain = \"1h\"\n[metrics.m.measures]\nevents = \"count()\"\n{total}"
        ))
    }

    /// What is counted where there are so many records with each of the members.
    pub(super) fn counted(&self, times: i64) -> String {
        let keys = self.keys.iter().map(|(key, events)| ((*key).to_owned(), events * times)).collect();
        told(self.events * times, self.sum * times as f64, &keys)
    }
}

fn told(events: i64, sum: f64, keys: &BTreeMap<String, i64>) -> String {
    format!("{events} events, of {sum}: {keys:?}")
}

/// What the rows of a view count.
pub(super) fn counts(view: &DataFrame) -> String {
    let events: Vec<i64> = view.column("events").expect("a measure").i64().expect("counts").iter().flatten().collect();
    let total = view.column("total").ok().map(|total| total.cast(&DataType::Float64).expect("numbers"));
    let sum = total.map(|total| total.f64().expect("floats").iter().flatten().sum::<f64>()).unwrap_or_default();
    let mut keys = BTreeMap::new();
    if let Ok(texts) = view.column("k") {
        for (key, events) in texts.str().expect("texts").iter().zip(&events) {
            *keys.entry(key.unwrap_or("-").to_owned()).or_insert(0) += events;
        }
    }
    told(events.iter().sum(), sum, &keys)
}

/// Records with each of the members, so many times.
pub(super) fn sent(times: usize) -> Sent {
    let payload = |member: &str| (Some(format!(r#"{{"at": {AT_MS}{member}}}"#).into_bytes()), AT_MS);
    Sent::from([(0, (0..times).flat_map(|_| MEMBERS).map(payload).collect()), (1, Vec::new())])
}

/// Changes the declaration step by step, and then back to the first.
async fn changed(declared: &[Declared]) {
    for compacts in [false, true] {
        let (catalogs, sent) = (declared.iter().map(Declared::catalog).collect::<Vec<_>>(), sent(declared.len()));
        let mut tables = Tables::new(&catalogs[0]);
        let mut archived = 0;
        for (now, catalog) in declared.iter().zip(&catalogs) {
            let story = format!("{}, the records of {archived} declarations, compacted: {compacts}", now.text);
            if archived > 0 {
                // A reconcile knows the catalog before an archiver does.
                assert_eq!(counts(&tables.reconciled(catalog).await), now.counted(archived), "{story}");
            }
            tables.archived(catalog, &sent, 0, MEMBERS.len()).await;
            archived += 1;
            assert_eq!(counts(&tables.reconciled(catalog).await), now.counted(archived), "{story}, and its own");
            if compacts {
                tables.compacted(catalog).await;
                tables.reopen();
                assert_eq!(counts(&tables.reconciled(catalog).await), now.counted(archived), "{story}, and its own");
            }
            assert_eq!(tables.lacks(catalog).await, [], "{story}");
        }
        let back = counts(&tables.reconciled(&catalogs[0]).await);
        assert_eq!(back, declared[0].counted(archived), "back to {:?}, compacted: {compacts}", declared[0].text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_field_has_the_values_that_older_records_hold() {
    changed(&[NOT, INT]).await;
    changed(&[NOT, STRING_OR_ABSENT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_field_every_record_counts_that_it_rejected() {
    changed(&[INT, NOT]).await;
    changed(&[STRING, NOT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retyped_field_is_read_from_the_bytes_and_not_from_the_older_column() {
    changed(&[INT, STRING, INT]).await;
    changed(&[FLOAT, INT]).await;
    changed(&[INT, DIGITS]).await;
    changed(&[FLOAT, DIGITS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_type_takes_what_the_narrower_one_rejected() {
    changed(&[INT, FLOAT, FLOAT_OR_ABSENT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_may_be_absent_and_then_may_not() {
    changed(&[INT, INT_OR_ABSENT, INT]).await;
    changed(&[STRING_OR_ABSENT, STRING]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_taken_out_and_added_again_with_another_type() {
    changed(&[INT, NOT, STRING, NOT, FLOAT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_stays_and_another_type_gets_a_column_of_its_own() {
    let (int, not, string, sent) = (INT.catalog(), NOT.catalog(), STRING.catalog(), sent(3));
    let mut tables = Tables::new(&int);
    tables.archived(&int, &sent, 0, MEMBERS.len()).await;
    tables.archived(&not, &sent, 0, MEMBERS.len()).await;
    let of = |name: &str, dtype: DataType| -> Schema { [(PlSmallStr::from(name), dtype)].into_iter().collect() };
    let numbers = tables.rows(&of("k", DataType::Int64)).await;
    let numbers: Vec<i64> = numbers.column("k").expect("kept").i64().expect("integers").iter().flatten().collect();
    assert_eq!(numbers, [5, 7, 2], "what was taken out is still in the files that hold it");

    tables.compacted(&not).await;
    tables.archived(&string, &sent, 0, MEMBERS.len()).await;
    let columns = tables.archive().await.columns().expect("read");
    assert_eq!((columns.get("k"), columns.get("_k_string")), (Some(&DataType::Int64), Some(&DataType::String)));
    let texts = tables.rows(&of("_k_string", DataType::String)).await;
    let texts = texts.column("_k_string").expect("its own").str().expect("texts").clone();
    assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["5", "a"]);
    tables.registered(&int).await;
    assert_eq!(tables.archive().await.columns().expect("read"), columns, "the first type has its column again");
}
