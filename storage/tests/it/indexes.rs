//! Indexes in a real OpenSearch: what it does with versions, faults and builds.
//!
//! - `fixture`: servers, and the index that tests write to;
//! - `documents`: what becomes of documents (I1, I3);
//! - `pressure`: a server that is full, away or takes less (I3);
//! - `builds`: states, builds and the alias (I4);
//! - `progress`: cursors, and what was refused (I2, I3);
//! - `read`: searches, and all documents of a slice (I5, I6);
//! - `login`: users and keys.

mod builds;
mod documents;
mod fixture;
mod login;
mod pressure;
mod progress;
mod read;
