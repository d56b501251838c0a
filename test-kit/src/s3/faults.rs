//! What may befall a request to a server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::wait::{DEADLINE, Progress, wait_for};

/// The time-out of a client that is to be given late replies: it gives up after this long.
pub const GIVEN_UP_AFTER: Duration = Duration::from_millis(250);
/// Later than that.
pub(super) const LATE: Duration = Duration::from_millis(600);
/// Earlier than that.
pub(super) const SLOW: Duration = Duration::from_millis(80);

/// What befalls a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and the reply says that it failed.
    Error,
    /// It is done, and the connection is closed without a reply.
    ReplyLost,
    /// It is done, and the reply comes when the client has given up.
    TimedOut,
    /// It is done when the client has given up.
    Late,
    /// It is done, and the reply takes its time.
    Slow,
    /// From it on, nothing is done until the server is healed.
    Outage,
    /// It is done, its reply is lost, and from then on nothing is done until the server is healed.
    LastWords,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 7] =
        [Fault::Error, Fault::ReplyLost, Fault::TimedOut, Fault::Late, Fault::Slow, Fault::Outage, Fault::LastWords];
}

/// The fault that is planned, and what has become of it.
#[derive(Default)]
pub(super) struct Faults {
    state: Mutex<State>,
}

/// Something that a test does between two requests.
type Act = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    /// After how many more requests, and which.
    planned: Option<(u64, Fault)>,
    /// After how many more requests, and what.
    interlude: Option<(u64, Act)>,
    is_out: bool,
    /// Requests that have come.
    seen: u64,
    /// How many of them came while none was under way.
    alone: u64,
    /// What each of them asked for, if that is kept.
    heard: Option<Vec<String>>,
    /// Those of them that are not done.
    pending: usize,
}

/// A request that is not done yet.
pub(super) struct Pending<'a> {
    faults: &'a Faults,
}

impl Faults {
    pub(super) fn befall(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        state.planned = Some((nth.saturating_sub(1), fault));
        state.is_out = false;
    }

    pub(super) fn before(&self, nth: u64, act: Act) {
        self.state().interlude = Some((nth.saturating_sub(1), act));
    }

    pub(super) fn heal(&self) {
        self.state().is_out = false;
    }

    pub(super) fn spare(&self) -> bool {
        self.heal();
        self.state().planned.take().is_none()
    }

    pub(super) fn seen(&self) -> u64 {
        self.state().seen
    }

    pub(super) fn alone(&self) -> u64 {
        self.state().alone
    }

    pub(super) fn listen(&self) {
        self.state().heard = Some(Vec::new());
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.state().heard.take().unwrap_or_default()
    }

    /// Keeps what a request asks for, if that is wanted.
    pub(super) fn hear(&self, asks: impl FnOnce() -> String) {
        if let Some(heard) = &mut self.state().heard {
            heard.push(asks());
        }
    }

    /// What befalls a request that has just come.
    pub(super) fn of_this_request(&self) -> Option<Fault> {
        let mut state = self.state();
        state.seen += 1;
        match state.interlude.take() {
            Some((0, act)) => act(),
            interlude => state.interlude = interlude.map(|(before, act)| (before - 1, act)),
        }
        if state.is_out {
            return Some(Fault::Outage);
        }
        let (before, fault) = state.planned?;
        if before > 0 {
            state.planned = Some((before - 1, fault));
            return None;
        }
        state.planned = None;
        state.is_out = matches!(fault, Fault::Outage | Fault::LastWords);
        Some(fault)
    }

    /// Notes that a request has come, until what is returned is dropped.
    pub(super) fn pending(&self) -> Pending<'_> {
        let mut state = self.state();
        state.alone += u64::from(state.pending == 0);
        state.pending += 1;
        drop(state);
        Pending { faults: self }
    }

    pub(super) async fn settled(&self) -> Result<()> {
        wait_for("the requests to be done", DEADLINE, async || {
            let pending = self.state().pending;
            Ok(Progress::when(pending == 0, format_args!("{pending} are not")))
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.faults.state().pending -= 1;
    }
}
