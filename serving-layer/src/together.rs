//! Requests that ask the same at the same time, and share an answer that costs much.
//!
//! As with looks, none joins an answer that is under way: what that has read may be older than the request (R10). Those that come meanwhile
//! share the next one. So however many ask, each question is answered once at a time.
//!
//! Answers are made by a task of their own, so a request that is cancelled ends none that others wait for. One that nobody waits for any more is
//! given up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::sync::oneshot;
use tracing::error;

use crate::speed_view::until_none_is_added;

/// The requests that wait for the next answer of each question that is being answered.
type Waiting<Q, A> = HashMap<Q, Vec<oneshot::Sender<A>>>;

/// The questions that are being answered, and the requests that wait for the next answer of each.
pub(crate) struct Together<Q, A> {
    waiting: Mutex<Waiting<Q, A>>,
}

impl<Q, A> Default for Together<Q, A> {
    fn default() -> Together<Q, A> {
        Together { waiting: Mutex::default() }
    }
}

impl<Q: Clone + Eq + Hash + Send + Sync + 'static, A: Clone + Send + 'static> Together<Q, A> {
    /// The answer that a call of `answer` gives, which begins after this one; `None` if it has panicked. Equal questions have equal answers, so
    /// it may be the call of another request.
    pub(crate) async fn ask<F>(
        self: &Arc<Together<Q, A>>,
        question: Q,
        answer: impl Fn(Q) -> F + Send + 'static,
    ) -> Option<A>
    where
        F: Future<Output = A> + Send + 'static,
    {
        let (reply, answered) = oneshot::channel();
        let is_first = match self.lock().entry(question.clone()) {
            Entry::Occupied(mut others) => {
                others.get_mut().push(reply);
                false
            }
            Entry::Vacant(none) => {
                none.insert(vec![reply]);
                true
            }
        };
        if is_first {
            tokio::spawn(Arc::clone(self).take_turns(question, answer));
        }
        answered.await.ok()
    }

    /// Answers again and again, until no request waits.
    async fn take_turns<F: Future<Output = A> + Send>(
        self: Arc<Together<Q, A>>,
        question: Q,
        answer: impl Fn(Q) -> F + Send,
    ) {
        while let Some(mut replies) = self.next(&question).await {
            let answering = AssertUnwindSafe(answer(question.clone())).catch_unwind();
            let answered = tokio::select! {
                answered = answering => answered,
                () = all_gone(&mut replies) => continue,
            };
            match answered {
                // A request that was cancelled takes no answer.
                Ok(answered) => replies.into_iter().for_each(|reply| drop(reply.send(answered.clone()))),
                Err(_) => error!("an answer that requests share panicked"),
            }
        }
    }

