//! Views that a scenario sends one batch after the other, or writes to a file, and the oracle that counts them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;

use crate::kafka::Producer;
use crate::oracle::Oracle;
use crate::views::{Sent, Views};

/// How many views are written to a file at a time.
const BATCH: usize = 1_000;

/// Writes views to a file, one a line, until it has that many bytes; returns what they count.
pub fn write_file(views: &mut Views, bytes: usize, file: &Path) -> Result<Oracle> {
    let (mut lines, mut written) = (BufWriter::new(File::create(file)?), 0);
    let mut oracle = Oracle::default();
    while written < bytes {
        let batch = views.batch(BATCH);
        oracle.observe(&batch);
        for sent in batch {
            lines.write_all(&sent.record.payload)?;
            lines.write_all(b"\n")?;
            written += sent.record.payload.len() + 1;
        }
    }
    lines.flush()?;
    Ok(oracle)
}

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
