//! Search indexes: what the documents of rows are, and what can be asked of them (I1, I5, I6).
//!
//! - [`Documents`]: rows → documents;
//! - [`settings`]: what a server is told when an index is created;
//! - [`SliceDigest`], [`slice_of`]: what two sets of documents are compared by;
//! - [`Search`]: a search → the question to the server.

mod digest;
mod document;
mod query;
mod settings;

pub use digest::{DocumentHash, SLICES, SliceDigest, slice_of};
pub use document::Documents;
pub use query::{Filter, LIMIT_MAX, NotASearch, OFFSET_MAX, Search, Sort, TEXT_MAX};
pub use settings::{GC_DELETES_S, SENT_WITHIN_S, Sizing, settings};
