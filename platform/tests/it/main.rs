//! Connections against real counterparts: librdkafka's in-process broker, and a `redis-server` of the system.

mod cluster;
mod consumer;
mod membership;
mod producer;
mod redis;
mod topics;
