//! Search indexes on a real OpenSearch: whatever befalls those who write one, it holds what was sent, each id and each field.
//!
//! - `people`: the table that all others play with, its changes, and the index that follows it;
//! - processes: `kills` of the indexer and of the server, a `zombie`, a `loader` that is killed;
//! - the server: what it `refuses` for good, and what lanes do while it `waits`: full, read-only, away, its replies lost;
//! - builds: `rebuilt` under load, and what is built anew where something is `lost`: partitions added, the server's data, an erasure;
//! - reconciles: `checked`, which name what differs; and an index of `streams`.

mod checked;
mod kills;
mod loader;
mod lost;
mod people;
mod rebuilt;
mod refuses;
mod streams;
mod waits;
mod zombie;
