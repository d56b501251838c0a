use chrono::TimeDelta;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("an instant").with_timezone(&Utc)
}

/// That time of one day.
fn day(time: &str) -> DateTime<Utc> {
    at(&format!("2026-11-26T{time}Z"))
}

/// Jobs with those schedules, of which each last ran at noon, on clocks that show UTC.
fn agenda(expressions: &[&str], at_once: usize) -> Agenda {
    let noon = Some(day("12:00:00"));
    let entries = expressions.iter().map(|text| Entry::new(text.parse().expect("cron"), Tz::UTC, noon, false));
    Agenda::new(entries.collect(), at_once)
}

/// The numbers of the jobs that are started now.
fn started(agenda: &mut Agenda, now: DateTime<Utc>) -> Vec<(usize, Part)> {
    std::iter::from_fn(|| agenda.start(now)).map(|start| (start.job, start.part)).collect()
}

const NONE: [(usize, Part); 0] = [];
const WHOLE: (usize, Part) = (0, Part::Whole);
const EVERY_TEN_MINUTES: &str = "0 */10 * * * *";

#[test]
fn a_job_starts_at_its_tick_and_once() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES], 2);
    assert_eq!(started(&mut agenda, day("12:09:59.999")), NONE);
    assert_eq!(agenda.wake(day("12:09:59.999")), Some(day("12:10:00")));
    assert_eq!(started(&mut agenda, day("12:10:00")), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:10:00.5")), NONE);
    assert_eq!(agenda.wake(day("12:10:00.5")), Some(day("12:20:00")));
}

#[test]
fn ticks_during_a_run_are_one_run_afterwards() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES], 2);
    assert_eq!(started(&mut agenda, day("12:10:00")), [WHOLE]);
    for time in ["12:20:00", "12:30:00", "12:31:00"] {
        assert_eq!(started(&mut agenda, day(time)), NONE, "it runs at {time}");
    }
    assert_eq!(agenda.wake(day("12:31:00")), None, "nothing can start before it ends");
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:31:00")), [WHOLE], "for 12:20 and for 12:30");
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:31:01")), NONE);
    assert_eq!(started(&mut agenda, day("12:40:00")), [WHOLE]);
}

#[test]
fn ticks_that_no_process_saw_are_one_run() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES], 1);
    let days_later = day("12:05:00") + TimeDelta::days(3);
    assert_eq!(started(&mut agenda, days_later), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, days_later), NONE);
    let never_ran = Entry::new("0 0 0 29 2 *".parse().expect("cron"), Tz::UTC, None, false);
    let mut agenda = Agenda::new(vec![never_ran], 1);
    assert_eq!(started(&mut agenda, days_later), [WHOLE], "what never ran does not wait for a tick");
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, days_later), NONE);
    assert_eq!(agenda.wake(days_later), Some(at("2028-02-29T00:00:00Z")));
}

#[test]
fn a_job_that_is_asked_for_starts_at_once_and_once_more_if_it_runs() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES], 1);
    assert_eq!(started(&mut agenda, day("12:01:00")), NONE);
    agenda.ask_for(0);
    assert_eq!(started(&mut agenda, day("12:01:00")), [WHOLE]);
    agenda.ask_for(0);
    assert_eq!(started(&mut agenda, day("12:01:01")), NONE, "it runs");
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:01:02")), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:01:03")), NONE);
    assert_eq!(started(&mut agenda, day("12:10:00")), [WHOLE], "and then by its schedule");
}

#[test]
fn a_clock_that_is_set_stops_no_job() {
    // The last run was noted by a clock that was a year ahead: it runs once, and then by this clock.
    let mut agenda = agenda(&[EVERY_TEN_MINUTES], 1);
    let a_year_earlier = day("12:00:00") - TimeDelta::days(365);
    assert_eq!(started(&mut agenda, a_year_earlier), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, a_year_earlier + TimeDelta::minutes(9)), NONE);
    assert_eq!(started(&mut agenda, a_year_earlier + TimeDelta::minutes(10)), [WHOLE]);
    agenda.ended(0, false);
    // The clock jumps ahead: once for all ticks between.
    assert_eq!(started(&mut agenda, day("12:00:01")), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:00:02")), NONE);
    assert_eq!(started(&mut agenda, day("12:10:00")), [WHOLE]);
}

#[test]
fn a_job_that_takes_long_holds_up_no_other() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES, EVERY_TEN_MINUTES, "0 5 * * * *"], 2);
    // Two fit.
    assert_eq!(started(&mut agenda, day("12:10:00")), [(2, Part::Whole), (0, Part::Whole)], "the longest due first");
    assert_eq!(started(&mut agenda, day("12:10:01")), NONE);
    agenda.ended(2, false);
    // Job 0 runs on for an hour, and the others come and go beside it.
    assert_eq!(started(&mut agenda, day("12:10:02")), [(1, Part::Whole)]);
    agenda.ended(1, false);
    for time in ["12:20:00", "12:30:00", "12:40:00", "12:50:00", "13:00:00"] {
        assert_eq!(started(&mut agenda, day(time)), [(1, Part::Whole)], "{time}");
        agenda.ended(1, false);
    }
    assert_eq!(agenda.running().collect::<Vec<_>>(), [0]);
    assert_eq!(started(&mut agenda, day("13:05:00")), [(2, Part::Whole)]);
}

