use super::*;

/// A replay from the log that lacks nothing.
fn whole() -> Seen {
    let partition = SeenPartition { start: 3, end: 1_003, begin: Some(3), erased_below: None };
    let source = SeenSource {
        name: "orders".to_owned(),
        topic: "o".to_owned(),
        is_counted: true,
        log: Some(SeenLog { is_compacted: false, partitions: vec![partition; 2] }),
        archive: Some(SeenArchive::default()),
        ..SeenSource::default()
    };
    let redis = SeenRedis { rows: 1_000_000, shard_bytes: 1 << 20, most: Some(200 << 20), ..SeenRedis::default() };
    let (from, per_second) = (ReplayFrom::Log, Some(100.0));
    Seen { from, keeps_archive: true, sources: vec![source], redis, per_second, has_shards: false }
}

/// Each thing that is not as it should be, and whether it stops a replay that an operator wants all the same.
fn not_ok(change: impl Fn(&mut Seen)) -> Vec<(String, String, bool)> {
    let mut seen = whole();
    change(&mut seen);
    let judged = judge(&seen).into_iter().filter(|one| !one.verdict.is_ok());
    judged.map(|one| (one.name.clone(), one.verdict.why(), one.stops(true))).collect()
}

/// The only thing that is not as it should be, and what is said of it.
fn refused(change: impl Fn(&mut Seen)) -> (String, String) {
    let [(name, why, stops)] = not_ok(change).try_into().expect("one thing");
    assert!(stops, "{name} can be overridden");
    (name, why)
}

fn partition(seen: &mut Seen) -> &mut SeenPartition {
    &mut seen.sources[0].log.as_mut().expect("a log").partitions[1]
}

fn archived(seen: &mut Seen) -> &mut SeenArchive {
    seen.sources[0].archive.as_mut().expect("an archive")
}

fn from_archive(seen: &mut Seen) {
    seen.from = ReplayFrom::Archive;
}

#[test]
fn what_is_whole_begins_and_says_how_long_it_takes() {
    assert!(judge(&whole()).iter().all(|one| one.verdict.is_ok() && !one.stops(false)));
    let time = judge(&whole()).pop().expect("the time is last").verdict.why();
    assert_eq!(time, "2,000 records; the active version counts 100 a second now, at which that is 20.0 s");
    let mut idle = whole();
    idle.per_second = None;
    let time = judge(&idle).pop().expect("the time is last");
    assert!(matches!(time.verdict, Verdict::Unknown(_)) && !time.stops(false), "nobody has to know it");
    assert!(!whole().counts_first());
}

#[test]
fn a_log_that_has_lost_its_begin_is_not_enough() {
    let (name, why) = refused(|seen| partition(seen).start = 4);
    assert_eq!(name, "log of orders");
    assert_eq!(why, "partition 1 of topic o starts at 4 by now, and begins at 3: use --from archive");
    assert!(not_ok(|seen| partition(seen).start = 2).is_empty(), "what lies before the begin counts for no version");
    let (_, why) = refused(|seen| seen.sources[0].log.as_mut().expect("a log").is_compacted = true);
    assert!(why.starts_with("topic o is compacted"), "{why}");
    let (_, why) = refused(|seen| partition(seen).begin = None);
    assert_eq!(why, "the archive has not begun partition 1 of o: is `batch-layer archive` running?");
    let (_, why) = refused(|seen| seen.sources[0].log = None);
    assert!(why.starts_with("there is no topic o"), "{why}");
}

#[test]
fn what_was_erased_is_not_counted_again_from_the_log() {
    let erased = |seen: &mut Seen| partition(seen).erased_below = Some(70);
    let (name, why) = refused(erased);
    assert_eq!(name, "log of orders");
    assert!(
        why.contains("were erased below 70") && why.ends_with("create another version and use --from archive"),
        "{why}"
    );
    let from_archive = |seen: &mut Seen| {
        erased(seen);
        from_archive(seen);
    };
    assert!(not_ok(from_archive).is_empty(), "the archive does not hold it any more");
    let goes_on = |seen: &mut Seen| {
        erased(seen);
        partition(seen).begin = Some(70);
    };
    assert!(not_ok(goes_on).is_empty(), "nothing is left to read that was erased");
}

