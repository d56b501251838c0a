//! Which broker is to answer.
//!
//! librdkafka sends questions about topics to the controller that the brokers name (with KRaft, any live broker). Its
//! own in-process broker names one that does not exist, and would be waited for in vain; there, an existing one is asked.

use std::ffi::c_int;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::types::RDKafkaRespErr;

use super::super::native::{Client, NO_ERROR, slice_of};

/// What is known about whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever the brokers say is the controller.
    Controller,
    /// This broker, as the controller does not exist.
    Broker(i32),
}

/// Remembers the target until a question fails.
#[derive(Default)]
pub(super) struct Targets(Mutex<Option<Target>>);

impl Targets {
    /// The target; the first time, and after a failure, brokers are asked who they are.
    pub(super) fn get(&self, client: &Client, within: Duration) -> Result<Target, RDKafkaRespErr> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = *known {
            return Ok(target);
        }
        let target = find(client, within)?;
        *known = Some(target);
        Ok(target)
    }

    /// Forgets the target, as it may be gone.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn find(client: &Client, within: Duration) -> Result<Target, RDKafkaRespErr> {
    let within_ms = c_int::try_from(within.as_millis()).unwrap_or(c_int::MAX);
    let mut metadata: *const raw::rd_kafka_metadata = ptr::null();
    // SAFETY: the client is live. Where the call succeeds, it gives metadata that is ours until destroyed; the ids are
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
    // SAFETY: the client is live; it has just learnt the controller's id, so that nothing is waited for.
    let controller = unsafe { raw::rd_kafka_controllerid(client.ptr(), 0) };
    match brokers.first() {
        Some(broker) if !brokers.contains(&controller) => Ok(Target::Broker(*broker)),
        _ => Ok(Target::Controller),
    }
}
