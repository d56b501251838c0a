use std::collections::{BTreeSet, HashMap};

use shared_logic::catalog::Catalog;
use shared_logic::log::PartitionId;
use shared_logic::time::SECOND_US;

use super::*;

/// The first of three days, 2026-04-24, in days since 1970.
const DAY: i64 = 20_567;

fn file(day: &str, name: &str) -> DataFile {
    let (ranges, text_ranges) = (HashMap::new(), HashMap::new());
    DataFile { path: format!("{day}/{name}"), partition: day.to_owned(), size: 1, rows: 1, ranges, text_ranges }
}

fn files(days: &[&str], name: &str) -> Vec<DataFile> {
    days.iter().map(|day| file(day, name)).collect()
}

/// Touches the first hour of each of those days, which are counted from [`DAY`].
fn touched(days: &[i64]) -> Touched {
    days.iter().map(|day| (DAY + day, BTreeSet::from([(DAY + day) * DAY_US]))).collect()
}

/// The plan for a view with those files. Each of three days has archived events.
fn plan(counted: Counted, view: &[&str], touched: Touched) -> Plan {
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let metric = &catalog.metrics["m"];
    let definition = catalog.definition(metric);
    let mut facts = Facts::default();
    for log in ["log-2", "log-1"] {
        facts.begin(&PartitionId::new(log, 0), 0);
    }
    Plan::new(Basis {
        metric,
        definition,
        counted,
        view: files(view, "view"),
        facts: &facts,
        archive_version: 7,
        archive: files(&["2026-04-24", "2026-04-25", "2026-04-26"], "events"),
        cut: cut(9),
        touched,
    })
}

fn cut(offset: i64) -> Offsets {
    [(PartitionId::new("log-1", 0), offset)].into_iter().collect()
}

fn in_view() -> Counted {
    Counted::InView(cut(3))
}

fn days(plan: &Plan) -> Vec<&str> {
    plan.tasks.iter().map(|task| task.day.as_str()).collect()
}

#[test]
fn a_first_view_is_counted_from_the_archive_alone() {
    let plan = plan(Counted::Nothing, &[], touched(&[0, 2]));
    assert_eq!((plan.rebuilt, plan.archive_version), (true, 7));
    assert_eq!((days(&plan), plan.removed.as_slice()), (vec!["2026-04-24", "2026-04-26"], [].as_slice()));
    let task = &plan.tasks[0];
    assert_eq!((&task.events, &task.carried), (&files(&["2026-04-24"], "events"), &Vec::new()));
    assert_eq!((&task.cut, &task.definition), (&plan.cut, &plan.definition));
    assert_eq!(task.units, BTreeSet::from([DAY * DAY_US]));
    assert_eq!(task.logs, ["log-2", "log-1"], "the order in which the archive saw them, not that of their names");
}

#[test]
fn a_view_of_another_definition_is_replaced_as_a_whole() {
    let plan = plan(Counted::Nothing, &["2026-04-24", "2026-04-25", "2026-04-30"], touched(&[1]));
    assert!(plan.rebuilt);
    assert_eq!(plan.removed, files(&["2026-04-24", "2026-04-25", "2026-04-30"], "view"));
    assert_eq!(days(&plan), ["2026-04-25"]);
    assert_eq!(plan.tasks[0].carried, [], "its rows count something else");
}

#[test]
fn what_a_rebuild_has_staged_replaces_the_view_and_is_carried_over_like_one() {
    let staged = Counted::Staged(cut(3), files(&["2026-04-24", "2026-04-25"], "staged"));
    let plan = plan(staged, &["2026-04-24", "2026-04-30"], touched(&[1]));
    assert!(plan.rebuilt);
    assert_eq!(plan.removed, files(&["2026-04-24", "2026-04-30"], "view"), "the view's files, and no staged ones");
    assert_eq!(days(&plan), ["2026-04-25"]);
    assert_eq!(plan.tasks[0].carried, files(&["2026-04-25"], "staged"));
    assert_eq!(plan.staged, files(&["2026-04-24"], "staged"), "those that no task replaces");
}

#[test]
fn days_of_a_rebuild_that_are_counted_are_not_counted_again() {
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let metric = &catalog.metrics["m"];
    let day = |counted| storage::RebuildDay { units: BTreeSet::from([DAY * DAY_US]), counted };
    let days = [("2026-04-24", Some(Vec::new())), ("2026-04-25", None), ("2026-04-26", None)];
    let days = days.into_iter().map(|(name, counted)| (name.to_owned(), day(counted))).collect();
    let rebuild = Rebuild { definition: catalog.definition(metric), cut: cut(5), archive_version: 1, days };
    let left = days_left(&rebuild, metric, &Facts::default(), files(&["2026-04-24", "2026-04-26"], "events"));
    let seen: Vec<_> = left.iter().map(|task| (task.day.as_str(), task.events.len(), task.carried.len())).collect();
    assert_eq!(seen, [("2026-04-25", 0, 0), ("2026-04-26", 1, 0)]);
    assert!(left.iter().all(|task| task.cut == cut(5) && task.units == BTreeSet::from([DAY * DAY_US])));
}

#[test]
fn only_touched_days_are_replaced_and_their_other_hours_are_carried_over() {
    let plan = plan(in_view(), &["2026-04-24", "2026-04-25"], touched(&[1, 2]));
    assert!(!plan.rebuilt);
    assert_eq!(plan.removed, files(&["2026-04-25"], "view"));
    assert_eq!(days(&plan), ["2026-04-25", "2026-04-26"]);
    assert_eq!(plan.tasks[0].carried, files(&["2026-04-25"], "view"));
    assert_eq!(plan.tasks[1].carried, [], "the view has no such day yet");
}

#[test]
fn where_nothing_is_touched_only_the_cut_moves() {
    let plan = plan(in_view(), &["2026-04-24"], touched(&[]));
    assert_eq!((plan.rebuilt, plan.tasks.len(), plan.removed.len()), (false, 0, 0));
    assert_eq!(plan.cut.get(&PartitionId::new("log-1", 0)), Some(9));
}

#[test]
fn a_day_without_files_in_the_archive_loses_its_file() {
    let plan = plan(in_view(), &["2026-04-27"], touched(&[3]));
    assert_eq!(plan.removed, files(&["2026-04-27"], "view"));
    assert_eq!((days(&plan), &plan.tasks[0].events), (vec!["2026-04-27"], &Vec::new()));
}

#[test]
fn a_unit_is_an_hour_unless_buckets_do_not_fit_into_it() {
    let minute = 60 * SECOND_US;
    for (grain, unit) in [
        (minute, HOUR_US),
        (HOUR_US, HOUR_US),
        (6 * HOUR_US, 6 * HOUR_US),
        (DAY_US, DAY_US),
        (90 * minute, DAY_US),
        (96 * minute, DAY_US),
    ] {
        assert_eq!(unit_us(grain), unit, "buckets of {} minutes", grain / minute);
    }
}
