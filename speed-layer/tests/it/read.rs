//! A reading thread of two partitions, on librdkafka's in-process broker.

use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use platform::registry::Registry;
use platform::settings::{self, Kafka, Speed};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use shared_logic::catalog::Catalog;
use speed_layer::log::ends::Ends;
use speed_layer::read::micro_batch::{Handed, Shape};
use speed_layer::read::{Assignment, Reader, Start};
use storage::{Schemas, Storage};
use test_kit::catalogs::TINY;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// How many records a micro-batch has; about as many as one poll brings.
const ROWS: usize = 1_000;
/// How many micro-batches each partition fills.
const BATCHES: usize = 60;
/// The end of each partition.
const END: i64 = (ROWS * BATCHES) as i64;
/// How many records trickle in, and how long after each other.
const TRICKLE: i64 = 200;
const DROP: Duration = Duration::from_millis(5);
/// How long a slow loop takes for a micro-batch.
const LATE: Duration = Duration::from_millis(1_000);
/// For the broker, and for all that is read.
const DEADLINE: Duration = Duration::from_secs(50);

/// A broker with a topic of two partitions, and a thread that reads what it is told of it.
struct Bench {
    tell: std_mpsc::Sender<Assignment>,
    thread: JoinHandle<()>,
    broker: MockCluster<'static, DefaultProducerContext>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// The thread knows those ends.
    fn start(ends: BTreeMap<i32, i64>) -> Bench {
        let catalog = Catalog::parse(TINY).expect("a valid catalog");
        let source = catalog.sources["s"].clone();
        let broker = MockCluster::new(1).expect("an in-process broker");
        broker.create_topic(&source.topic, 2, 1).expect("a topic");
        produce(&broker.bootstrap_servers(), &source.topic);
        // The broker itself gathers next to nothing.
        let client = [("fetch.wait.max.ms", "5")].into_iter().collect();
        let kafka = Kafka { brokers: broker.bootstrap_servers(), client, ..Kafka::default() };
        let speed = Speed { max_rows: ROWS, ..Speed::default() };
        let shape = Shape { wanted: vec!["at".to_owned()], mark_every: ROWS, lane: None, is_of_table: false };
        let folder = tempfile::tempdir().expect("a folder");
        let store = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
        let storage = Storage::new(&store, &catalog.deployment).expect("a store");
        let schemas = Schemas::new(&storage, "s", &Registry::new(&settings::Registry::default()));
        let (tell, assignments) = std_mpsc::channel();
        let (_, ends) = watch::channel(Ends { of: ends, ..Ends::default() });
        let reader = Reader::new(&kafka, &speed, &source, shape, schemas, assignments, ends).expect("a client");
        let thread = thread::spawn(move || reader.run());
        Bench { tell, thread, broker, _folder: folder }
    }

    /// Appends to partition 0, one record after the other.
    fn trickles(&self) -> impl Future<Output = ()> + Send + 'static {
        let (producer, topic) = (producer(&self.broker.bootstrap_servers()), topic());
        async move {
            for _ in 0..TRICKLE {
                send(&producer, &topic, 0);
                tokio::time::sleep(DROP).await;
            }
            producer.flush(DEADLINE).expect("delivered");
        }
    }

    /// Has a partition be read for a loop that has room for one micro-batch beside the one that it works on.
    fn reads(&self, partition: i32) -> mpsc::Receiver<Handed> {
        let (to_loop, handed) = mpsc::channel(1);
        let (truncated, _) = oneshot::channel();
        let (witness, ahead, check, seal_at) = (None, None, None, None);
        let start = Start { partition, warm_from: 0, cursor: 0, witness, ahead, check, seal_at, truncated, to_loop };
        self.tell.send(Assignment::Start(Box::new(start))).expect("the thread runs");
        handed
    }

    fn end(self) {
        drop(self.tell);
        self.thread.join().expect("no panic");
    }
}

