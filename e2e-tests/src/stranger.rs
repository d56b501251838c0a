//! What a stranger types who has a file and wants it counted: `braid init`, `braid up`, `braid send`, `braid query`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::Process;

use crate::binaries::binary;
use crate::scenario::now_us;
use crate::up::Up;

/// How long a command may take, of which sending a large file takes longest.
const COMMAND_DEADLINE: Duration = Duration::from_secs(240);
/// The catalog that `braid init` writes unless it is told otherwise.
const CATALOG: &str = "catalog.toml";
/// What it prints in place of an address that it does not know.
const ADDRESS: &str = "ADDRESS";

/// A stranger, whose files lie in a folder, with a catalog for one of them.
pub struct Stranger {
    dir: PathBuf,
    /// The name of the source and of its metric.
    pub source: String,
    /// The catalog's text.
    pub catalog: String,
    /// What `braid init` printed.
    told: String,
}

impl Stranger {
    /// Writes a catalog for a file of the folder, and checks it.
    pub async fn init(dir: &Path, file: &str, source: &str) -> Result<Stranger> {
        let told = braid(dir, &["init", file, "--source", source]).await?;
        let catalog = std::fs::read_to_string(dir.join(CATALOG))?;
        braid(dir, &["catalog", "check", CATALOG]).await?;
        Ok(Stranger { dir: dir.to_owned(), source: source.to_owned(), catalog, told })
    }

    /// Whether the catalog has all of these lines; comments behind them are left out.
    pub fn says(&self, lines: &[&str]) -> Result<()> {
        let said: Vec<&str> =
            self.catalog.lines().map(|line| line.split("    # ").next().unwrap_or_default().trim_end()).collect();
        for line in lines {
            ensure!(said.contains(line), "the catalog does not say {line:?}\n{}", self.catalog);
        }
        Ok(())
    }

    /// Starts the platform with the catalog. It reconciles often, since the scenario waits for that.
    pub async fn up(&self, kafka: &str) -> Result<Up> {
        let flags = ["--kafka", kafka, "--reconcile", "*/2 * * * * *"];
        Up::start(&self.dir.join(CATALOG), &self.dir.join("data"), &flags, &self.dir.join("up.out")).await
    }

    /// Types what `braid init` printed for sending `file`, but for `other` and with the address that `braid up` printed, and waits
    /// until it is counted. Returns what `braid send` printed.
    pub async fn send(&self, up: &Up, file: &str, other: &str) -> Result<String> {
        let mut commands = self.told.lines().map(str::trim).filter_map(|line| line.strip_prefix("braid send "));
        let words = commands.next().with_context(|| format!("nothing says how to send: {}", self.told))?;
        let words = words.split_whitespace().map(|word| match word {
            ADDRESS => up.brokers.as_str(),
            word if word == file => other,
            word => word,
        });
        let told = braid(&self.dir, &[vec!["send"], words.collect()].concat()).await?;
        up.client.total_as_of(now_us(), &self.source, &[]).await?;
        Ok(told)
    }

    /// The values of a total, which must be complete. `key` are columns, such as `country=DE`.
    pub async fn total(&self, up: &Up, key: &[&str]) -> Result<Value> {
        let words = [&["query", &self.source, "--http", up.client.url(), "--output", "json"][..], key].concat();
        let printed = braid(&self.dir, &words).await?;
        let answer: Value = serde_json::from_str(&printed).with_context(|| printed.clone())?;
        ensure!(answer["complete"] == true, "{key:?}: {answer}");
        Ok(answer["values"].clone())
    }

    /// Waits until everything comes from the batch view.
    pub async fn reconciled(&self, up: &Up) -> Result<()> {
        up.client.authoritative_total(&self.source, &[]).await.map(drop)
    }
}

/// Types a command of `braid` in a folder. Returns what it printed.
pub async fn braid(dir: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new(binary("braid")?);
    command.current_dir(dir).args(words);
    let process = Process::start("braid", command, &dir.join("braid.out"))?;
    let ended = process.success(COMMAND_DEADLINE).await;
    let printed = process.output()?;
    ended.with_context(|| format!("braid {}: {printed}", words.join(" ")))?;
    Ok(printed)
}
