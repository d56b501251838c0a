//! Any bytes as JSON records: what every decoder promises, and agreement with serde_json on what is JSON.

use std::sync::LazyLock;

use serde_json::Value as Json;
use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;

use crate::decoder;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("json"));

/// Decodes a batch of JSON records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn json(batch: &[u8]) {
    for (payload, said) in decoder::judged(&SOURCE, batch) {
        let extra = said.as_ref().ok().and_then(|said| said.extra.as_deref());
        let reason = said.as_ref().err().map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        match serde_json::from_slice::<Json>(payload) {
            Ok(Json::Object(members)) => {
                assert!(!matches!(reason, Some(Reason::NotJson | Reason::NotObject)), "an object is {reason:?}");
                if reason.is_none() {
                    undeclared(&members, extra);
                }
            }
            Ok(_) => assert_eq!(reason, Some(Reason::NotObject)),
            // serde_json refuses numbers beyond a float, such as 1e400, and nests one level less deep than our decoder.
            Err(error) if allowed(&error.to_string()) => {}
            Err(error) => {
                assert!(
                    matches!(reason, Some(Reason::NotJson | Reason::NotUtf8 | Reason::Empty)),
                    "{error}: {reason:?}"
                );
            }
        }
    }
}

fn allowed(error: &str) -> bool {
    ["number out of range", "recursion limit exceeded"].iter().any(|known| error.starts_with(known))
}

/// The undeclared members of an event are those of the document, with their values.
fn undeclared(members: &serde_json::Map<String, Json>, extra: Option<&str>) {
    let undeclared = members.iter().filter(|(name, _)| SOURCE.field(name).is_none());
    let expected: serde_json::Map<_, _> = undeclared.map(|(name, value)| (name.clone(), value.clone())).collect();
    let found = extra.map_or_else(Default::default, |text| serde_json::from_str(text).expect("an object"));
    assert_eq!(expected, found, "undeclared members");
}
