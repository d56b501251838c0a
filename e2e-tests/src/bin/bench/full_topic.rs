//! A topic that is full before anything is measured, and how fast it can be read at all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e_tests::Stage;
use e2e_tests::kafka::Record;
use platform::kafka::{Consumer, Polled};
use platform::settings::Size;

/// Sends so many events as `next` gives them, and waits until they have arrived.
pub(crate) fn fill(stage: &Stage, mut next: impl FnMut() -> Record, count: u64) -> Result<()> {
    let filling = Instant::now();
    let producer = stage.producer()?;
    for _ in 0..count {
        producer.send(&next())?;
    }
    producer.flush()?;
    eprintln!("filled {} with {count} events in {:.1} s", stage.topic, filling.elapsed().as_secs_f64());
    Ok(())
}

/// Reads the whole topic and drops it, with the settings that were measured best; events per second.
pub(crate) fn bare_consumer(brokers: &str, topic: &str, ends: &[i64]) -> Result<f64> {
    let settings = platform::settings::Kafka {
        brokers: brokers.to_owned(),
        fetch_queue: Size::from_mib(512),
        fetch_bytes: Size::from_mib(8),
        ..platform::settings::Kafka::default()
    };
    let mut consumer = Consumer::new(&settings, topic)?;
    let starts: BTreeMap<i32, i64> = (0..).zip(ends.iter().map(|_| 0)).collect();
    let wanted: i64 = ends.iter().sum();
    consumer.assign(&starts)?;
    let (mut read, mut bytes, mut began) = (0_i64, 0_usize, None);
    while read < wanted {
        consumer.poll(Duration::from_millis(100), 4096, |polled| {
            if let Polled::Record(record) = polled {
                began.get_or_insert_with(Instant::now);
                read += 1;
                bytes += record.payload.map_or(0, <[u8]>::len);
            }
        })?;
    }
    let seconds = began.context("nothing was read")?.elapsed().as_secs_f64();
    eprintln!("bare consumer: {read} events of {} bytes in {seconds:.2} s", bytes as i64 / read);
    Ok(read as f64 / seconds)
}
