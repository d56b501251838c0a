//! Hostile and careless records among valid ones: they are archived, counted by reason and shown with their place, and the
//! counts of the valid ones stay exact.
//!
//! - `bad_lines`: every bad line of every format of texts;
//! - `cdc`: a table follows a real PostgreSQL; run by `make test-cdc` alone;
//! - `measurements`: the deployment that most of these scenarios play on;
//! - `hand_typed`: the commands with which an operator sends, asks and looks;
//! - `imported`: files of earlier days beside the topic, with copies of what was streamed;
//! - `registry`: Avro and Protobuf, with a schema registry that is away for a while;
//! - `strangers_hour`: files that were not made for Braid, and what a stranger types to have them counted.

mod bad_lines;
mod cdc;
mod copies;
mod hand_typed;
mod imported;
mod measurements;
mod mutations;
mod overflow;
mod registry;
mod rejections;
mod strangers_hour;
mod timestamps;
