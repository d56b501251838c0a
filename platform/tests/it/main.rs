//! The connections on real servers: librdkafka's in-process broker, and the system's `redis-server`.

mod cluster;
mod consumer;
mod group_offsets;
mod membership;
mod producer;
mod redis;
mod topics;
