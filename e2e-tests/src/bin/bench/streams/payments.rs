//! Payments that cause no alert, and the catalog with the detector over them.

use e2e_tests::kafka::Record;
use e2e_tests::streams::fraud::RULES;
use e2e_tests::views::NEVER;

/// The source.
pub(super) const SOURCE: &str = "transactions";

/// A payment of about 150 bytes, at home, of a usual amount.
pub(super) fn payment(id: &str, user: &str, at_ms: i64, cents: u64) -> Record {
    let (amount, rest) = (10 + cents / 100 % 20, cents % 100);
    let payload = format!(
        r#"{{"transaction_id":"{id}","user_id":"{user}","amount":{amount}.{rest:02},"lat":51.5074,"lon":-0.1278,"at":{at_ms},"merchant":"shop-{rest}"}}"#
    );
    Record { key: user.to_owned(), payload: payload.into_bytes(), partition: None }
}

/// The source of payments, and the detector with the rules of the sample catalog.
pub(super) fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.{SOURCE}]
topic = "{name}"
partitions = 4
event_id = "transaction_id"
event_time = "at"
key = "user_id"
[sources.{SOURCE}.fields]
transaction_id = "string"
user_id = "string"
amount = "float"
lat = "float"
lon = "float"
at = "timestamp"
merchant = "string?"

[streams.alerts]
from = "{SOURCE}"
topic = "{name}-alerts"
key = "user_id"
history = "1h"
lateness = "5m"
[streams.alerts.detect]
{RULES}
"#
    )
}
