//! `braid send`: sends the lines of a file or of standard input to a source's topic.
//!
//! A line goes to Kafka as it is, valid or not: a record that cannot be decoded is archived with the reason, and refusing the
//! line here would lose it. Only the columns of a table whose header names another order are put into the declared one. A
//! line's key is read, and leniently. The catalog's verdict is only counted, for the sender to see.
//!
//! - `lines`: bytes → numbered records, read by their own thread;
//! - `key`: a line → the key of its record;
//! - `progress`: how far sending has come.

mod key;
mod lines;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use input::rows::{self, RowArgs, Rows};
use platform::clock::now_us;
use platform::kafka::Outgoing;
use platform::settings::SettingsArgs;
use platform::shutdown::Shutdown;
use shared_logic::catalog::Source;

use self::lines::Lines;
use self::progress::{Progress, rate};
use super::quiet_telemetry;
use crate::number::integer;
use crate::source_topic::Sender;
use crate::terminal::Screen;
use crate::verdicts::Verdicts;
use crate::{catalog_file, source_topic};

pub use self::key::Keying;

/// Sends a file's lines, or those of standard input, to a source's topic
///
/// One line is one record: a JSON object (NDJSON), tab-separated columns or a line of an access log, as the source declares. A
/// row of CSV may span lines within quotes. A header of a CSV or TSV input is not sent; if it names the columns in another
/// order, or more of them, rows are sent as the source declares them. Input that is compressed with gzip or zstd is unpacked,
/// whatever its name; a byte-order mark at the start and empty lines are skipped. Records are keyed by the field that the
/// catalog names, and acknowledged by all replicas.
///
/// Every line is sent, valid or not: a record that cannot be decoded is archived with the reason. The summary on standard
/// error says how many lines the catalog rejects, by reason, with the first line of each. The exit code is 1
/// if a record was not acknowledged.
///
/// The broker of `braid up --kafka in-process` keeps only the newest 5 MiB of each partition. There, sending waits for the
/// archive.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid send --source views events.ndjson
  braid send --source views events-2026-04-24.ndjson.gz
  zcat old/*.gz | braid send --source views
  braid send --source access_log access.tsv --kafka broker-1:9092,broker-2:9092
  braid send --source sales --header --comment '#' sales.csv
  tail -f app.log | braid send --source clicks --catalog my.toml --kafka 127.0.0.1:40123")]
pub struct Args {
    /// The source of the catalog whose topic the records go to
    #[arg(long, value_name = "NAME")]
    source: String,
    #[command(flatten)]
    rows: RowArgs,
    /// The file with one record on each line, plain or compressed; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Runs the command. SIGTERM and SIGINT end the input; lines that were already read are still sent, unless there is no room
/// for them.
///
/// # Errors
/// If the input cannot be read to its end, a record was not acknowledged, or the archive does not take what the broker would
/// forget.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let settings = settings.load()?;
    platform::telemetry::init(&quiet_telemetry(&settings))?;
    let catalog = catalog_file::load(&settings)?;
    let source = catalog.input(&args.source)?;
    ensure!(
        !source.format.names_schemas(),
        "records of source {} are {}, which is not written in lines: send them with a producer that uses the schema registry",
        source.name,
        source.format.name()
    );
    let input = lines::open(&args.file, Rows::of(source, &args.rows)?)?;
    let mut sender = source_topic::connect(&settings.kafka, &catalog, source).await?;
    let shutdown = Shutdown::on_signals()?;

    let began = Instant::now();
    let mut sent = Sent { blank: 0, verdicts: Verdicts::of(source, "line") };
    let ended = send(input, source, &mut sender, &shutdown, &mut sent).await;
    let delivered = sender.finish().await;
    eprintln!("{}", sent.summary(delivered.acknowledged, &source.topic, began.elapsed()));
    ended?;
    source_topic::check_delivery(&delivered, &source.topic, "line")?;
    Ok(ExitCode::SUCCESS)
}

/// What the summary tells besides the number of records.
struct Sent {
    /// How many lines were empty, and skipped.
    blank: u64,
    verdicts: Verdicts,
}

impl Sent {
    /// Such as `sent 1,000 records to topic views in 0.5 s (2,000/s); the catalog rejects 2: 2 not_json (first on line 7)`.
    fn summary(&self, acknowledged: u64, topic: &str, elapsed: Duration) -> String {
        let (records, seconds) = (integer(acknowledged), elapsed.as_secs_f64());
        let mut text =
            format!("sent {records} records to topic {topic} in {seconds:.1} s ({})", rate(acknowledged, elapsed));
        let verdicts = self.verdicts.summary();
        if !verdicts.is_empty() {
            text.push_str(&format!("; {verdicts}"));
        }
        if self.blank > 0 {
            text.push_str(&format!("; skipped {} empty lines", integer(self.blank)));
        }
        text
    }
}

/// Sends line by line until the input ends or the stop is requested.
async fn send(
    mut input: Lines,
    source: &Source,
    sender: &mut Sender,
    shutdown: &Shutdown,
    sent: &mut Sent,
) -> Result<()> {
    let keying = Keying::of(source);
    let topic = source.topic.as_str();
    let mut progress = Progress::on(Screen::behind(&std::io::stderr()));
    loop {
        let line = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = progress.due() => {
                progress.show(sender.acknowledged(), &sent.verdicts.counts());
                continue;
            }
            line = input.next() => line,
        };
        let Some(line) = line.transpose()? else { return Ok(()) };
        if rows::is_blank(&line.text) {
            sent.blank += 1;
            continue;
        }
        sent.verdicts.judge(&line, now_us());
        let key = keying.key(&line.text);
        let (key, payload) = (key.as_deref(), line.text.as_slice());
        let record = Outgoing { topic, key, payload: Some(payload), time_us: None, position: line.number };
        tokio::select! {
            biased;
            sent = sender.send(record) => sent?,
            () = shutdown.requested() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use input::rows::Line;
    use shared_logic::catalog::Catalog;

    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let catalog = Catalog::parse(catalog_file::SHIPPED).expect("the shipped catalog is valid");
        let mut sent = Sent { blank: 0, verdicts: Verdicts::of(&catalog.sources["views"], "line") };
        let half = Duration::from_millis(500);
        assert_eq!(sent.summary(1_000, "views", half), "sent 1,000 records to topic views in 0.5 s (2,000/s)");
        sent.verdicts.judge(&Line { number: 1_007, text: b"not json".to_vec() }, 0);
        sent.blank = 2;
        let expected = "sent 1,000 records to topic views in 0.5 s (2,000/s); \
                        the catalog rejects 1: 1 not_json (first on line 1,007); skipped 2 empty lines";
        assert_eq!(sent.summary(1_000, "views", half), expected);
    }
}
