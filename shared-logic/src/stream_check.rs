//! The check of a stream: does its archive hold what its definition decides again of the same records?
//!
//! - `stretches`: which offsets a definition has decided (T13);
//! - `comparison`: what is decided again, compared with what was published;
//! - `split_keys`: keys that lie in several partitions (T12).

mod comparison;
mod split_keys;
mod stretches;

pub use comparison::{Comparison, Found, Place, content_hash};
pub use split_keys::SplitKeys;
pub use stretches::{Since, decided_by, others};
