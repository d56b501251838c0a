//! All questions that are watched. Each is asked again and again, once for all that watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::pace::Pace;
use super::question::{Handler, Question};
use super::ring::{BEHIND_BYTES, Behind, Ring};
use super::teller::{Newest, Teller, Told};
use crate::problem::Problem;
use crate::watchers::stopped;

/// The questions that are watched.
pub(super) struct Questions {
    known: Mutex<HashMap<Question, Weak<Asked>>>,
    most: usize,
    pace: Pace,
    stopping: watch::Receiver<bool>,
}

/// A question that is asked again and again, as long as somebody watches: this ends with the last client.
pub(super) struct Asked {
    question: Question,
    /// What clients are told that come; `None` before the first answer.
    newest: watch::Sender<Option<Newest>>,
    /// What clients are told that are there.
    frames: Ring,
    questions: Weak<Questions>,
}

impl Questions {
    /// At most so many, each asked every so often until the process stops.
    pub(super) fn new(most: usize, every: Duration, stopping: watch::Receiver<bool>) -> Questions {
        Questions { known: Mutex::default(), most, pace: Pace::new(Instant::now(), every), stopping }
    }

    /// The question, which is asked from now on if it was not yet.
    ///
    /// # Errors
    /// If too many others are.
    pub(super) fn asked(
        self: &Arc<Questions>,
        question: Question,
        handler: impl FnOnce() -> Handler,
    ) -> Result<Arc<Asked>, Problem> {
        let mut known = self.lock();
        if let Some(asked) = known.get(&question).and_then(Weak::upgrade) {
            return Ok(asked);
        }
        known.retain(|_, asked| asked.strong_count() > 0);
        if known.len() >= self.most {
            return Err(Problem::too_many_questions(self.most));
        }
        let asked = Arc::new(Asked {
            question: question.clone(),
            newest: watch::Sender::new(None),
            frames: Ring::new(BEHIND_BYTES),
            questions: Arc::downgrade(self),
        });
        known.insert(question, Arc::downgrade(&asked));
        count(known.len());
        tokio::spawn(look(Arc::downgrade(&asked), handler(), self.pace, self.stopping.clone()));
        Ok(asked)
    }

    /// Whoever asks that from now on asks anew.
    fn forget(&self, asked: &Asked) {
        let mut known = self.lock();
        // Another one may be asked already in place of one that has ended.
        if known.get(&asked.question).is_some_and(|other| std::ptr::eq(other.as_ptr(), asked)) {
            known.remove(&asked.question);
        }
        count(known.len());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Weak<Asked>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// What a client is told first, and then what comes after it. Waits for the first answer. What comes may begin with events that are in the
    /// first one, which their numbers say.
    pub(super) async fn joined(&self) -> Option<(Newest, Behind)> {
        let frames = self.frames.behind();
        let mut newest = self.newest.subscribe();
        // This cannot fail: the sender lives as long as `self`.
        let newest = newest.wait_for(Option::is_some).await.ok()?.clone()?;
        Some((newest, frames))
    }

    /// Tells all clients.
    pub(super) fn tell(&self, told: Told) {
        if told.is_last {
            self.forget();
        }
        // In this order, a client that comes in between gets the event at least once.
        self.newest.send_replace(Some(told.newest));
        if let Some(frame) = told.frame {
            self.frames.tell(frame);
        }
    }

    fn forget(&self) {
        if let Some(questions) = self.questions.upgrade() {
            questions.forget(self);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Asks and tells, until nobody watches any more, the question cannot be answered, or the process stops.
async fn look(asked: Weak<Asked>, handler: Handler, pace: Pace, stopping: watch::Receiver<bool>) {
    let mut teller = Teller::default();
    loop {
        let begun = Instant::now();
        metrics::counter!("braid_serving_live_looks_total").increment(1);
        let answered = tokio::select! {
            biased;
            () = stopped(stopping.clone()) => return,
            answered = handler.answer() => answered,
        };
        let ended = Instant::now();
        {
            let Some(asked) = asked.upgrade() else { return };
            let told = teller.tell(answered, ended);
            let is_last = told.is_last;
            asked.tell(told);
            if is_last {
                return;
            }
        }
        tokio::select! {
            biased;
            () = stopped(stopping.clone()) => return,
            () = tokio::time::sleep_until(pace.next(begun, ended)) => {}
        }
        if asked.strong_count() == 0 {
            return;
        }
    }
}

/// How many questions are watched, as telemetry.
fn count(questions: usize) {
    metrics::gauge!("braid_serving_live_questions").set(questions as f64);
}
