//! Archives that keep the bytes of invalid records only (`raw = "rejected"`).

use shared_logic::complete::Why;
use shared_logic::contracts::archive::Facts;

use super::older_layout::{catalog, sent};
use super::tables::Tables;
use crate::archive::replace::Replacement;

#[tokio::test(flavor = "multi_thread")]
async fn where_the_bytes_of_events_are_not_kept_other_rules_leave_a_gap() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("int", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 2).await;
    tables.archived(&own, &sent, 0, 2).await;
    let bytes = tables.bytes().await;
    let with_bytes = bytes.iter().filter(|(_, _, raw)| raw.is_some()).map(|(_, offset, _)| *offset);
    assert_eq!(with_bytes.collect::<Vec<_>>(), [2], "only those of the record that is no event");
    assert_eq!(tables.counted(&own).await, 3);
    assert_eq!(tables.lacks(&own).await, []);
    assert_eq!(tables.counted(&other).await, 1);
    let gap = Why::NotDecodable { from: 0, to: 4 };
    assert_eq!(tables.lacks(&other).await, [(0, gap.clone())]);

    // From now on bytes are kept. What is archived so can be decoded under any rules.
    let keeps = catalog("string", "all");
    assert_eq!(keeps.sources["s"].rules(), own.sources["s"].rules(), "what is kept is no part of the rules");
    tables.archived(&keeps, &sent, 0, 3).await;
    tables.compacted(&keeps).await;
    assert_eq!(tables.counted(&keeps).await, 5);
    assert_eq!(tables.counted(&other).await, 2);
    assert_eq!(tables.lacks(&other).await, [(0, gap)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_kept_stay_after_a_source_keeps_them_no_longer() {
    let (kept, rejected, sent) = (catalog("string", "all"), catalog("int", "rejected"), sent());
    let mut tables = Tables::new(&kept);
    tables.archived(&kept, &sent, 0, 4).await;
    let bytes = tables.bytes().await;
    // It decodes the small files again, under its own rules.
    tables.compacted(&rejected).await;
    assert_eq!(tables.bytes().await, bytes);
    assert_eq!(tables.counted(&kept).await, 3);
    assert_eq!(tables.lacks(&kept).await, []);
}

/// The offsets of all archived rows, in order.
async fn offsets(tables: &Tables) -> Vec<i64> {
    tables.bytes().await.iter().map(|(_, offset, _)| *offset).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_still_holds_is_archived_again_and_counted_under_other_rules() {
    // Texts are events under both, and their bytes are not kept.
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    for count in [3, 3] {
        tables.archived(&own, &sent, 0, count).await;
    }
    tables.compacted(&own).await;
    assert_eq!(tables.counted(&own).await, 4);
    // A reconcile that knows the other rules comes before the archiver that does.
    assert_eq!(tables.counted(&other).await, 0);
    assert_eq!(tables.lacks(&other).await, [(0, Why::NotDecodable { from: 0, to: 6 })]);

    assert!(matches!(tables.archived_again(&other, &sent).await, Some(Replacement::At(_))));
    assert_eq!(tables.archived_again(&other, &sent).await, None);
    assert_eq!(offsets(&tables).await, (0..6).collect::<Vec<_>>(), "each record once");
    assert_eq!(tables.lacks(&other).await, [(0, Why::NoSliceAtCut { cut: 0 })], "that view lacks them, so it is none");
    assert_eq!(tables.counted(&other).await, 4);
    assert_eq!(tables.lacks(&other).await, []);

    // It goes on, and back.
    tables.archived(&other, &sent, 0, 3).await;
    tables.compacted(&other).await;
    assert_eq!(tables.counted(&other).await, 6);
    tables.reconciled(&own).await;
    assert_eq!(tables.lacks(&own).await, [(0, Why::NotDecodable { from: 0, to: 9 })]);
    tables.started(&own, &sent).await;
    assert_eq!(tables.counted(&own).await, 6);
    assert_eq!(tables.lacks(&own).await, []);
    assert_eq!(offsets(&tables).await, (0..9).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_begun_before_its_records_were_archived_again_is_begun_anew() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 4).await;
    assert_eq!(tables.counted(&own).await, 3);
    tables.rebuilds_a_day(&other).await;
    tables.started(&other, &sent).await;
    assert_eq!(tables.counted(&other).await, 3);
    assert_eq!(tables.lacks(&other).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_holds_other_records_replaces_nothing() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 4).await;
    let (archived, facts) = (tables.bytes().await, tables.registered(&other).await.facts());
    let mut later = sent.clone();
    later.get_mut(&0).expect("a partition")[1].1 += 1;
    let mut other_payload = sent.clone();
    other_payload.get_mut(&0).expect("a partition")[1].0 = Some(b"{}".to_vec());
    let mut shorter = sent.clone();
    shorter.get_mut(&0).expect("a partition").truncate(3);
    for log in [later, other_payload, shorter] {
        assert_eq!(tables.archived_again(&other, &log).await, Some(Replacement::OtherRecords));
        assert_eq!((tables.bytes().await, tables.archive().await.facts()), (archived.clone(), facts.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_beside_those_that_are_archived_again_stay_as_they_are() {
    let (own, other, sent) = (catalog("string", "rejected"), catalog("string?", "rejected"), sent());
    let mut tables = Tables::new(&own);
    tables.archived(&own, &sent, 0, 4).await;
    let rules = other.sources["s"].decoding_rules();
    let accept = |facts: &mut Facts| facts.accept_not_decodable(&rules);
    let accepted = tables.registered(&other).await.change("ACCEPT LOSSES", accept).await;
    assert_eq!(accepted.expect("committed"), 1);
    tables.archived(&own, &sent, 0, 2).await;
    tables.compacted(&own).await;

    tables.started(&other, &sent).await;
    assert_eq!(offsets(&tables).await, (0..6).collect::<Vec<_>>());
    assert_eq!(tables.counted(&other).await, 1, "of the newer two; the others are left out, as was accepted");
    assert_eq!(tables.lacks(&other).await, []);
    assert_eq!(tables.counted(&own).await, 3, "the older ones are as they were");
    assert_eq!(tables.lacks(&own).await, [(0, Why::NotDecodable { from: 4, to: 6 })]);
}
