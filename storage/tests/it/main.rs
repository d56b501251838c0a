//! Shards on a real Redis, tables in a real store.

mod instances;
mod scripts;
mod tables;
