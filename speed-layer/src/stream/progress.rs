//! T4: how far the streams of a lane were published.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use platform::kafka::{Bound, KafkaError, OwnedRecord, read_committed};
use shared_logic::contracts::stream::{ProgressKey, Published};

use super::source::Shared;

/// The newest progress of each stream of a lane, by name; streams that the catalog no longer has among them.
pub type Progress = BTreeMap<String, Published>;

/// Reads the partition of the progress topic up to its end, which is asked for first: what a consumer takes for the end is no proof.
/// The broker ends no transaction of a fenced producer later, so nothing is missed after a producer was started.
///
/// # Errors
/// If Kafka does not answer.
pub async fn read(shared: &Shared, partition: i32) -> Result<Progress, KafkaError> {
    let topic = shared.progress_topic();
    let bound = async |which| {
        let offsets = shared.topics.offsets(&topic, &[partition], which).await?;
        Ok::<_, KafkaError>(offsets.get(&partition).copied().unwrap_or_default())
    };
    let (start, end) = (bound(Bound::Start).await?, bound(Bound::End).await?);
    let progress = Arc::new(Mutex::new(Progress::new()));
    let taken = Arc::clone(&progress);
    let visit = move |record: OwnedRecord| take(&mut taken.lock().unwrap_or_else(PoisonError::into_inner), &record);
    read_committed(&shared.kafka, &topic, partition, start, end, visit).await?;
    let progress = std::mem::take(&mut *progress.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(progress)
}

/// A record takes the place of an older one of its key. What no lane has written says nothing.
fn take(progress: &mut Progress, record: &OwnedRecord) {
    let key = record.key.as_deref().and_then(ProgressKey::of);
    let value = record.payload.as_deref().and_then(Published::of);
    if let (Some(ProgressKey::Stream(stream)), Some(published)) = (key, value) {
        progress.insert(stream, published);
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::stream::{Fronts, OutputPosition};

    use super::*;

    #[test]
    fn the_newest_record_of_a_stream_counts_and_what_others_wrote_does_not() {
        let published = |offset| Published {
            log: "log".to_owned(),
            position: OutputPosition::before(offset),
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: false,
        };
        let record = |key: &str, payload: Vec<u8>| OwnedRecord {
            offset: 0,
            timestamp_ms: None,
            key: Some(key.as_bytes().to_vec()),
            payload: Some(payload),
            headers: Vec::new(),
        };
        let json = |offset| published(offset).to_bytes();
        let mut progress = Progress::new();
        take(&mut progress, &record("a", json(1)));
        take(&mut progress, &record("b", json(5)));
        take(&mut progress, &record("a", json(2)));
        take(&mut progress, &record("a", b"not ours".to_vec()));
        take(&mut progress, &record("a/changed/log/7", b"{}".to_vec()));
        assert_eq!(progress, Progress::from([("a".to_owned(), published(2)), ("b".to_owned(), published(5))]));
    }
}
