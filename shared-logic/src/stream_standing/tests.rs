use super::*;
use crate::contracts::stream::Stopped;
use crate::stream::Fronts;

fn hash(n: u8) -> DefinitionHash {
    format!("{n:016x}").parse().expect("16 digits")
}

fn published(log: &str, offset: i64) -> Published {
    Published {
        log: log.to_owned(),
        position: OutputPosition { offset, n: 2 },
        fronts: Fronts::new(false),
        definition: hash(1),
        checked: None,
        incomplete: false,
        full: None,
        open: 0,
        never_written: 0,
    }
}

fn topic(log: &str, partitions: i32) -> SeenTopic {
    SeenTopic { log: log.to_owned(), partitions }
}

fn written(name: &str, kind: WrittenKind) -> WrittenTopic {
    WrittenTopic { name: name.to_owned(), kind, grows: true }
}

/// The stream `a` over a source of two partitions, which the archive begins at 5. Its definition has written up to 40, at the time 1,000.
fn seen() -> SeenLanes {
    let lane = SeenLane {
        end: Some(100),
        published_us: Some(1_000),
        published: BTreeMap::from([("a".to_owned(), published("log", 40))]),
    };
    let mut facts = Facts::default();
    for partition in 0..2 {
        facts.begin(&PartitionId::new("log", partition), 5);
    }
    let noted = LanesNoted { begun: Some("progress-log".to_owned()), ..LanesNoted::default() };
    SeenLanes {
        source: "s".to_owned(),
        knows_transactions: Some(true),
        topic: Some(topic("log", 2)),
        written: vec![
            (written("a", WrittenKind::Output), Some(topic("a-log", 2))),
            (written("progress", WrittenKind::Progress), Some(topic("progress-log", 2))),
        ],
        lanes: BTreeMap::from([(0, lane.clone()), (1, lane)]),
        former: BTreeMap::new(),
        archive: SeenArchive::Of(Arc::new(facts), noted),
    }
}

fn standing(seen: &SeenLanes) -> Standing {
    seen.standing("a", &hash(1))
}

/// What stops the stream, as sentences.
fn stopped(change: impl FnOnce(&mut SeenLanes)) -> Vec<String> {
    let mut seen = seen();
    change(&mut seen);
    standing(&seen).stopped.iter().map(ToString::to_string).collect()
}

fn lane(seen: &mut SeenLanes, partition: i32) -> &mut SeenLane {
    seen.lanes.get_mut(&partition).expect("a lane")
}

fn noted(seen: &mut SeenLanes) -> &mut LanesNoted {
    let SeenArchive::Of(_, noted) = &mut seen.archive else { panic!("an archive") };
    noted
}

fn note(since_us: i64, tried_us: i64, why: &str) -> Stopped {
    Stopped { since_us, tried_us, why: why.to_owned() }
}

#[test]
fn a_stream_is_behind_by_what_its_log_holds_beyond_what_is_published() {
    let mut seen = seen();
    let known = standing(&seen);
    assert!(known.stopped.is_empty(), "{:?}", known.stopped);
    let behind = |standing: &Standing| standing.partitions.iter().map(|of| of.behind).collect::<Vec<_>>();
    assert_eq!(behind(&known), [Some(60), Some(60)]);
    assert_eq!(known.partitions[0].published, Some(OutputPosition { offset: 40, n: 2 }));
    lane(&mut seen, 0).published.clear();
    lane(&mut seen, 1).end = None;
    let known = standing(&seen);
    assert_eq!(
        behind(&known),
        [Some(95), None],
        "from where the archive begins; and of what is not known, nothing is said"
    );
    assert_eq!(known.stopped, [Stop::NothingPublished { partitions: vec![0] }]);
    seen.archive = SeenArchive::Unknown;
    assert_eq!(behind(&standing(&seen)), [None, None]);
    seen.topic = Some(topic("another", 2));
    let known = standing(&seen);
    assert_eq!(known.partitions[1].published, None, "what was published of another log says nothing of this one");
}

/// Changes what is seen.
type Change = fn(&mut SeenLanes);

#[test]
fn what_stops_all_lanes_is_said_once() {
    let cases: [(Change, &str); 6] = [
        (|seen| seen.knows_transactions = Some(false), "in-process broker"),
        (|seen| seen.topic = None, "the topic of s does not exist"),
        (|seen| seen.written[0].1 = None, "topic a does not exist"),
        (|seen| seen.archive = SeenArchive::Nothing, "nothing of s is archived yet"),
        (|seen| seen.written[1].1 = Some(topic("another", 2)), "set-published s"),
        (
            |seen| {
                lane(seen, 1).published.clear();
                noted(seen).published = [PartitionId::new("log", 1)].into();
            },
            "set-published s",
        ),
    ];
    for (change, expected) in cases {
        let said = stopped(|seen| {
            change(seen);
            // What a lane has noted of the same is not repeated.
            if let SeenArchive::Of(_, noted) = &mut seen.archive {
                noted.stopped.insert(0, note(2_000, 3_000, "the same"));
            }
        });
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(expected), "{said:?}");
    }
}

