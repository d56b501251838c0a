//! The routes below `/v1/tables`.
//!
//! - `list`: every table, and how far its rows are kept;
//! - `row`: the row of a key.

pub(crate) mod list;
pub(crate) mod row;
