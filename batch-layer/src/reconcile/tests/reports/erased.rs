//! Days of reports hold nothing of what was erased, whoever was ended before they were all written anew (P1).

use shared_logic::contracts::batch_view::Note;
use shared_logic::log::Offsets;
use shared_logic::time::format_day;
use storage::{ErasedDays, Schemas};

use super::super::erasures::erase;
use super::*;
use crate::erase::Condition;
use crate::erase::commits::TakingOut;

const DAYS: [&str; 3] = ["2025-04-23", "2025-04-24", "2025-04-25"];
const NO_DAYS: [&str; 0] = [];

/// Two events on each of three days, written: the ids are 0 and 1, 2 and 3, 4 and 5.
async fn written() -> Reports {
    let mut reports = Reports::new("UTC").await;
    reports.changed(Some("Ann"), "2025-04-22T08:00:00Z").await;
    reports.changed(Some("Bea"), "2025-04-22T09:00:00Z").await;
    for day in DAYS {
        let instants = [format!("{day}T10:00:00Z"), format!("{day}T11:30:00Z")];
        reports.happened(&instants.each_ref().map(String::as_str), None).await;
    }
    // What comes later says of each partition that all of it had arrived.
    reports.happened(&["2025-04-28T10:00:00Z"], None).await;
    reports.changed(Some("Cy"), "2025-04-28T10:00:00Z").await;
    reports.reconciled().await;
    assert_eq!(reports.outcomes(&DAYS).await, [WRITTEN; 3]);
    reports
}

async fn days(reports: &Reports) -> ErasedDays {
    let reconciler = &reports.bench.reconciler;
    let report = &reconciler.catalog.reports["r"];
    reconciler.storage.erased_days(&reconciler.catalog, report).await.expect("read")
}

async fn due(reports: &Reports) -> Vec<String> {
    days(reports).await.due.into_iter().map(format_day).collect()
}

async fn run_erased(reports: &Reports) -> Run {
    let report = reports.reporter.report("r").expect("declared");
    reports.reporter.run_erased(report, Duration::ZERO, &CancellationToken::new()).await.expect("run")
}

