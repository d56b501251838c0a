//! Evidence and its verdict.

use std::collections::BTreeSet;

use super::*;
use crate::contracts::archive::{ErasedPart, ImportedRecords, import_log};
use crate::contracts::batch_view::Asked;
use crate::contracts::speed_view::Instance;
use crate::log::{OffsetRange, Offsets};

fn id(partition: i32) -> PartitionId {
    PartitionId::new("log", partition)
}

fn hash(n: u8) -> DefinitionHash {
    format!("{n:016x}").parse().expect("16 digits")
}

/// Evidence of a complete answer: one partition, begun at 0 and archived to 100, cut at 50, a slice there.
struct Seen {
    view: Option<Note>,
    archive: Option<Facts>,
    archive_version: u64,
    topic: Option<TopicState>,
    shards: Shards,
    log_only: bool,
    /// The start of the log that shards remember.
    begin: Option<i64>,
}

fn cut(pairs: &[(i32, i64)]) -> Offsets {
    pairs.iter().map(|(partition, offset)| (id(*partition), *offset)).collect()
}

fn note(definition: u8, offsets: Offsets) -> Note {
    Note {
        definition: hash(definition),
        cut: offsets,
        archive_version: 7,
        retired_before: None,
        committed_at_us: 0,
        asked: Asked::default(),
    }
}

fn shard(slices: &[i64], since: i64) -> Option<Shard> {
    let (slices, instance) = (slices.to_vec(), Instance::new(1));
    let witnesses = vec![None; slices.len() + 1];
    let definitions = [(hash(1), since)].into();
    Some(Shard { cursor: 120, slices, definitions, instance, witnesses, truncated: None })
}

fn complete() -> Seen {
    let mut facts = Facts::default();
    facts.begin(&id(0), 0);
    assert!(facts.advance(&id(0), 0, 100));
    Seen {
        view: Some(note(1, cut(&[(0, 50)]))),
        archive: Some(facts),
        archive_version: 7,
        topic: Some(TopicState { log: Some(("log".to_owned(), 1)), at_us: 0 }),
        shards: [(id(0), shard(&[0, 50, 90], 0))].into(),
        log_only: false,
        begin: None,
    }
}

impl Seen {
    fn standing(&self) -> Standing {
        Standing::of(&Evidence {
            definition: &hash(1),
            rules: &DecodingRules::from("rules"),
            view: self.view.as_ref(),
            archive: self.archive.as_ref(),
            archive_version: self.archive_version,
            topic: self.topic.as_ref(),
            log_only: self.log_only,
        })
    }

    fn judged(&self) -> Verdict {
        self.standing().judge(&self.shards, |_| self.begin)
    }

    fn needed(&self) -> Vec<PartitionId> {
        self.standing().needed().cloned().collect()
    }

    fn facts(&mut self) -> &mut Facts {
        self.archive.get_or_insert_default()
    }
}

/// Changes the evidence of the complete answer and returns the verdict.
fn with(change: impl FnOnce(&mut Seen)) -> Verdict {
    let mut seen = complete();
    change(&mut seen);
    seen.judged()
}

fn assert_complete(what: &str, verdict: &Verdict, from: &[(i32, i64)]) {
    assert_eq!(verdict.gaps, [], "{what}");
    let from: BTreeMap<PartitionId, i64> = from.iter().map(|(partition, offset)| (id(*partition), *offset)).collect();
    assert_eq!(*verdict.from, from, "{what}");
}

#[test]
fn an_answer_is_complete_where_a_slice_begins_at_the_cut() {
    assert_complete("a view and a slice at its cut", &complete().judged(), &[(0, 50)]);
    let counted_later = with(|seen| drop(seen.shards.insert(id(0), shard(&[50], 50))));
    assert_complete("counted since the cut exactly", &counted_later, &[(0, 50)]);
    let from_begin = with(|seen| seen.view = None);
    assert_complete("no view yet, counted since the begin", &from_begin, &[(0, 0)]);
    let other_view = with(|seen| seen.view = Some(note(2, cut(&[(0, 50)]))));
    assert_complete("another definition's view is none", &other_view, &[(0, 0)]);
    let unnamed = with(|seen| seen.view = Some(note(1, cut(&[]))));
    assert_complete("a cut that does not name the partition", &unnamed, &[(0, 0)]);
    let no_topic = with(|seen| seen.topic = Some(TopicState { log: None, at_us: 0 }));
    assert_complete("a topic that was deleted and not closed", &no_topic, &[(0, 50)]);
    let nothing = with(|seen| {
        (seen.view, seen.archive) = (None, None);
        seen.topic = Some(TopicState { log: None, at_us: 0 });
    });
    assert_complete("nothing at all", &nothing, &[]);
}

