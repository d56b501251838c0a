//! Catalogs that change while events flow, one that shares nothing with the sample, and when jobs run by them.

mod changes;
mod documented;
mod operators_day;
mod rebuild_killed;
mod schedules;
mod stranger_catalog;
mod two_catalogs;
