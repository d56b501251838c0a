//! Which broker gets a question.
//!
//! librdkafka sends questions about topics to the controller that the brokers name (with KRaft, any live broker). Its own
//! in-process broker names a controller that does not exist, so that every question would time out; there, an existing
//! broker is asked.

use std::ffi::c_int;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::types::RDKafkaRespErr;

use super::super::native::{Client, NO_ERROR, slice_of};

/// The broker to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The controller that the brokers name.
    Controller,
    /// This broker, because the named controller does not exist.
    Broker(i32),
}

/// Remembers the target until a question fails.
#[derive(Default)]
pub(super) struct Targets(Mutex<Option<Target>>);

impl Targets {
    /// The target. The first time, and after a failure, it is found by asking for the brokers' metadata.
    pub(super) fn get(&self, client: &Client, within: Duration) -> Result<Target, RDKafkaRespErr> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = *known {
            return Ok(target);
        }
        let target = find(client, within)?;
        *known = Some(target);
        Ok(target)
    }

    /// Forgets the target, because it may be gone.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn find(client: &Client, within: Duration) -> Result<Target, RDKafkaRespErr> {
    let within_ms = c_int::try_from(within.as_millis()).unwrap_or(c_int::MAX);
    let mut metadata: *const raw::rd_kafka_metadata = ptr::null();
    // SAFETY: the client is live. If the call succeeds, it returns metadata that is ours until we destroy it; the ids are
    // copied out of it.
    let brokers: Vec<i32> = unsafe {
        let code = raw::rd_kafka_metadata(client.ptr(), 0, ptr::null_mut(), &raw mut metadata, within_ms);
        if code != NO_ERROR {
            return Err(code);
        }
        let count = usize::try_from((*metadata).broker_cnt).unwrap_or(0);
        let brokers = slice_of((*metadata).brokers, count).iter().map(|broker| broker.id).collect();
        raw::rd_kafka_metadata_destroy(metadata);
        brokers
    };
    // SAFETY: the client is live. It has just learnt the controller's id, so this call does not wait.
    let controller = unsafe { raw::rd_kafka_controllerid(client.ptr(), 0) };
    match brokers.first() {
        Some(broker) if !brokers.contains(&controller) => Ok(Target::Broker(*broker)),
        _ => Ok(Target::Controller),
    }
}
