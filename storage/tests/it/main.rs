//! Shards on a real Redis, tables in a real store.

mod scripts;
mod tables;
