//! Catalogs that change while events flow, and one that shares nothing with the sample.

mod changes;
mod operators_day;
mod rebuild_killed;
mod stranger_catalog;
mod two_catalogs;
