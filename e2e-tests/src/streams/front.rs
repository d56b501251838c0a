//! How far a partition has come in time.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::kafka::Found;

/// The front of a partition.
#[derive(Debug)]
pub(super) struct Front {
    us: Option<i64>,
    /// Where a re-keying map writes the partition.
    lanes: Option<Lanes>,
}

/// What was seen of the lanes that write into a partition.
#[derive(Debug, Default)]
struct Lanes {
    /// How many there are; nothing before the first mark.
    partitions: i32,
    seen: BTreeMap<i32, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    front_us: Option<i64>,
    idle: bool,
}

/// Whether a record is a mark.
pub(super) fn is_mark(found: &Found) -> bool {
    found.payload.is_empty() && found.key.is_none() && found.header("braid-mark-log").is_some()
}

impl Front {
    pub(super) fn new(is_rekeyed: bool) -> Front {
        Front { us: None, lanes: is_rekeyed.then(Lanes::default) }
    }

    pub(super) fn us(&self) -> Option<i64> {
        self.us
    }

    /// Notes an event, whose time is the lesser of its own and its record's.
    pub(super) fn event(&mut self, found: &Found, time_us: i64) -> Result<()> {
        let reached = match &mut self.lanes {
            None => Some(time_us),
            Some(lanes) => {
                let upstream =
                    found.header("braid-upstream").context("a record of a re-keying map without its upstream")?;
                let (_, partition) = upstream.rsplit_once('/').context("an upstream without a partition")?;
                let lane = lanes.seen.entry(partition.parse()?).or_default();
                (lane.front_us, lane.idle) = (lane.front_us.max(Some(time_us)), false);
                lanes.least_us()
            }
        };
        self.us = self.us.max(reached);
        Ok(())
    }

    /// Notes a mark.
    pub(super) fn mark(&mut self, found: &Found) -> Result<()> {
        let Some(lanes) = &mut self.lanes else { return Ok(()) };
        let header = |name: &str| found.header(name).with_context(|| format!("a mark without {name}"));
        let front_us: Option<i64> = found.header("braid-mark-front").map(str::parse).transpose()?;
        let front_us = front_us.map(|us| us.min(found.timestamp_ms * 1_000));
        lanes.partitions = lanes.partitions.max(header("braid-mark-partitions")?.parse()?);
        let lane = lanes.seen.entry(header("braid-mark-partition")?.parse()?).or_default();
        lane.front_us = lane.front_us.max(front_us);
        lane.idle = header("braid-mark-idle")? == "true";
        self.us = self.us.max(lanes.least_us());
        Ok(())
    }
}

impl Lanes {
    /// The least front of the lanes that are not idle, or the greatest if all are; nothing as long as one was not seen.
    fn least_us(&self) -> Option<i64> {
        let all = (0..self.partitions).all(|partition| self.seen.contains_key(&partition));
        if self.partitions == 0 || !all {
            return None;
        }
        let fronts = |busy: bool| self.seen.values().filter(move |lane| !(busy && lane.idle)).map(|lane| lane.front_us);
        fronts(true).min().unwrap_or_else(|| fronts(false).max().flatten())
    }
}
