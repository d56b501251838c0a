//! The page, character by character.

use serde_json::json;

use super::*;

fn report() -> Report {
    let partition = |partition: i32, cursor: Option<i64>, lost: serde_json::Value| {
        json!({"log": "L1", "partition": partition, "closed": false, "begin": 0, "next": 1_000, "cursor": cursor,
               "slices": [0], "as_of": null, "cuts": {"views": 900}, "end": 1_250,
               "speed_lag": cursor.map(|cursor| 1_250 - cursor), "archive_lag": 250, "lost": lost, "not_decodable": []})
    };
    let gap = json!({"reason": "no_shard", "text": "no worker counts it", "source": "views", "log": "L1", "partition": 1,
                     "from": null, "to": null});
    let cut = json!({"version": 1_017, "committed_at": "2026-04-24T09:20:03Z", "age_ms": 754_000, "definition": "00",
                     "is_current": false, "pause": {"since": "2026-04-24T09:20:03Z", "rolled_back_to": 1_012}, "archive_version": 3, "offsets": {}, "segments": {"days": 1, "months": 1, "bytes": 9_000}});
    let lost = json!([{"from": 10, "to": 20, "accepted": false}, {"from": 30, "to": 40, "accepted": true}]);
    let both = json!({
        "status": {
            "deployment": {"name": "braid", "version": "v1"}, "braid": "0.1.0",
            "sources": [
                {"name": "views", "topic": "views.v1", "log": "L1", "looked_at": null, "archive_version": 3,
                 "logs": [{"log": "L1", "closed": false}],
                 "partitions": [partition(0, Some(1_249), lost), partition(1, None, json!([]))],
                 "rejects": [{"reason": "missing_field", "count": 1_204,
                              "last": {"log": "L1", "partition": 1, "offset": 998, "error": "missing_field:video_id"}}],
                 "erasures": [
                     {"id": "7c1f", "events": 1_036, "left_in": "archive", "since": "2026-04-24T09:20:03Z",
                      "retired_before": null, "without_bytes": 0},
                     {"id": "09ab", "events": 2, "left_in": null, "since": "2026-04-23T09:20:03Z",
                      "retired_before": "2026-01-01", "without_bytes": 4}],
                 "erasures_not_shown": 3},
                {"name": "clicks", "topic": "clicks", "log": null, "looked_at": null, "archive_version": null,
                 "logs": [], "partitions": [], "rejects": []}],
            "streams": [
                {"name": "bursts", "from": "views", "behind": 1_207, "published_at": "2026-04-24T09:20:03Z", "written": true,
                 "warnings": ["outputs are decided from an incomplete past"]},
                {"name": "visits", "from": "clicks", "behind": null, "published_at": null, "written": false,
                 "why": "no lane has published anything of it", "warnings": []}],
            "views": {"views": 1_017},
            "dependencies": {"redis": {"ok": true}, "kafka": {"ok": false, "reasons": ["no broker answers"]},
                             "store": {"ok": true}}},
        "metrics": [
            {"name": "views", "source": "views", "where": null, "by": [], "grain": "1m", "measures": {}, "derived": {},
             "definition": "11", "cut": cut,
             "freshness": {"as_of": null, "lag_ms": 744, "complete": false, "gaps": [gap]}},
            {"name": "clicks", "source": "clicks", "where": null, "by": [], "grain": "1m", "measures": {}, "derived": {},
             "definition": "22", "cut": null,
             "freshness": {"as_of": null, "lag_ms": null, "complete": false, "error": "redis is away"}}],
        "reconciliations": [
            {"metric": "views", "view_version": 1_017, "comparable": true,
             "drift": {"buckets": 60, "differing": 9, "duplicates": 1_036, "unexplained": 2, "measures": []}},
            {"metric": "clicks", "view_version": 3, "comparable": false, "reason": "no_shard", "drift": null},
            {"metric": "clicks", "comparable": true, "drift": null,
             "stream_check": {"outputs": 1_204, "missing": 1, "extra": 1_036, "different": 0}}]});
    Report::parse(&both).expect("a report")
}

