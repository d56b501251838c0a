//! The routes below `/v1/streams`.
//!
//! - `list`: every stream, and how far it was written;
//! - `written`: whether and how far a stream was written, for the list and for the status;
//! - `read`: the newest outputs of a stream, or those that it writes from now on;
//! - `query`: the parameters of `read`;
//! - `watched`: which version's stream those are told who watch.

pub(crate) mod list;
mod query;
pub(crate) mod read;
mod watched;
pub(crate) mod written;
