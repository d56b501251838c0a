//! `braid produce`: seeded sample traffic for any sources of the catalog, and the true counts of what was sent.
//!
//! The crate `traffic` makes the records; `pace` says when the next one is due.

mod pace;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use platform::clock::now_us;
use platform::kafka::Outgoing;
use platform::settings::{Settings, SettingsArgs};
use platform::shutdown::Shutdown;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::time::parse_rfc3339;
use traffic::{Expected, Generator, Mix, Sample};

use self::pace::Pace;
use super::quiet_telemetry;
use crate::source_topic::Sender;
use crate::{catalog_file, source_topic};

/// How many records a table gets for one of a source: rows change more rarely than events happen.
const CHANGES_PER_EVENT: f64 = 0.02;

/// Sends seeded sample traffic to the topics of sources
///
/// Values are made up from the declared fields. Some records are copies of an earlier one (of the same partition and
/// within the source's dedup_window), some happened hours or days ago, and some are broken, each in one of the ways in
/// which a record can be rejected. Payments, with the fields amount, lat and lon, hold a few frauds, each of which the rules of the sample
/// catalog alert of; the counts of --expected name them. A table gets rows, which change and now and then are deleted, more rarely than
/// sources get events. The same --seed and --now give the same records.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid produce --source views --events 200000 --expected truth.json
  braid produce --source transactions,clicks,orders,users --rate 100
  braid produce --source views --rate 500 --keys 1000000 --zipf 1.1
  braid produce --source access_log --events 5 --print")]
pub struct Args {
    /// The sources of the catalog whose topics the records go to
    #[arg(long, value_name = "NAME,…", default_value = "views", value_delimiter = ',')]
    source: Vec<String>,
    /// How many records of each source to send; endless unless given (or until ctrl-c)
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Records a second, of all sources together; 0: as fast as possible
    #[arg(long, value_name = "EVENTS/S", default_value_t = 0.0, value_parser = rate)]
    rate: f64,
    /// Chooses the records; the same seed gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    mix: Mix,
    /// The moment at which sending begins (RFC 3339), instead of the clock's; it is also the records' timestamp
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<i64>,
    /// Write the true counts of what was sent to this file, as JSON
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Print the payloads, one a line, instead of sending them; deletes have none
    #[arg(long)]
    print: bool,
}

/// Runs the command. SIGTERM and SIGINT end the stream; the counts cover what was sent until then.
///
/// # Errors
/// If a record was not acknowledged, the archive does not take what the broker would forget, or the counts could not be
/// written.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let settings = settings.load()?;
    platform::telemetry::init(&quiet_telemetry(&settings))?;
    let catalog = catalog_file::load(&settings)?;
    let sources = args.source.iter().map(|name| catalog.input(name)).collect::<Result<Vec<_>, _>>()?;
    let mut streams = Vec::new();
    for (source, per_second) in sources.iter().copied().zip(rates(args.rate, &sources)) {
        streams.push((Stream::new(&args, &catalog, source, per_second)?, source));
    }
    let is_one = streams.len() == 1;
    ensure!(is_one || !(args.print || args.expected.is_some()), "--print and --expected are for one source");
    let shutdown = Shutdown::on_signals()?;
    try_join_all(
        streams.into_iter().map(|(stream, source)| deliver(&args, &settings, &catalog, stream, source, &shutdown)),
    )
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// How many records a second each of these sources gets, if all of them together get so many.
pub fn rates(together: f64, sources: &[&Source]) -> Vec<f64> {
    let shares: Vec<f64> = sources.iter().map(|source| if source.is_table { CHANGES_PER_EVENT } else { 1.0 }).collect();
    let all: f64 = shares.iter().sum();
    shares.into_iter().map(|share| together * share / all).collect()
}

/// Sends or prints the records of one source.
async fn deliver(
    args: &Args,
    settings: &Settings,
    catalog: &Catalog,
    mut stream: Stream,
    source: &Source,
    shutdown: &Shutdown,
) -> Result<()> {
    if args.print {
        stream.print(shutdown).await?;
    } else {
        let mut sender = source_topic::connect(&settings.kafka, catalog, source).await?;
        let sent = stream.send(&mut sender, &source.topic, shutdown).await;
        let delivered = sender.finish().await;
        println!("sent {} records to topic {} ({})", delivered.acknowledged, source.topic, stream.generator.tally());
        sent?;
        source_topic::check_delivery(&delivered, &source.topic, "record")?;
    }
    stream.write_expected()
}

