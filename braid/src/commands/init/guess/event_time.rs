//! Which place says when the event happened.

use anyhow::{Result, bail};

use super::super::instants::{Instants, Written};
use super::super::profile::{Profile, Seen, few};
use super::super::words::{snake, words};
use super::kind::Kind;

/// What such a place is called, the likeliest name first.
const NAMES: [&str; 16] = [
    "occurred_at",
    "event_time",
    "event_timestamp",
    "timestamp",
    "ts",
    "time",
    "datetime",
    "date_time",
    "date",
    "datum",
    "event_date",
    "created_at",
    "created",
    "sent_at",
    "logged_at",
    "received_at",
];
/// Moments with one of these words in their names are those of something else, or come after the event.
const UNLIKELY: [&str; 14] = [
    "birth",
    "birthday",
    "born",
    "due",
    "end",
    "ended",
    "expires",
    "expiry",
    "expiration",
    "updated",
    "modified",
    "until",
    "valid",
    "deleted",
];
/// An error lists so many places.
const SHOWN: usize = 8;

/// Where the event time stands.
#[derive(Debug)]
pub(super) struct EventTime {
    /// The position of its place in the profile.
    pub(super) at: usize,
    /// The position of the time of day, if the first place holds nothing but a date.
    pub(super) time_of_day: Option<usize>,
    /// How it is written; of a date and a time of day, with a blank between them.
    pub(super) written: Written,
    /// The event time of each record, in microseconds since 1970; `None` if it has none.
    pub(super) times_us: Vec<Option<i64>>,
}

/// Finds the place of the event time: an instant that nearly every record has, and of several the one that is called like it,
/// else the first.
///
/// # Errors
/// If there is none: what there is, and what can be done.
pub(super) fn find(profile: &Profile, instants: &mut Instants) -> Result<EventTime> {
    let mut candidates: Vec<(usize, Written)> = Vec::new();
    for (at, seen) in profile.places.iter().enumerate() {
        if let Some(written) = Kind::instant(seen, instants) {
            candidates.push((at, written));
        }
    }
    let is_there = |at: usize| profile.places.get(at).is_some_and(|seen| is_always_there(profile, seen));
    let likelihood = |at: usize| profile.places.get(at).map(unlikelihood);
    let best = candidates.iter().filter(|(at, _)| is_there(*at)).min_by_key(|(at, _)| likelihood(*at));
    let Some((at, written)) = best else { bail!(nothing_found(profile, &candidates)) };
    let (at, written) = (*at, written.clone());
    if is_date(&written)
        && let Some(joined) = with_time_of_day(profile, at, instants)
    {
        return Ok(joined);
    }
    let mut times_us = vec![None; profile.records()];
    for (record, text) in profile.places.get(at).into_iter().flat_map(Seen::written) {
        if let Some(time_us) = times_us.get_mut(record) {
            *time_us = instants.read(&written, text);
        }
    }
    Ok(EventTime { at, time_of_day: None, written, times_us })
}

fn is_always_there(profile: &Profile, seen: &Seen) -> bool {
    few(profile.records() - seen.values.len(), profile.records())
}

/// Smaller is likelier; of equal ones, the first stands.
fn unlikelihood(seen: &Seen) -> (usize, usize) {
    let name = seen.steps.last().map(String::as_str).unwrap_or_default();
    let called = [snake(name), snake(&seen.steps.join("_"))];
    let named = NAMES.iter().position(|known| called.iter().any(|called| called == known));
    let is_unlikely = words(name).iter().any(|word| UNLIKELY.contains(&word.as_str()));
    (named.unwrap_or(NAMES.len() + usize::from(is_unlikely)), seen.steps.len())
}

/// Whether the instants are dates without a time of day.
pub(super) fn is_date(written: &Written) -> bool {
    written
        .format
        .as_deref()
        .is_some_and(|format| format.contains("%d") && !format.contains(':') && !format.contains("%H"))
}

/// The event time that a date has together with a time of day at another place: the next one, or else the first.
fn with_time_of_day(profile: &Profile, date: usize, instants: &mut Instants) -> Option<EventTime> {
    let is_time = |seen: &Seen| {
        let others = seen.written().filter(|(_, text)| !is_time_of_day(text)).count();
        is_always_there(profile, seen) && seen.written().next().is_some() && few(others, seen.values.len())
    };
    let places = || profile.places.iter().enumerate();
    let times: Vec<usize> = places().filter(|(_, seen)| is_time(seen)).map(|(at, _)| at).collect();
    let time_of_day = *times.iter().find(|at| **at > date).or(times.first())?;
    let mut texts: Vec<Option<String>> = vec![None; profile.records()];
    for (record, text) in profile.places.get(date)?.written() {
        *texts.get_mut(record)? = Some(text.to_owned());
    }
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (record, time) in profile.places.get(time_of_day)?.written() {
        if let Some(date) = texts.get(record)? {
            joined.push((record, format!("{date} {time}")));
        }
    }
    let written = instants.find(&joined.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), false)?;
    let mut times_us = vec![None; profile.records()];
    for (record, text) in &joined {
        *times_us.get_mut(*record)? = instants.read(&written, text);
    }
    Some(EventTime { at: date, time_of_day: Some(time_of_day), written, times_us })
}

