//! T4: how far the streams of a lane were published.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use platform::kafka::{Bound, KafkaError, OwnedRecord, read_committed};
use shared_logic::contracts::stream::{ProgressNoted, Published};

use super::source::Shared;

/// The newest progress of each stream of a lane, by name; streams that the catalog no longer has among them.
pub type Progress = BTreeMap<String, Published>;

/// Gives what the partition of the progress topic says, up to its end, which is asked for first: what a consumer takes for the end is no
/// proof. The broker ends no transaction of a fenced producer later, so nothing is missed after a producer was started.
///
/// # Errors
/// If Kafka does not answer.
pub async fn read(shared: &Shared, partition: i32) -> Result<ProgressNoted, KafkaError> {
    let topic = shared.progress_topic();
    let bound = async |which| {
        let offsets = shared.topics.offsets(&topic, &[partition], which).await?;
        Ok::<_, KafkaError>(offsets.get(&partition).copied().unwrap_or_default())
    };
    let (start, end) = (bound(Bound::Start).await?, bound(Bound::End).await?);
    let noted = Arc::new(Mutex::new(ProgressNoted::default()));
    let taken = Arc::clone(&noted);
    let visit = move |record: OwnedRecord| {
        let mut noted = taken.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take(record.key.as_deref(), record.payload.as_deref());
    };
    read_committed(&shared.kafka, &topic, partition, start, end, visit).await?;
    let noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(noted)
}
