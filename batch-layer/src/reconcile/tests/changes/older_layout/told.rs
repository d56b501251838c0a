//! The same records, archived by builds that kept no bytes and by those that do, make equal views under other rules, as far as the
//! older rows tell what these rules read. Under all others they are a gap.

use platform::settings::Settings;
use shared_logic::catalog::Catalog;
use shared_logic::complete::Why;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use shared_logic::time::TimeRange;
use test_kit::{Dice, first_seed, repetitions};

use super::super::evolution::{self, ALL, DIGITS, Declared, MEMBERS, counts};
use super::super::tables::{LOG, PARTITIONS, Sent, Tables};
use super::super::{catalog, parsed, payload};
use super::{files_and_extras, writer};
use crate::rejected::{Filter, RecordLook};

/// How many random changes are tried at once.
const AT_ONCE: u64 = 4;
/// How many records of each partition were archived without bytes, and with them afterwards.
const RECORDS: [usize; 2] = [20, 8];

/// An archive of all these records, in the older layout, as the first archiver that keeps bytes finds it.
async fn older(catalog: &Catalog, sent: &Sent) -> Tables {
    let (mut tables, mut facts) = (Tables::new(catalog), Facts::default());
    for (partition, records) in sent {
        let id = PartitionId::new(LOG, *partition);
        facts.begin(&id, 0);
        assert!(facts.advance(&id, 0, records.len() as i64));
    }
    writer::archived(&mut tables, &catalog.sources["s"], sent, 3, facts).await;
    tables.registered(catalog).await;
    tables
}

/// Whether rows of the one declaration of `k` tell all that is read by the other.
fn is_told(own: &Declared, other: &Declared) -> bool {
    let is = |declared: &Declared, kind: &str| declared.text.starts_with(&format!("\"{kind}"));
    if own.text == other.text {
        return true;
    }
    if own.text == DIGITS.text {
        return false;
    }
    let is_number = is(own, "int") || is(own, "float");
    !(is_number && other.text == DIGITS.text || is(own, "float") && is(other, "int"))
}

