use shared_logic::stream_topics::written_topics;

use super::*;

const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "user"
dedup_window = 100
max_ahead = "1m"
[sources.s.fields]
id = "string"
at = "timestamp"
user = "string"
[streams.minutes]
from = "s"
by = ["user"]
window = "1h"
lateness = "10s"
[streams.minutes.measures]
events = "count()"
[metrics.events]
source = "s"
by = ["user"]
grain = "1h"
[metrics.events.measures]
events = "count()"
[tables.users]
key = "user"
[tables.users.fields]
user = "string"
"#;
const HOUR_MS: u64 = 3_600_000;

fn catalog() -> Catalog {
    Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn config(pairs: &[(&str, &str)]) -> TopicConfig {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is found of the source's topic, where cuts get so old.
fn of_source(pairs: &[(&str, &str)], cut_age_ms: u64) -> Vec<Finding> {
    let catalog = catalog();
    source(&catalog, &catalog.sources["s"], &config(pairs), cut_age_ms)
}

fn is(findings: &[Finding], stops: bool, word: &str) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].stops, stops, "{}", findings[0]);
    assert!(findings[0].to_string().contains(word), "{}", findings[0]);
}

#[test]
fn a_compacted_topic_needs_a_lag_above_the_oldest_cut() {
    let of =
        |policy, lag| refused_compaction(&config(&[(CLEANUP_POLICY, policy), ("min.compaction.lag.ms", lag)]), 1_000);
    assert_eq!(of("delete", "0"), None);
    assert_eq!(of("compact,delete", "1001"), None);
    let refused = of("compact", "1000").expect("records could go before a cut is renewed");
    assert!(refused.contains("min.compaction.lag.ms"));
    is(&of_source(&[(CLEANUP_POLICY, "compact")], HOUR_MS), true, "min.compaction.lag.ms");
    let catalog = catalog();
    let of_table = source(&catalog, &catalog.sources["users"], &config(&[(CLEANUP_POLICY, "compact")]), HOUR_MS);
    assert!(of_table.is_empty(), "nothing of a table is counted from a cut on: {of_table:?}");
}

#[test]
fn producers_clocks_are_a_warning() {
    is(&of_source(&[(TIMESTAMP_TYPE, "CreateTime")], HOUR_MS), false, "to LogAppendTime");
    assert!(of_source(&[(TIMESTAMP_TYPE, BROKERS_TIME)], HOUR_MS).is_empty());
    assert!(of_source(&[], HOUR_MS).is_empty(), "what is not known is not judged");
}

#[test]
fn a_log_is_kept_for_as_long_as_it_is_read_again() {
    // An hour of windows, ten seconds of lateness, and events that are ahead of their records by a minute.
    let needs_ms = HOUR_MS + 70_000;
    let kept = |ms: u64, policy, cut_age_ms| {
        of_source(&[("retention.ms", ms.to_string().as_str()), (CLEANUP_POLICY, policy)], cut_age_ms)
    };
    assert!(kept(needs_ms, "delete", HOUR_MS).is_empty());
    is(&kept(needs_ms - 1, "delete", HOUR_MS), false, &format!("retention.ms to {needs_ms}"));
    is(&kept(needs_ms, "delete", needs_ms + 1), false, "reconcile.max_cut_age");
    assert!(of_source(&[("retention.ms", "-1"), (CLEANUP_POLICY, "delete")], HOUR_MS).is_empty(), "for ever");
}

#[test]
fn records_that_a_topic_takes_and_the_source_does_not_are_a_warning() {
    assert!(of_source(&[(MESSAGE_BYTES, "1048588")], HOUR_MS).is_empty(), "Kafka's default and ours");
    is(&of_source(&[(MESSAGE_BYTES, "2000000")], HOUR_MS), false, "raise max_record");
}

#[test]
fn what_lanes_write_has_to_have_room() {
    let catalog = catalog();
    let from = config(&[(MESSAGE_BYTES, "3000000")]);
    let needs = message_bytes(&catalog.sources["s"], &from).expect("known");
    for topic in written_topics(&catalog, "s") {
        let of = |taken: u64, policy| {
            let own = config(&[(MESSAGE_BYTES, taken.to_string().as_str()), (CLEANUP_POLICY, policy)]);
            written(&topic, &own, &catalog.sources["s"], &from)
        };
        let policy = if topic.kind == WrittenKind::Progress { "compact" } else { "delete" };
        assert!(of(needs, policy).is_empty());
        is(&of(needs - 1, policy), false, &format!("max.message.bytes to {needs}"));
        if topic.kind == WrittenKind::Progress {
            is(&of(needs, "compact,delete"), true, "to compact");
        }
        assert_eq!(partitions(&topic, 3, 3), None);
        let grows = partitions(&topic, 2, 3).expect("it lacks one");
        assert!(!grows.stops, "lanes add it where they may");
    }
}

#[test]
fn a_log_that_was_cut_holds_the_window_of_copies() {
    let catalog = catalog();
    let of = |held: &[(i32, i64)]| dedup_window(&catalog.sources["s"], &held.iter().copied().collect());
    assert_eq!(of(&[]), None, "nothing is cut");
    assert_eq!(of(&[(0, 100), (1, 500)]), None);
    let found = of(&[(0, 500), (1, 99)]).expect("too little");
    assert!(found.what.contains("99 offsets of partition 1"), "{found}");
}

#[test]
fn brokers_are_new_enough_or_it_is_said() {
    assert_eq!(broker("a:1", &config(&[(SINCE_3_7, "1048576")])), None);
    let old = broker("a:1", &config(&[("log.dirs", "/data")])).expect("old");
    assert!(!old.stops && old.what.contains("3.7"), "{old}");
    assert!(in_process("a:1").stops && !broker_unknown("a:1", "no right").stops);
    assert!(missing("t").stops && not_described("t", "no right").stops && !not_configured("t", "no right").stops);
}
