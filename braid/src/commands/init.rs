//! `braid init`: writes a first catalog from a sample of records.
//!
//! It looks at records, guesses, and writes the guess down as a person would, for a person to correct. Before it is written, the
//! catalog is read and decodes the sample, so what `braid send` and the layers will say of these records is known.
//!
//! - `sample`: reads lines of a file or a pipe, or records of a topic;
//! - `layout`: how they are written;
//! - `columns`, `profile`: records → what was seen at each of their places;
//! - `instants`: how moments are written;
//! - `guess`: what was seen → what a catalog says of it;
//! - `words`: hints in names, and names for a catalog;
//! - `catalog_text`: the guess → a catalog with comments;
//! - `draft`: all of this, and the check;
//! - `report`: what a person is told at the end.

mod catalog_text;
mod columns;
mod draft;
mod guess;
mod instants;
mod layout;
mod profile;
mod report;
mod sample;
#[cfg(test)]
mod tests;
mod words;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use input::rows::RowArgs;
use platform::clock::now_us;
use platform::settings::{Settings, SettingsArgs};

use self::draft::{Draft, Told};
use self::layout::Layout;
use self::report::Next;
use self::sample::Sample;
use self::words::small_name;
use super::quiet_telemetry;
use crate::terminal::print;

/// Writes a first catalog from a sample of your records
///
/// It reads the first lines of a file, plain or compressed with gzip or zstd, or the newest records of a topic, and guesses their
/// format (JSON, CSV, TSV, or the access log of Apache and nginx), their fields, which of these say when an event happened and
/// what identifies it, and what to count by. The catalog has comments that say why; read it and correct what is wrong. It is
/// written only if it is valid and accepts records of the sample. On standard error stand how many it accepts, why not the
/// others, and the commands to type next.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid init events.ndjson
  braid init access.log.gz --output my.toml
  zcat old/*.csv.gz | braid init - --source orders --output -
  braid init --topic orders --kafka broker-1:9092 --sample 20000")]
pub struct Args {
    /// The file to look at; `-` is standard input
    #[arg(required_unless_present = "topic", conflicts_with = "topic")]
    file: Option<PathBuf>,
    /// Look at the newest records of this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// What to call the source and its metric [default: what the file or the topic is called]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Where to write the catalog; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "catalog.toml")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// How many lines or records to look at
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sample: u32,
    /// How the records are written, if it should not be guessed
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Layout>,
    #[command(flatten)]
    rows: RowArgs,
}

/// Runs the command.
///
/// # Errors
/// If the sample cannot be read, no catalog fits it, or the file exists and is not to be replaced.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let settings = settings.load()?;
    platform::telemetry::init(&quiet_telemetry(&settings))?;
    let output = Some(args.output.as_path()).filter(|output| *output != Path::new("-"));
    if let Some(output) = output.filter(|output| !args.force && output.exists()) {
        return Err(exists(output));
    }
    let name = args.name()?;
    let sample = args.read(&settings).await?;
    let topic = args.topic.as_deref().unwrap_or(&name);
    let draft = Draft::of(&sample, &Told { name: &name, topic, layout: args.format, rows: &args.rows })?;
    match output {
        Some(output) => {
            save(output, &draft.text, args.force)?;
            eprintln!("wrote {}", output.display());
        }
        None => print(&draft.text)?,
    }
    let brokers = settings.is_named("kafka.brokers").then_some(settings.kafka.brokers.as_str());
    let next = Next { output, file: args.file.as_deref(), rows: &args.rows, brokers };
    eprint!("{}\nnext:\n{}", report::summary(&draft), report::next_commands(&draft, &next));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The name of the source.
    fn name(&self) -> Result<String> {
        if let Some(name) = &self.source {
            let plain = small_name(name, "events");
            ensure!(*name == plain, "`{name}` is no name for a source: use a-z, 0-9 and _, such as `{plain}`");
            return Ok(plain);
        }
        let file = self.file.as_ref().and_then(|file| file.file_name()).unwrap_or_default().to_string_lossy();
        let stem = file.trim_start_matches('.').split('.').next().unwrap_or_default();
        Ok(small_name(self.topic.as_deref().unwrap_or(stem), "events"))
    }

    async fn read(&self, settings: &Settings) -> Result<Sample> {
        let count = usize::try_from(self.sample)?;
        match (&self.topic, &self.file) {
            (Some(topic), _) => Sample::of_topic(&settings.kafka, topic, count, now_us()).await,
            (None, Some(file)) => Sample::of_input(file, count, now_us()),
            (None, None) => bail!("name a file, or a topic with --topic"),
        }
    }
}

fn exists(output: &Path) -> anyhow::Error {
    anyhow!("{} exists: name another file with --output, or replace it with --force", output.display())
}

/// Writes the catalog. Another process may have written the file meanwhile, which is not overwritten either.
fn save(output: &Path, text: &str, replace: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(replace).truncate(replace).create_new(!replace);
    let file = options.open(output);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(output),
        _ => anyhow!(error).context(format!("cannot write {}", output.display())),
    })?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", output.display()))
}
