//! Looks: each reads the shards of a source once, for all questions that were asked before it began.
//!
//! While a look is under way, new questions wait for the next one. They never join it, because what it has read may be older than
//! they are (R10). So whatever requests arrive, each source is read by one look after the other, and a look takes as long as
//! Redis takes to answer. Equal questions are one question, and have one answer.
//!
//! A look costs about the same whether one request waits for it or many do. So before it begins, requests that have arrived come to ask, until
//! those that still do are few beside those that wait.
//!
//! Looks are taken by a task of their own. A request that is cancelled does not end a look that others wait for.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::FutureExt;
use platform::clock;
use shared_logic::complete::Standing;
use shared_logic::log::PartitionId;
use tokio::sync::oneshot;
use tracing::error;

use super::looked::{Judge, Looked};
use super::reader::ShardReader;
use super::shard::{Asked, ShardReading};
use super::{Question, SpeedError};

/// What a question gets.
type Answer = Result<Arc<Looked>, SpeedError>;

/// Questions, and the requests that wait for the answer of each. There are at most as many as connections.
type Waiting = HashMap<Question, Vec<oneshot::Sender<Answer>>>;

/// The looks at the shards of one source.
pub(super) struct Looks {
    source: String,
    reader: Arc<ShardReader>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// What the next look is asked.
    waiting: Waiting,
    /// How many requests wait for that.
    requests: usize,
    /// Whether a task takes looks.
    is_looking: bool,
}

impl Looks {
    pub(super) fn new(source: &str, reader: Arc<ShardReader>) -> Looks {
        Looks { source: source.to_owned(), reader, queue: Mutex::default() }
    }

    /// The answer of a look that begins after this call.
    ///
    /// # Errors
    /// Why the look failed. All questions that it was asked get the same error.
    pub(super) async fn ask(self: &Arc<Looks>, question: Question) -> Answer {
        let (reply, answer) = oneshot::channel();
        let is_looking = {
            let mut queue = self.lock();
            queue.waiting.entry(question).or_default().push(reply);
            queue.requests += 1;
            std::mem::replace(&mut queue.is_looking, true)
        };
        if !is_looking {
            tokio::spawn(Arc::clone(self).take_looks());
        }
        answer.await.unwrap_or(Err(SpeedError::Interrupted))
    }

    /// Takes one look after the other, until no question waits.
    async fn take_looks(self: Arc<Looks>) {
        while let Some(waiting) = self.next().await {
            metrics::counter!("braid_serving_shard_looks_total").increment(1);
            let (questions, replies): (Vec<Question>, Vec<_>) = waiting.into_iter().unzip();
            let look = AssertUnwindSafe(self.look(&questions)).catch_unwind().await;
            let answers = look.unwrap_or_else(|_| {
                error!(source = self.source, "a look at the shards panicked");
                Err(SpeedError::Interrupted)
            });
            let answers: Vec<Answer> = match answers {
                Ok(looked) => looked.into_iter().map(|looked| Ok(Arc::new(looked))).collect(),
                Err(error) => vec![Err(error); questions.len()],
            };
            for (answer, replies) in answers.into_iter().zip(replies) {
                // A request that was cancelled takes no answer.
                replies.into_iter().for_each(|reply: oneshot::Sender<Answer>| drop(reply.send(answer.clone())));
            }
        }
    }

    /// What the next look is asked. If nothing waits, there is none, and the task ends.
    async fn next(&self) -> Option<Waiting> {
        until_few_are_added(|| self.lock().requests).await;
        let mut queue = self.lock();
        let mut waiting = std::mem::take(&mut queue.waiting);
        queue.requests = 0;
        waiting.retain(|_, replies| replies.iter().any(|reply| !reply.is_closed()));
        queue.is_looking = !waiting.is_empty();
        queue.is_looking.then_some(waiting)
    }