#[test]
fn every_source_and_every_metric_has_its_rows() {
    let expected = "\
deployment braid v1, braid 0.1.0
kafka: no broker answers

source views, topic views.v1, log L1
partition  cursor   next    end  speed lag  archive lag  state
        0   1,249  1,000  1,250          1          250  open
        1       -  1,000  1,250          -          250  open
lost in L1/0: offsets 10 to 20

rejected       count  last error              partition  offset  log
missing_field  1,204  missing_field:video_id          1     998  L1
erasure 7c1f of 1,036 events: was ended before its end: call `batch-layer erase` with the same condition again, since 2026-04-24T09:20:03Z
erasure 09ab of 2 events: events of days before 2026-01-01 were retired and not found, and views go on counting them; \
4 records without bytes could not be judged under these rules
3 other erasures: see `braid erasures views`

source clicks, topic clicks, which does not exist

stream  source  written  behind  published
bursts  views   yes       1,207  2026-04-24T09:20:03Z
visits  clicks  no            -  -
bursts: outputs are decided from an incomplete past
visits: no lane has published anything of it

metric  source  version      cut age  behind  complete  drift
views   views     1,017  12 min 34 s  744 ms  no        1,036
clicks  clicks        -            -       -  no            -
views: the batch view is out of date, until a reconcile rebuilds it
views: rolled back to version 1,012 and paused since 2026-04-24T09:20:03Z, until `batch-layer resume views`
views: gap: no worker counts it (source views, log L1, partition 1)
clicks: redis is away
views: in 2 buckets speed had counted what its rules do not explain
clicks: the last check found 1 outputs missing, 1,036 extra and 0 different
";
    assert_eq!(page(&report(), Screen::NONE), expected);
}

#[test]
fn logs_are_named_where_there_are_several() {
    let mut report = report();
    report.status.sources[0].partitions[1].log = "L0".to_owned();
    report.status.sources[0].partitions[1].closed = true;
    report.status.sources[0].logs_not_shown = 1_497;
    let page = page(&report, Screen::NONE);
    assert!(page.contains("archive lag  state   log\n"), "{page}");
    assert!(page.contains("250  open    L1\n") && page.contains("250  closed  L0\n"), "{page}");
    assert!(page.contains("\n1,497 older logs have ended; nothing is missing of them\n"), "{page}");
}

#[test]
fn troubles_are_red_where_there_are_colours() {
    let page = page(&report(), Screen { width: Some(120), colours: true });
    assert!(page.contains("\x1b[31mkafka: no broker answers\x1b[0m\n"), "{page}");
    assert!(page.contains("\x1b[31mclicks: redis is away\x1b[0m\n"), "{page}");
    assert!(page.contains("\x1b[31mvisits: no lane has published anything of it\x1b[0m\n"), "{page}");
    let erasures: Vec<&str> = page.lines().filter(|line| line.contains("erasure ")).collect();
    assert!(
        erasures[0].starts_with("\x1b[31m") && erasures[1].starts_with("erasure 09ab"),
        "what is to be done: {erasures:?}"
    );
}

#[test]
fn tables_say_how_far_they_are_materialised() {
    let mut report = report();
    let at = || Some("2026-04-24T09:20:03Z".to_owned());
    let table = |name: &str, rows, behind, current| Materialised {
        name: name.to_owned(),
        rows,
        behind,
        materialised_at: at().filter(|_| rows.is_some()),
        current,
    };
    report.status.tables = vec![table("users", Some(20_000), Some(7), Some(false)), table("plans", None, None, None)];
    let page = page(&report, Screen::NONE);
    let expected = "\
table    rows  behind  materialised
users  20,000       7  2026-04-24T09:20:03Z
plans       -       -  -
users: the table is of another definition, until a reconcile makes it anew
";
    assert!(page.contains(expected), "{page}");
}