/// Fills both partitions side by side, in batches as large as a micro-batch at most. A fetch brings one of each partition.
fn produce(brokers: &str, topic: &str) {
    let producer = producer(brokers);
    for _ in 0..BATCHES {
        (0..2 * ROWS).for_each(|number| send(&producer, topic, (number % 2) as i32));
        producer.flush(DEADLINE).expect("delivered");
    }
}

fn producer(brokers: &str) -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "1").create().expect("a producer")
}

/// Sends a record that is as old as its event is.
fn send(producer: &BaseProducer, topic: &str, partition: i32) {
    let record = BaseRecord::<str, str>::to(topic).partition(partition).timestamp(1_000);
    let record = record.payload(r#"{"at":1000,"k":"x"}"#);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
}

/// The topic of the source.
fn topic() -> String {
    Catalog::parse(TINY).expect("a valid catalog").sources["s"].topic.clone()
}

/// The next offset after what is handed on next.
async fn take(handed: &mut mpsc::Receiver<Handed>) -> i64 {
    let Some(Handed::MicroBatch(batch)) = handed.recv().await else { panic!("the partition is not read any more") };
    batch.marks.last().expect("there is at least one").to.offset
}

/// Takes whatever is handed on at once, until it is all of the partition.
async fn take_all(mut handed: mpsc::Receiver<Handed>) {
    while take(&mut handed).await < END {}
}

/// Takes a micro-batch now and then, and counts them.
async fn take_slowly(handed: &mut mpsc::Receiver<Handed>, taken: &mut usize) {
    loop {
        tokio::time::sleep(LATE).await;
        take(handed).await;
        *taken += 1;
    }
}

/// Takes what is left of a partition, which comes in order and without a hole.
async fn take_rest(mut handed: mpsc::Receiver<Handed>) {
    let mut from = None;
    while from != Some(END) {
        let Some(Handed::MicroBatch(batch)) = handed.recv().await else { panic!("the partition is not read any more") };
        assert!(from.is_none_or(|from| from == batch.from), "{from:?} is followed by {}", batch.from);
        let to = batch.marks.last().expect("there is at least one").to.offset;
        assert_eq!(batch.events.height() as i64, to - batch.from, "each record once");
        from = Some(to);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_loop_slows_no_other_partition() {
    let bench = Bench::start(BTreeMap::from([(0, END), (1, END)]));
    let (mut slow, fast) = (bench.reads(0), bench.reads(1));
    let mut taken = 0;
    tokio::select! {
        ended = timeout(DEADLINE, take_all(fast)) => ended.expect("the other partition is read to its end"),
        () = take_slowly(&mut slow, &mut taken) => {}
    }
    // At its pace, the other loop would have nearly as many.
    assert!(taken < BATCHES / 2, "the slow loop has taken {taken} of {BATCHES} micro-batches meanwhile");
    let rest = timeout(DEADLINE, take_rest(slow)).await;
    rest.expect("what was fetched in vain is fetched again");
    bench.end();
}

/// Nothing is known of the ends here, so no partition is known to starve.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_takes_nothing_holds_up_others_once() {
    let bench = Bench::start(BTreeMap::new());
    let (_stuck, fast) = (bench.reads(0), bench.reads(1));
    timeout(DEADLINE, take_all(fast)).await.expect("the other partition is read to its end");
    bench.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_trickle_are_counted_at_most_once_in_a_linger() {
    let bench = Bench::start(BTreeMap::new());
    let mut handed = bench.reads(0);
    while timeout(DEADLINE, take(&mut handed)).await.expect("the partition is read to its end") < END {}
    let (began, trickling) = (Instant::now(), tokio::spawn(bench.trickles()));
    let mut micro_batches = 0;
    while timeout(DEADLINE, take(&mut handed)).await.expect("what trickles in is read") < END + TRICKLE {
        micro_batches += 1;
    }
    let most = began.elapsed().as_millis() / Speed::default().linger.get().as_millis() + 1;
    assert!(micro_batches <= most, "{micro_batches} micro-batches, and {most} would do");
    trickling.await.expect("no panic");
    bench.end();
}
