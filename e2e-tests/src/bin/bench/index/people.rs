//! A table of people, its changes, and the index that follows it.

use e2e_tests::kafka::Record;
use e2e_tests::views::NEVER;
use serde_json::{Value, json};

/// How many partitions the topic has.
pub(crate) const PARTITIONS: i32 = 4;
/// Where the index is searched.
pub(crate) const PATH: &str = "/v1/search/people";
const PLANS: [&str; 3] = ["free", "pro", "team"];

/// A change of somebody, of about 150 bytes.
pub(crate) fn change(number: u64, time: u64) -> Record {
    let key = format!("u{number}");
    let payload = json!({"id": key, "name": name(number, time), "plan": plan(number), "age": number % 90, "about": about(number)});
    Record { key, payload: payload.to_string().into_bytes(), partition: None }
}

/// A change of somebody who is called so, and nobody else is.
pub(crate) fn named(word: &str) -> Record {
    let payload = json!({"id": word, "name": word, "plan": "pro", "age": 33, "about": "looked for"});
    Record { key: word.to_owned(), payload: payload.to_string().into_bytes(), partition: None }
}

/// The id and the document of somebody who has changed once, as the index has it.
pub(crate) fn document(number: u64) -> (String, String) {
    let document = json!({
        "name": name(number, 0),
        "plan": plan(number),
        "age": number % 90,
        "about": about(number),
        "changed_at": "2026-04-24T09:30:12.345Z",
        "braid_slice": number % 64,
    });
    (format!("u{number}"), document.to_string())
}

fn name(number: u64, time: u64) -> String {
    format!("name{} of{number} at{time}", number % 1_000)
}

fn plan(number: u64) -> &'static str {
    PLANS[number as usize % PLANS.len()]
}

fn about(number: u64) -> String {
    format!("likes thing{} and thing{}, and lives in place{}", number % 7_919, number % 104_729, number % 523)
}

/// What the bare loader creates its index with: as Braid does.
pub(crate) fn mapping() -> Value {
    json!({
        "settings": {"index": {
            "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s", "gc_deletes": "1h",
        }},
        "mappings": {"dynamic": "strict", "properties": {
            "name": {"type": "text"},
            "plan": {"type": "keyword"},
            "age": {"type": "long"},
            "about": {"type": "text"},
            "changed_at": {"type": "date", "format": "strict_date_optional_time"},
            "braid_slice": {"type": "short"},
        }},
    })
}

/// The catalog of a deployment of that name.
pub(crate) fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.unused]
topic = "{name}-unused"
partitions = 1
event_time = "at"
[sources.unused.fields]
at = "timestamp"

[tables.people]
topic = "{name}"
partitions = {PARTITIONS}
key = "id"
[tables.people.fields]
id = "string"
name = "string"
plan = "string"
age = "int"
about = "string"

[indexes.people]
from = "tables.people"
[indexes.people.fields]
name = "text"
plan = "keyword"
age = "integer"
about = "text"
changed_at = "time"
"#
    )
}
