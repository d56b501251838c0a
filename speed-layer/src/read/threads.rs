//! The reading threads of one source: as many as help, each with partitions of its own.
//!
//! A thread decodes, and what it reads lies in memory until its loops take it. Each thread has a client of Kafka of its own, and
//! what holds for one client holds for each: a connection that breaks or stalls concerns the partitions of its client, and no
//! others (R12). Together the clients have the memory of `kafka.fetch_queue`.
//!
//! A partition is read by the thread that has the fewest, from when it is assigned until it is revoked. So what a thread is told
//! about a partition comes in order. A thread is started when a partition needs it, and ends with the source.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};

use platform::settings::{Kafka, Size, Speed};
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use storage::Schemas;
use tokio::sync::watch;
use tracing::error;

use super::micro_batch::Shape;
use super::{Assignment, Reader};
use crate::error::SourceError;
use crate::log::ends::Ends;

/// More threads than this do not help: two decode more than a Redis takes, and every client has connections of its own.
const THREADS_MAX: usize = 4;

/// The smallest queue of a client.
const QUEUE_MIN: u64 = 1_024;

/// Starts a thread that reads what it is told.
type Starting = Box<dyn Fn(std_mpsc::Receiver<Assignment>) -> Result<JoinHandle<()>, SourceError> + Send>;

/// The threads that read one source.
pub struct ReadingThreads {
    starting: Starting,
    most: usize,
    threads: Vec<ReadingThread>,
}

struct ReadingThread {
    tell: std_mpsc::Sender<Assignment>,
    ended: JoinHandle<()>,
    partitions: BTreeSet<i32>,
}

impl ReadingThreads {
    /// Threads that read the source's topic, once they have partitions; at most as many as there are processors. `schemas` are
    /// those that records may name, and `ends` says how far the log reaches.
    ///
    /// # Errors
    /// If Kafka's settings are not usable, or no thread can be started.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as does [`ReadingThreads::reads`].
    pub fn of_source(
        kafka: &Kafka,
        speed: &Speed,
        source: &Source,
        shape: Shape,
        schemas: Schemas,
        ends: watch::Receiver<Ends>,
    ) -> Result<ReadingThreads, SourceError> {
        let most = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        let queue = (kafka.fetch_queue.bytes() / most as u64).max(QUEUE_MIN);
        let kafka = Kafka { fetch_queue: Size::from_bytes(queue), ..kafka.clone() };
        let (speed, source) = (speed.clone(), source.clone());
        let starting = move |assignments| -> Result<JoinHandle<()>, SourceError> {
            let (shape, schemas) = (shape.clone(), schemas.clone());
            let reader = Reader::new(&kafka, &speed, &source, shape, schemas, assignments, ends.clone())?;
            let thread = thread::Builder::new().name(format!("read-{}", source.name));
            thread.spawn(move || reader.run()).map_err(SourceError::NoThread)
        };
        ReadingThreads::at_most(most, Box::new(starting))
    }

    fn at_most(most: usize, starting: Starting) -> Result<ReadingThreads, SourceError> {
        let first = ReadingThread::start(&starting)?;
        Ok(ReadingThreads { starting, most, threads: vec![first] })
    }

    /// From now on one of the threads reads that partition, as it is told by what is returned.
    pub fn reads(&mut self, partition: i32) -> std_mpsc::Sender<Assignment> {
        if self.threads.len() < self.most && self.threads.iter().all(|thread| !thread.partitions.is_empty()) {
            match ReadingThread::start(&self.starting) {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    let error = error_text(&error);
                    error!(error, "cannot start another reading thread; going on with those that there are");
                }
            }
        }
        let fewest = self.threads.iter_mut().min_by_key(|thread| thread.partitions.len());
        let fewest = fewest.expect("the first one is started with the source");
        fewest.partitions.insert(partition);
        fewest.tell.clone()
    }

    /// Stops reading a partition.
    pub fn stops(&mut self, partition: i32) {
        for thread in &mut self.threads {
            if thread.partitions.remove(&partition) {
                // An error means that the thread has ended, and so reads nothing.
                let _ = thread.tell.send(Assignment::Stop { partition });
            }
        }
    }

    /// Waits until all threads have ended: as soon as no counting loop can tell them anything more.
    ///
    /// # Errors
    /// If one of them panicked.
    pub fn join(self) -> Result<(), SourceError> {
        let (tell, ended): (Vec<_>, Vec<_>) =
            self.threads.into_iter().map(|thread| (thread.tell, thread.ended)).unzip();
        drop(tell);
        let ended: Vec<_> = ended.into_iter().map(JoinHandle::join).collect();
        ended.into_iter().try_for_each(|ended| ended.map_err(|_| SourceError::ReaderPanicked))
    }
}

