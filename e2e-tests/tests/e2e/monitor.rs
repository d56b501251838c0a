//! What operators see of a running platform, and who may see it.

mod keys;
mod observability;