#[test]
fn a_view_from_before_its_records_were_archived_again_is_none() {
    let archived_again = |rules: &str, version: u64| {
        with(|seen| {
            seen.facts().note_columns_only(&id(0), &"older".into(), 10, 20);
            let again = OffsetRange { id: id(0), from: 10, to: 20 };
            assert!(seen.facts().archive_again(&[again], &rules.into(), version));
            seen.archive_version = 8;
        })
    };
    assert_complete("the view was counted from version 7", &archived_again("rules", 8), &[(0, 0)]);
    assert_complete("it was counted from them", &archived_again("rules", 7), &[(0, 50)]);
    let other = [Gap { partition: Some(id(0)), why: Why::NotDecodable { from: 10, to: 20 } }];
    let verdict = archived_again("other", 8);
    assert_eq!((verdict.gaps.as_slice(), verdict.from.get(&id(0))), (other.as_slice(), Some(&50)), "under other rules");
}

#[test]
fn a_settled_log_that_is_wholly_in_the_view_needs_no_shard() {
    let none = BTreeMap::new();
    let closed = |at: i64| {
        with(|seen| {
            seen.facts().close("log");
            seen.facts().settle("log", &none);
            seen.topic = Some(TopicState { log: None, at_us: 0 });
            seen.view = Some(note(1, cut(&[(0, at)])));
            seen.shards.clear();
        })
    };
    assert_complete("cut at the archived end", &closed(100), &[]);
    assert_eq!(closed(50).gaps, [Gap { partition: Some(id(0)), why: Why::NoShard }]);
    let mut empty = complete();
    empty.archive = None;
    empty.facts().begin(&id(0), 5);
    empty.facts().close("log");
    empty.topic = Some(TopicState { log: None, at_us: 0 });
    empty.view = None;
    empty.shards.clear();
    let gaps = [Gap { partition: Some(id(0)), why: Why::NoShard }];
    assert_eq!(empty.judged().gaps, gaps, "no reconcile has read yet what speed had counted of it");
    empty.facts().settle("log", &none);
    assert_complete("a closed log that never held anything", &empty.judged(), &[]);
    assert_eq!(empty.needed(), []);
}

#[test]
fn an_import_is_a_gap_until_the_view_includes_it_and_has_no_shard() {
    let import = PartitionId::new(import_log(7), 0);
    let mut seen = complete();
    let records = ImportedRecords { rows: 10, ..ImportedRecords::default() };
    assert!(seen.facts().add_import(7, "a.csv", 0, &records));
    let gap = Gap { partition: Some(import.clone()), why: Why::ImportNotCounted };
    let verdict = seen.judged();
    assert_eq!((verdict.gaps, verdict.from.contains_key(&import)), (vec![gap], false));
    assert_eq!(Why::ImportNotCounted.name(), "import_not_counted");
    assert_eq!(seen.needed(), [id(0)], "it has no shard to read");
    let moment = |of: &PartitionId| (*of == id(0)).then_some(0);
    assert_eq!(seen.standing().as_of_us(&seen.shards, moment), Some(0), "it does not date answers");

    seen.view = Some(note(1, cut(&[(0, 50)]).iter().map(|(id, at)| (id.clone(), at)).chain([(import, 10)]).collect()));
    assert_complete("the view includes all of it", &seen.judged(), &[(0, 50)]);
}

#[test]
fn erased_events_are_a_gap_until_the_view_is_counted_without_them_and_its_cut_has_passed_them() {
    // Events at offsets below 100 were erased by version 9 of the archive.
    let erased = |seen: &mut Seen| {
        let part = ErasedPart { version: 9, rules: "rules".into(), list: String::new(), events: 1, at_us: None };
        seen.facts().erase("x", Some(part), Some(0));
        seen.archive_version = 9;
    };
    let counted = |archive_version: u64, at: i64| {
        with(|seen| {
            erased(seen);
            seen.view = Some(Note { archive_version, ..note(1, cut(&[(0, at)])) });
            seen.shards.insert(id(0), shard(&[at], at));
        })
    };
    let gaps = [Gap { partition: None, why: Why::ErasureNotApplied }];
    assert_eq!(counted(8, 100).gaps, gaps, "the view was counted with them");
    assert_eq!(counted(9, 99).gaps, gaps, "a slice may hold them");
    assert_complete("it was counted without them, and so are the slices", &counted(9, 100), &[(0, 100)]);
    let never_reconciled = with(|seen| {
        erased(seen);
        seen.view = None;
    });
    assert_eq!(never_reconciled.gaps, gaps, "another version of the deployment counts what the log holds");
    assert_eq!(gaps[0].why.name(), "erasure_not_applied");
    let nothing_found = with(|seen| seen.facts().erase("x", None, Some(0)));
    assert_complete("an erasure that took out nothing", &nothing_found, &[(0, 50)]);
}

