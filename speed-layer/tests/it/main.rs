//! The layer from outside, on a real Redis.

mod compiled;
