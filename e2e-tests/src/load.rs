//! Events that flow while faults happen, and what may be answered about them at any moment.
//!
//! A thread of its own sends, so a broker that is away holds up nothing else. The load knows what it began to send and
//! what has arrived by when: so any answer can be held to bounds while events flow, and to equality afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use test_kit::{DEADLINE, Progress, wait_for};

use crate::answer::Answer;
use crate::kafka::{Producer, Record};
use crate::oracle::{Counts, EVER, Oracle};
use crate::scenario::now_us;
use crate::views::{Sent, Views};

/// How many records are sent at a time.
const BURST: usize = 100;
/// These pace the load; nothing depends on them.
const PAUSE: Duration = Duration::from_millis(20);
const LONG_PAUSE: Duration = Duration::from_millis(50);

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<Result<Views>>>,
}

struct Shared {
    stop: AtomicBool,
    truth: Mutex<Truth>,
}

/// What was sent, and what of it is known to have arrived; counted as the sample metric means it, and for every status.
struct Truth {
    oracles: [Oracle; 2],
    /// Everything that was ever sent.
    all: Vec<Sent>,
    /// After each burst: the moment, and what all records until then count.
    arrived: Vec<(i64, [Counts; 2])>,
}

impl Default for Truth {
    fn default() -> Truth {
        Truth { oracles: [Oracle::default(), Oracle::of_every_status()], all: Vec::new(), arrived: Vec::new() }
    }
}

impl Truth {
    /// These have been sent, and have arrived by now.
    fn after(before: Vec<Sent>) -> Truth {
        let mut truth = Truth::default();
        if !before.is_empty() {
            truth.oracles.iter_mut().for_each(|oracle| oracle.observe(&before));
            truth.arrived.push((now_us(), truth.totals()));
            truth.all = before;
        }
        truth
    }

    fn totals(&self) -> [Counts; 2] {
        [self.oracles[0].total(None, EVER), self.oracles[1].total(None, EVER)]
    }
}

/// Which views a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Those of status 200, as the sample metric does.
    Status200 = 0,
    /// All.
    EveryStatus = 1,
}

/// What a load that was stopped leaves behind.
pub struct Stopped {
    /// Goes on with events of the same stream.
    pub views: Views,
    /// Everything that was sent, counted.
    pub oracle: Oracle,
    /// The same for every status.
    pub every_status: Oracle,
    /// Everything that was sent.
    pub sent: Vec<Sent>,
    /// When the last record had arrived, in microseconds since 1970.
    pub arrived_us: i64,
}

impl Load {
    /// Sends `views` until it is stopped. Every record arrives, or stopping fails.
    pub fn start(producer: Producer, views: Views) -> Load {
        Load::placed(producer, views, |_| None)
    }

    /// The same where these have been sent and have arrived already, and count as well.
    pub fn after(before: Vec<Sent>, producer: Producer, views: Views) -> Load {
        Load::with(before, views, PAUSE, |_| None, move |records| producer.send_all(&records))
    }

    /// The same with fewer records a second, for scenarios that last long.
    pub fn slow(producer: Producer, views: Views) -> Load {
        Load::with(Vec::new(), views, LONG_PAUSE, |_| None, move |records| producer.send_all(&records))
    }

    /// Sends `views` into the partitions that `place` names for the running number of a record.
    pub fn placed(producer: Producer, views: Views, place: impl Fn(usize) -> Option<i32> + Send + 'static) -> Load {
        Load::with(Vec::new(), views, PAUSE, place, move |records| producer.send_all(&records))
    }

    /// Sends `views` to a topic that may vanish meanwhile: a record may be refused, and is not sent again.
    pub fn to_a_vanishing_topic(producer: Producer, views: Views) -> Load {
        Load::with(Vec::new(), views, PAUSE, |_| None, move |records| producer.send_those_that_are_taken(&records))
    }

    fn with(
        before: Vec<Sent>,
        mut views: Views,
        pause: Duration,
        place: impl Fn(usize) -> Option<i32> + Send + 'static,
        send: impl Fn(Vec<Record>) -> Result<i64> + Send + 'static,
    ) -> Load {
        let shared = Arc::new(Shared { truth: Mutex::new(Truth::after(before)), stop: AtomicBool::new(false) });
        let to = Arc::clone(&shared);
        let sender = std::thread::spawn(move || {
            let mut number = 0;
            while !to.stop.load(Ordering::SeqCst) {
                let mut burst = views.batch(BURST);
                for sent in &mut burst {
                    sent.record.partition = place(number);
                    number += 1;
                }
                let records = burst.iter().map(|sent| sent.record.clone()).collect();
                let counts = {
                    let mut truth = to.truth();
                    truth.oracles.iter_mut().for_each(|oracle| oracle.observe(&burst));
                    truth.all.extend(burst);
                    truth.totals()
                };
                let arrived = send(records)?;
                to.truth().arrived.push((arrived, counts));
                std::thread::sleep(pause);
            }
            Ok(views)
        });
        Load { shared, sender: Some(sender) }
    }

    /// Waits until so many more records have arrived.
    pub async fn arrive(&self, more: usize) -> Result<i64> {
        let wanted = self.shared.truth().arrived.len() + more.div_ceil(BURST);
        wait_for(&format!("{more} more records to arrive"), DEADLINE, async || {
            let (bursts, last) = {
                let truth = self.shared.truth();
                (truth.arrived.len(), truth.arrived.last().map(|(at, _)| *at))
            };
            ensure!(self.sender.as_ref().is_some_and(|sender| !sender.is_finished()), "the load ended by itself");
            Ok(match last.filter(|_| bursts >= wanted) {
                Some(at) => Progress::Done(at),
                None => Progress::NotYet(format!("{bursts} of {wanted} bursts")),
            })
        })
        .await
    }

    /// Checks a total over everything: it may never count more than was sent; and if it is complete, no less than had arrived
    /// by its `as_of`.
    pub fn check(&self, answer: &Answer) -> Result<()> {
        self.check_of(Counted::Status200, answer)
    }

    /// The same for a metric that counts other views.
    pub fn check_of(&self, counted: Counted, answer: &Answer) -> Result<()> {
        let which = counted as usize;
        let as_of = answer.as_of_us()?;
        let truth = self.shared.truth();
        let counts = answer.counts()?;
        let sent = truth.totals()[which];
        ensure!(counts.views <= sent.views && counts.dwell_ms <= sent.dwell_ms, "more than {sent:?}: {answer:?}");
        if answer.complete {
            let known = truth.arrived.iter().rev().find(|(at, _)| Some(*at) <= as_of).map(|(_, counts)| counts[which]);
            let least = known.unwrap_or_default();
            ensure!(
                counts.views >= least.views && counts.dwell_ms >= least.dwell_ms,
                "less than {least:?}: {answer:?}"
            );
        }
        Ok(())
    }

    /// What everything counts that was sent so far, whether it has arrived or not.
    pub fn sent(&self) -> Counts {
        self.shared.truth().totals()[0]
    }

    /// Stops after the burst under way, and waits until it has arrived.
    pub async fn stop(mut self) -> Result<Stopped> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let sender = self.sender.take().ok_or_else(|| anyhow!("the load is stopped already"))?;
        let views = tokio::task::spawn_blocking(move || sender.join()).await?;
        let views = views.map_err(|_| anyhow!("the load panicked"))??;
        let truth = std::mem::take(&mut *self.shared.truth());
        let arrived_us = truth.arrived.last().map_or(0, |(at, _)| *at);
        let [oracle, every_status] = truth.oracles;
        Ok(Stopped { views, oracle, every_status, sent: truth.all, arrived_us })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
