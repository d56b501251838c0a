//! The OpenAPI document: what the code says of its routes, made concrete by the catalog that runs.
//!
//! Handlers say which parameters they read and what they answer, beside the code that does it. The served document has a path for each
//! metric, stream, table and report of the catalog, with its columns as parameters and its names in the answer.
//!
//! - `general`: what is true of every deployment, out of the handlers' annotations;
//! - `parameters`: parameters that several paths share;
//! - `refusals`: what is answered instead, and `admission`: what keys ask for;
//! - `stand_in`: schemas for which a catalog's own are put in;
//! - `concrete`: puts them in;
//! - `references`: which parts of the document use which.

mod admission;
mod concrete;
mod general;
mod parameters;
mod references;
mod refusals;
mod stand_in;
#[cfg(test)]
mod tests;

pub(crate) use concrete::document;
pub(crate) use parameters::{Columns, EveryColumn, Fields, MetricName, Require, SeveralColumns, Times, WhichVersion};
pub(crate) use refusals::{Refusals, Unavailable, Unready, Unversioned};
pub(crate) use stand_in::{EventText, Key, Output, ReportColumns, Row, Values};
