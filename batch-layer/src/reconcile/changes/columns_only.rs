//! Archives that keep the bytes of invalid records only (`raw = "rejected"`).

use shared_logic::complete::Why;

use super::older_layout::{catalog, sent};
use super::tables::Tables;

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
