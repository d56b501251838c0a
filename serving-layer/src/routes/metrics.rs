//! The routes below `/v1/metrics`.

pub(crate) mod definitions;
pub(crate) mod query;
pub(crate) mod series;
pub(crate) mod total;
