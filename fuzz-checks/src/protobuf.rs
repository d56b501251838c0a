//! Any bytes as Protobuf records: what every decoder promises.

use std::sync::LazyLock;

use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::format::{SchemaId, WriterSchema};
use shared_logic::rejection::Reason;

use crate::decoder;

/// The only schema, whose id is 0.
const SCHEMA: &str = r#"
syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Other { repeated Event events = 1; }
message Event {
  string id = 1;
  google.protobuf.Timestamp at = 2;
  enum User { ADA = 0; BOB = 1; }
  oneof who { string user = 3; User known = 10; }
  uint64 n = 4;
  optional string note = 5;
  google.protobuf.Int32Value m = 6;
  optional double x = 7;
  bool b = 8;
  google.protobuf.Timestamp w = 9;
  map<string, Other> others = 11;
}
"#;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("protobuf"));
static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let mut decoder = Decoder::new(&SOURCE);
    let schema = WriterSchema { kind: "PROTOBUF".to_owned(), text: SCHEMA.to_owned(), references: Vec::new() };
    decoder.learn(SchemaId(0), Some(&schema)).expect("a schema that can be used");
    decoder
});

/// Decodes a batch of Protobuf records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn protobuf(batch: &[u8]) {
    for (payload, said) in decoder::judged_by(&SOURCE, &DECODER, batch) {
        let reason = said.err().map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        match payload.first_chunk::<5>() {
            Some([0, 0, 0, 0, 0]) => assert_ne!(reason, Some(Reason::UnknownSchema)),
            Some([0, ..]) => assert_eq!(reason, Some(Reason::UnknownSchema)),
            _ => assert!(matches!(reason, Some(Reason::Empty | Reason::NotProtobuf)), "{reason:?}"),
        }
    }
}
