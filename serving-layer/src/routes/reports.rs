//! The routes below `/v1/reports`.
//!
//! - `list`: every report, and how far it is written;
//! - `query`: the parameters of `row`;
//! - `row`: the row of a key in a day.

pub(crate) mod list;
mod query;
pub(crate) mod row;