/// Such as `9:05`, `09:05:30` or `09:05:30.250`.
fn is_time_of_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &str, below: u32| part.parse::<u32>().is_ok_and(|number| number < below) && part.len() <= 2;
    let is_second = |part: &str| is_number(part.split(['.', ',']).next().unwrap_or_default(), 61);
    match parts.as_slice() {
        [hour, minute] => is_number(hour, 24) && is_number(minute, 60),
        [hour, minute, second] => is_number(hour, 24) && is_number(minute, 60) && is_second(second),
        _ => false,
    }
}

fn nothing_found(profile: &Profile, candidates: &[(usize, Written)]) -> String {
    let records = profile.records();
    let shown = |seen: &Seen| format!("`{}` in {} of {records}", seen.steps.join("."), seen.values.len());
    let found: Vec<String> =
        candidates.iter().filter_map(|(at, _)| profile.places.get(*at)).map(shown).take(SHOWN).collect();
    let what = if found.is_empty() {
        let names = profile.places.iter().map(|seen| format!("`{}`", seen.steps.join(".")));
        format!("no field holds instants; the fields are {}", names.take(SHOWN).collect::<Vec<_>>().join(", "))
    } else {
        format!("no field holds an instant in every record; there is one in {}", found.join(", in "))
    };
    format!(
        "{what}\n\
         A source needs the moment at which each event happened, because counts are kept by it: a date and a time such as \
         RFC 3339, or a number since 1970 in a field whose name sounds like a time. If the records have it in another form, \
         write the catalog by hand, with a field such as at = {{ type = \"timestamp\", format = \"%d.%m.%Y %H:%M\" }}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::profile::{of_documents, of_rows};
    use super::*;

    fn place(documents: &[&str]) -> Result<String> {
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 0)));
        let found = find(&profile, &mut Instants::new())?;
        Ok(profile.places.get(found.at).expect("its place").steps.join("."))
    }

    #[test]
    fn the_place_that_is_called_like_it_is_taken() {
        let at = "\"2026-11-25T10:00:00Z\"";
        let named = format!(r#"{{"birth_date": {at}, "created_at": {at}, "ts": {at}}}"#);
        assert_eq!(place(&[&named]).expect("found"), "ts");
        let nested = format!(r#"{{"paid": {at}, "meta": {{"event_time": {at}}}}}"#);
        assert_eq!(place(&[&nested]).expect("found"), "meta.event_time");
        let first = format!(r#"{{"valid_until": {at}, "pickup": {at}, "dropoff": {at}}}"#);
        assert_eq!(place(&[&first]).expect("found"), "pickup");
        assert_eq!(place(&[&format!(r#"{{"@timestamp": {at}}}"#)]).expect("found"), "@timestamp");
    }

    #[test]
    fn an_instant_that_is_not_always_there_is_none() {
        let documents = [r#"{"id": 1, "paid_at": "2026-11-25T10:00:00Z"}"#, r#"{"id": 2}"#];
        let error = place(&documents).expect_err("not in every record").to_string();
        assert!(
            error.starts_with("no field holds an instant in every record; there is one in `paid_at` in 1 of 2"),
            "{error}"
        );
        let error = place(&[r#"{"id": 1}"#]).expect_err("there is none").to_string();
        assert!(error.starts_with("no field holds instants; the fields are `id`\nA source needs"), "{error}");
    }

    #[test]
    fn a_date_is_joined_with_the_time_of_day_behind_it() {
        let names = ["zeit_der_kasse", "datum", "uhrzeit"].map(str::to_owned);
        let row = |text: &str| (text.split('|').map(str::to_owned).collect::<Vec<_>>(), 0);
        let rows = [row("1:00|25.11.2026|9:05"), row("2:00|25.11.2026|23:59")];
        let found = find(&of_rows(&names, &rows), &mut Instants::new()).expect("found");
        assert_eq!((found.at, found.time_of_day), (1, Some(2)));
        assert_eq!(found.written.format.as_deref(), Some("%d.%m.%Y %H:%M"));
        let minutes = found.times_us.iter().map(|us| us.map(|us| us / 60_000_000 % 1_440)).collect::<Vec<_>>();
        assert_eq!(minutes, [Some(545), Some(1_439)]);
    }

    #[test]
    fn times_of_day_are_told_from_other_texts() {
        assert!(["9:05", "09:05:30", "23:59:60.250"].iter().all(|text| is_time_of_day(text)));
        assert!(!["24:00", "9", "9:5:5:5", "a:b", "", "10:00 Uhr"].iter().any(|text| is_time_of_day(text)));
    }
}