#[test]
fn what_was_left_goes_on_between_ticks_and_gives_way_to_them() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES, "0 5 * * * *"], 1);
    let first = agenda.start(day("12:10:00")).expect("both are due");
    assert_eq!(first, Start { job: 1, part: Part::Whole, until: Some(day("12:10:00")) }, "the other one waits");
    agenda.ended(1, true);
    let second = agenda.start(day("12:10:03")).expect("due");
    assert_eq!(second, Start { job: 0, part: Part::Whole, until: Some(day("12:20:00")) });
    agenda.ended(0, false);
    let rest = agenda.start(day("12:10:05")).expect("left");
    assert_eq!(rest, Start { job: 1, part: Part::Rest, until: Some(day("12:20:00")) });
    assert_eq!(agenda.start(day("12:10:06")), None, "it runs");
    // It ended too late, and left something again: what is due goes first.
    agenda.ended(1, true);
    assert_eq!(started(&mut agenda, day("12:20:00.1")), [WHOLE]);
    agenda.ended(0, false);
    assert_eq!(started(&mut agenda, day("12:20:01")), [(1, Part::Rest)], "that is no run, so no tick is made up for");
    agenda.ended(1, false);
    assert_eq!(started(&mut agenda, day("13:05:00")), [(0, Part::Whole)], "due since 12:30");
}

#[test]
fn what_several_jobs_left_goes_on_in_turn() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES, EVERY_TEN_MINUTES, EVERY_TEN_MINUTES], 1);
    for job in 0..3 {
        assert_eq!(started(&mut agenda, day("12:10:00")), [(job, Part::Whole)]);
        agenda.ended(job, true);
    }
    for job in [0, 1, 2, 0, 1, 2] {
        assert_eq!(started(&mut agenda, day("12:10:01")), [(job, Part::Rest)]);
        agenda.ended(job, true);
    }
}

#[test]
fn ticks_are_read_on_the_clocks_of_the_zone() {
    let night = |last: &str| {
        let entry = Entry::new("0 30 2 * * *".parse().expect("cron"), Tz::Europe__Berlin, Some(at(last)), false);
        Agenda::new(vec![entry], 1)
    };
    // The hour from 02:00 to 03:00 is left out: due when it ends, once.
    let mut spring = night("2026-03-28T01:30:00Z");
    assert_eq!(started(&mut spring, at("2026-03-29T00:59:59Z")), NONE);
    assert_eq!(started(&mut spring, at("2026-03-29T01:00:00Z")), [WHOLE]);
    spring.ended(0, false);
    assert_eq!(spring.wake(at("2026-03-29T01:00:01Z")), Some(at("2026-03-30T00:30:00Z")));
    // It comes twice: due in the first pass, once.
    let mut autumn = night("2026-10-24T00:30:00Z");
    assert_eq!(started(&mut autumn, at("2026-10-25T00:30:00Z")), [WHOLE]);
    autumn.ended(0, false);
    assert_eq!(started(&mut autumn, at("2026-10-25T01:30:00Z")), NONE);
    assert_eq!(autumn.wake(at("2026-10-25T01:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
}

#[test]
fn jobs_come_and_go_while_others_run() {
    let mut agenda = agenda(&[EVERY_TEN_MINUTES, EVERY_TEN_MINUTES], 2);
    let entry = || Entry::new(EVERY_TEN_MINUTES.parse().expect("cron"), Tz::UTC, Some(day("12:00:00")), false);
    assert_eq!(started(&mut agenda, day("12:10:00")).len(), 2);
    assert!(agenda.remove(0) && !agenda.remove(0) && !agenda.has(0));
    assert_eq!(agenda.add(entry()), 2, "the first one still runs, so its number is not free");
    agenda.ended(0, true);
    assert_eq!(started(&mut agenda, day("12:10:01")), [(2, Part::Whole)], "what the first one left is nobody's");
    assert_eq!(agenda.add(entry()), 0, "now it is");
    agenda.ended(1, false);
    agenda.ended(2, false);
    assert!(agenda.remove(2));
    assert_eq!(started(&mut agenda, day("12:10:02")), [(0, Part::Whole)]);
    agenda.ended(0, false);
    assert_eq!(agenda.wake(day("12:10:03")), Some(day("12:20:00")));
    agenda.revive(2);
    assert_eq!(started(&mut agenda, day("12:20:00")).len(), 2, "of three, two run at a time");
}
