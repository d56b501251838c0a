//! What was seen → what a catalog says of it. Nothing is asked here and nothing read: the same sample gives the same guess.
//!
//! The event time comes first: a record without one is no event, and nothing else is judged by it.
//!
//! - `event_time`: which place says when the event happened;
//! - `kind`: values → the type of a field;
//! - `fields`: places → fields, and what is left out;
//! - `event_id`: which fields identify an event;
//! - `sums` and `groups`: what is summed, and what it is counted by;
//! - `ages`: which ages are accepted, and how fine the buckets are.

mod ages;
mod event_id;
mod event_time;
mod fields;
mod groups;
mod kind;
mod sums;

use anyhow::Result;

use super::instants::{Instants, Written};
use super::layout::Layout;
use super::profile::Profile;

pub(super) use ages::Ages;
pub(super) use fields::{Field, LeftOut, Why};
pub(super) use groups::Groups;
pub(super) use kind::Kind;
pub(super) use sums::Sum;

/// The time as access logs have it. Their format says so, so no field needs to.
const TIME_OF_LOGS: &str = "%d/%b/%Y:%H:%M:%S %z";
/// What an event time is called that is put together from two fields.
const JOINED_TIME: &str = "event_time";

/// A guess at what a catalog should say of the sample.
pub(super) struct Guess {
    /// How many events the guess is made of.
    pub(super) events: usize,
    /// The fields, in the order of the columns where there are some.
    pub(super) fields: Vec<Field>,
    /// What no field takes.
    pub(super) left_out: Vec<LeftOut>,
    /// Which fields say when the event happened.
    pub(super) event_time: EventTime,
    /// The names of the fields that identify an event.
    pub(super) event_id: Vec<String>,
    /// The columns to count by.
    pub(super) groups: Groups,
    /// The name of the measure that counts.
    pub(super) count: String,
    /// The measures that add up.
    pub(super) sums: Vec<Sum>,
    /// The name of the field that records are keyed by.
    pub(super) key: Option<String>,
    /// The width of a bucket.
    pub(super) grain: &'static str,
    /// Ages that have to be accepted.
    pub(super) ages: Ages,
    /// Whether some instants name no zone.
    pub(super) needs_zone: bool,
    /// The texts that stand for an absent value, if others do than usual.
    pub(super) null: Vec<String>,
}

/// Which fields say when the event happened.
pub(super) enum EventTime {
    /// The field of that name.
    Field(String),
    /// The fields of these names together, and the format of their texts with a blank between them; `None` is the usual one.
    Joined([String; 2], Option<String>),
}

/// Guesses what a catalog should say of the source of that name.
///
/// # Errors
/// If nothing says when the events happened.
pub(super) fn guess(mut profile: Profile, layout: Layout, source: &str, instants: &mut Instants) -> Result<Guess> {
    let found = event_time::find(&profile, instants)?;
    profile.retain(&found.times_us);
    let times_us: Vec<i64> = found.times_us.iter().flatten().copied().collect();
    let roles: Vec<usize> = [Some(found.at), found.time_of_day].into_iter().flatten().collect();

    let (mut fields, left_out) = fields::of(&profile, layout.has_columns(), &roles, instants);
    if layout == Layout::Combined {
        fields.iter_mut().for_each(as_in_logs);
    }
    if found.time_of_day.is_some() {
        let parts = fields.iter_mut().filter(|field| roles.contains(&field.at));
        parts.for_each(|field| field.kind = Kind::Text { numbers: false });
        fields::keep_free(JOINED_TIME, &mut fields);
    }
    let event_id = event_id::find(&fields, &profile, &times_us, source);
    let is_id = |field: &&Field| event_id.contains(&field.name);
    let taken: Vec<usize> = fields.iter().filter(is_id).map(|field| field.at).chain(roles).collect();
    let groups = groups::find(&fields, &profile, &taken);
    let (count, sums) = sums::find(&fields, source, &groups.by);
    let events: Vec<(i64, i64)> = times_us.iter().copied().zip(profile.sent_us.iter().copied()).collect();
    Ok(Guess {
        events: events.len(),
        key: groups.by.first().or(event_id.first()).cloned(),
        grain: ages::grain(&times_us, event_time::is_date(&found.written)),
        ages: ages::find(&events),
        needs_zone: needs_zone(&fields) || found.time_of_day.is_some() && !found.written.names_zone,
        null: if profile.null.len() > 1 { profile.null } else { Vec::new() },
        event_time: event_time(&found, &fields),
        fields,
        left_out,
        event_id,
        groups,
        count,
        sums,
    })
}

/// A field of an access log, of which more may be absent than the sample shows: clients decide what they send.
fn as_in_logs(field: &mut Field) {
    field.optional |= !matches!(field.name.as_str(), "remote_host" | "time" | "status");
    if let Kind::Instant(written) = &mut field.kind
        && written.format.as_deref() == Some(TIME_OF_LOGS)
    {
        written.format = None;
    }
}

fn needs_zone(fields: &[Field]) -> bool {
    fields.iter().any(|field| matches!(&field.kind, Kind::Instant(Written { names_zone: false, .. })))
}

fn event_time(found: &event_time::EventTime, fields: &[Field]) -> EventTime {
    let name =
        |at: usize| fields.iter().find(|field| field.at == at).map(|field| field.name.clone()).unwrap_or_default();
    match found.time_of_day {
        Some(time_of_day) => EventTime::Joined([name(found.at), name(time_of_day)], found.written.format.clone()),
        None => EventTime::Field(name(found.at)),
    }
}
