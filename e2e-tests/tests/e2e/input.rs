//! Hostile and careless records among valid ones: they are archived, counted by reason and shown with their place, and the
//! counts of the valid ones stay exact.
//!
//! - `measurements`: the deployment that most of these scenarios play on;
//! - `registry`: Avro and Protobuf, with a schema registry that is away for a while.

mod copies;
mod measurements;
mod mutations;
mod overflow;
mod registry;
mod rejections;
mod timestamps;
