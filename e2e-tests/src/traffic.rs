//! Views that a scenario sends one batch after the other, and the oracle that counts what was sent.

use anyhow::Result;

use crate::kafka::Producer;
use crate::oracle::Oracle;
use crate::views::{Sent, Views};

/// A stream of views, its producer and its oracle.
pub struct Traffic {
    /// What is sent next.
    pub views: Views,
    /// Counts everything that was sent.
    pub oracle: Oracle,
    /// Sends to the topic. A topic that was created again needs a new one, whose sequence numbers begin anew.
    pub producer: Producer,
}

impl Traffic {
    /// Views that the producer sends.
    pub fn new(producer: Producer, views: Views) -> Traffic {
        Traffic { views, oracle: Oracle::default(), producer }
    }

    /// Sends the next views. Returns when all had arrived, in microseconds since 1970.
    pub fn send(&mut self, count: usize) -> Result<i64> {
        let sent = self.views.batch(count);
        self.send_these(&sent)
    }

    /// Sends these. Returns when all had arrived, in microseconds since 1970.
    pub fn send_these(&mut self, sent: &[Sent]) -> Result<i64> {
        self.queue(sent)?;
        self.flush()
    }

    /// Begins to send these; [`Traffic::flush`] waits for their arrival.
    pub fn queue(&mut self, sent: &[Sent]) -> Result<()> {
        self.oracle.observe(sent);
        sent.iter().try_for_each(|sent| self.producer.send(&sent.record))
    }

    /// Waits until everything that was queued has arrived. Returns when, in microseconds since 1970.
    pub fn flush(&self) -> Result<i64> {
        self.producer.flush()
    }

    /// Sends these without counting them. Returns when all had arrived, in microseconds since 1970.
    pub fn deliver(&self, sent: &[Sent]) -> Result<i64> {
        self.producer.send_all(sent.iter().map(|sent| &sent.record))
    }
}