/// Changes a declaration to each of all.
async fn changed(own: &Declared) {
    let (catalog, sent) = (own.catalog(), evolution::sent(1));
    for other in &ALL {
        let (mut tables, changed) = (older(&catalog, &sent).await, other.catalog());
        let story = format!("{:?} → {:?}", own.text, other.text);
        let seen = counts(&tables.reconciled(&changed).await);
        if is_told(own, other) {
            assert_eq!(seen, other.counted(1), "{story}");
            assert_eq!(tables.lacks(&changed).await, [], "{story}");
        } else {
            let gap = Why::NotDecodable { from: 0, to: MEMBERS.len() as i64 };
            assert_eq!(tables.lacks(&changed).await, [(0, gap)], "{story}");
        }
        assert_eq!(counts(&tables.reconciled(&catalog).await), own.counted(1), "{story}, and back");
        assert_eq!(tables.lacks(&catalog).await, [], "{story}, and back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_counts_as_any_declaration_reads_it_from_what_was_kept() {
    let [none, int, int_or_absent, float, float_or_absent, string, string_or_absent, digits] = &ALL;
    tokio::join!(changed(none), changed(int), changed(int_or_absent), changed(float));
    tokio::join!(changed(float_or_absent), changed(string), changed(string_or_absent), changed(digits));
}

/// A random change of the catalog, of an archive that has gone on with bytes.
async fn any_change(seed: u64) {
    let mut dice = Dice::new(seed);
    let texts = [catalog(&mut dice, "all").replace("\"tsv\"", "\"json\""), catalog(&mut dice, "all")];
    let [own, other] = [parsed(&texts[0]), parsed(&texts[1])];
    let [before, after] = RECORDS;
    let sent: Sent = (0..PARTITIONS)
        .map(|partition| (partition, (0..before + after).map(|_| payload(&mut dice)).collect()))
        .collect();
    let first: Sent = sent.iter().map(|(partition, records)| (*partition, records[..before].to_vec())).collect();
    let (mut tables, mut fresh) = (older(&own, &first).await, Tables::new(&other));
    for partition in 0..PARTITIONS {
        tables.archived(&own, &sent, partition, after).await;
        fresh.archived(&other, &sent, partition, before + after).await;
    }
    if dice.chance(50) {
        tables.compacted(&own).await;
    }
    tables.reopen();
    let story = format!("BRAID_SEED={seed}\n{}", texts.join("\n----\n"));
    let (seen, expected) = (tables.reconciled(&other).await, fresh.reconciled(&other).await);
    let gaps = tables.lacks(&other).await;
    if other.sources["s"].format == own.sources["s"].format {
        assert!(seen.equals_missing(&expected), "{seen}\ninstead of\n{expected}\n{story}");
        assert_eq!(gaps, [], "{story}");
    } else {
        let gap = Why::NotDecodable { from: 0, to: before as i64 };
        assert_eq!(gaps, [(0, gap.clone()), (1, gap)], "{story}");
    }
    // An archiver that knows the change decodes again what has bytes, and leaves the rest as it is.
    tables.compacted(&other).await;
    tables.reopen();
    let mut fresh = Tables::new(&own);
    for partition in 0..PARTITIONS {
        fresh.archived(&own, &sent, partition, before + after).await;
    }
    let (back, expected) = (tables.reconciled(&own).await, fresh.reconciled(&own).await);
    assert!(back.equals_missing(&expected), "{back}\ninstead of\n{expected}\n{story}");
    let again = tables.reconciled(&other).await;
    assert!(again.equals_missing(&seen), "{again}\ninstead of\n{seen}\n{story}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_every_record_counts_as_its_bytes_would() {
    let first = first_seed();
    for seed in (first..first + repetitions(24, 800)).step_by(AT_ONCE as usize) {
        tokio::join!(any_change(seed), any_change(seed + 1), any_change(seed + 2), any_change(seed + 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_found_by_an_erasure_and_nothing_of_it_is_left() {
    // First `k` is not declared, then it is a text or absent.
    let ([own, .., other, _], sent) = (&ALL, evolution::sent(1));
    let (catalog, changed) = (own.catalog(), other.catalog());
    let mut tables = older(&catalog, &sent).await;
    assert_eq!(counts(&tables.reconciled(&changed).await), other.counted(1));

    let taken_out = tables.erased(&changed, "k = 'a'").await;
    assert_eq!((taken_out.events, taken_out.invalid, taken_out.without_bytes), (1, 4, 0));
    let taken_out = tables.erased_with(&changed, "k = 'none'", Some("\"k\":7")).await;
    assert_eq!((taken_out.events, taken_out.invalid), (1, 3), "a number is invalid now");
    let left: Vec<i64> = files_and_extras(&tables).await.1.into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(left, [0, 2, 4, 5, 6], "the last one had no member but the event time");
    assert_eq!(counts(&tables.reconciled(&changed).await), "3 events, of 0: {\"-\": 2, \"5\": 1}");
    assert_eq!(counts(&tables.reconciled(&catalog).await), "6 events, of 0: {}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_listed_where_it_is_invalid_by_now() {
    let ([own, int, ..], sent) = (&ALL, evolution::sent(1));
    let (catalog, changed) = (own.catalog(), int.catalog());
    let tables = older(&catalog, &sent).await;
    let (settings, archive) = (Settings::default(), tables.archive().await);
    let filter = Filter { reason: None, times: TimeRange::ALL, limit: 10 };
    let errors = async |catalog: &Catalog| -> Vec<(i64, String)> {
        let look = RecordLook::new(&settings, tables.storage(), &archive, &catalog.sources["s"]);
        let found = look.rejections(&filter, &crate::Progress::default()).await.expect("read");
        found.newest.into_iter().rev().map(|rejection| (rejection.offset, rejection.error)).collect()
    };
    assert_eq!(errors(&catalog).await, []);
    let [text, missing] = ["wrong_type:k", "missing_field:k"].map(str::to_owned);
    let expected = [(2, text.clone()), (3, text.clone()), (4, text), (6, missing.clone()), (7, missing)];
    assert_eq!(errors(&changed).await, expected);
}