#[test]
fn partitions_of_which_the_same_is_said_stand_together() {
    let said = stopped(|seen| {
        let SeenArchive::Of(facts, _) = &mut seen.archive else { panic!("an archive") };
        *facts = Arc::default();
    });
    assert_eq!(said, ["the archive has not begun partitions 0, 1: is `batch-layer archive` running?"]);
    let said = stopped(|seen| {
        lane(seen, 0).end = Some(39);
        lane(seen, 1).published.get_mut("a").expect("published").definition = hash(2);
    });
    assert!(said[0].contains("log/0 was read up to 40, and its log ends at 39"), "{said:?}");
    assert!(said[1].contains("partition 1 was decided by another definition"), "{said:?}");
}

#[test]
fn a_lane_without_room_names_the_stream_that_fills_the_memory() {
    let said = stopped(|seen| {
        for (partition, fills) in [(0, "a"), (1, "b")] {
            let published = lane(seen, partition).published.get_mut("a").expect("published");
            published.full = Some(fills.to_owned());
        }
    });
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("stream `a` fills") && said[0].contains("partition 0 "), "{said:?}");
    assert!(said[1].starts_with("stream `b` fills") && said[1].contains("partition 1 "), "{said:?}");
    let said = stopped(|seen| {
        for partition in 0..2 {
            lane(seen, partition).published.get_mut("a").expect("published").full = Some("b".to_owned());
        }
    });
    assert!(said.len() == 1 && said[0].contains("partitions 0, 1 "), "{said:?}");
}

#[test]
fn where_a_topic_lacks_partitions_only_their_lanes_stand() {
    let said = stopped(|seen| {
        seen.topic = Some(topic("log", 3));
        let SeenArchive::Of(facts, _) = &mut seen.archive else { panic!("an archive") };
        Arc::make_mut(facts).begin(&PartitionId::new("log", 2), 0);
        noted(seen).stopped.insert(1, note(2_000, 3_000, "no room"));
        noted(seen).stopped.insert(2, note(2_000, 3_000, "no right"));
        seen.written[1].1 = Some(topic("progress-log", 3));
    });
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("topic a has 2 partitions, and its source has 3"), "{said:?}");
    assert!(said[1].starts_with("partition 1 cannot go on") && said[1].contains("no room"), "{said:?}");
}

#[test]
fn what_a_lane_has_noted_is_over_once_anything_was_published_later() {
    let since = |published_us| {
        stopped(|seen| {
            for (partition, tried_us) in [(0, 2_000_000), (1, 3_000_000)] {
                lane(seen, partition).published_us = published_us;
                noted(seen).stopped.insert(partition, note(1_000_000, tried_us, "the state takes 9 bytes"));
            }
        })
    };
    let expected = "partitions 0, 1 cannot go on since 1970-01-01T00:00:01Z: the state takes 9 bytes (last tried at \
                    1970-01-01T00:00:03Z)";
    assert_eq!(since(Some(1_500_000)), [expected]);
    assert_eq!(since(None), [expected], "nothing was ever published");
    let said = since(Some(2_500_000));
    assert!(said.len() == 1 && said[0].starts_with("partition 1 "), "{said:?}");
    assert!(since(Some(4_000_000)).is_empty());
}

#[test]
fn what_was_published_of_another_log_says_nothing_of_this_one() {
    let said = stopped(|seen| {
        lane(seen, 0).published.clear();
        noted(seen).published = [PartitionId::new("older", 0)].into();
    });
    assert_eq!(said, ["nothing of partition 0 is published: is `speed-layer` running, with this catalog?"]);
}

/// What is open may still be written, until the archive says that its log has ended.
#[test]
fn what_was_open_where_a_log_ended_is_never_written() {
    let mut seen = seen();
    let open = |log: &str, open, never_written| Published { open, never_written, ..published(log, 40) };
    lane(&mut seen, 0).published.insert("a".to_owned(), open("log", 5, 2));
    lane(&mut seen, 1).published.insert("a".to_owned(), open("older", 7, 1));
    let former =
        SeenLane { published: BTreeMap::from([("a".to_owned(), open("older", 30, 0))]), ..SeenLane::default() };
    seen.former.insert(2, former);
    assert_eq!((seen.never_written("a"), seen.never_written("b")), (Some(3), Some(0)));
    let SeenArchive::Of(facts, _) = &mut seen.archive else { panic!("an archive") };
    Arc::make_mut(facts).close("older");
    assert_eq!(seen.never_written("a"), Some(40));
    let SeenArchive::Of(facts, _) = &mut seen.archive else { panic!("an archive") };
    Arc::make_mut(facts).close("log");
    assert_eq!(seen.never_written("a"), Some(45));
    seen.archive = SeenArchive::Unknown;
    assert_eq!(seen.never_written("a"), None);
    let older = open("log", 5, 2);
    assert_eq!((older.never_written_before("log"), older.never_written_before("log.2")), (2, 7));
}
