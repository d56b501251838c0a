use std::collections::BTreeSet;

use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::OFFSET;
use shared_logic::log::PartitionId;
use shared_logic::time::SECOND_US;

use super::*;

/// The first of three days, 2026-04-24, in days since 1970.
const DAY: i64 = 20_567;

fn file(day: &str, name: &str) -> DataFile {
    DataFile { path: format!("{day}/{name}"), partition: day.to_owned(), size: 1, rows: 1, ..DataFile::default() }
}

fn files(days: &[&str], name: &str) -> Vec<DataFile> {
    days.iter().map(|day| file(day, name)).collect()
}

/// Files of the archive, each of which holds the records from one offset to another.
fn archived(files: &[(&str, i64, i64)]) -> Vec<DataFile> {
    let with_range = |(day, from, to): &(&str, i64, i64)| {
        let mut file = file(day, &format!("events-{from}"));
        file.ranges.insert(OFFSET.to_owned(), (*from, *to));
        file
    };
    files.iter().map(with_range).collect()
}

/// The plan for a view with those files. Each of three days has archived events: below the offset 3, from there on, or both.
fn plan(counted: Counted, view: &[&str], above: Touched) -> Plan {
    plan_of(counted, view, above, (None, &Facts::default()))
}

/// The same, for a view that holds the days from that one on, and an archive with those facts.
fn plan_of(counted: Counted, view: &[&str], above: Touched, (first, facts): (Option<i64>, &Facts)) -> Plan {
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let metric = &catalog.metrics["m"];
    let definition = catalog.definition(metric);
    let mut facts = facts.clone();
    for log in ["log-2", "log-1"] {
        facts.begin(&PartitionId::new(log, 0), 0);
    }
    let days = [("2026-04-24", 0, 2), ("2026-04-25", 0, 5), ("2026-04-26", 6, 8), ("2026-04-26", 9, 12)];
    Plan::new(Basis {
        metric,
        definition,
        counted,
        view: files(view, "view"),
        facts: &facts,
        archive_version: 7,
        archive: archived(&days),
        cut: cut(9),
        retired_before: first,
        again: above,
        identities: &Identities::default(),
        work: Work::default(),
    })
}

fn cut(offset: i64) -> Offsets {
    [(PartitionId::new("log-1", 0), offset)].into_iter().collect()
}

fn in_view() -> Counted {
    Counted::InView(cut(3))
}

fn staged(offset: i64, files: Vec<DataFile>) -> Staged {
    Staged { cut: cut(offset), files, archive_version: 1, identities: None, retired_before: None, carried: None }
}

/// A rebuild of every day.
fn counted_beside(offset: i64, files: Vec<DataFile>) -> Counted {
    Counted::Staged(staged(offset, files))
}

fn days(plan: &Plan) -> Vec<&str> {
    plan.tasks.iter().map(|task| task.day.as_str()).collect()
}

#[test]
fn a_first_view_is_counted_from_the_archive_alone() {
    let plan = plan(Counted::Nothing, &[], Touched::new());
    assert_eq!((plan.rebuilt, plan.archive_version), (true, 7));
    assert_eq!(days(&plan), ["2026-04-24", "2026-04-25", "2026-04-26"]);
    assert_eq!((plan.removed.as_slice(), plan.staged.as_slice()), ([].as_slice(), [].as_slice()));
    let task = &plan.tasks[0];
    assert_eq!((&task.events, &task.rows), (&archived(&[("2026-04-24", 0, 2)]), &Vec::new()));
    assert_eq!((&task.counted, &task.cut, &task.definition), (&None, &plan.cut, &plan.definition));
    let hours: BTreeSet<i64> = (0..24).map(|hour| DAY * DAY_US + hour * HOUR_US).collect();
    assert_eq!(task.units, hours, "everything is recomputed");
    assert_eq!(task.logs, ["log-2", "log-1"], "the order in which the archive saw them, not that of their names");
}

#[test]
fn to_a_view_only_days_that_may_hold_new_events_are_added() {
    let plan = plan(in_view(), &["2026-04-24", "2026-04-25"], Touched::new());
    assert!(!plan.rebuilt);
    assert_eq!(days(&plan), ["2026-04-25", "2026-04-26"]);
    assert_eq!((plan.removed.as_slice(), plan.staged.as_slice()), ([].as_slice(), [].as_slice()));
    for task in &plan.tasks {
        assert_eq!((task.counted.as_ref(), &task.units), (Some(&cut(3)), &BTreeSet::new()));
    }
    assert_eq!(plan.tasks[0].rows, files(&["2026-04-25"], "view"));
    assert_eq!(plan.tasks[1].rows, [], "the view has no such day yet");
    let whole_day = archived(&[("2026-04-26", 6, 8), ("2026-04-26", 9, 12)]);
    assert_eq!(plan.tasks[1].events, whole_day, "also what lies above the cut, as it is told apart row by row");
}

#[test]
fn a_view_of_another_definition_is_replaced_as_a_whole() {
    let plan = plan(Counted::Nothing, &["2026-04-24", "2026-04-25", "2026-04-30"], Touched::new());
    assert!(plan.rebuilt);
    assert_eq!(plan.removed, files(&["2026-04-24", "2026-04-25", "2026-04-30"], "view"));
    assert!(plan.tasks.iter().all(|task| task.rows.is_empty()), "its rows count something else");
}