#[test]
fn every_gap_says_why() {
    let at = |why: Why| vec![Gap { partition: Some(id(0)), why }];
    let lost = |accepted: bool| {
        with(|seen| {
            seen.facts().lose(&id(0), 130);
            if accepted {
                assert_eq!(seen.facts().accept_losses(), 1);
            }
        })
    };
    let columns_only = |rules: &str, accepted: bool| {
        with(|seen| {
            seen.facts().note_columns_only(&id(0), &rules.into(), 10, 20);
            if accepted {
                assert_eq!(seen.facts().accept_not_decodable(&"rules".into()), 1);
            }
        })
        .gaps
    };
    let since = |since: i64| with(|seen| drop(seen.shards.insert(id(0), shard(&[0, 50], since)))).gaps;
    let table: Vec<(&str, Vec<Gap>, Vec<Gap>)> = vec![
        ("topic_unknown", with(|seen| seen.topic = None).gaps, vec![Gap { partition: None, why: Why::TopicUnknown }]),
        (
            "archive_look_too_old",
            with(|seen| seen.archive_version = 6).gaps,
            vec![Gap { partition: None, why: Why::ArchiveTooOld }],
        ),
        (
            "not_archived",
            with(|seen| seen.topic = Some(TopicState { log: Some(("log".to_owned(), 2)), at_us: 0 })).gaps,
            vec![Gap { partition: Some(id(1)), why: Why::NotArchived }],
        ),
        ("no_shard", with(|seen| drop(seen.shards.insert(id(0), None))).gaps, at(Why::NoShard)),
        ("no_shard", with(|seen| seen.shards.clear()).gaps, at(Why::NoShard)),
        (
            "log_truncated",
            with(|seen| {
                let marked = Shard { truncated: Some(70), ..shard(&[50], 0).expect("a shard") };
                seen.shards.insert(id(0), Some(marked));
            })
            .gaps,
            at(Why::LogTruncated),
        ),
        (
            "no_slice_at_cut",
            with(|seen| drop(seen.shards.insert(id(0), shard(&[0, 49, 51], 0)))).gaps,
            at(Why::NoSliceAtCut { cut: 50 }),
        ),
        ("not_counted_since", since(51), at(Why::NotCountedSince { cut: 50, since: Some(51) })),
        (
            "not_counted_since",
            with(|seen| {
                let counted = shard(&[50], 0).expect("a shard");
                seen.shards.insert(id(0), Some(Shard { definitions: [(hash(2), 0)].into(), ..counted }));
            })
            .gaps,
            at(Why::NotCountedSince { cut: 50, since: None }),
        ),
        ("lost", lost(false).gaps, at(Why::Lost { from: 100, to: 130 })),
        ("accepted", lost(true).gaps, vec![]),
        ("not_decodable", columns_only("older", false), at(Why::NotDecodable { from: 10, to: 20 })),
        ("accepted", columns_only("older", true), vec![]),
        ("decoded under the reader's rules", columns_only("rules", false), vec![]),
    ];
    for (name, gaps, expected) in table {
        assert_eq!(gaps, expected, "{name}");
        for gap in gaps {
            assert_eq!(gap.why.name(), name);
            assert!(gap.why.to_string().contains(' '), "{name} says what to do");
        }
    }
    assert!(with(|seen| seen.archive_version = 8).gaps.is_empty(), "a newer archive is as good");
    let other = with(|seen| (seen.view, seen.archive_version) = (Some(note(2, cut(&[(0, 50)]))), 6));
    assert!(other.gaps.is_empty(), "a view of another definition says nothing of the archive");
}

