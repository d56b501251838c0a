//! What is sold, and how its producers write it: Avro with the crate that they use, Protobuf byte by byte.

use anyhow::Result;
use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use rand::Rng;
use rand::rngs::StdRng;

pub(super) const ORDERS: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "user", "type": {"type": "record", "name": "User", "fields": [
        {"name": "site", "type": "string"},
        {"name": "name", "type": "string"}]}},
    {"name": "amount", "type": ["null", "int"], "default": null}]}"#;
/// Fields have changed places and types, and there are more of them.
pub(super) const ORDERS_LATER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    {"name": "amount", "type": ["null", "long"], "default": null},
    {"name": "user", "type": ["null", {"type": "record", "name": "User", "fields": [
        {"name": "name", "type": "string"},
        {"name": "age", "type": "int", "default": 0},
        {"name": "site", "type": "string"}]}], "default": null},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "id", "type": "string"}]}"#;

pub(super) const USER: &str = r#"syntax = "proto3";
package shop;
message User {
  string site = 1;
  string name = 2;
}
"#;
pub(super) const CLICKS: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "shop/user.proto";
message Other {
  string id = 1;
}
message Click {
  string id = 1;
  google.protobuf.Timestamp at = 2;
  User user = 3;
  optional int64 amount = 4;
}
"#;
/// A field and a message are added.
pub(super) const CLICKS_LATER: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "shop/user.proto";
message Other {
  string id = 1;
  repeated string more = 2;
}
message Click {
  string id = 1;
  google.protobuf.Timestamp at = 2;
  User user = 3;
  optional int64 amount = 4;
  repeated string tags = 5;
}
message Third {
  string id = 1;
}
"#;

/// Something that was sold.
pub(super) struct Sale {
    pub(super) id: String,
    pub(super) at_ms: i64,
    pub(super) site: String,
    pub(super) name: String,
    pub(super) amount: Option<i64>,
    /// Whether it is known who bought it, and so where. In the first version of orders, it always is.
    pub(super) has_user: bool,
}

impl Sale {
    /// Anything, of the hour before that moment.
    pub(super) fn of(rng: &mut StdRng, id: String, now_us: i64) -> Sale {
        Sale {
            id,
            at_ms: now_us / 1_000 - rng.random_range(0..3_600_000),
            site: format!("site-{}", rng.random_range(0..3)),
            name: format!("nämé-{}", rng.random_range(0..4)),
            amount: rng.random_bool(0.8).then(|| rng.random_range(-50..1_000)),
            has_user: true,
        }
    }

    /// As an order, in that version of its schema.
    pub(super) fn avro(&self, version: usize) -> Result<Vec<u8>> {
        let text = |text: &str| Value::String(text.to_owned());
        let record = |fields: Vec<(&str, Value)>| {
            Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let (id, at) = (("id", text(&self.id)), ("at", Value::TimestampMillis(self.at_ms)));
        let (site, name) = (("site", text(&self.site)), ("name", text(&self.name)));
        let amount = |of: fn(i64) -> Value| match self.amount {
            Some(amount) => ("amount", Value::Union(1, Box::new(of(amount)))),
            None => ("amount", Value::Union(0, Box::new(Value::Null))),
        };
        let (schema, value) = if version == 0 {
            let user = ("user", record(vec![site, name]));
            (ORDERS, record(vec![id, at, user, amount(|amount| Value::Int(amount as i32))]))
        } else {
            let user = match self.has_user {
                true => Value::Union(1, Box::new(record(vec![name, ("age", Value::Int(42)), site]))),
                false => Value::Union(0, Box::new(Value::Null)),
            };
            let user = ("user", user);
            let tags = ("tags", Value::Array(vec![text("new"), text("")]));
            (ORDERS_LATER, record(vec![tags, amount(Value::Long), user, at, id]))
        };
        let schema = Schema::parse_str(schema)?;
        Ok(GenericDatumWriter::builder(&schema).build()?.write_value_to_vec(value)?)
    }

    /// As a click, the second message of its file, in that version of its schema.
    pub(super) fn protobuf(&self, version: usize) -> Vec<u8> {
        let at = [number(1, self.at_ms / 1_000), number(2, self.at_ms % 1_000 * 1_000_000)].concat();
        let user = [bytes(1, self.site.as_bytes()), bytes(2, self.name.as_bytes())].concat();
        let user = if self.has_user { bytes(3, &user) } else { Vec::new() };
        let amount = self.amount.map(|amount| number(4, amount)).unwrap_or_default();
        let tags = if version == 0 { Vec::new() } else { bytes(5, b"new").repeat(2) };
        // One step, to the message of index 1; integers are in zigzag.
        [vec![2, 2], bytes(1, self.id.as_bytes()), bytes(2, &at), user, amount, tags].concat()
    }
}

/// A field of an integer.
pub(super) fn number(field: u8, value: i64) -> Vec<u8> {
    [varint(u64::from(field << 3)), varint(value as u64)].concat()
}

/// A field of text, or of a message.
pub(super) fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [varint(u64::from(field << 3 | 2)), varint(value.len() as u64), value.to_vec()].concat()
}

pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
