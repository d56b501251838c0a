//! Shards and rows of tables on a real Redis, tables in a real store.

mod instances;
mod schemas;
mod scripts;
mod snapshots;
mod sweeps;
mod table_rows;
mod tables;
mod versions;
