//! A record, as a poll delivers it.

use std::marker::PhantomData;

use rdkafka::bindings as raw;

use super::super::native::slice_of;
use super::Headers;

/// A record, borrowed from librdkafka for the duration of one visit.
pub struct Record<'a> {
    /// The partition's number.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
    /// The timestamp of the producer or the broker, in milliseconds since 1970-01-01 UTC; nothing if neither set one.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes; nothing for a record without a key, which differs from an empty key.
    pub key: Option<&'a [u8]>,
    /// The payload's bytes; nothing for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Whether no later record of its partition comes with the same poll.
    pub is_last: bool,
    message: *const raw::rd_kafka_message_t,
    lifetime: PhantomData<&'a raw::rd_kafka_message_t>,
}

impl<'a> Record<'a> {
    pub(super) fn new(message: &'a raw::rd_kafka_message_t, is_last: bool) -> Record<'a> {
        let mut kind = raw::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live, and key and payload are its own memory, unchanged until it is destroyed.
        let (stamp, key, payload) = unsafe {
            let stamp = raw::rd_kafka_message_timestamp(message, &raw mut kind);
            (stamp, bytes(message.key, message.key_len), bytes(message.payload, message.len))
        };
        let stamped = !matches!(kind, raw::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE);
        Record {
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: (stamped && stamp >= 0).then_some(stamp),
            key,
            payload,
            is_last,
            message,
            lifetime: PhantomData,
        }
    }

    /// The leader epoch in which the record was written; nothing if the broker does not keep it.
    pub fn epoch(&self) -> Option<i32> {
        // SAFETY: the message is live for 'a.
        let epoch = unsafe { raw::rd_kafka_message_leader_epoch(self.message) };
        (epoch >= 0).then_some(epoch)
    }

    /// The headers in their order. They are parsed only when this is called.
    pub fn headers(&self) -> Headers<'a> {
        // SAFETY: the message is live for 'a.
        unsafe { Headers::of(self.message) }
    }
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("key", &self.key.map(String::from_utf8_lossy))
            .field("payload", &self.payload.map(String::from_utf8_lossy))
            .finish_non_exhaustive()
    }
}

/// Bytes of a message; nothing where they are absent, which for Kafka differs from zero bytes.
///
/// # Safety
///
/// As for [`slice_of`].
unsafe fn bytes<'a>(data: *const std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: passed on to the caller.
    (!data.is_null()).then(|| unsafe { slice_of(data.cast::<u8>(), len) })
}
