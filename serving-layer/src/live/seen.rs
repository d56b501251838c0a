//! What counts as another answer.
//!
//! `as_of` and the lag move with every look. They say how fresh an answer is, and not what it is.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The members of an object, as they are written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What was seen of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Two answers that have it in common say the same.
    pub(super) tag: u64,
    /// As of when the answer speaks, as JSON, if it does.
    pub(super) as_of: Option<String>,
}

impl Seen {
    /// Looks at the body of an answer.
    pub(super) fn of(body: &[u8]) -> Seen {
        let Ok(members) = serde_json::from_slice::<Members<'_>>(body) else {
            return Seen { tag: xxh3_64(body), as_of: None };
        };
        let mut said = Said(Xxh3::new());
        said.answer(&members);
        let as_of = members.get("as_of").map(|as_of| as_of.get()).filter(|as_of| *as_of != "null");
        Seen { tag: said.0.digest(), as_of: as_of.map(str::to_owned) }
    }
}

/// What an answer says besides how fresh it is.
struct Said(Xxh3);

impl Said {
    /// An answer, or the part of one that is about one of several keys.
    fn answer(&mut self, members: &Members<'_>) {
        for (name, value) in members {
            match name.as_str() {
                "as_of" | "lag_ms" => {}
                "provenance" => self.within(name, value, Said::provenance),
                "keys" => self.keys(name, value),
                _ => self.member(name, value),
            }
        }
    }

    fn provenance(&mut self, members: &Members<'_>) {
        for (name, value) in members {
            match name.as_str() {
                "speed" => self.within(name, value, Said::answer),
                _ => self.member(name, value),
            }
        }
    }

    /// The members of a member.
    fn within(&mut self, name: &str, value: &RawValue, take: fn(&mut Said, &Members<'_>)) {
        match serde_json::from_str::<Members<'_>>(value.get()) {
            Ok(members) => {
                self.text(name);
                take(self, &members);
            }
            Err(_) => self.member(name, value),
        }
    }

    /// Answers about several keys; anything else that has this name is a member like others.
    fn keys(&mut self, name: &str, value: &RawValue) {
        match serde_json::from_str::<Vec<Members<'_>>>(value.get()) {
            Ok(keys) => {
                self.text(name);
                keys.iter().for_each(|members| self.answer(members));
            }
            Err(_) => self.member(name, value),
        }
    }

    fn member(&mut self, name: &str, value: &RawValue) {
        self.text(name);
        self.text(value.get());
    }

    /// Neither names nor values hold a zero byte: JSON escapes it.
    fn text(&mut self, text: &str) {
        self.0.update(text.as_bytes());
        self.0.update(&[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"version":"v1","metric":"views","key":{},"values":{"views":7,"as_of":1,"lag_ms":2},"complete":true,"gaps":[],
        "as_of":"2026-04-24T09:30:12Z","provenance":{"batch":{"values":{"views":5},"version":3},"speed":{"values":{"views":2},"lag_ms":12}}}"#;
    const KEYS: &str = r#"{"as_of":"2026-04-24T09:30:12Z","keys":[{"key":{"a":1},"values":{"views":7},
        "provenance":{"batch":{"values":{}},"speed":{"values":{},"lag_ms":12}}},{"key":{"a":2},"values":{"views":8},"provenance":{}}]}"#;

    fn tag(body: &str) -> u64 {
        Seen::of(body.as_bytes()).tag
    }

    #[test]
    fn how_fresh_an_answer_is_does_not_make_it_another() {
        let later = ANSWER.replace("09:30:12Z", "09:30:14Z").replace("\"lag_ms\":12", "\"lag_ms\":3");
        assert_eq!(tag(ANSWER), tag(&later));
        assert_eq!(Seen::of(later.as_bytes()).as_of.as_deref(), Some("\"2026-04-24T09:30:14Z\""));
        assert_eq!(tag(KEYS), tag(&KEYS.replace(":12Z", ":14Z").replace("\"lag_ms\":12", "\"lag_ms\":3")));
        assert_eq!(Seen::of(br#"{"as_of":null,"complete":false}"#).as_of, None);
    }

    #[test]
    fn whatever_else_it_says_does() {
        for (from, to) in [
            ("\"views\":7", "\"views\":8"),
            ("\"complete\":true", "\"complete\":false"),
            ("[]", "[{\"text\":\"gone\"}]"),
            ("\"version\":3", "\"version\":4"),
            ("\"version\":\"v1\"", "\"version\":\"v2\""),
            ("\"views\":2", "\"views\":3"),
            // Measures may have any name.
            ("\"as_of\":1", "\"as_of\":9"),
            ("\"lag_ms\":2", "\"lag_ms\":9"),
        ] {
            let other = ANSWER.replacen(from, to, 1);
            assert_ne!(other, ANSWER, "{from}");
            assert_ne!(tag(ANSWER), tag(&other), "{from}");
        }
        for (from, to) in [("\"views\":7", "\"views\":9"), ("\"a\":2", "\"a\":3"), ("\"views\":8", "\"views\":7")] {
            assert_ne!(tag(KEYS), tag(&KEYS.replacen(from, to, 1)), "{from}");
        }
        assert_ne!(tag(r#"{"keys":["a","b"]}"#), tag(r#"{"keys":["a","c"]}"#));
    }

    #[test]
    fn what_is_no_object_is_compared_as_it_is() {
        assert_ne!(tag("views\n7\n"), tag("views\n8\n"));
        assert_eq!(Seen::of(b"[1]"), Seen { tag: xxh3_64(b"[1]"), as_of: None });
    }
}
