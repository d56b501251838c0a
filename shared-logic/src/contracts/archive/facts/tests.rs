use super::*;

fn lost(from: i64, to: i64) -> Lost {
    Lost { from, to, accepted: false }
}

#[test]
fn what_a_closed_log_is_known_to_have_held_is_archived_or_lost() {
    let (asked, counted) = (PartitionId::new("log", 0), PartitionId::new("log", 1));
    let mut facts = Facts::default();
    for id in [&asked, &counted] {
        facts.begin(id, 0);
        assert!(facts.advance(id, 0, 10));
        facts.see_end(id, 10);
    }
    facts.see_end(&asked, 12);
    let losses = |facts: &Facts, id| facts.partition(id).expect("begun").lost.clone();
    let cursors = |of_asked, of_counted| BTreeMap::from([(asked.clone(), of_asked), (counted.clone(), of_counted)]);

    facts.settle("log", &cursors(12, 15));
    assert_eq!(losses(&facts, &counted), [], "an open log can still be archived");

    facts.close("log");
    assert_eq!(losses(&facts, &asked), [lost(10, 12)], "Kafka had said that it ends at 12");
    assert_eq!(losses(&facts, &counted), []);
    assert!(!facts.is_settled(&asked));

    facts.settle("log", &cursors(12, 15));
    facts.settle("log", &cursors(3, 15));
    assert!(facts.is_settled(&asked));
    assert_eq!(losses(&facts, &asked), [lost(10, 12)]);
    assert_eq!(losses(&facts, &counted), [lost(10, 15)], "the speed layer had counted up to 15");
    assert_eq!(facts.accept_losses(), 2);

    // Counted by a worker that asked for the topic's id before the log ended, and wrote afterwards.
    facts.settle("log", &cursors(12, 16));
    assert_eq!(losses(&facts, &counted), [Lost { accepted: true, ..lost(10, 15) }, lost(15, 16)]);
    assert_eq!(facts.closed_partitions().collect::<Vec<_>>(), [(asked, 12), (counted, 16)]);
}

#[test]
fn a_reopened_log_is_neither_closed_nor_settled() {
    let mut facts = Facts::default();
    let id = PartitionId::new("log", 0);
    facts.begin(&id, 0);
    facts.close("log");
    facts.settle("log", &BTreeMap::new());
    facts.reopen("log");
    assert!(!facts.is_closed("log") && !facts.is_settled(&id));
    assert_eq!(facts.closed_partitions().count(), 0);
}
