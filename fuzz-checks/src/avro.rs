//! Any bytes as Avro records: what every decoder promises, and that only data are events that the crate `apache-avro` reads.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::util::max_allocation_bytes;
use shared_logic::catalog::Source;
use shared_logic::decode::Decoder;
use shared_logic::format::{SchemaId, WriterSchema};
use shared_logic::rejection::Reason;

use crate::decoder;

/// The schemas of writers: the id of each is its place in this list.
const SCHEMAS: [&str; 2] = [
    r#"{"type": "record", "name": "Event", "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "user", "type": "string"},
        {"name": "n", "type": "long"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "m", "type": ["null", "int"]},
        {"name": "x", "type": ["null", "double"]},
        {"name": "b", "type": ["null", "boolean"]},
        {"name": "w", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}]}"#,
    r#"{"type": "record", "name": "Event", "fields": [
        {"name": "n", "type": "int"},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": ["null", "Event"]}}},
        {"name": "user", "type": {"type": "enum", "name": "User", "symbols": ["ada", "bob"]}},
        {"name": "x", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}},
        {"name": "at", "type": "long"},
        {"name": "id", "type": ["int", "string"]}]}"#,
];
/// An id that the registry did not know.
const UNKNOWN: u32 = 2;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("avro"));
static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let mut decoder = Decoder::new(&SOURCE);
    for (id, text) in (0..).zip(SCHEMAS) {
        let schema = WriterSchema { kind: "AVRO".to_owned(), text: text.to_owned(), references: Vec::new() };
        decoder.learn(SchemaId(id), Some(&schema)).expect("a schema that can be used");
    }
    decoder.learn(SchemaId(UNKNOWN), None).expect("nothing to be used");
    decoder
});
static THEIRS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    max_allocation_bytes(1 << 20);
    SCHEMAS.iter().map(|text| Schema::parse_str(text).expect("a schema")).collect()
});

/// Decodes a batch of Avro records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn avro(batch: &[u8]) {
    for (payload, said) in decoder::judged_by(&SOURCE, &DECODER, batch) {
        let reason = said.err().map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        let Some((frame, mut datum)) = payload.split_first_chunk::<5>().filter(|(frame, _)| frame[0] == 0) else {
            assert!(matches!(reason, Some(Reason::Empty | Reason::NotAvro)), "{reason:?}");
            continue;
        };
        let id = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
        let Some(schema) = THEIRS.get(id as usize) else {
            assert_eq!(reason, Some(Reason::UnknownSchema));
            continue;
        };
        if reason != Some(Reason::NotAvro) {
            // The crate reads some data that end too early, but it reads all that are whole.
            let reader = GenericDatumReader::builder(schema).build().expect("its names are known");
            let read = reader.read_value(&mut datum);
            assert!(read.is_ok() && datum.is_empty(), "{read:?}, {} bytes left", datum.len());
        }
    }
}
