//! Shards and rows of tables on a real Redis, tables in a real store, indexes in a real OpenSearch.

mod clustered;
mod indexes;
mod instances;
mod schemas;
mod scripts;
mod snapshots;
mod sweeps;
mod table_rows;
mod tables;
mod versions;