#[test]
fn what_a_rebuild_has_staged_replaces_the_view_and_is_added_to_like_one() {
    let staged = files(&["2026-04-24", "2026-04-25"], "staged");
    let plan = plan(counted_beside(3, staged.clone()), &["2026-04-24", "2026-04-30"], Touched::new());
    assert!(plan.rebuilt);
    assert_eq!(plan.removed, files(&["2026-04-24", "2026-04-30"], "view"), "the view's files, and no staged ones");
    assert_eq!(plan.staged, staged);
    assert_eq!(days(&plan), ["2026-04-25", "2026-04-26"]);
    assert_eq!(plan.tasks[0].rows, files(&["2026-04-25"], "staged"));
}

#[test]
fn hours_that_a_rebuild_has_counted_too_early_are_recomputed() {
    let above = Touched::from([("2026-04-24".to_owned(), BTreeSet::from([DAY * DAY_US]))]);
    let plan = plan(counted_beside(12, files(&["2026-04-24"], "staged")), &[], above.clone());
    assert_eq!(days(&plan), ["2026-04-24"], "nothing is new");
    assert_eq!(plan.tasks[0].units, above["2026-04-24"]);
}

#[test]
fn days_that_the_view_does_not_hold_are_not_counted_and_retired_ones_are_only_added_to() {
    let mut facts = Facts::default();
    facts.retire(DAY + 2, &Offsets::default());
    let view = ["2026-04-25"];
    let plan = plan_of(Counted::InView(cut(1)), &view, Touched::new(), (Some(DAY + 1), &facts));
    let seen: Vec<_> = plan.tasks.iter().map(|task| (task.day.as_str(), task.past, task.units.len())).collect();
    assert_eq!(seen, [("2026-04-25", Past::Identified, 0), ("2026-04-26", Past::Held, 0)]);
    assert_eq!(plan.retired_before, Some(DAY + 1));
    assert_eq!(Past::of(true, true), Past::Unknown);
    assert_eq!(Past::of(false, true), Past::Held, "what the index lacks, the archive has");
}

#[test]
fn a_rebuild_carries_retired_days_over_from_the_views_own_cut_on() {
    let mut facts = Facts::default();
    facts.retire(DAY + 2, &Offsets::default());
    let carried = Some(Carried { cut: cut(4), retired_before: None });
    let files_of = files(&["2026-04-26"], "staged");
    let staged = Staged { retired_before: Some(DAY + 2), carried, ..staged(8, files_of.clone()) };
    let view = ["2026-04-24", "2026-04-25", "2026-04-26"];
    let plan = plan_of(Counted::Staged(staged), &view, Touched::new(), (None, &facts));
    assert_eq!(plan.removed, files(&["2026-04-26"], "view"), "the others stay");
    assert_eq!((plan.rebuilt, &plan.staged), (true, &files_of));
    assert_eq!(days(&plan), ["2026-04-25", "2026-04-26"]);
    let [older, newer] = plan.tasks.as_slice() else { panic!("{:?}", plan.tasks) };
    assert_eq!(
        (&older.counted, &older.rows, older.past),
        (&Some(cut(4)), &files(&["2026-04-25"], "view"), Past::Identified)
    );
    assert_eq!((&newer.counted, &newer.rows, newer.past), (&Some(cut(8)), &files_of, Past::Held));
}

#[test]
fn days_of_a_rebuild_that_are_counted_are_not_counted_again() {
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let metric = &catalog.metrics["m"];
    let day = |counted| storage::RebuildDay { units: BTreeSet::from([DAY * DAY_US]), counted, identities: None };
    let days = [("2026-04-24", Some(Vec::new())), ("2026-04-25", None), ("2026-04-26", None)];
    let days = days.into_iter().map(|(name, counted)| (name.to_owned(), day(counted))).collect();
    let rebuild = Rebuild {
        definition: catalog.definition(metric),
        cut: cut(5),
        archive_version: 1,
        retired_before: None,
        asked: None,
        days,
    };
    let archive = files(&["2026-04-24", "2026-04-26"], "events");
    let left = days_left(&rebuild, metric, &Facts::default(), archive, true);
    let seen: Vec<_> = left.iter().map(|task| (task.day.as_str(), task.events.len(), task.rows.len())).collect();
    assert_eq!(seen, [("2026-04-25", 0, 0), ("2026-04-26", 1, 0)]);
    let units = BTreeSet::from([DAY * DAY_US]);
    assert!(left.iter().all(|task| task.cut == cut(5) && task.counted.is_none() && task.units == units));
    assert!(left.iter().all(|task| task.identified));
}

#[test]
fn where_nothing_is_new_only_the_cut_moves() {
    let plan = plan(Counted::InView(cut(9)), &["2026-04-24"], Touched::new());
    assert_eq!((plan.rebuilt, plan.tasks.len(), plan.removed.len()), (false, 0, 0));
    assert_eq!(plan.cut.get(&PartitionId::new("log-1", 0)), Some(9));
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
