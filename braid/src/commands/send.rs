//! `braid send`: sends the lines of a file or of standard input to a source's topic.
//!
//! A line goes to Kafka as it is, valid or not: a record that cannot be decoded is archived with the reason, and refusing the
//! line here would lose it. Only its key is read, and leniently.
//!
//! - `lines`: bytes → numbered lines, read by their own thread;
//! - `key`: a line → the key of its record.

mod key;
mod lines;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use platform::kafka::{Outgoing, Producer};
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Source;

use self::lines::Line;
use super::quiet_telemetry;
use crate::{catalog_file, source_topic};

pub use self::key::Keying;

/// How often the progress of a long input is printed.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Sends a file's lines, or those of standard input, to a source's topic
///
/// One line is one record: a JSON object (NDJSON) or tab-separated columns, as the source declares. Records are keyed by
/// the field that the catalog names, and acknowledged by all replicas. Lines are not checked here: a record that cannot be
/// decoded is archived with the reason. The exit code is 1 if a record was not acknowledged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid send --source views events.ndjson
  braid send --source access_log access.tsv --kafka broker-1:9092,broker-2:9092
  tail -f app.log | braid send --source clicks --catalog my.toml --kafka 127.0.0.1:40123")]
pub struct Args {
    /// The source of the catalog whose topic the records go to
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The file with one record on each line; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Runs the command. SIGTERM and SIGINT end the input; lines that were already read are still sent.
///
/// # Errors
/// If the input cannot be read to its end, or a record was not acknowledged.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let settings = settings.load()?;
    platform::telemetry::init(&quiet_telemetry(&settings))?;
    let catalog = catalog_file::load(&settings)?;
    let source = catalog.source(&args.source)?;
    ensure!(
        !source.format.names_schemas(),
        "records of source {} are {}, which is not written in lines: send them with a producer that uses the schema registry",
        source.name,
        source.format.name()
    );
    let input = lines::open(&args.file)?;
    let producer = source_topic::connect(&settings.kafka, source).await?;
    let shutdown = Shutdown::on_signals()?;

    let sent = send(input, source, &producer, &shutdown).await;
    let delivered = producer.finish().await;
    println!("sent {} records to topic {}", delivered.acknowledged, source.topic);
    let blank = sent?;
    if blank > 0 {
        eprintln!("skipped {blank} empty lines");
    }
    source_topic::check_delivery(&delivered, &source.topic, "line")?;
    Ok(ExitCode::SUCCESS)
}

/// Sends line by line until the input ends or the stop is requested; returns how many lines were empty.
async fn send(mut input: lines::Lines, source: &Source, producer: &Producer, shutdown: &Shutdown) -> Result<u64> {
    let keying = Keying::of(source);
    let began = Instant::now();
    let mut printed = began;
    let mut blank = 0;
    loop {
        let line = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(blank),
            line = input.next() => line,
        };
        let Some(Line { number, text }) = line.transpose()? else { return Ok(blank) };
        if lines::is_blank(&text) {
            blank += 1;
            continue;
        }
        let key = keying.key(&text);
        let (topic, key) = (source.topic.as_str(), key.as_deref());
        producer.send(Outgoing { topic, key, payload: &text, time_us: None, position: number }).await;
        if printed.elapsed() >= PROGRESS_EVERY {
            printed = Instant::now();
            let per_second = producer.acknowledged() as f64 / began.elapsed().as_secs_f64();
            eprintln!("line {number}: {} acknowledged, {per_second:.0}/s", producer.acknowledged());
        }
    }
}
