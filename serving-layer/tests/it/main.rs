//! The serving layer on a real Redis and a real store. Views, archives and shards are written as the contracts say; only
//! Kafka is stood in for.

mod access;
mod alert_log;
mod alerts;
mod completeness;
mod forms;
mod http;
mod live;
mod looks;
mod problems;
mod reconciliations;
mod redis_proxy;
mod rejected;
mod reports;
mod search;
mod series;
mod stand_in;
mod status;
mod stream_events;
mod stream_fixture;
mod stream_outputs;
mod streams;
mod test_server;
mod top;
mod total;
mod versions;
mod versions_watched;
