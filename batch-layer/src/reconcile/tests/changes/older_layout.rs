//! Archives that were begun before bytes were kept: what they hold counts under the rules that it was decoded under, and under others
//! that read nothing but what it tells. It is a gap under all others.
//!
//! - `told`: what columns and undeclared members tell is what the bytes would;
//! - `writer`: archives as they were written.

mod told;
mod writer;

use polars::prelude::*;
use serde_json::Value;
use shared_logic::complete::Why;
use shared_logic::contracts::archive::Facts;

use super::super::Catalog;
use super::parsed;
use super::tables::{Sent, Tables};

/// 2026-04-24, in milliseconds.
const AT_MS: i64 = 1_776_988_800_000;
/// The facts of the first four records, as they were written.
const FACTS: &str = r#"{
    "logs": [{"log": "log", "closed": false, "settled": false, "partitions": {
        "0": {"begin": 0, "next": 4, "end": 4}, "1": {"begin": 0, "next": 0, "end": 0}
    }}],
    "rejects": {"wrong_type": {"count": 1, "last": {
        "log": "log", "partition": 0, "offset": 2, "error": "wrong_type:k"
    }}}
}"#;

/// A catalog whose source has the field `k` of that type. The metric counts every event.
pub(super) fn catalog(k: &str, raw: &str) -> Catalog {
    catalog_with(k, raw, "")
}

/// The same, with another line of the source.
fn catalog_with(k: &str, raw: &str, line: &str) -> Catalog {
    // So that the values matter, and not only whether there are any.
    let filter = if k == "int" { "where = \"k > 0\"\n" } else { "" };
    parsed(&format!(
        "[sources.s]\nevent_time = \"at\"\nraw = \"{raw}\"\n{line}[sources.s.fields]\nat = \"timestamp\"\nk = \"{k}\"\n\
         [metrics.m]\nsource = \"s\"\n{filter}by = []\ngrain = \"1h\"\n[metrics.m.measures]\nevents = \"count()\"\n"
    ))
}

/// The records of the first partition: in some `k` is a text, in others, at the offsets 2, 5 and 8, it is an integer.
pub(super) fn sent() -> Sent {
    let keys = ["\"a\"", "\"b\"", "5", "\"c\"", "\"d\"", "7", "\"e\"", "\"f\"", "9"];
    let payload = |(offset, k): (usize, &str)| {
        (Some(format!(r#"{{"at": {AT_MS}, "k": {k}, "more": {offset}}}"#).into_bytes()), AT_MS)
    };
    let records: Vec<(Option<Vec<u8>>, i64)> = keys.into_iter().enumerate().map(payload).collect();
    Sent::from([(0, records), (1, Vec::new())])
}

/// Writes the first four records as an archiver did that kept no bytes, in two files.
async fn older_archive(tables: &mut Tables, catalog: &Catalog, sent: &Sent) {
    let facts: Facts = serde_json::from_str(FACTS).expect("facts");
    let (written, before) = (serde_json::to_value(&facts), serde_json::from_str::<Value>(FACTS));
    assert_eq!(written.expect("written"), before.expect("JSON"), "facts are still written as they were");
    let first = sent.iter().map(|(partition, records)| (*partition, records.iter().take(4).cloned().collect()));
    writer::archived(tables, &catalog.sources["s"], &first.collect(), 2, facts).await;
}

/// The archive's files, and of all rows the undeclared members that were kept, by offset.
async fn files_and_extras(tables: &Tables) -> (usize, Vec<(i64, String)>) {
    let columns = [("_offset", DataType::Int64), ("_extra", DataType::String)];
    let rows = tables.rows(&columns.map(|(name, dtype)| (PlSmallStr::from(name), dtype)).into_iter().collect()).await;
    let (offsets, extras) = (rows.column("_offset").expect("a column"), rows.column("_extra").expect("a column"));
    let pairs = offsets.i64().expect("integers").iter().zip(extras.str().expect("texts").iter());
    let mut kept: Vec<(i64, String)> = pairs.filter_map(|(offset, extra)| Some((offset?, extra?.to_owned()))).collect();
    kept.sort();
    (tables.archive().await.files().await.expect("listed").len(), kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_archive_goes_on_and_counts_under_its_own_rules() {
    let (own, sent) = (catalog("string", "all"), sent());
    let mut tables = Tables::new(&own);
    older_archive(&mut tables, &own, &sent).await;
    assert_eq!(tables.counted(&own).await, 3, "before an archiver that keeps bytes has started");
    assert_eq!(tables.lacks(&own).await, []);

    tables.archived(&own, &sent, 0, 2).await;
    tables.archived(&own, &sent, 0, 1).await;
    let extras = [0, 1, 3].map(|offset| (offset, format!("{{\"more\":{offset}}}"))).to_vec();
    assert_eq!(files_and_extras(&tables).await, (4, extras.clone()));
    assert_eq!(tables.counted(&own).await, 5);
    tables.compacted(&own).await;
    tables.reopen();
    assert_eq!(files_and_extras(&tables).await, (1, extras), "older files and newer ones of the same rules are merged");
    let bytes = tables.bytes().await;
    let with_bytes = bytes.iter().filter(|(_, _, raw)| raw.is_some()).map(|(_, offset, _)| *offset);
    assert_eq!(with_bytes.collect::<Vec<_>>(), [2, 4, 5, 6]);
    let hashes = tables.hashes().await;
    let with_hashes = hashes.iter().filter(|(_, _, hash)| hash.is_some()).map(|(_, offset, _)| *offset);
    assert_eq!(with_hashes.collect::<Vec<_>>(), [2, 4, 5, 6], "compaction hashes the bytes that were kept");
    assert_eq!(tables.counted(&own).await, 5);
    assert_eq!(tables.lacks(&own).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_archive_cannot_decode_is_a_gap_until_it_is_accepted() {
    // How long the payloads were is not known any more.
    let (own, other, sent) = (catalog("string", "all"), catalog_with("int", "all", "max_record = \"1KiB\"\n"), sent());
    let rules = other.sources["s"].decoding_rules();
    let mut tables = Tables::new(&own);
    older_archive(&mut tables, &own, &sent).await;
    tables.archived(&own, &sent, 0, 3).await;
    tables.compacted(&own).await;

    let gap = Why::NotDecodable { from: 0, to: 4 };
    assert_eq!(
        tables.counted(&other).await,
        2,
        "the records at 2 and 5 are events now, and the archive has their bytes"
    );
    assert_eq!(tables.lacks(&other).await, [(0, gap.clone())]);
    tables.archived(&other, &sent, 0, 2).await;
    tables.compacted(&other).await;
    let (files, extras) = files_and_extras(&tables).await;
    assert_eq!((files, extras.len()), (2, 3), "a file that holds rows without bytes stays as it is");
    assert_eq!(tables.counted(&other).await, 3);
    assert_eq!(tables.lacks(&other).await, [(0, gap)]);
    let accept = |facts: &mut Facts| facts.accept_not_decodable(&rules);
    let accepted = tables.registered(&other).await.change("ACCEPT LOSSES", accept).await;
    assert_eq!(accepted.expect("committed"), 1);
    assert_eq!(tables.lacks(&other).await, []);

    assert_eq!(tables.counted(&own).await, 6, "all texts, that of offset 7 too, which the other catalog archived");
    assert_eq!(tables.lacks(&own).await, []);
}
