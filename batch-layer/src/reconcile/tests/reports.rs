//! What reports write of views, and what they wait for (P1 to P3).

mod erased;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use platform::kafka::KafkaError;
use polars::prelude::{DataFrame, DataType};
use shared_logic::contracts::report::DateNote;
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use shared_logic::report::Layout;
use shared_logic::time::{DAY_US, HOUR_US, SECOND_US, parse_day, parse_rfc3339};

use super::bench::{Bench, CATALOG, Event, LOG, Record, id};
use crate::archive;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;
use crate::report::{DateOutcome, LogEnds, Reporter, Run, Waiting};
use crate::rows;
use crate::stream::TopicEnds;

use super::super::*;

const REPORT: &str = r#"
[tables.users]
key = "user"
[tables.users.fields]
user = "string"
name = "string?"
[reports.r]
metric = "m"
schedule = "0 0 2 * * *"
time_zone = "ZONE"
join.users = { on = "k", take = ["name"] }
[reports.r.columns]
per = "total / events"
"#;
const USERS: &str = "users-log";

/// Where topics end, as a test says it.
#[derive(Default)]
struct Said(Mutex<HashMap<String, TopicEnds>>);

impl Said {
    fn say(&self, topic: &str, log: &str, end: i64) {
        let ends = TopicEnds { log: log.to_owned(), ends: [(0, end)].into() };
        self.0.lock().expect("not poisoned").insert(topic.to_owned(), ends);
    }
}

impl LogEnds for Said {
    fn ends<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>> {
        let ends = self.0.lock().expect("not poisoned").get(topic).cloned();
        async move { Ok(ends) }.boxed()
    }
}

/// A row of a day: the key, the name, the events and their total, and what is calculated.
type Row = (Option<String>, Option<String>, i64, i64, f64);

struct Reports {
    bench: Bench,
    users: Archive,
    reporter: Reporter,
    said: Arc<Said>,
}

impl Reports {
    async fn new(zone: &str) -> Reports {
        let catalog = format!("{CATALOG}{}", REPORT.replace("ZONE", zone));
        let bench = Bench::of(&catalog, Settings::default(), &[id()]).await;
        let (storage, said) = (bench.reconciler.storage.clone(), Arc::new(Said::default()));
        let source = &bench.reconciler.catalog.sources["users"];
        let mut users = archive::create(&storage, source).await.expect("created");
        let rules = source.rules();
        let begin = |facts: &mut shared_logic::contracts::archive::Facts| {
            facts.keep_bytes(&rules, None);
            facts.begin(&PartitionId::new(USERS, 0), 0);
        };
        users.change("BEGIN", begin).await.expect("begun");
        let settings = settings::Reconcile { poll: Duration::from_millis(5).into(), ..settings::Reconcile::default() };
        let catalog = Arc::new(bench.reconciler.catalog.clone());
        let ends = Arc::clone(&said);
        let reporter = Reporter::with(catalog, &storage, settings, 1, ends);
        said.say("s", LOG, 0);
        said.say("users", USERS, 0);
        Reports { bench, users, reporter, said }
    }

    /// Archives events of the key `a` that happened at these instants; their records are written then, or at `written`.
    async fn happened(&mut self, instants: &[&str], written: Option<&str>) {
        for instant in instants {
            let at_us = at(instant);
            self.bench.written_us = Some(written.map_or(at_us, at));
            let offset = self.bench.next(&id());
            let event = Event { house: "h", id: offset, at_ms: at_us / 1_000, k: Some("a"), n: 10 };
            self.bench.archive_these(LOG, &[Record { id: id(), offset, event: Some(event) }]).await;
        }
    }