/// What a run did with each day.
fn done(run: &Run) -> Vec<(&str, DateOutcome)> {
    run.dates.iter().map(|done| (done.date.as_str(), done.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_erased_events_are_written_anew_and_no_others() {
    let mut reports = written().await;
    assert_eq!(due(&reports).await, NO_DAYS);
    erase(&mut reports.bench, "id = 1 or id = 4", 9).await;
    assert_eq!(due(&reports).await, [DAYS[0], DAYS[2]]);
    // The view still counts the events.
    let run = run_erased(&reports).await;
    assert!(matches!(&run.waiting, Some((_, Waiting::Erased { is_paused: false, .. }))), "{run}");
    assert_eq!(reports.rows(DAYS[0]).await, [row(Some("Bea"), 2)]);
    reports.reconciled().await;
    let before = reports.note(DAYS[1]).await;
    let run = run_erased(&reports).await;
    assert_eq!(done(&run), [(DAYS[0], DateOutcome::Revised), (DAYS[2], DateOutcome::Revised)]);
    for (day, events) in DAYS.into_iter().zip([1, 2, 1]) {
        assert_eq!(reports.rows(day).await, [row(Some("Bea"), events)], "{day}");
    }
    assert_eq!(reports.note(DAYS[1]).await, before);
    assert_eq!((due(&reports).await, run_erased(&reports).await.dates.len()), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_ended_between_two_days_is_continued_by_the_next_one() {
    let mut reports = written().await;
    erase(&mut reports.bench, "id = 1 or id = 3", 1).await;
    reports.reconciled().await;
    // It was ended after its first commit.
    assert_eq!(reports.outcomes(&[DAYS[0]]).await, [DateOutcome::Revised]);
    assert_eq!(due(&reports).await, [DAYS[1]]);
    // The report's own schedule goes on, though the day is not among those that it calculates again.
    let run = reports.run_due("2025-05-04T02:00:00Z").await;
    assert!(done(&run).contains(&(DAYS[1], DateOutcome::Revised)), "{run}");
    assert!(!done(&run).iter().any(|(day, _)| *day == DAYS[0]), "{run}");
    assert_eq!(reports.rows(DAYS[1]).await, [row(Some("Bea"), 1)]);
    assert_eq!(due(&reports).await, NO_DAYS);
    // Another erasure, of the same days.
    erase(&mut reports.bench, "id = 0 or id = 2", 9).await;
    reports.reconciled().await;
    assert_eq!(done(&run_erased(&reports).await), [(DAYS[0], DateOutcome::Revised), (DAYS[1], DateOutcome::Revised)]);
    assert_eq!(reports.rows(DAYS[0]).await, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_waited_for_holds_up_no_erasure_and_is_not_forgotten_for_it() {
    let mut reports = written().await;
    erase(&mut reports.bench, "id = 1", 9).await;
    reports.reconciled().await;
    // Of the day on which the last record was written, nothing says that all of it has arrived.
    reports.said.say("s", LOG, 900);
    let run = reports.run_due("2025-04-30T02:00:00Z").await;
    assert_eq!(
        (run.waiting.as_ref().map(|(date, _)| date.as_str()), lacks(&run).0),
        (Some("2025-04-28"), 900),
        "{run}"
    );
    assert!(done(&run).contains(&(DAYS[0], DateOutcome::Revised)), "{run}");
    assert_eq!((reports.rows(DAYS[0]).await, due(&reports).await), (vec![row(Some("Bea"), 1)], Vec::new()));
    // The log goes on, and what had arrived by then is what it was.
    erase(&mut reports.bench, "id = 3", 9).await;
    reports.reconciled().await;
    reports.said.say("s", LOG, 950);
    let run = reports.run_due("2025-04-30T03:00:00Z").await;
    assert_eq!(done(&run), [(DAYS[1], DateOutcome::Revised)]);
    assert_eq!(lacks(&run).0, 900, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_joined_table_leave_every_day_and_days_with_the_same_rows_are_not_computed_again_and_again() {
    let mut reports = written().await;
    let source = reports.bench.reconciler.catalog.sources["users"].clone();
    let take_out = async |reports: &mut Reports, text: &str| {
        let (storage, registry) = (reports.bench.reconciler.storage.clone(), &reports.bench.reconciler.registry);
        let condition = Condition::parse(&source, text, None).expect("a condition");
        let taking_out = TakingOut::new(&source, Schemas::new(&storage, "users", registry), &condition, 9);
        assert_eq!(taking_out.run(&mut reports.users).await.expect("erased").events, 1);
    };
    // Bea had taken the place of Ann before the first day.
    take_out(&mut reports, "name = 'Ann'").await;
    assert_eq!(due(&reports).await, DAYS);
    let before = reports.note(DAYS[0]).await;
    let run = run_erased(&reports).await;
    assert_eq!(done(&run), DAYS.map(|day| (day, DateOutcome::Unchanged)));
    assert_eq!(due(&reports).await, NO_DAYS);
    let after = reports.note(DAYS[0]).await;
    assert_eq!((after.revisions, after.committed_at_us), (before.revisions, before.committed_at_us));
    take_out(&mut reports, "name = 'Bea'").await;
    assert_eq!(done(&run_erased(&reports).await), DAYS.map(|day| (day, DateOutcome::Revised)));
    assert_eq!(reports.rows(DAYS[1]).await, [row(None, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_cannot_be_written_anew_are_named_and_hold_up_nothing() {
    let mut reports = written().await;
    erase(&mut reports.bench, "id = 1 or id = 5", 9).await;
    reports.reconciled().await;
    let second = parse_day(DAYS[1]).expect("a day");
    reports.bench.archive.change("RETIRE", |facts| facts.retire(second, &Offsets::default())).await.expect("retired");
    let of_erasure = days(&reports).await;
    assert_eq!(of_erasure.retired, [second - 1], "what was not found before stays");
    assert_eq!(of_erasure.due, [second - 1, second + 1], "and what was found does not");
    // The view gives the first day up as well.
    let mut view = reports.bench.view().await;
    let note = view.note().expect("committed");
    let without = Note { retired_before: Some(second), ..Note::clone(note) };
    view.commit(view.begin("RETIRE"), Some(without)).await.expect("committed");
    let of_erasure = days(&reports).await;
    assert_eq!((of_erasure.due, of_erasure.not_in_view), (vec![second + 1], vec![second - 1]));
    assert_eq!(done(&run_erased(&reports).await), [(DAYS[2], DateOutcome::Revised)]);
    assert_eq!(due(&reports).await, NO_DAYS, "it is not tried again and again");
    assert_eq!(reports.rows(DAYS[0]).await, [row(Some("Bea"), 2)]);
}
