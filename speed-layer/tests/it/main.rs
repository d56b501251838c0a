//! The layer from outside, on a real Redis and librdkafka's in-process broker.

mod compiled;
mod read;