    /// The requests that the next answer is for. If there is none, the question is forgotten.
    async fn next(&self, question: &Q) -> Option<Vec<oneshot::Sender<A>>> {
        until_none_is_added(|| self.lock().get(question).map_or(0, Vec::len)).await;
        let mut waiting = self.lock();
        let mut replies = std::mem::take(waiting.get_mut(question)?);
        replies.retain(|reply| !reply.is_closed());
        if replies.is_empty() {
            waiting.remove(question);
            return None;
        }
        Some(replies)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<Q, A>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns once none of these requests waits any more.
async fn all_gone<A>(replies: &mut [oneshot::Sender<A>]) {
    for reply in replies {
        reply.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use test_kit::DEADLINE;
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    /// Answers the number of the call, as soon as a test lets it.
    struct Stage {
        together: Arc<Together<&'static str, usize>>,
        begun: Arc<AtomicUsize>,
        /// Calls that were given up.
        given_up: Arc<AtomicUsize>,
        may_end: Arc<Semaphore>,
    }

    struct Call {
        is_over: bool,
        given_up: Arc<AtomicUsize>,
    }

    impl Drop for Call {
        fn drop(&mut self) {
            self.given_up.fetch_add(usize::from(!self.is_over), Ordering::SeqCst);
        }
    }

    impl Stage {
        fn new() -> Stage {
            let may_end = Arc::new(Semaphore::new(0));
            Stage { together: Arc::default(), begun: Arc::default(), given_up: Arc::default(), may_end }
        }

        fn ask(&self, question: &'static str) -> JoinHandle<Option<usize>> {
            let (together, begun) = (Arc::clone(&self.together), Arc::clone(&self.begun));
            let (given_up, may_end) = (Arc::clone(&self.given_up), Arc::clone(&self.may_end));
            tokio::spawn(async move {
                let answer = move |question: &'static str| {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    let (call, may_end) =
                        (Call { is_over: false, given_up: Arc::clone(&given_up) }, Arc::clone(&may_end));
                    async move {
                        let mut call = call;
                        may_end.acquire().await.expect("open").forget();
                        call.is_over = true;
                        assert_ne!(question, "a mistake");
                        number
                    }
                };
                together.ask(question, answer).await
            })
        }

        async fn until(&self, what: &str, is_so: impl Fn(&Stage) -> bool) {
            let waits = async {
                while !is_so(self) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(DEADLINE, waits).await.unwrap_or_else(|_| panic!("not {what}"));
        }

        async fn until_begun(&self, calls: usize) {
            self.until("begun", |stage| stage.begun.load(Ordering::SeqCst) == calls).await;
        }

        async fn until_waiting(&self, question: &'static str, requests: usize) {
            self.until("waiting", |stage| stage.together.lock().get(question).map(Vec::len) == Some(requests)).await;
        }
    }

    async fn answers(requests: Vec<JoinHandle<Option<usize>>>) -> Vec<Option<usize>> {
        let answers = timeout(DEADLINE, join_all(requests)).await.expect("in time");
        answers.into_iter().map(|answer| answer.expect("no panic")).collect()
    }

    #[tokio::test]
    async fn those_that_come_at_once_share_an_answer_and_later_ones_the_next() {
        let stage = Stage::new();
        let first: Vec<_> = (0..9).map(|_| stage.ask("top")).collect();
        stage.until_begun(1).await;
        let later: Vec<_> = (0..7).map(|_| stage.ask("top")).collect();
        stage.until_waiting("top", 7).await;
        assert_eq!(stage.begun.load(Ordering::SeqCst), 1, "one at a time");
        stage.may_end.add_permits(1);
        assert_eq!(answers(first).await, [Some(0); 9]);
        stage.until_begun(2).await;
        stage.may_end.add_permits(1);
        assert_eq!(answers(later).await, [Some(1); 7]);
        stage.until("forgotten", |stage| stage.together.lock().is_empty()).await;
    }

    #[tokio::test]
    async fn other_questions_wait_for_nothing() {
        let stage = Stage::new();
        let one = stage.ask("top");
        stage.until_begun(1).await;
        let other = stage.ask("keys");
        stage.until_begun(2).await;
        stage.may_end.add_permits(2);
        assert_eq!(answers(vec![one, other]).await, [Some(0), Some(1)]);
    }

    #[tokio::test]
    async fn an_answer_ends_with_the_last_request_that_waits_for_it() {
        let stage = Stage::new();
        let requests: Vec<_> = (0..2).map(|_| stage.ask("top")).collect();
        stage.until_begun(1).await;
        requests[0].abort();
        let later = stage.ask("top");
        stage.until_waiting("top", 1).await;
        assert_eq!(stage.given_up.load(Ordering::SeqCst), 0, "another one waits");
        requests[1].abort();
        stage.until("given up", |stage| stage.given_up.load(Ordering::SeqCst) == 1).await;
        stage.may_end.add_permits(1);
        assert_eq!(answers(vec![later]).await, [Some(1)], "the next one is begun");
    }

    #[tokio::test]
    async fn a_panic_is_the_end_of_nothing_but_its_answer() {
        let stage = Stage::new();
        stage.may_end.add_permits(2);
        assert_eq!(answers(vec![stage.ask("a mistake")]).await, [None]);
        assert_eq!(answers(vec![stage.ask("top")]).await, [Some(1)]);
        stage.until("forgotten", |stage| stage.together.lock().is_empty()).await;
    }
}
