//! Erased records stay erased: whatever rules come and go, and although the log still holds them.

use std::sync::Arc;

use polars::prelude::{AnyValue, DataFrame};
use shared_logic::complete::Why;
use shared_logic::contracts::archive::{ERASED, ERROR, HASH, KEY, LOG, OFFSET, PARTITION, RULES, TIMESTAMP, TopicLog};
use shared_logic::decode::Decoder;

use super::older_layout::{catalog, sent};
use super::tables::Tables;
use crate::archive::buffer::Buffer;
use crate::archive::commit;
use crate::archive::replace::{self, ReadAgain, Replacement};
use crate::archive_rows::record_rows::Incoming;

/// The offsets of the rows whose error is that.
async fn with_error(tables: &Tables, error: &str) -> Vec<i64> {
    let rows = tables.rows(&tables.archive().await.columns().expect("read")).await;
    let (offsets, errors) = (rows.column(OFFSET).expect("there"), rows.column(ERROR).expect("there"));
    let (offsets, errors) = (offsets.i64().expect("long"), errors.str().expect("texts"));
    let mut found: Vec<i64> =
        (0..rows.height()).filter(|row| errors.get(*row) == Some(error)).filter_map(|row| offsets.get(row)).collect();
    found.sort_unstable();
    found
}

