//! `docs/performance.md`: what was measured, and what is unfair about it.

use std::fmt::Write;

use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;

use super::machine::Machine;
use super::rivals::{COMMIT_MS, LARGE_CACHE_MIB, STREAMS_CACHE_MIB, STREAMS_COMMIT_MS};
use super::running::HEAP_GIB;
use super::topic::Topic;
use super::{Outcome, PARTITIONS};

const FLINK: &str = include_str!("../../../../peers/flink/pom.xml");
const STREAMS: &str = include_str!("../../../../peers/streams/pom.xml");
const KAFKA: &str = include_str!("../../../../../braid/kafka/pom.xml");

/// The page.
pub(super) fn text(topic: &Topic, outcomes: &[Outcome], machine: &Machine) -> String {
    let Machine { processors, memory_gib, model, java, redis } = machine;
    let now = rfc3339(now_us());
    let date = now.split('T').next().unwrap_or_default();
    let (events, bytes, totals) = (topic.events, topic.bytes, topic.truth.len());
    let [flink, connector] =
        ["flink.version", "flink-connector-kafka.version"].map(|property| version(FLINK, property));
    let (streams, kafka) = (version(STREAMS, "kafka-streams.version"), version(KAFKA, "kafka.version"));
    let table = table(topic, outcomes);
    format!(
        r#"# Braid beside Flink SQL and Kafka Streams

`make bench-peers` writes this page. It was measured on {date}, on {processors} processors ({model}) with {memory_gib:.0} GiB of memory, on which the broker runs as
well. Repeat it on yours before you decide anything; `EVENTS=200000 make bench-peers` is a rehearsal of a minute and a half, whose figures mean nothing.

Each system counts the same topic from its start, one after the other beside the same broker: events and their summed `dwell_ms` where `status = 200`, by video and
minute of event time, exactly once. {events} events of {bytes} bytes as JSON lie in {PARTITIONS} partitions; videos come by Zipf's law (exponent 1.1) out of a million. All {totals} totals
of each system were compared with what was counted while sending, and were right.

{table}
- *Events/s* and CPU count from the moment at which a system works until its last result can be read; of Braid with its archiver, from the start of its first
  process until everything is counted and archived. *Until it works* is the start of its process, or of its first, to its first task or shard.
- *CPU* is that of the system's processes; the broker works for it besides. *Memory* is the most that was resident, of each process of the system, added up.
- *Results written* are records of the output topic, or counters in Redis. Kafka Streams writes a total again when it changes, Flink once, when its window closes.

## How each is set up

| system | how |
|---|---|
| Braid | release build, settings as users get them, one worker; Redis {redis} keeps nothing on disk; read over HTTP: a series of minutes of each video. Without archiver and serving layer, these run only before and after what is measured |
| Flink SQL | {flink} with its Kafka connector {connector}, a cluster within one process, parallelism 2; `TUMBLE` with a watermark 5 s behind; the state of windows in the heap, or in RocksDB with incremental checkpoints; checkpoints every {commit_s} s to local disk; a sink with `exactly-once` |
| Kafka Streams | {streams}, `exactly_once_v2`, 2 threads; windows of a minute with a minute of grace, in RocksDB with a changelog topic. Its defaults are commits every {STREAMS_COMMIT_MS} ms and a cache of {STREAMS_CACHE_MIB} MiB; besides with commits every {commit_s} s and a cache of {LARGE_CACHE_MIB} MiB, which holds every counter |
| all | Kafka {kafka}, one node, no replicas; Java {java}, a heap of at most {HEAP_GIB} GiB, G1 |

The programs are in [`e2e-tests/peers`](../e2e-tests/peers), one file each.

## What is unfair, and to whom

To Flink and Kafka Streams:

- *Warm-up.* They are measured from their first event on, while the JVM still compiles; a job that has run for an hour is faster. Start-up is not in the rate, but that is.
- *Memory.* A JVM takes what it is allowed. The figures say what it took, not with how little it would do.
- *One machine.* The broker takes its share of the same {processors} processors, so whoever writes more through it is slowed down twice: Kafka Streams writes each change to a
  changelog and to its output. The broker itself runs with the quick compiler only, as `braid up` starts it.
- *State that lasts.* They keep their state on disk, by checkpoints or changelogs, and go on from there. Braid's counters lie in a Redis that keeps nothing here: after a loss of
  Redis, Braid counts again from where its batch view ends, which takes longer the more came since.
- *More machines.* Their state is divided among as many machines as there are; Braid's speed layer shares one Redis, or the primaries of a Redis Cluster.
- *The end.* A result of Flink can be read once its window has closed and a checkpoint is done, so its rate has up to {commit_s} s of waiting in it; the more events, the less that weighs.
- *Who wrote it.* Braid was tuned on this very workload by its authors. The others run with the settings above, which somebody who runs them every day may better.
- *What they are for.* They join streams, hold any state and run any code; Braid counts what its catalog declares.

To Braid:

- *Copies.* It looks for copies of an event's id among the last 500,000 records, keeps invalid records apart, and counts an event however late it comes. The others count a copy twice, stop at
  what they cannot read, and drop what is later than their watermark or grace.
- *Answers.* Its totals can be asked for while it counts, of any range and of all keys together. The others leave a topic that something else has to read and to hold, which
  is in no figure here. Kafka Streams can also be asked for a key by a program of one's own.
- *Freshness.* It applies what has arrived every 50 ms. Flink says nothing of a minute until it is over, and here nothing for {commit_s} s.
- *The archive.* The row with archiver and serving layer also keeps every event as Parquet in a Delta table and holds two more processes, and a recount from there corrects what
  the speed layer could not know. The others have nothing of that kind in their figures.
- *A process between.* Each of its counters crosses a socket to Redis; theirs lie in the process that counts.
"#,
        commit_s = COMMIT_MS / 1_000,
    )
}

fn table(topic: &Topic, outcomes: &[Outcome]) -> String {
    let mut table = "| system | events/s | CPU per event | the broker's | memory | until it works | results written |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    let events = topic.events as f64;
    for Outcome { title, started_in, spent, written } in outcomes {
        writeln!(
            table,
            "| {title} | {:.2} M | {:.2} µs | {:.2} µs | {:.0} MiB | {:.1} s | {written} |",
            events / spent.seconds / 1e6,
            spent.cpu_seconds * 1e6 / events,
            spent.broker_cpu_seconds * 1e6 / events,
            spent.peak_mib,
            started_in.as_secs_f64(),
        )
        .expect("a string takes every character");
    }
    table
}

/// What a property of a pom.xml says.
fn version<'a>(pom: &'a str, property: &str) -> &'a str {
    let (_, rest) = pom.split_once(&format!("<{property}>")).expect("the property is there");
    rest.split('<').next().unwrap_or_default()
}
