//! Who a cluster is: its id, and how many of its brokers can be used.

use std::ffi::c_int;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::types::RDKafkaType;

use super::native::{Client, NO_ERROR, slice_of, text_of};
use super::{KafkaError, client_config};
use crate::settings;

/// How the ids of librdkafka's in-process clusters begin.
const IN_PROCESS: &str = "mockCluster";

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The id that it was formatted with.
    pub id: String,
    /// How many of its brokers can be used.
    pub brokers: usize,
    /// The id of one of them.
    pub broker: Option<i32>,
}

impl Cluster {
    /// Whether this is librdkafka's in-process broker, which keeps about 5 MiB of each partition and forgets what is older.
    pub fn is_in_process(&self) -> bool {
        self.id.starts_with(IN_PROCESS)
    }
}

/// Asks a cluster who it is; nothing if none answers within that time.
///
/// # Errors
///
/// A property of `[kafka.client]` that librdkafka refuses.
pub async fn cluster(settings: &settings::Kafka, within: Duration) -> Result<Option<Cluster>, KafkaError> {
    // A producer is librdkafka's smallest client. This one produces nothing.
    let client = Client::new(RDKafkaType::RD_KAFKA_PRODUCER, &client_config(settings), "find the cluster")?;
    Ok(tokio::task::spawn_blocking(move || ask(&client, within)).await.unwrap_or_default())
}

fn ask(client: &Client, within: Duration) -> Option<Cluster> {
    let within_ms = c_int::try_from(within.as_millis()).unwrap_or(c_int::MAX);
    let mut metadata: *const raw::rd_kafka_metadata = ptr::null();
    // SAFETY: the client is live. If the first call succeeds, it returns metadata that is ours until we destroy it; an id is copied
    // out of it. By then the client has learnt the id, so the next call does not wait; its text is ours, is copied, and is freed.
    unsafe {
        if raw::rd_kafka_metadata(client.ptr(), 0, ptr::null_mut(), &raw mut metadata, within_ms) != NO_ERROR {
            return None;
        }
        let brokers = usize::try_from((*metadata).broker_cnt).unwrap_or(0);
        let broker = slice_of((*metadata).brokers, brokers).first().map(|broker| broker.id);
        raw::rd_kafka_metadata_destroy(metadata);
        let id = raw::rd_kafka_clusterid(client.ptr(), 0);
        let cluster = Cluster { id: text_of(id), brokers, broker };
        raw::rd_kafka_mem_free(client.ptr(), id.cast());
        Some(cluster)
    }
}
