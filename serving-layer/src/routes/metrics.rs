//! The routes that answer about metrics.
//!
//! - `definitions`: what is counted, and how fresh its answers are;
//! - `query`: how parameters are read, and those of the next two;
//! - `total`: one value per measure;
//! - `series`: one value per measure and step;
//! - `top`: the largest keys; `keys`: the values of a column; `all_keys`: the parameters that both share;
//! - `several`: several questions in one request;
//! - `respond`: how an answer is sent.

mod all_keys;
pub(crate) mod definitions;
pub(crate) mod keys;
mod query;
mod respond;
pub(crate) mod series;
pub(crate) mod several;
pub(crate) mod top;
pub(crate) mod total;

pub(crate) use query::{Query, Reader};
pub(crate) use respond::{form, respond};