impl ReadingThread {
    fn start(starting: &Starting) -> Result<ReadingThread, SourceError> {
        let (tell, assignments) = std_mpsc::channel();
        let ended = starting(assignments)?;
        Ok(ReadingThread { tell, ended, partitions: BTreeSet::new() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Per thread, the partitions that it was told to stop reading.
    type Told = Arc<Mutex<Vec<Vec<i32>>>>;

    /// Threads that note what they are told, and panic once they are told to stop reading the partition 13.
    fn noting(most: usize) -> (ReadingThreads, Told) {
        let told = Told::default();
        let to = Arc::clone(&told);
        let starting = move |assignments: std_mpsc::Receiver<Assignment>| -> Result<JoinHandle<()>, SourceError> {
            let to = Arc::clone(&to);
            let number = {
                let mut told = to.lock().expect("not poisoned");
                told.push(Vec::new());
                told.len() - 1
            };
            Ok(thread::spawn(move || {
                for assignment in assignments {
                    let Assignment::Stop { partition } = assignment else { continue };
                    assert_ne!(partition, 13, "on purpose");
                    to.lock().expect("not poisoned")[number].push(partition);
                }
            }))
        };
        (ReadingThreads::at_most(most, Box::new(starting)).expect("started"), told)
    }

    fn shares(threads: &ReadingThreads) -> Vec<Vec<i32>> {
        threads.threads.iter().map(|thread| thread.partitions.iter().copied().collect()).collect()
    }

    #[test]
    fn partitions_are_shared_out_and_each_is_told_of_to_the_thread_that_reads_it() {
        let (mut threads, told) = noting(2);
        assert_eq!(shares(&threads), [Vec::<i32>::new()], "without a partition there is no need for others");
        for partition in [4, 2, 0, 6, 8] {
            threads.reads(partition);
        }
        assert_eq!(shares(&threads), [vec![0, 4, 8], vec![2, 6]]);
        for partition in [0, 8, 4, 5] {
            threads.stops(partition);
        }
        threads.reads(0);
        assert_eq!(shares(&threads), [vec![0], vec![2, 6]], "it goes where there is the least to read");
        threads.stops(2);
        threads.join().expect("no panic");
        assert_eq!(*told.lock().expect("not poisoned"), [vec![0, 8, 4], vec![2]]);
    }

    #[test]
    fn a_thread_that_panicked_is_told_of_at_the_end() {
        let (mut threads, _) = noting(1);
        let tell = threads.reads(13);
        threads.stops(13);
        drop(tell);
        assert!(matches!(threads.join(), Err(SourceError::ReaderPanicked)));
    }

    #[test]
    fn where_no_other_thread_can_be_started_the_first_one_reads_everything() {
        let started = Mutex::new(false);
        let starting = move |assignments: std_mpsc::Receiver<Assignment>| -> Result<JoinHandle<()>, SourceError> {
            if std::mem::replace(&mut *started.lock().expect("not poisoned"), true) {
                return Err(SourceError::NoThread(std::io::Error::other("no more threads")));
            }
            Ok(thread::spawn(move || assignments.into_iter().for_each(drop)))
        };
        let mut threads = ReadingThreads::at_most(4, Box::new(starting)).expect("started");
        for partition in 0..3 {
            threads.reads(partition);
        }
        assert_eq!(shares(&threads), [[0, 1, 2]]);
        threads.join().expect("no panic");
    }
}
