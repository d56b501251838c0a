//! The raw librdkafka client under [`super::Consumer`] and [`super::Topics`].
//!
//! The safe crate lacks what those two need: batches from a queue, the offset of an end-of-partition event, topic ids,
//! and offsets of many partitions at once. The unsafe code that they share is here: a client's life, lists of
//! partitions, C strings.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::ClientConfig;
use rdkafka::bindings as raw;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType};
use tracing::{debug, error, info, warn};

use super::KafkaError;

pub(super) const NO_ERROR: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;

/// The size of the buffer that librdkafka writes the text of some errors to; longer texts are cut.
pub(super) const REASON_BYTES_MAX: usize = 512;

/// A client handle. librdkafka's handles may be used from any thread at once.
pub(super) struct Client {
    handle: NonNull<raw::rd_kafka_t>,
    /// How many connections broke. The client counts them in its log callback.
    losses: Arc<AtomicU64>,
}

// SAFETY: librdkafka documents that a `rd_kafka_t` is thread-safe; the pointer is only freed in `drop`, which has exclusive
// access.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Starts a client of the given kind.
    pub(super) fn new(kind: RDKafkaType, config: &ClientConfig, operation: &'static str) -> Result<Client, KafkaError> {
        let native = config.create_native_config().map_err(|source| KafkaError::Config { operation, source })?;
        let mut reason = [0; REASON_BYTES_MAX];
        let losses = Arc::new(AtomicU64::new(0));
        // SAFETY: the configuration is live. It is duplicated because `rd_kafka_new` takes ownership of what it is given,
        // but only if it succeeds, while `native` frees its own in any case. The counter is passed to callbacks; it lives
        // longer than the client, whose owner holds it.
        let client = unsafe {
            let conf = raw::rd_kafka_conf_dup(native.ptr());
            raw::rd_kafka_conf_set_log_cb(conf, Some(log));
            raw::rd_kafka_conf_set_opaque(conf, Arc::as_ptr(&losses).cast_mut().cast::<c_void>());
            let client = raw::rd_kafka_new(kind, conf, reason.as_mut_ptr(), reason.len());
            if client.is_null() {
                raw::rd_kafka_conf_destroy(conf);
            }
            client
        };
        match NonNull::new(client) {
            Some(handle) => Ok(Client { handle, losses }),
            None => Err(KafkaError::Client { operation, reason: text_of(reason.as_ptr()) }),
        }
    }

    /// The handle; valid as long as this value.
    pub(super) fn ptr(&self) -> *mut raw::rd_kafka_t {
        self.handle.as_ptr()
    }

    /// How many established connections broke so far. Only a client whose main queue is polled learns of them.
    pub(super) fn losses(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.losses)
    }

    /// Counts a connection that may have broken.
    pub(super) fn note_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Client {
    /// Ends the client's threads. This takes some milliseconds and does not wait for a broker.
    fn drop(&mut self) {
        // SAFETY: the handle is live and this is its only owner. No consumer of ours is in a group, so there is nothing to
        // close; every queue and message was destroyed before, as their owners hold or precede the client.
        unsafe { raw::rd_kafka_destroy_flags(self.handle.as_ptr(), raw::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }
    }
}

/// A list of partitions of one topic, each with an offset.
pub(super) struct PartitionList(NonNull<raw::rd_kafka_topic_partition_list_t>);

impl PartitionList {
    pub(super) fn new(topic: &CStr, partitions: impl ExactSizeIterator<Item = (i32, i64)>) -> PartitionList {
        let size = c_int::try_from(partitions.len()).unwrap_or(0);
        // SAFETY: librdkafka allocates the list (it aborts rather than return null), copies the topic's name, and
        // returns elements that live in the list and are written before the next one is added.
        let list = unsafe {
            let list = raw::rd_kafka_topic_partition_list_new(size);
            for (partition, offset) in partitions {
                (*raw::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition)).offset = offset;
            }
            list
        };
        PartitionList(NonNull::new(list).unwrap_or_else(|| unreachable!("librdkafka aborts when memory is exhausted")))
    }

    pub(super) fn ptr(&self) -> *mut raw::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// The partitions that librdkafka has marked with an error.
    pub(super) fn errors(&self) -> BTreeMap<i32, RDKafkaRespErr> {
        self.elements().iter().filter(|e| e.err != NO_ERROR).map(|e| (e.partition, e.err)).collect()
    }

    /// The offsets of the partitions that have one.
    pub(super) fn offsets(&self) -> BTreeMap<i32, i64> {
        self.elements().iter().filter(|e| e.offset >= 0).map(|e| (e.partition, e.offset)).collect()
    }

    fn elements(&self) -> &[raw::rd_kafka_topic_partition_t] {
        // SAFETY: the list is live; its elements are an array of `cnt`, which is never negative.
        unsafe {
            let list = self.0.as_ref();
            slice_of(list.elems, usize::try_from(list.cnt).unwrap_or(0))
        }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the list is live and this is its only owner.
        unsafe { raw::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}

/// A topic's name as a C string.
pub(super) fn topic_name(operation: &'static str, topic: &str) -> Result<CString, KafkaError> {
    CString::new(topic).map_err(|_| KafkaError::Argument {
        operation,
        topic: topic.to_owned(),
        reason: "its name holds a zero byte".to_owned(),
    })
}

/// The array that C describes by a pointer and a length; empty if the pointer is null.
///
/// # Safety
///
/// Unless null, `data` must point to `len` initialised values that live and stay unchanged as long as `'a`.
pub(super) unsafe fn slice_of<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: passed on to the caller.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// Copies a C string; empty if the pointer is null.
pub(super) fn text_of(text: *const c_char) -> String {
    if ptr::eq(text, ptr::null()) {
        return String::new();
    }
    // SAFETY: librdkafka returns null or a terminated string that lives at least until the next call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// librdkafka's description of a code.
pub(super) fn description(code: RDKafkaRespErr) -> String {
    // SAFETY: librdkafka returns a static string for every code.
    text_of(unsafe { raw::rd_kafka_err2str(code) })
}

/// Receives librdkafka's log lines, on its threads, and counts the connections that broke: librdkafka reports them in
/// no other way. A failed attempt to connect does not count. The line is written by the thread that notices, before it
/// connects again. If one connection breaks twice within 30 seconds in the same way and without a failed attempt in
/// between, librdkafka does not repeat the line.
unsafe extern "C" fn log(client: *const raw::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    let (facility, line) = (text_of(facility), text_of(line));
    if facility == "FAIL" && line.contains(" in state UP") {
        // SAFETY: a client that logs is live. Its opaque is the counter that it was configured with, which lives longer; it is
        // null only if the client has none.
        let losses = unsafe { raw::rd_kafka_opaque(client).cast::<AtomicU64>().as_ref() };
        if let Some(losses) = losses {
            losses.fetch_add(1, Ordering::Relaxed);
        }
    }
    log_line(level, &facility, &line);
}

/// Whether the error only reports that a broker cannot be reached. librdkafka repeats such errors ten times a second,
/// and [`log_line`] already logs the loss once for each broker.
pub(super) fn is_connection_loss(error: &ClientError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure | Resolve))
}

/// Writes a log line of librdkafka to our log; `level` is a syslog level.
///
/// While no broker can be reached, librdkafka repeats that ten times a second, besides one line (`FAIL`) for each
/// broker, which it does not repeat. The repetitions are logged for debugging only.
pub(super) fn log_line(level: c_int, facility: &str, line: &str) {
    let repeated = facility == "ERROR" && (line.contains("brokers are down") || line.contains(": Connect to "));
    match level {
        _ if repeated => debug!(target: "librdkafka", facility, "{line}"),
        ..=3 if facility == "FAIL" => warn!(target: "librdkafka", facility, "{line}"),
        ..=3 => error!(target: "librdkafka", facility, "{line}"),
        4 => warn!(target: "librdkafka", facility, "{line}"),
        5 | 6 => info!(target: "librdkafka", facility, "{line}"),
        _ => debug!(target: "librdkafka", facility, "{line}"),
    }
}
