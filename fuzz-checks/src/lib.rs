//! What the decoders and the catalog parser must do with any input, however malformed.
//!
//! A check takes the bytes of one input and panics if the code breaks a promise. Two callers have them:
//!
//! - `make test`: `shared-logic/tests/it/seeds.rs` gives them the seeds in `fuzz/seeds/` and mutations of these;
//! - `make fuzz`: libFuzzer searches for inputs that take new branches, starting from the same seeds. Its targets are in `fuzz/`,
//!   a workspace of its own, because libFuzzer needs an instrumented build of everything.
//!
//! The checks: [`json`], [`tsv`], [`csv`], [`combined`], [`avro`] and [`protobuf`] for records, [`debezium`] for changes, and
//! [`catalog`] for catalogs.

mod avro;
mod catalog;
mod combined;
mod csv;
mod debezium;
mod decoder;
mod json;
mod protobuf;
mod tsv;

pub use avro::avro;
pub use catalog::catalog;
pub use combined::combined;
pub use csv::csv;
pub use debezium::debezium;
pub use json::json;
pub use protobuf::protobuf;
pub use tsv::tsv;
