//! Which fields identify an event.

use std::collections::HashMap;

use super::super::profile::Profile;
use super::super::words::snake;
use super::fields::Field;
use super::kind::Kind;

/// What a field is called that identifies an event, the likeliest name first.
const NAMES: [&str; 15] = [
    "event_id",
    "eventid",
    "event_uuid",
    "id",
    "uuid",
    "guid",
    "message_id",
    "messageid",
    "msg_id",
    "record_id",
    "request_id",
    "transaction_id",
    "insert_id",
    "log_id",
    "entry_id",
];
/// The attributes that every event has by the specification of CloudEvents; the last two identify it together.
const CLOUD_EVENT: [&str; 3] = ["specversion", "source", "id"];

/// The names of the fields that identify an event. There are none if nothing in the sample is called like an id and is one.
///
/// `times_us` are the event times of the records. An event is identified by its id and its time, so the same id at two times
/// is two events: what such a field tells is something else, such as the user.
pub(super) fn find(fields: &[Field], profile: &Profile, times_us: &[i64], source: &str) -> Vec<String> {
    let at_top = |name: &&str| fields.iter().find(|field| field.steps == [*name] && can_be_id(field));
    let attributes: Vec<&Field> = CLOUD_EVENT.iter().filter_map(at_top).collect();
    if let [_, source, id] = attributes.as_slice() {
        return vec![source.name.clone(), id.name.clone()];
    }
    let of_source = format!("{}_id", source.strip_suffix('s').unwrap_or(source));
    let rank = |field: &Field| {
        let name = snake(&field.steps.join("_"));
        NAMES.iter().position(|known| *known == name).or((name == of_source).then_some(NAMES.len()))
    };
    let candidates = fields.iter().filter(|field| can_be_id(field) && is_id(field, profile, times_us));
    let best = candidates.filter_map(|field| Some((rank(field)?, field))).min_by_key(|(rank, _)| *rank);
    best.map(|(_, field)| field.name.clone()).into_iter().collect()
}

/// An id is a text or an integer, and never absent.
fn can_be_id(field: &Field) -> bool {
    matches!(field.kind, Kind::Text { .. } | Kind::Int) && field.absent == 0
}

/// Whether every value of the field has one event time, and few values are repeated.
fn is_id(field: &Field, profile: &Profile, times_us: &[i64]) -> bool {
    let mut time_of: HashMap<&str, Option<&i64>> = HashMap::new();
    let Some(seen) = profile.places.get(field.at) else { return false };
    for (record, id) in seen.written() {
        let time = times_us.get(record);
        if *time_of.entry(id).or_insert(time) != time {
            return false;
        }
    }
    time_of.len() * 2 > seen.values.len()
}

#[cfg(test)]
mod tests {
    use super::super::super::instants::Instants;
    use super::super::super::profile::of_documents;
    use super::super::fields;
    use super::*;

    fn id(documents: &[&str], times_us: &[i64]) -> Vec<String> {
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 0)));
        let (fields, _) = fields::of(&profile, false, &[], &mut Instants::new());
        find(&fields, &profile, times_us, "orders")
    }

    #[test]
    fn an_id_is_called_so_and_has_one_time() {
        assert_eq!(id(&[r#"{"id": 1, "message_id": "a"}"#, r#"{"id": 2, "message_id": "b"}"#], &[1, 1]), ["id"]);
        assert_eq!(id(&[r#"{"meta": {"uuid": "a"}}"#], &[1]), Vec::<String>::new(), "the id of something in the event");
        assert_eq!(id(&[r#"{"order_id": "a"}"#, r#"{"order_id": "b"}"#], &[1, 2]), ["order_id"], "that of the source");
        assert_eq!(id(&[r#"{"user_id": "a"}"#, r#"{"user_id": "b"}"#], &[1, 2]), Vec::<String>::new());
        let repeated = [r#"{"id": 1}"#, r#"{"id": 2}"#, r#"{"id": 1}"#];
        assert_eq!(id(&repeated, &[5, 6, 5]), ["id"], "a duplicate");
        assert_eq!(id(&repeated, &[5, 6, 7]), Vec::<String>::new(), "two events of one thing");
        assert_eq!(id(&[r#"{"id": 1}"#, "{}"], &[1, 2]), Vec::<String>::new(), "not always there");
    }

    #[test]
    fn cloud_events_are_identified_by_source_and_id() {
        let event = r#"{"specversion": "1.0", "source": "/shop", "id": "1", "type": "sale"}"#;
        assert_eq!(id(&[event, event], &[1, 2]), ["source", "id"]);
    }
}
