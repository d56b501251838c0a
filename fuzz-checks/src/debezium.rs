//! Any bytes as changes that Debezium writes: they do not depend on the changes before them, and say what serde_json finds in them.

use std::sync::LazyLock;

use serde_json::Value as Json;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::decode::Decoder;
use shared_logic::rejection::{Reason, Rejected};
use shared_logic::table::{Row, RowValue, row_of};

use crate::decoder::SEPARATOR;
use crate::json::allowed;

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
[tables.t]
key = "id"
format = "debezium"
[tables.t.fields]
id = "string"
n = "int?"
ok = "bool?"
note = { type = "string?", path = "more.note", numbers = true }
at = { type = "timestamp?", format = "epoch_us" }
"#;

static SOURCE: LazyLock<Source> = LazyLock::new(|| {
    let mut catalog = Catalog::parse(CATALOG).expect("the catalog above");
    catalog.sources.remove("t").expect("its table")
});

/// The key of records that name none.
const KEY: &str = "k";

/// What a document says by hand.
#[derive(Debug, PartialEq)]
enum Said<'a> {
    Deleted,
    /// A row with that key.
    Row(&'a Json),
    Nothing,
}

/// What a record does.
#[derive(Debug, PartialEq)]
struct Changed {
    key: String,
    row: Option<Row>,
}

/// Decodes a batch of changes and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn debezium(batch: &[u8]) {
    let mut one = Decoder::new(&SOURCE);
    for payload in batch.split(|byte| *byte == SEPARATOR) {
        let document = serde_json::from_slice::<Json>(payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload));
        let key = document.as_ref().ok().and_then(said).and_then(|said| match said {
            Said::Row(Json::String(key)) => Some(key.clone()),
            _ => None,
        });
        // Keys are objects, too.
        let object = serde_json::json!({ "id": key.as_deref().unwrap_or(KEY) }).to_string();
        let changed = change(&mut one, &object, payload);
        assert_eq!(changed, change(&mut Decoder::new(&SOURCE), &object, payload), "it depends on those before");
        match document {
            Ok(Json::Object(_)) => agrees(document.as_ref().ok().and_then(said), key.as_deref(), changed),
            Ok(_) => assert_eq!(reason(&changed), Some(Reason::NotObject)),
            Err(error) if allowed(&error.to_string()) => {}
            Err(error) => {
                let is_none = matches!(reason(&changed), Some(Reason::NotJson | Reason::NotUtf8 | Reason::Empty));
                assert!(is_none, "{error}: {changed:?}");
            }
        }
    }
}

fn change(decoder: &mut Decoder, key: &str, payload: &[u8]) -> Result<Changed, Rejected> {
    let change = decoder.change(Some(key.as_bytes()), Some(payload), Some(0))?;
    Ok(Changed { key: change.key, row: change.row.as_ref().map(row_of) })
}

fn reason(changed: &Result<Changed, Rejected>) -> Option<Reason> {
    changed.as_ref().err().map(|rejected| rejected.reason)
}

/// What an object says; `None` if it has the members of a change on both levels, which no connector writes.
fn said(document: &Json) -> Option<Said<'_>> {
    let is_change = |value: &Json| value.get("op").is_some() || value.get("after").is_some();
    let envelope = match document.get("payload") {
        Some(_) if is_change(document) => return None,
        Some(inner) => inner,
        None => document,
    };
    let after = &envelope["after"];
    Some(match envelope["op"].as_str() {
        Some("d") => Said::Deleted,
        Some("c" | "u" | "r") if after.is_object() || after.is_array() => Said::Row(&after["id"]),
        _ => Said::Nothing,
    })
}

fn agrees(said: Option<Said<'_>>, key: Option<&str>, changed: Result<Changed, Rejected>) {
    match (said, changed) {
        (None, _) => {}
        (Some(Said::Deleted), Ok(change)) => assert_eq!((change.key.as_str(), change.row), (KEY, None)),
        (Some(Said::Row(id)), Ok(change)) => {
            let row = change.row.expect("a row");
            assert_eq!((Some(change.key.as_str()), key), (id.as_str(), id.as_str()));
            assert_eq!(row[0], id.as_str().map(|id| RowValue::Text(id.into())));
            assert_eq!(row.len(), SOURCE.fields.len() - 1, "a value or nothing for each declared field");
        }
        (Some(said), Err(Rejected { reason, field })) => {
            assert_eq!(said == Said::Nothing, reason == Reason::NotChange, "{said:?} is {reason}");
            match said {
                Said::Row(Json::Null) => assert_eq!((reason, field), (Reason::MissingField, Some(0))),
                Said::Row(Json::String(id)) if id.is_empty() => {}
                Said::Row(Json::String(_)) => {
                    assert!(field.is_some_and(|field| field > 0), "{reason} of a field behind the key")
                }
                Said::Row(_) => assert_eq!((reason, field), (Reason::WrongType, Some(0))),
                Said::Deleted => panic!("a delete is {reason}"),
                Said::Nothing => {}
            }
        }
        (Some(Said::Nothing), Ok(change)) => panic!("nothing is {change:?}"),
    }
}
