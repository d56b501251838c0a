//! The connections on real servers: librdkafka's in-process broker, and the system's `redis-server`. A real schema registry is
//! asked in `e2e-tests`; here its client gets answers that no registry should give.

mod cluster;
mod consumer;
mod group_offsets;
mod membership;
mod producer;
mod redis;
mod redis_cluster;
mod redis_watched;
mod registry;
mod topics;
