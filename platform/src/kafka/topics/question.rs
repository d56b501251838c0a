//! One question to the brokers: its options, the queue for its answer, and the wait for the answer.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::super::native::{Client, NO_ERROR, REASON_BYTES_MAX, description, text_of};
use super::KafkaError;
use super::target::{Target, Targets};

/// How much longer we wait than librdkafka does. It gives up by itself, and its reason is better than ours.
const GRACE: Duration = Duration::from_secs(2);

/// A question about a topic.
pub(super) struct Question {
    pub(super) client: Arc<Client>,
    pub(super) targets: Arc<Targets>,
    pub(super) within: Duration,
    pub(super) operation: &'static str,
    pub(super) topic: String,
    pub(super) topic_c: CString,
}

/// The event that answers a question.
pub(super) struct Answer(NonNull<raw::rd_kafka_event_t>);

impl Answer {
    pub(super) fn ptr(&self) -> *mut raw::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is live and this is its only owner.
        unsafe { raw::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Question {
    /// Has `send` ask the question with the options and the queue that it is given, and waits for the answer.
    pub(super) fn put(
        &self,
        kind: raw::rd_kafka_admin_op_t,
        send: impl FnOnce(*mut raw::rd_kafka_t, *const raw::rd_kafka_AdminOptions_t, *mut raw::rd_kafka_queue_t),
    ) -> Result<Answer, KafkaError> {
        let target = match self.targets.get(&self.client, self.within) {
            Ok(target) => target,
            Err(code) => return Err(self.refused(code, description(code))),
        };
        let answer = self.wait(kind, target, send);
        if answer.is_err() {
            self.targets.forget();
        }
        answer
    }

    fn wait(
        &self,
        kind: raw::rd_kafka_admin_op_t,
        target: Target,
        send: impl FnOnce(*mut raw::rd_kafka_t, *const raw::rd_kafka_AdminOptions_t, *mut raw::rd_kafka_queue_t),
    ) -> Result<Answer, KafkaError> {
        let client = self.client.ptr();
        // SAFETY: the client is live; options and queue are created here and freed after their last use. librdkafka
        // copies the options, and keeps its own reference to the queue while an answer is outstanding.
        let event = unsafe {
            let options = raw::rd_kafka_AdminOptions_new(client, kind);
            self.set(options, kind, target);
            let queue = raw::rd_kafka_queue_new(client);
            send(client, options, queue);
            let event = raw::rd_kafka_queue_poll(queue, millis(self.within + GRACE));
            raw::rd_kafka_queue_destroy(queue);
            raw::rd_kafka_AdminOptions_destroy(options);
            event
        };
        let Some(answer) = NonNull::new(event).map(Answer) else {
            return Err(KafkaError::Timeout {
                operation: self.operation,
                topic: self.topic.clone(),
                within: self.within,
            });
        };
        // SAFETY: the answer is live; the text belongs to it and is copied.
        let (code, reason) = unsafe {
            (raw::rd_kafka_event_error(answer.ptr()), text_of(raw::rd_kafka_event_error_string(answer.ptr())))
        };
        if code == NO_ERROR { Ok(answer) } else { Err(self.refused(code, reason)) }
    }

    /// Sets the time-outs and the target; and, for offsets, that only committed records count.
    ///
    /// # Safety
    ///
    /// `options` must be live and of this kind.
    unsafe fn set(&self, options: *mut raw::rd_kafka_AdminOptions_t, kind: raw::rd_kafka_admin_op_t, target: Target) {
        use raw::rd_kafka_admin_op_t::*;
        let within_ms = millis(self.within);
        let mut buffer = [0; REASON_BYTES_MAX];
        let (reason, len) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: passed on to the caller; `len` is the buffer's length. All values lie in the documented ranges, so no
        // error is expected; after one, the default would apply.
        unsafe {
            raw::rd_kafka_AdminOptions_set_request_timeout(options, within_ms, reason, len);
            if matches!(kind, RD_KAFKA_ADMIN_OP_CREATETOPICS | RD_KAFKA_ADMIN_OP_CREATEPARTITIONS) {
                raw::rd_kafka_AdminOptions_set_operation_timeout(options, within_ms, reason, len);
            }
            if matches!(kind, RD_KAFKA_ADMIN_OP_LISTOFFSETS) {
                let committed = raw::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
                let error = raw::rd_kafka_AdminOptions_set_isolation_level(options, committed);
                if !error.is_null() {
                    raw::rd_kafka_error_destroy(error);
                }
            } else if let Target::Broker(id) = target {
                // Offsets are requested from the partitions' leaders, everything else from one broker.
                raw::rd_kafka_AdminOptions_set_broker(options, id, reason, len);
            }
        }
    }

    /// The description of a topic to create. The caller destroys it.
    pub(super) fn new_topic(
        &self,
        partitions: i32,
        replicas: i32,
        config: &[(String, String)],
    ) -> Result<*mut raw::rd_kafka_NewTopic_t, KafkaError> {
        let mut reason = [0; REASON_BYTES_MAX];
        // SAFETY: the name is terminated and the buffer has the given length.
        let new_topic = unsafe {
            raw::rd_kafka_NewTopic_new(self.topic_c.as_ptr(), partitions, replicas, reason.as_mut_ptr(), reason.len())
        };
        if new_topic.is_null() {
            return Err(self.argument(text_of(reason.as_ptr())));
        }
        for (name, value) in config {
            let wrong = |what: String| {
                // SAFETY: it is live, and not used again.
                unsafe { raw::rd_kafka_NewTopic_destroy(new_topic) };
                self.argument(format!("configuration {name}: {what}"))
            };
            let (Ok(name_c), Ok(value_c)) = (CString::new(name.as_str()), CString::new(value.as_str())) else {
                return Err(wrong("it holds a zero byte".to_owned()));
            };
            // SAFETY: all three are live; the texts are copied.
            let code = unsafe { raw::rd_kafka_NewTopic_set_config(new_topic, name_c.as_ptr(), value_c.as_ptr()) };
            if code != NO_ERROR {
                return Err(wrong(description(code)));
            }
        }
        Ok(new_topic)
    }

    /// The number of partitions that the topic is to have. The caller destroys it.
    pub(super) fn new_partitions(&self, partitions: i32) -> Result<*mut raw::rd_kafka_NewPartitions_t, KafkaError> {
        let mut reason = [0; REASON_BYTES_MAX];
        let partitions = usize::try_from(partitions).unwrap_or(0);
        // SAFETY: the name is terminated and the buffer has the given length.
        let more = unsafe {
            raw::rd_kafka_NewPartitions_new(self.topic_c.as_ptr(), partitions, reason.as_mut_ptr(), reason.len())
        };
        if more.is_null() { Err(self.argument(text_of(reason.as_ptr()))) } else { Ok(more) }
    }

    /// The error that the broker or librdkafka returned.
    pub(super) fn refused(&self, code: RDKafkaRespErr, reason: String) -> KafkaError {
        KafkaError::of_topic(self.operation, &self.topic, self.within, code.into(), reason)
    }

    /// The error that the broker or librdkafka returned for one partition.
    pub(super) fn refused_partition(&self, partition: i32, code: RDKafkaRespErr) -> KafkaError {
        KafkaError::Partition {
            operation: self.operation,
            topic: self.topic.clone(),
            partition,
            code: code.into(),
            reason: description(code),
        }
    }

    /// The error for an operation that the broker does not support.
    pub(super) fn unsupported(&self) -> KafkaError {
        KafkaError::Unsupported { operation: self.operation, topic: self.topic.clone() }
    }

    /// The error for an answer without the topic.
    pub(super) fn nothing(&self) -> KafkaError {
        KafkaError::Topic {
            operation: self.operation,
            topic: self.topic.clone(),
            code: RDKafkaErrorCode::Fail,
            reason: "the answer does not mention it".to_owned(),
        }
    }

    fn argument(&self, reason: String) -> KafkaError {
        KafkaError::Argument { operation: self.operation, topic: self.topic.clone(), reason }
    }
}

/// Whole milliseconds as a C integer.
fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}