    /// Archives a change of the row of the user `a`.
    async fn changed(&mut self, name: Option<&str>, written: &str) {
        let source = self.bench.reconciler.catalog.sources["users"].clone();
        let next = self.users.facts().partition(&PartitionId::new(USERS, 0)).expect("begun").next;
        let declared = self.users.columns().expect("read");
        let mut buffer = Buffer::new(&source, &declared, USERS, &[(0, next)].into());
        let payload = name.map(|name| format!(r#"{{"user": "a", "name": "{name}"}}"#));
        let record = Incoming {
            partition: 0,
            offset: next,
            timestamp_us: Some(at(written)),
            key: Some(b"a"),
            payload: payload.as_deref().map(str::as_bytes),
            headers: None,
        };
        buffer.push(record, &mut Decoder::new(&source));
        let committed = archive::commit::rows(&mut self.users, &source, buffer, &BTreeMap::new()).await;
        assert!(committed.is_ok(), "there is no other writer");
        self.said.say("users", USERS, next + 1);
    }

    /// Reconciles up to the archive's end, which is that of the topic, too.
    async fn reconciled(&mut self) {
        let next = self.bench.next(&id());
        self.said.say("s", LOG, next);
        self.bench.reconcile(&mut self.bench.view().await, next).await.expect("it is the only one");
    }

    async fn run(&self, dates: &[&str]) -> Run {
        let days: Vec<i64> = dates.iter().map(|date| parse_day(date).expect("a day")).collect();
        let report = self.reporter.report("r").expect("declared");
        self.reporter.run(report, &days, Duration::ZERO, &CancellationToken::new()).await.expect("run")
    }

    async fn run_due(&self, now: &str) -> Run {
        let report = self.reporter.report("r").expect("declared");
        self.reporter.run_due(report, at(now), Duration::ZERO, &CancellationToken::new()).await.expect("run")
    }

    /// What a run did with each day.
    async fn outcomes(&self, dates: &[&str]) -> Vec<DateOutcome> {
        let run = self.run(dates).await;
        assert_eq!(run.waiting, None);
        run.dates.iter().map(|done| done.outcome).collect()
    }

    async fn note(&self, date: &str) -> DateNote {
        let table = self.bench.reconciler.storage.report("r").await.expect("read").expect("written");
        table.date(date).expect("written").clone()
    }

    /// The rows of a day, as a reader finds them that has just been started.
    async fn rows(&self, date: &str) -> Vec<Row> {
        let catalog = &self.bench.reconciler.catalog;
        let table = self.bench.reconciler.storage.report("r").await.expect("read").expect("written");
        let files = table.files_of(date).await.expect("listed");
        let columns = Layout::of(catalog, &catalog.reports["r"]).in_memory();
        let frame = table.read(&files, &columns).await.expect("read");
        let frame: DataFrame = rows::compute("read", table.path(), move || frame.collect()).await.expect("decoded");
        let texts = |name: &str| -> Vec<Option<String>> {
            let column = frame.column(name).expect("there").str().expect("texts").clone();
            column.iter().map(|text| text.map(str::to_owned)).collect()
        };
        let integers = |name: &str| -> Vec<i64> {
            let column = frame.column(name).expect("there").cast(&DataType::Int64).expect("integers");
            column.i64().expect("integers").iter().flatten().collect()
        };
        let per: Vec<f64> = frame.column("per").expect("there").f64().expect("floats").iter().flatten().collect();
        let (keys, names) = (texts("k"), texts("name"));
        let (events, totals) = (integers("events"), integers("total"));
        (0..frame.height())
            .map(|row| (keys[row].clone(), names[row].clone(), events[row], totals[row], per[row]))
            .collect()
    }
}

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

fn row(name: Option<&str>, events: i64) -> Row {
    (Some("a".to_owned()), name.map(str::to_owned), events, 10 * events, 10.0)
}

const WRITTEN: DateOutcome = DateOutcome::Written;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_until_the_view_holds_what_had_arrived_when_the_day_was_settled() {
    let mut reports = Reports::new("UTC").await;
    reports.happened(&["2025-04-24T10:00:00Z", "2025-04-24T11:00:00Z"], None).await;
    reports.reconciled().await;
    // One record has arrived that is not archived. Nothing says that it came later.
    reports.said.say("s", LOG, 3);
    assert_eq!(lacks(&reports.run(&["2025-04-24"]).await), (3, Some(2)));
    reports.happened(&["2025-04-24T12:00:00Z"], Some("2025-04-25T00:59:59.999Z")).await;
    assert_eq!(lacks(&reports.run(&["2025-04-24"]).await), (3, Some(2)), "archived is not counted");
    reports.reconciled().await;
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [WRITTEN]);
    assert_eq!(reports.rows("2025-04-24").await, [row(None, 3)]);
    // Once a record has arrived later, nothing has to be asked, and no later end is waited for.
    reports.happened(&["2025-04-24T13:00:00Z"], Some("2025-04-25T01:00:00Z")).await;
    reports.said.say("s", LOG, 900);
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [DateOutcome::Unchanged], "it is not in the view yet");
    let note = reports.note("2025-04-24").await;
    assert_eq!((note.arrived.get(&id()), note.cut.get(&id()), note.rows), (Some(3), Some(3), 1));
    assert_eq!((note.view_version, note.revisions), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_waited_for_no_longer_than_allowed_and_written_as_soon_as_it_can_be() {
    let mut reports = Reports::new("UTC").await;
    reports.happened(&["2025-04-24T10:00:00Z"], None).await;
    let report = reports.reporter.report("r").expect("declared").clone();
    let (days, stop) = ([parse_day("2025-04-24").expect("a day")], CancellationToken::new());
    let patience = Duration::from_millis(20);
    let run = reports.reporter.run(&report, &days, patience, &stop).await.expect("run");
    assert!(matches!(run.waiting, Some((_, Waiting::NoView { .. }))), "{run}");
    let reporter = reports.reporter.clone();
    let waits = async { reporter.run(&report, &days, test_kit::DEADLINE, &stop).await.expect("run") };
    let (run, ()) = tokio::join!(waits, reports.reconciled());
    assert_eq!((run.waiting, run.dates[0].outcome), (None, WRITTEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_revise_a_day_and_tables_are_as_they_were_when_it_was_settled() {
    let mut reports = Reports::new("UTC").await;
    reports.changed(Some("Ann"), "2025-04-24T08:00:00Z").await;
    reports.changed(Some("Bea"), "2025-04-25T00:59:59.999Z").await;
    reports.changed(Some("Cy"), "2025-04-25T01:00:00Z").await;
    reports.happened(&["2025-04-24T10:00:00Z", "2025-04-25T10:00:00Z"], None).await;
    reports.reconciled().await;
    let run = reports.run_due("2025-04-25T02:00:00Z").await;
    assert_eq!((run.dates.len(), run.committed()), (1, 1), "{run}");
    assert_eq!(reports.rows("2025-04-24").await, [row(Some("Bea"), 1)]);
    let users = PartitionId::new(USERS, 0);
    assert_eq!(reports.note("2025-04-24").await.tables["users"].get(&users), Some(2));
    // An event that comes a day late.
    reports.happened(&["2025-04-24T12:00:00Z"], Some("2025-04-26T00:10:00Z")).await;
    reports.changed(None, "2025-04-26T00:20:00Z").await;
    reports.reconciled().await;
    let run = reports.run_due("2025-04-26T02:00:00Z").await;
    let outcomes: Vec<(&str, DateOutcome)> = run.dates.iter().map(|done| (done.date.as_str(), done.outcome)).collect();
    assert_eq!(outcomes, [("2025-04-25", WRITTEN), ("2025-04-24", DateOutcome::Revised)]);
    assert!(
        run.to_string().contains("2025-04-24: 1 rows revised, as later events or an erasure had changed it"),
        "{run}"
    );
    assert_eq!(reports.rows("2025-04-24").await, [row(Some("Bea"), 2)]);
    assert_eq!(reports.rows("2025-04-25").await, [row(None, 1)], "the user is gone");
    // Running again changes nothing.
    let version = reports.bench.reconciler.storage.report("r").await.expect("read").expect("written").version();
    let run = reports.run_due("2025-04-26T03:00:00Z").await;
    assert_eq!((run.committed(), run.dates.len()), (0, 2), "{run}");
    assert!(run.dates.iter().all(|done| done.version == version), "{run}");
    // After a week, the day stays as it is.
    reports.happened(&["2025-04-24T12:00:00Z"], Some("2025-05-02T00:10:00Z")).await;
    reports.reconciled().await;
    let run = reports.run_due("2025-05-02T00:00:00Z").await;
    assert!(run.dates.iter().all(|done| done.date != "2025-04-24"), "{run}");
    assert_eq!(reports.rows("2025-04-24").await, [row(Some("Bea"), 2)]);
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [DateOutcome::Revised], "unless it is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_were_missed_for_three_days_are_made_up_for_the_oldest_first() {
    let mut reports = Reports::new("UTC").await;
    let days = ["2025-04-21", "2025-04-22", "2025-04-23", "2025-04-24"];
    for day in days {
        reports.happened(&[&format!("{day}T10:00:00Z")], None).await;
    }
    reports.reconciled().await;
    let written = |run: &Run| -> Vec<String> {
        let done = run.dates.iter().filter(|done| done.outcome == WRITTEN);
        done.map(|done| done.date.clone()).collect()
    };
    assert_eq!(written(&reports.run_due("2025-04-22T02:00:00Z").await), [days[0]]);
    // No process ran for three days.
    assert_eq!(written(&reports.run_due("2025-04-25T09:00:00Z").await), days[1..]);
    for day in days {
        assert_eq!(reports.rows(day).await, [row(None, 1)], "{day}");
    }
    // A day without events is written, too.
    reports.happened(&["2025-04-27T02:00:00Z"], None).await;
    reports.reconciled().await;
    assert_eq!(written(&reports.run_due("2025-04-26T02:00:00Z").await), ["2025-04-25"]);
    assert_eq!((reports.rows("2025-04-25").await, reports.note("2025-04-25").await.rows), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_berlin_have_23_and_25_hours() {
    let mut reports = Reports::new("Europe/Berlin").await;
    let short = ["2025-03-29T22:59:59Z", "2025-03-29T23:00:00Z", "2025-03-30T21:59:59Z", "2025-03-30T22:00:00Z"];
    let long = ["2025-10-25T21:59:59Z", "2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z", "2025-10-26T23:00:00Z"];
    reports.happened(&short, None).await;
    reports.happened(&long, None).await;
    reports.happened(&["2025-10-28T12:00:00Z"], None).await;
    reports.reconciled().await;
    for (date, events) in [
        ("2025-03-29", 1),
        ("2025-03-30", 2),
        ("2025-03-31", 1),
        ("2025-10-25", 1),
        ("2025-10-26", 2),
        ("2025-10-27", 1),
    ] {
        assert_eq!(reports.outcomes(&[date]).await, [WRITTEN]);
        assert_eq!(reports.rows(date).await, [row(None, events)], "{date}");
    }
}

/// Wherever a run is dropped, the next one leaves what a run that was not leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_dropped_anywhere_is_made_up_for() {
    let mut reports = Reports::new("UTC").await;
    reports.happened(&["2025-04-24T10:00:00Z", "2025-04-26T10:00:00Z"], None).await;
    reports.reconciled().await;
    let mut dropped = 0;
    for wait in (0..).map(Duration::from_millis) {
        let whole = tokio::time::timeout(wait, reports.run(&["2025-04-24"])).await;
        let Ok(run) = whole else {
            dropped += 1;
            continue;
        };
        assert_eq!(run.waiting, None);
        break;
    }
    assert!(dropped > 0, "no run was dropped");
    assert_eq!(reports.rows("2025-04-24").await, [row(None, 1)]);
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [DateOutcome::Unchanged]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_not_settled_is_not_written() {
    let mut reports = Reports::new("UTC").await;
    reports.happened(&["2025-04-24T10:00:00Z"], None).await;
    reports.reconciled().await;
    let today = platform::clock::now_us() / DAY_US;
    let report = reports.reporter.report("r").expect("declared");
    let run = reports.reporter.run(report, &[today], Duration::ZERO, &CancellationToken::new()).await.expect("run");
    let Some((_, Waiting::Settles { at_us })) = run.waiting else { panic!("{run}") };
    assert_eq!(at_us, (today + 1) * DAY_US + HOUR_US);
    assert!(at_us % SECOND_US == 0 && run.dates.is_empty());
}

/// What is waited for, and how far the view is.
fn lacks(run: &Run) -> (i64, Option<i64>) {
    match &run.waiting {
        Some((_, Waiting::Cut { lacking, .. })) => (lacking.wanted, lacking.reached),
        _ => panic!("{run}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_timestamps_stay_behind_holds_a_day_up_until_the_next_reconcile_and_no_longer() {
    let mut reports = Reports::new("UTC").await;
    reports.happened(&["2025-04-24T10:00:00Z"], None).await;
    reports.reconciled().await;
    reports.said.say("s", LOG, 2);
    assert_eq!(lacks(&reports.run(&["2025-04-24"]).await), (2, Some(1)));
    // More comes all the time, and nothing of it says that it came later.
    reports.happened(&["2025-04-24T11:00:00Z", "2025-04-24T12:00:00Z"], None).await;
    reports.said.say("s", LOG, 900);
    assert_eq!(lacks(&reports.run(&["2025-04-24"]).await), (2, Some(1)), "the end that was asked for first");
    reports.reconciled().await;
    reports.said.say("s", LOG, 1_800);
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [WRITTEN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_dated_years_ahead_says_nothing_of_what_had_arrived() {
    let mut reports = Reports::new("UTC").await;
    reports.changed(Some("Ann"), "2099-01-01T00:00:00Z").await;
    reports.changed(Some("Bea"), "2025-04-24T08:00:00Z").await;
    reports.happened(&["2025-04-24T10:00:00Z"], None).await;
    reports.happened(&["2025-04-24T10:30:00Z"], Some("2099-01-01T00:00:00Z")).await;
    reports.happened(&["2025-04-24T11:00:00Z"], None).await;
    reports.reconciled().await;
    reports.said.say("s", LOG, 4);
    assert_eq!(lacks(&reports.run(&["2025-04-24"]).await), (4, Some(3)), "what lies behind it is waited for");
    reports.happened(&["2025-04-24T12:00:00Z"], None).await;
    reports.reconciled().await;
    assert_eq!(reports.outcomes(&["2025-04-24"]).await, [WRITTEN]);
    // It is too old for its own record.
    assert_eq!(reports.rows("2025-04-24").await, [row(Some("Bea"), 3)]);
}