/// Sends sample traffic, timed by the clock, until the stop is requested.
///
/// # Errors
/// If there is no topic to send to, a record was not acknowledged, or the archive does not take what the broker would forget.
pub async fn endless(
    kafka: &platform::settings::Kafka,
    catalog: &Catalog,
    source: &Source,
    mix: &Mix,
    seed: u64,
    events_per_second: f64,
    shutdown: &Shutdown,
) -> Result<()> {
    let mut sender = source_topic::connect(kafka, catalog, source).await?;
    let mut stream = Stream {
        generator: Generator::new(catalog, source, mix, seed)?,
        pace: Pace::new(events_per_second, None, now_us),
        remaining: u64::MAX,
        expected: None,
    };
    let sent = stream.send(&mut sender, &source.topic, shutdown).await;
    let delivered = sender.finish().await;
    sent?;
    source_topic::check_delivery(&delivered, &source.topic, "record")
}

/// Records as they are due, and the counts of those that were sent or printed.
struct Stream {
    generator: Generator,
    pace: Pace,
    remaining: u64,
    expected: Option<(Expected, PathBuf)>,
}

impl Stream {
    fn new(args: &Args, catalog: &Catalog, source: &Source, per_second: f64) -> Result<Stream> {
        let expected = args.expected.clone().map(|file| (Expected::new(catalog, source), file));
        Ok(Stream {
            generator: Generator::new(catalog, source, &args.mix, args.seed)?,
            pace: Pace::new(per_second, args.now, now_us),
            remaining: args.events.unwrap_or(u64::MAX),
            expected,
        })
    }

    /// Waits until the next record is due, and returns it with its timestamp in microseconds since 1970; nothing after the last
    /// one.
    async fn next(&mut self, shutdown: &Shutdown) -> Option<(Sample, i64)> {
        self.remaining = self.remaining.checked_sub(1)?;
        let time_us = tokio::select! {
            biased;
            () = shutdown.requested() => return None,
            time_us = self.pace.next() => time_us,
        };
        Some((self.generator.sample(time_us), time_us))
    }

    /// Counts a record that was sent or printed.
    fn observe(&mut self, sample: &Sample) {
        if let Some((expected, _)) = &mut self.expected {
            expected.observe(sample);
        }
    }

    async fn send(&mut self, sender: &mut Sender, topic: &str, shutdown: &Shutdown) -> Result<()> {
        let mut position = 0;
        while let Some((sample, time_us)) = self.next(shutdown).await {
            position += 1;
            let key = Some(sample.key.as_slice());
            let record = Outgoing { topic, key, payload: sample.payload.as_deref(), time_us: Some(time_us), position };
            tokio::select! {
                biased;
                sent = sender.send(record) => sent?,
                () = shutdown.requested() => return Ok(()),
            }
            self.observe(&sample);
        }
        Ok(())
    }

    async fn print(&mut self, shutdown: &Shutdown) -> Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        while let Some((sample, _)) = self.next(shutdown).await {
            if let Some(payload) = &sample.payload {
                out.write_all(payload)?;
                out.write_all(b"\n")?;
            }
            self.observe(&sample);
        }
        Ok(out.flush()?)
    }

    fn write_expected(&self) -> Result<()> {
        let Some((expected, file)) = &self.expected else { return Ok(()) };
        let text = serde_json::to_string_pretty(&expected.to_json())?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write the counts to {}", file.display()))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("expected events a second, such as 500, or 0 for as fast as possible".to_owned()),
    }
}

fn moment(text: &str) -> Result<i64, String> {
    parse_rfc3339(text.as_bytes()).ok_or_else(|| "expected RFC 3339, such as 2026-04-24T09:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_get_fewer_records_than_sources() {
        let catalog = Catalog::parse(catalog_file::SHIPPED).expect("the shipped catalog is valid");
        let [clicks, orders, users] = ["clicks", "orders", "users"].map(|name| &catalog.sources[name]);
        let rates_of = rates(202.0, &[clicks, orders, users]);
        assert!(
            rates_of.iter().zip([100.0, 100.0, 2.0]).all(|(rate, wanted)| (rate - wanted).abs() < 1e-9),
            "{rates_of:?}"
        );
        assert_eq!(rates(0.0, &[clicks, users]), [0.0, 0.0], "as fast as possible");
        assert!((rates(7.0, &[users])[0] - 7.0).abs() < 1e-9, "a table alone gets all");
    }

    #[test]
    fn rates_and_moments_are_read() {
        assert_eq!(rate("0"), Ok(0.0));
        assert!(rate("-1").is_err() && rate("inf").is_err());
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert!(moment("yesterday").is_err());
    }
}
