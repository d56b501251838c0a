//! The OpenAPI document: what the code says of its routes, made concrete by the catalog that runs.
//!
//! Handlers say which parameters they read and what they answer, beside the code that does it. The served document has a path for each
//! metric, stream, table, search index and report of the catalog, with its columns as parameters and its names in the answer.
//!
//! - `general`: what is true of every deployment, out of the handlers' annotations;
//! - `concrete`: puts a catalog in; `admission`: what keys ask for;
//! - `references`: which parts of the document use which.

mod admission;
mod concrete;
mod general;
mod references;
#[cfg(test)]
mod tests;

pub(crate) use concrete::document;