#[test]
fn without_an_archive_the_log_is_all_there_is() {
    let change = |seen: &mut Seen| {
        seen.keeps_archive = false;
        seen.sources[0].archive = None;
        partition(seen).begin = None;
    };
    assert!(not_ok(change).is_empty());
    let (name, why) = refused(|seen| {
        change(seen);
        from_archive(seen);
    });
    assert_eq!((name.as_str(), why.as_str()), ("archive of orders", "nothing of orders is archived: use --from log"));
}

#[test]
fn own_streams_need_the_log_however_metrics_are_counted() {
    let own = |seen: &mut Seen| {
        from_archive(seen);
        seen.sources[0].own_streams = vec!["alerts".to_owned()];
    };
    assert!(not_ok(own).is_empty());
    assert!(not_ok(from_archive).is_empty());
    let lost = |seen: &mut Seen| partition(seen).start = 4;
    assert!(
        not_ok(|seen| {
            from_archive(seen);
            lost(seen);
        })
        .is_empty(),
        "the archive holds it"
    );
    let (name, why) = refused(|seen| {
        own(seen);
        lost(seen);
    });
    assert!(name == "log of orders" && why.ends_with("nothing else holds these records"), "{why}");
    let ended = not_ok(|seen| {
        own(seen);
        archived(seen).closed = 1;
    });
    let [(name, why, false)] = ended.as_slice() else { panic!("{ended:?}") };
    assert!(name == "streams over orders" && why.contains("alerts"), "{why}");
}

#[test]
fn logs_that_have_ended_are_counted_from_the_archive_first() {
    let mut seen = whole();
    archived(&mut seen).closed = 2;
    assert!(seen.counts_first() && judge(&seen).iter().all(|one| one.verdict.is_ok()));
    seen.has_shards = true;
    assert!(!seen.counts_first(), "it goes on where it was stopped");
    let (name, why) = refused(|seen| {
        let archive = archived(seen);
        (archive.closed, archive.undecodable) = (1, Some("[0, 7) of old/0".to_owned()));
    });
    assert!(name == "archive of orders" && why.starts_with("[0, 7) of old/0 are archived without"), "{why}");
    assert!(not_ok(|seen| archived(seen).undecodable = Some("x".to_owned())).is_empty(), "the log has their bytes");
}

#[test]
fn an_archive_that_is_not_whole_is_not_enough() {
    let (_, why) = refused(|seen| {
        from_archive(seen);
        archived(seen).is_retired = true;
    });
    assert!(why.starts_with("old days of orders are retired"), "{why}");
    let lost = not_ok(|seen| {
        from_archive(seen);
        archived(seen).lost = 2;
    });
    assert!(matches!(lost.as_slice(), [(_, _, false)]), "no version has them: {lost:?}");
}

#[test]
fn redis_has_to_have_room() {
    let (name, why) = refused(|seen| seen.redis.used = 100 << 20);
    assert_eq!(name, "room in Redis");
    assert!(why.starts_with("it takes about 145 MiB, and 100 MiB of 200 MiB are free: "), "{why}");
    let has_counted = |seen: &mut Seen| (seen.redis.used, seen.redis.own_bytes) = (180 << 20, 130 << 20);
    assert!(not_ok(has_counted).is_empty(), "what it has counted before it was stopped is there already");
    let little = |seen: &mut Seen| {
        from_archive(seen);
        seen.redis.used = 100 << 20;
    };
    assert!(not_ok(little).is_empty(), "shards begin behind the views");
    for unknown in [
        |seen: &mut Seen| seen.redis.most = None,
        |seen: &mut Seen| {
            seen.redis.unknown = vec!["new".to_owned()];
        },
        |seen: &mut Seen| seen.redis.unasked = vec!["10.0.0.1:6379".to_owned()],
    ] {
        let found = not_ok(unknown);
        assert!(matches!(found.as_slice(), [(_, _, false)]), "{found:?}");
        let mut seen = whole();
        unknown(&mut seen);
        assert!(judge(&seen).iter().any(|one| one.stops(false)), "somebody has to want it");
    }
}