#[test]
fn without_an_archive_an_answer_is_complete_where_everything_is_counted_since_the_logs_start() {
    let of_log = |begin: Option<i64>, shard: Option<Shard>| {
        let mut seen = Seen { view: None, archive: None, log_only: true, begin, ..complete() };
        seen.shards = [(id(0), shard)].into();
        seen
    };
    let gaps = |begin, shard| of_log(begin, shard).judged().gaps;
    let not_from = |begin, since| vec![Gap { partition: Some(id(0)), why: Why::NotFromBegin { begin, since } }];
    assert_complete("counted since the start", &of_log(Some(7), shard(&[7, 50], 7)).judged(), &[(0, 0)]);
    assert_eq!(gaps(Some(7), shard(&[50], 50)), not_from(Some(7), Some(50)), "opened again behind what the log lost");
    assert_eq!(gaps(Some(7), shard(&[7, 50], 50)), not_from(Some(7), Some(50)), "a definition that came later");
    assert_eq!(gaps(None, shard(&[0], 0)), not_from(None, Some(0)), "an older build opened it");
    assert_eq!(gaps(Some(7), None), [Gap { partition: Some(id(0)), why: Why::NoShard }]);
    let other = Shard { definitions: [(hash(2), 7)].into(), ..shard(&[7], 7).expect("a shard") };
    assert_eq!(gaps(Some(7), Some(other)), not_from(Some(7), None), "another definition is counted");
    let marked = Shard { truncated: Some(9), ..shard(&[7], 7).expect("a shard") };
    assert_eq!(gaps(Some(7), Some(marked)), [Gap { partition: Some(id(0)), why: Why::LogTruncated }]);
    for why in [Why::NotFromBegin { begin: Some(1), since: Some(2) }, Why::NotFromBegin { begin: None, since: None }] {
        assert_eq!(why.name(), "not_from_begin");
        assert!(why.to_string().contains(' '), "it says what to do");
    }
    let mut wider = of_log(Some(7), shard(&[7], 7));
    wider.topic = Some(TopicState { log: Some(("log".to_owned(), 2)), at_us: 0 });
    assert_eq!(wider.needed(), [id(0), id(1)], "whatever partitions the topic has");
    assert_eq!(wider.judged().gaps, [Gap { partition: Some(id(1)), why: Why::NoShard }]);
    wider.topic = None;
    assert_eq!(wider.judged().gaps, [Gap { partition: None, why: Why::TopicUnknown }]);
}

#[test]
fn whatever_archive_cut_or_topic_name_is_needed() {
    let mut seen = complete();
    seen.view = Some(note(1, cut(&[(0, 50), (3, 9)])));
    seen.facts().begin(&id(4), 0);
    seen.facts().begin(&PartitionId::new("older", 0), 0);
    seen.topic = Some(TopicState { log: Some(("log".to_owned(), 2)), at_us: 0 });
    assert_eq!(seen.needed(), [id(0), id(1), id(3), id(4), PartitionId::new("older", 0)]);
    let concerned: BTreeSet<Option<PartitionId>> = seen.judged().gaps.into_iter().map(|gap| gap.partition).collect();
    assert_eq!(concerned.len(), 4, "all but the one that is complete");
    seen.facts().close("older");
    assert_eq!(seen.needed().len(), 5, "speed may have counted more of it than is archived");
    seen.facts().settle("older", &BTreeMap::new());
    assert_eq!(seen.needed(), [id(0), id(1), id(3), id(4)]);
}

#[test]
fn an_incarnation_that_lost_its_tail_counts_nothing_until_it_is_settled_and_in_the_view() {
    let mut seen = complete();
    let next = seen.facts().lose_tail(&id(0), 80, None).expect("it goes on");
    seen.shards.insert(next.clone(), shard(&[80], 80));
    let truncated = [Gap { partition: Some(id(0)), why: Why::LogTruncated }];
    let verdict = seen.judged();
    assert_eq!(verdict.gaps, truncated, "the topic's partition is the incarnation that goes on");
    assert_eq!(*verdict.from, BTreeMap::from([(next.clone(), 80)]));
    seen.view = Some(note(1, cut(&[(0, 100)])));
    assert_eq!(seen.judged().gaps, truncated, "no reconcile has asked yet what speed had counted");
    seen.facts().settle_truncated(&id(0), None);
    assert_eq!(seen.judged().gaps, []);
    assert_eq!(seen.needed(), std::slice::from_ref(&next));
    seen.view = Some(note(1, cut(&[(0, 50)])));
    assert_eq!(seen.judged().gaps, truncated, "the view does not hold all of it");
}

#[test]
fn an_answer_is_as_old_as_the_oldest_partition() {
    let mut seen = complete();
    seen.topic = Some(TopicState { log: Some(("log".to_owned(), 2)), at_us: 1_000 });
    seen.facts().begin(&id(1), 0);
    seen.shards.insert(id(1), shard(&[0], 0));
    let as_of = |seen: &Seen, moments: [Option<i64>; 2]| {
        seen.standing().as_of_us(&seen.shards, |id| moments[id.partition as usize])
    };
    assert_eq!(as_of(&seen, [Some(30), Some(20)]), Some(20));
    assert_eq!(as_of(&seen, [Some(3_000), Some(2_000)]), Some(1_000), "never newer than what is known of the topic");
    assert_eq!(as_of(&seen, [Some(30), None]), None);
    // A closed log holds nothing back once its shard has counted all that was archived.
    seen.facts().close("log");
    assert_eq!(as_of(&seen, [None, None]), Some(1_000));
    let behind = Shard { cursor: 99, ..shard(&[0], 0).expect("a shard") };
    seen.shards.insert(id(0), Some(behind));
    assert_eq!(as_of(&seen, [Some(30), None]), Some(30));
    seen.shards.remove(&id(0));
    assert_eq!(as_of(&seen, [Some(30), None]), None);
    seen.topic = None;
    assert_eq!(as_of(&seen, [Some(30), Some(20)]), None);
}
