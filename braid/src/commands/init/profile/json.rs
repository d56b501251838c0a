//! JSON documents → what was seen at the places of their members.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{Profile, Seen, Value};

/// Members that stand deeper are not looked at.
const DEPTH_MAX: usize = 8;
/// Places beyond these are not looked at: names that are values, such as those of an object by user, have no end.
const PLACES_MAX: usize = 1_000;

/// What was seen in documents, each with the moment at which it was sent. What is no JSON object is left out.
pub(in crate::commands::init) fn of_documents<'a>(documents: impl Iterator<Item = (&'a [u8], i64)>) -> Profile {
    let mut found = Found::default();
    for (payload, sent_us) in documents {
        if let Ok(document @ Json::Object(_)) = serde_json::from_slice::<Json>(payload) {
            found.add(&document, &mut Vec::new());
            found.profile.sent_us.push(sent_us);
        }
    }
    found.profile
}

#[derive(Default)]
struct Found {
    profile: Profile,
    /// Positions in the profile by steps.
    positions: HashMap<Vec<String>, usize>,
}

impl Found {
    /// Notes what a value holds that stands at `steps` of the current document.
    fn add(&mut self, value: &Json, steps: &mut Vec<String>) {
        let seen = match value {
            Json::Null => return,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.to_string()),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(_) => Value::List,
            Json::Object(_) => Value::Object,
        };
        if !steps.is_empty() {
            self.note(seen, steps);
        }
        if let (Json::Object(members), true) = (value, steps.len() < DEPTH_MAX) {
            for (name, member) in members {
                steps.push(name.clone());
                self.add(member, steps);
                steps.pop();
            }
        }
    }

    fn note(&mut self, value: Value, steps: &[String]) {
        let at = match self.positions.get(steps) {
            Some(at) => *at,
            None if self.profile.places.len() < PLACES_MAX => {
                self.positions.insert(steps.to_vec(), self.profile.places.len());
                self.profile.places.push(Seen::at(steps.to_vec()));
                self.profile.places.len() - 1
            }
            None => return,
        };
        if let Some(seen) = self.profile.places.get_mut(at) {
            seen.values.push((self.profile.sent_us.len(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_however_deep_they_stand() {
        let documents = [
            r#"{"id": 1, "user": {"id": "u", "tags": ["a"], "none": null}}"#,
            "not json",
            "[1]",
            r#"{"user": {"id": 18446744073709551615, "ok": true}, "id": 1.50}"#,
        ];
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 7)));
        assert_eq!(profile.sent_us, [7, 7]);
        let seen = |place: &str| {
            let seen = profile.places.iter().find(|seen| seen.steps.join(".") == place).expect(place);
            seen.values.clone()
        };
        let number = |text: &str| Value::Number(text.to_owned());
        assert_eq!(seen("id"), [(0, number("1")), (1, number("1.5"))]);
        assert_eq!(seen("user.id"), [(0, Value::Text("u".to_owned())), (1, number("18446744073709551615"))]);
        assert_eq!(seen("user.tags"), [(0, Value::List)]);
        assert_eq!(seen("user"), [(0, Value::Object), (1, Value::Object)]);
        assert_eq!(seen("user.ok"), [(1, Value::Bool(true))]);
        assert_eq!(profile.places.len(), 5, "null was no value: {profile:?}");
    }

    #[test]
    fn names_without_end_and_depth_without_end_are_bounded() {
        let documents: Vec<String> = (0..2 * PLACES_MAX).map(|n| format!(r#"{{"by_user": {{"u{n}": 1}}}}"#)).collect();
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 0)));
        assert_eq!((profile.records(), profile.places.len()), (2 * PLACES_MAX, PLACES_MAX));
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        let profile = of_documents([(deep.as_bytes(), 0)].into_iter());
        assert_eq!(profile.places.len(), DEPTH_MAX);
    }
}
