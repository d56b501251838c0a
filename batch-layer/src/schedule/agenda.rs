//! What to start now: a pure function of the jobs' schedules, of what has run, and of the time.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use shared_logic::catalog::Cron;

/// When the jobs of a process last ran, and which of them run. A job is known by its number.
#[derive(Debug)]
pub(super) struct Agenda {
    entries: Vec<Entry>,
    /// How many jobs run at a time, at most.
    at_once: usize,
    /// How many jobs were started.
    starts: u64,
}

/// One job.
#[derive(Debug)]
pub(super) struct Entry {
    cron: Cron,
    /// The zone on whose clocks that is read.
    zone: Tz,
    /// When its last run was started; `None` if it never ran.
    last: Option<DateTime<Utc>>,
    /// Whether it runs now, which keeps it from being started again.
    runs: bool,
    /// Whether its last run left something that need not wait for the next tick.
    is_left: bool,
    /// Which of all starts was its last one; 0 if it was not started yet.
    start: u64,
    /// Whether there is no such job any more. It may still run.
    is_gone: bool,
}

/// A job to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// The job's number.
    pub(super) job: usize,
    /// What of it to do.
    pub(super) part: Part,
    /// When a job comes due that should not have to wait for work that can be continued later; `None` if none ever does.
    pub(super) until: Option<DateTime<Utc>>,
}

/// What of a job to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: a tick has passed.
    Whole,
    /// What its last run left.
    Rest,
}

impl Entry {
    /// A job that last ran at that moment, and whose schedule is read on the clocks of `zone`. `is_left`: whether that run may have left
    /// something.
    pub(super) fn new(cron: Cron, zone: Tz, last: Option<DateTime<Utc>>, is_left: bool) -> Entry {
        Entry { cron, zone, last, runs: false, is_left, start: 0, is_gone: false }
    }

    /// When it came due, if it is due. However many ticks have passed, that is once.
    ///
    /// A last run that lies ahead was noted by a clock that was ahead of this one. It says nothing about when to run next, and
    /// waiting for it could take years, so the job is due at once, like one that never ran.
    fn due_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.last.filter(|last| *last <= now) {
            Some(last) => self.next(last).filter(|tick| *tick <= now),
            None => Some(DateTime::<Utc>::UNIX_EPOCH),
        }
    }

    /// Whether it could be started.
    fn is_idle(&self) -> bool {
        !self.runs && !self.is_gone
    }

    /// Its first tick after a moment.
    fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next(after, self.zone)
    }
}

impl Agenda {
    /// An agenda on which nothing runs.
    pub(super) fn new(entries: Vec<Entry>, at_once: usize) -> Agenda {
        Agenda { entries, at_once, starts: 0 }
    }

    /// Adds a job, and returns its number: that of one that is gone and has ended, if there is any.
    pub(super) fn add(&mut self, entry: Entry) -> usize {
        match self.entries.iter().position(|known| known.is_gone && !known.runs) {
            Some(number) => {
                self.entries[number] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        }
    }

    /// Starts a job again that was gone.
    pub(super) fn revive(&mut self, job: usize) {
        self.entries[job].is_gone = false;
    }

    /// Starts a job no more. Returns whether there was one of that number.
    pub(super) fn remove(&mut self, job: usize) -> bool {
        !std::mem::replace(&mut self.entries[job].is_gone, true)
    }

    /// Whether there is a job of that number.
    pub(super) fn has(&self, job: usize) -> bool {
        self.entries.get(job).is_some_and(|entry| !entry.is_gone)
    }

    /// How many jobs run at a time, at most.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Lets so many jobs run at a time from now on.
    pub(super) fn set_at_once(&mut self, at_once: usize) {
        self.at_once = at_once;
    }

    /// The next job to start, which runs from then on; `None` if none is to be started now. First come jobs that are due, the one
    /// that has waited longest first, and then what earlier runs left, in turn.
    pub(super) fn start(&mut self, now: DateTime<Utc>) -> Option<Start> {
        let free = self.free();
        if free == 0 {
            return None;
        }
        let due = self.due(now);
        let (job, part) = match due.first() {
            Some(job) => (*job, Part::Whole),
            None => (self.left()?, Part::Rest),
        };
        self.starts += 1;
        let entry = &mut self.entries[job];
        (entry.runs, entry.is_left, entry.start) = (true, false, self.starts);
        if part == Part::Whole {
            entry.last = Some(now);
        }
        // More are due than can be started: the rest of this one's work is left for later.
        let until = if due.len() > free { Some(now) } else { self.next_tick(now) };
        Some(Start { job, part, until })
    }

    /// Notes that a job has ended. `is_left`: whether it left something that need not wait for the next tick.
    pub(super) fn ended(&mut self, job: usize, is_left: bool) {
        (self.entries[job].runs, self.entries[job].is_left) = (false, is_left);
    }

    /// Makes a job due, whatever its schedule says; if it runs, once more after that.
    pub(super) fn ask_for(&mut self, job: usize) {
        self.entries[job].last = None;
    }

    /// When to look again at the latest, if no job ends before: the first moment at which one comes due that does not run. `None`
    /// if nothing could be started before some job ends, or no job has another tick.
    pub(super) fn wake(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let idle = self.entries.iter().filter(|entry| entry.is_idle());
        let next = idle.filter_map(|entry| entry.next(entry.last.unwrap_or(now))).min();
        next.filter(|_| self.free() > 0)
    }

    /// The jobs that run.
    pub(super) fn running(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.runs).map(|(job, _)| job)
    }

    fn free(&self) -> usize {
        self.at_once.saturating_sub(self.running().count())
    }

    /// The jobs that are due and do not run, the one that has waited longest first.
    fn due(&self, now: DateTime<Utc>) -> Vec<usize> {
        let idle = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_idle());
        let mut due: Vec<_> = idle.filter_map(|(job, entry)| Some((entry.due_since(now)?, job))).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, job)| job).collect()
    }

    /// Of the jobs that left something and do not run, the one whose last start is the longest ago. So a rebuild of one source does
    /// not hold up those of others.
    fn left(&self) -> Option<usize> {
        let left = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_left && entry.is_idle());
        left.min_by_key(|(_, entry)| entry.start).map(|(job, _)| job)
    }

    /// The next tick of any job.
    fn next_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.entries.iter().filter(|entry| !entry.is_gone).filter_map(|entry| entry.next(now)).min()
    }
}

#[cfg(test)]
mod tests;