    /// Reads every shard that one of the questions names. Gives what each question gets.
    async fn look(&self, questions: &[Question]) -> Result<Vec<Looked>, SpeedError> {
        let mut asked: BTreeMap<&PartitionId, Vec<Asked<'_>>> = BTreeMap::new();
        for (standing, numbers) in parties(questions) {
            for (shard, (id, from)) in standing.counted_from().iter().enumerate() {
                let of_party = numbers.iter().map(|number| {
                    let question = &questions[*number];
                    Asked { place: (*number, shard), question, from: *from }
                });
                asked.entry(id).or_default().extend(of_party);
            }
        }
        let nothing = |question: &Question| vec![None; question.standing.counted_from().len()];
        let mut readings: Vec<Vec<Option<ShardReading>>> = questions.iter().map(nothing).collect();
        for ((question, shard), reading) in self.reader.read(&self.source, asked).await? {
            readings[question][shard] = reading;
        }
        let mut judge = Judge::new(clock::now_us());
        let looked = questions.iter().zip(readings);
        Ok(looked.map(|(question, readings)| judge.looked(&question.standing, readings)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets other tasks run until `count` does not grow by that any more: those that are ready, and those whose connections can be read. Where
/// there are none, it returns at once. Each further round has added something, and no connection adds twice, so there is an end.
pub(crate) async fn until_none_is_added(count: impl Fn() -> usize) {
    while_added(count, |_, more| more > 0).await;
}

/// Lets other tasks run until that adds fewer to `count` than there were. A look is not put off for a few requests more: they wait for
/// the next one, as those do that come a moment later.
async fn until_few_are_added(count: impl Fn() -> usize) {
    while_added(count, |before, more| more > 0 && more >= before).await;
}

/// Lets other tasks run as long as it is worth that for what they add to `count`: how many there were before, and how many came.
async fn while_added(count: impl Fn() -> usize, is_worth_it: impl Fn(usize, usize) -> bool) {
    let mut before = 0;
    loop {
        let now = count();
        if !is_worth_it(before, now.saturating_sub(before)) {
            return;
        }
        before = now;
        // Tokio comes back here as soon as it knows which connections can be read, and has not yet run their tasks.
        tokio::task::yield_now().await;
        behind_others().await;
    }
}

/// Takes the last place among the tasks that are ready. Unlike tokio's `yield_now`, which waits until nothing is ready and then for what else
/// can be read, this lets the worker run out of nothing: one that has looked for work in vain wakes another one as soon as it has some.
async fn behind_others() {
    let mut is_behind = false;
    let turn = std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    turn.await;
}

/// The numbers of the questions that have the same standing, and so name the same shards.
fn parties(questions: &[Question]) -> Vec<(&Standing, Vec<usize>)> {
    let mut parties: Vec<(&Standing, Vec<usize>)> = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let standing: &Standing = &question.standing;
        match parties.iter_mut().find(|(known, _)| std::ptr::eq(*known, standing)) {
            Some((_, numbers)) => numbers.push(number),
            None => parties.push((standing, vec![number])),
        }
    }
    parties
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use test_kit::DEADLINE;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    const CONNECTIONS: usize = 5;

    #[tokio::test]
    async fn what_has_arrived_is_added_before_a_look_begins() {
        let added = Arc::new(AtomicUsize::new(1));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(address).await.expect("connected"));
            let (mut server, _) = listener.accept().await.expect("accepted");
            let added = Arc::clone(&added);
            tokio::spawn(async move {
                server.read_u8().await.expect("a byte");
                added.fetch_add(1, Ordering::SeqCst);
            });
        }
        // Each of them waits for its byte.
        tokio::task::yield_now().await;
        for client in &mut clients {
            client.write_u8(0).await.expect("sent");
        }
        timeout(DEADLINE, until_few_are_added(|| added.load(Ordering::SeqCst))).await.expect("nothing more is added");
        assert_eq!(added.load(Ordering::SeqCst), 1 + CONNECTIONS);
    }

    /// How often it is asked how many there are, if there are so many one time after the other.
    async fn asked<F: Future<Output = ()>>(
        counts: &[usize],
        until: impl FnOnce(Box<dyn Fn() -> usize + Send>) -> F,
    ) -> usize {
        let (times, counts) = (Arc::new(AtomicUsize::new(0)), counts.to_vec());
        let counted = Arc::clone(&times);
        let count = move || counts[counted.fetch_add(1, Ordering::SeqCst)];
        timeout(DEADLINE, until(Box::new(count))).await.expect("an end");
        times.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn a_look_is_put_off_for_as_many_again_and_not_for_a_few() {
        for (counts, times) in
            [(&[0][..], 1), (&[1, 1], 2), (&[1, 2, 4, 7], 4), (&[4, 8, 9, 99], 3), (&[16, 31, 32], 2)]
        {
            assert_eq!(asked(counts, until_few_are_added).await, times, "{counts:?}");
        }
        assert_eq!(asked(&[16, 17, 18, 18, 99], until_none_is_added).await, 4, "what costs much waits for all");
    }

    #[tokio::test]
    async fn a_look_for_nothing_is_not_waited_for() {
        timeout(DEADLINE, until_none_is_added(|| 0)).await.expect("nothing is added");
        timeout(DEADLINE, until_none_is_added(|| 1)).await.expect("nothing more is added");
    }
}
