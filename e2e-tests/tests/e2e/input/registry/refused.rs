//! Records that are rejected: one for each reason that there is in a format of a registry.

use anyhow::Result;
use e2e_tests::Registry;
use rand::rngs::StdRng;

use super::records::{Sale, bytes, number, varint};
use super::{NOWHERE, framed};

/// What the catalog says: no record is longer.
pub(super) const MAX_RECORD: &str = "64KiB";
const LONG: usize = (64 << 10) + 1;
const HOUR_MS: i64 = 3_600_000;
/// More than the usual `max_age` and `max_ahead`.
const OLD_MS: i64 = 401 * 24 * HOUR_MS;
const AHEAD_MS: i64 = 2 * HOUR_MS;

/// Both have a site that is no text.
const ODD_ORDERS: &str = r#"{"type": "record", "name": "Odd", "namespace": "shop", "fields": [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "user", "type": {"type": "record", "name": "OddUser", "fields": [{"name": "site", "type": "long"}]}}]}"#;
const ODD_CLICKS: &str = r#"syntax = "proto3";
package odd;
import "google/protobuf/timestamp.proto";
message Odd {
  string id = 1;
  google.protobuf.Timestamp at = 2;
  Buyer user = 3;
}
message Buyer {
  int64 site = 1;
}
"#;

/// Why a record is rejected, as the archive says it, and its bytes.
pub(super) type Refused = (&'static str, Vec<u8>);

/// Registers a schema of each format by which records have a wrong type. Returns their ids.
pub(super) async fn register(registry: &Registry) -> Result<[u32; 2]> {
    let orders = registry.register("odd-orders", "AVRO", ODD_ORDERS, &[]).await?;
    Ok([orders, registry.register("odd-clicks", "PROTOBUF", ODD_CLICKS, &[]).await?])
}

/// Records that name no schema, one that no registry knows, or one of the other format; and that are none of their schema.
/// `ids` are those of the first schemas, Avro's and then Protobuf's.
pub(super) fn malformed(source: usize, ids: [u32; 2]) -> Vec<Refused> {
    let malformed = ["not_avro", "not_protobuf"][source];
    let kinds = [malformed, "unknown_schema"];
    let (of_avro, of_protobuf) = if source == 0 { (kinds[0], kinds[1]) } else { (kinds[1], kinds[0]) };
    vec![
        (malformed, b"{\"id\": \"x\"}".to_vec()),
        ("unknown_schema", framed(NOWHERE, b"x")),
        (of_avro, framed(ids[0], b"x")),
        (of_protobuf, framed(ids[1], b"\x08")),
    ]
}

/// Records of the later schema, and of the odd one, that are no events of the source.
pub(super) fn no_events(source: usize, later: u32, odd: u32, rng: &mut StdRng, now_us: i64) -> Result<Vec<Refused>> {
    let now_ms = now_us / 1_000;
    let mut written = |at_ms: i64, has_user: bool| -> Result<Vec<u8>> {
        let sale = Sale { at_ms, has_user, ..Sale::of(rng, "refused".to_owned(), now_us) };
        Ok(framed(later, &if source == 0 { sale.avro(1)? } else { sale.protobuf(1) }))
    };
    let whole = written(now_ms, true)?;
    Ok(vec![
        ("empty", Vec::new()),
        ("too_long", vec![0; LONG]),
        (["not_avro", "not_protobuf"][source], [&whole[..], &b"\xff"[..]].concat()),
        ("missing_field:site", written(now_ms, false)?),
        ("wrong_type:site", framed(odd, &odd_datum(source, now_ms))),
        ("out_of_range:at", written(i64::MAX / 1_000, true)?),
        ("too_old:at", written(now_ms - OLD_MS, true)?),
        ("too_far_ahead:at", written(now_ms + AHEAD_MS, true)?),
    ])
}

/// The site 7, where a text should be.
fn odd_datum(source: usize, now_ms: i64) -> Vec<u8> {
    if source == 0 {
        // Integers of Avro are in zigzag: twice as large.
        return [&b"\x02x"[..], &varint(2 * now_ms as u64)[..], &b"\x0e"[..]].concat();
    }
    let at = number(1, now_ms / 1_000);
    [vec![0], bytes(1, b"x"), bytes(2, &at), bytes(3, &number(1, 7))].concat()
}