/// Whether a row holds nothing but what is left of an erased record.
fn is_empty(rows: &DataFrame, row: usize) -> bool {
    let left = [LOG, PARTITION, OFFSET, RULES, TIMESTAMP, HASH, ERROR];
    let others = rows.columns().iter().filter(|column| !left.contains(&column.name().as_str()));
    others.map(|column| column.get(row).expect("a row")).all(|value| matches!(value, AnyValue::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_rules_are_judged_by_what_their_bytes_are_decoded_to() {
    // To the first of them, texts are events; to the second, integers.
    let (own, other, sent) = (catalog("string", "all"), catalog("int", "all"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 4).await;
    tables.archived(&own, &sent, 0, 5).await;
    let hashes = tables.hashes().await;
    assert_eq!((tables.counted(&own).await, tables.counted(&other).await), (6, 3));

    let taken_out = tables.erased(&other, "k = 7").await;
    assert_eq!((taken_out.events, taken_out.files, taken_out.hours, taken_out.invalid), (1, 1, 1, 6));
    assert_eq!(with_error(&tables, ERASED).await, [5]);
    assert_eq!((tables.counted(&other).await, tables.counted(&own).await), (2, 6));
    let taken_out = tables.erased(&own, "k in ('a', 'f')").await;
    assert_eq!(
        (taken_out.events, taken_out.files, taken_out.invalid),
        (2, 2, 2),
        "an erased record is not an invalid one"
    );
    assert_eq!((tables.counted(&own).await, tables.counted(&other).await), (4, 2));

    // Compaction decodes again under the other's rules, and merges under the own.
    for catalog in [&other, &own, &other] {
        tables.compacted(catalog).await;
        assert_eq!(with_error(&tables, ERASED).await, [0, 5, 7]);
        assert_eq!(with_error(&tables, "empty").await, [0_i64; 0], "nothing is decoded from bytes that are gone");
        assert_eq!((tables.counted(&own).await, tables.counted(&other).await), (4, 2));
    }
    let rows = tables.rows(&tables.archive().await.columns().expect("read")).await;
    let errors = rows.column(ERROR).expect("there").str().expect("texts").clone();
    let erased: Vec<usize> = (0..rows.height()).filter(|row| errors.get(*row) == Some(ERASED)).collect();
    assert!(erased.len() == 3 && erased.iter().all(|row| is_empty(&rows, *row)), "{rows}");
    assert_eq!(rows.column(KEY).expect("there").len(), 9, "each record has its row");
    assert_eq!(tables.hashes().await, hashes, "so a log is still compared with what it was (R12)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_again_stays_erased() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 6).await;
    assert_eq!(tables.erased(&own, "k = 'b'").await.events, 1);
    assert_eq!(tables.counted(&own).await, 3);

    // What was erased is no gap of its own: the range of offsets is one, for the records beside it.
    tables.reconciled(&other).await;
    assert_eq!(tables.lacks(&other).await, [(0, Why::NotDecodable { from: 0, to: 6 })]);
    assert!(matches!(tables.archived_again(&other, &sent).await, Some(Replacement::At(_))));
    assert_eq!(with_error(&tables, ERASED).await, [1]);
    assert_eq!(tables.counted(&other).await, 3);
    assert_eq!(tables.lacks(&other).await, []);
    assert_eq!(tables.archived_again(&other, &sent).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_read_again_before_some_of_them_were_erased_are_not_used() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 4).await;
    let source = &other.sources["s"];
    // As the archiver reads and writes them, before anything is erased.
    let archive = tables.registered(&other).await;
    let rules = source.decoding_rules();
    let (facts, starts) = (archive.facts(), [(0, 0), (1, 0)].into());
    let log = TopicLog { log: "log", starts: &starts, has_holes: false };
    let ranges = facts.held_by(log, &rules).expect("held");
    let declared = archive.columns().expect("read");
    let mut buffer = Buffer::new(source, &declared, "log", &[(0, 0)].into()).with_erased(&Arc::default());
    let mut again = ReadAgain { erased_parts: facts.erased_parts(), ..ReadAgain::default() };
    let mut decoder = Decoder::new(source);
    for (offset, (payload, time_ms)) in (0..4).zip(&sent[&0]) {
        let record = Incoming {
            partition: 0,
            offset,
            timestamp_us: Some(time_ms * 1_000),
            key: None,
            payload: payload.as_deref(),
            headers: None,
        };
        again.digest.add(0, offset, record.timestamp_us, Some(record.content().short_hash()));
        buffer.push(record, &mut decoder);
    }
    again.files = commit::write(archive, buffer).await.expect("written");

    assert_eq!(tables.erased(&own, "k = 'b'").await.events, 1);
    let archive = tables.registered(&other).await;
    let replaced = replace::replace(archive, source, &ranges, &again).await.expect("tried");
    assert_eq!(replaced, Replacement::Conflict);
    assert_eq!(with_error(&tables, ERASED).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_bytes_are_not_judged_by_other_rules() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("int", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 6).await;
    let taken_out = tables.erased(&other, "k > 0").await;
    assert_eq!((taken_out.events, taken_out.without_bytes), (2, 4), "bytes of what was invalid are kept");
    assert_eq!(with_error(&tables, ERASED).await, [2, 5]);
    assert_eq!(tables.counted(&own).await, 4);

    let facts = tables.archive().await.facts();
    assert_eq!(facts.erasures[0].unreached.without_bytes, 4, "the report may be lost");
    assert_eq!(tables.erased(&other, "k > 0").await.without_bytes, 4);
    assert_eq!(tables.archive().await.facts(), facts, "there is nothing new to be noted");
    assert_eq!(tables.erased(&other, "k = 99").await.events, 0);
    let erasures = tables.archive().await.facts().erasures;
    assert_eq!(
        (erasures.len(), erasures[1].unreached.without_bytes),
        (2, 4),
        "it selects nothing that could be judged"
    );
    assert!(erasures[1].completed_at_us.is_some() && erasures[1].parts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_records_are_erased_by_a_text_that_they_hold() {
    // Texts are events; integers are not.
    let (own, other, sent) = (catalog("string", "all"), catalog("int", "all"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 9).await;
    assert_eq!((tables.counted(&own).await, tables.counted(&other).await), (6, 3));
    let taken_out = tables.erased_with(&own, "k = 'none'", Some("\"k\": 7")).await;
    assert_eq!((taken_out.events, taken_out.hours, taken_out.invalid), (1, 0, 2));
    assert_eq!(with_error(&tables, ERASED).await, [5]);
    assert_eq!((tables.counted(&own).await, tables.counted(&other).await), (6, 2), "by other rules it was an event");
}
