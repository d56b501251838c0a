//! Versions of a deployment: what an operator types, what the serving layer tells of them, and what lies in store, Redis and Kafka.
//!
//! - `polls`: questions that are asked without pause meanwhile, each of whose answers is held to the version that it names;
//! - `kappa`: a version's life as a person sees it.

pub mod kappa;
mod polls;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redis::AsyncCommands;
use serde_json::Value;
use test_kit::{DEADLINE, Process, Progress, Redis, wait_for};

use crate::answer::Client;
use crate::deployment::Deployment;
use crate::kafka::groups;
use crate::stage::Stage;
use crate::views::{CatalogOptions, METRIC, catalog};

pub use polls::{Polls, Still};

/// The condition of the sample metric.
const RIGHT: &str = "where = \"status = 200\"";
/// A mistake: it counts views that failed as well.
const WRONG: &str = "where = \"status >= 200\"";
/// How long a command may take where the platform is not optimised.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long somebody waits who is told to wait until a version has caught up, before the same step is tried again.
const CATCHES_UP: Duration = Duration::from_millis(500);
/// How many digits the number of a pointer has in the name of its file.
const DIGITS: usize = 20;

/// The sample catalog with a mistake, as the first version of a deployment: its metric counts views of every status.
pub fn mistaken(name: &str) -> String {
    corrected(name).replace(RIGHT, WRONG)
}

/// The sample catalog.
pub fn corrected(name: &str) -> String {
    catalog(&CatalogOptions::of(name))
}

/// Something that an operator does.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// Creates a version with a catalog.
    Create {
        /// Its name.
        version: &'a str,
        /// The catalog's text.
        catalog: &'a str,
    },
    /// Replays a version, and waits until it has come to the end of the log.
    Replay {
        /// The version.
        version: &'a str,
        /// `log` or `archive`.
        from: &'a str,
    },
    /// Verifies a version.
    Verify(&'a str),
    /// Makes a version the active one.
    Promote(&'a str),
    /// The same although these stand against it.
    Force(&'a str, &'a str),
    /// Makes the version before the active one again.
    RollBack,
    /// Removes a version.
    Retire(&'a str),
}

impl Step<'_> {
    /// What a person types.
    pub fn typed(self) -> String {
        let words = match self {
            Step::Create { version, .. } => format!("create {version} --catalog {version}.toml"),
            Step::Replay { version, from } => format!("replay {version} --from {from} --wait"),
            Step::Verify(version) => format!("verify {version}"),
            Step::Promote(version) => format!("promote {version}"),
            Step::Force(version, what) => format!("promote {version} --force {what}"),
            Step::RollBack => "roll-back".to_owned(),
            Step::Retire(version) => format!("retire {version}"),
        };
        format!("braid version {words}")
    }

    /// Whether an operator would try again: the step was refused, as a version first has to catch up, and the deadline is not over.
    fn is_tried_again(self, output: &str, begun: Instant) -> bool {
        let may_catch_up = matches!(self, Step::Promote(_) | Step::Force(..) | Step::RollBack);
        may_catch_up && is_only_behind(output) && begun.elapsed() < DEADLINE
    }

    /// The first word of the command.
    fn name(self) -> &'static str {
        match self {
            Step::Create { .. } => "create",
            Step::Replay { .. } => "replay",
            Step::Verify(_) => "verify",
            Step::Promote(_) | Step::Force(..) => "promote",
            Step::RollBack => "roll-back",
            Step::Retire(_) => "retire",
        }
    }
}

/// The versions of one deployment.
#[derive(Clone, Copy)]
pub struct Versions<'a> {
    deployment: &'a Deployment,
}

impl<'a> Versions<'a> {
    /// Those of that deployment.
    pub fn of(deployment: &'a Deployment) -> Versions<'a> {
        Versions { deployment }
    }

    /// Takes a step to its end, and returns what the command printed. Where it says that a version first has to catch up, or that Redis did
    /// not say it in time, and nothing else, it is tried again within the deadline, as an operator would.
    ///
    /// # Errors
    /// If it is refused or fails.
    pub async fn take(self, step: Step<'_>) -> Result<String> {
        let begun = Instant::now();
        loop {
            let process = self.launch(step, "")?;
            let status = process.end(PATIENCE).await?;
            let output = process.output()?;
            if status.success() {
                return Ok(output);
            }
            ensure!(step.is_tried_again(&output, begun), "`{}` ended with {status}: {output}", step.typed());
            tokio::time::sleep(CATCHES_UP).await;
        }
    }

    /// Tries to take a step that is refused, and returns what the command printed.
    ///
    /// # Errors
    /// If it is taken.
    pub async fn refused(self, step: Step<'_>) -> Result<String> {
        let process = self.launch(step, "")?;
        let status = process.end(PATIENCE).await?;
        let output = process.output()?;
        ensure!(status.code() == Some(1), "`{}` ended with {status}: {output}", step.typed());
        Ok(output)
    }

    /// Begins to take a step, with fail points armed.
    pub fn launch(self, step: Step<'_>, fail_points: &str) -> Result<Process> {
        self.deployment.launch_braid_as(&format!("version-{}", step.name()), &self.words(step)?, fail_points)
    }

    /// Begins to take a step, with fail points armed, and waits until it has printed such a line. Where a version first has to catch up, it is
    /// tried again as in [`Versions::take`].
    ///
    /// # Errors
    /// If it ends otherwise before.
    pub async fn comes_to(self, line: &str, step: Step<'_>, fail_points: &str) -> Result<Process> {
        let begun = Instant::now();
        loop {
            let process = self.launch(step, fail_points)?;
            match process.line(line, DEADLINE).await {
                Ok(_) => return Ok(process),
                Err(why) => ensure!(step.is_tried_again(&process.output()?, begun), why),
            }
            tokio::time::sleep(CATCHES_UP).await;
        }
    }

    /// Begins to take a step, and kills the process where it has come to a fail point.
    pub async fn kill_at(self, step: Step<'_>, fail_point: &str) -> Result<()> {
        let held = format!("{fail_point}=1*return(60000)->off");
        self.comes_to(&format!("failpoint {fail_point}"), step, &held).await?.kill();
        Ok(())
    }

    fn words(self, step: Step<'_>) -> Result<Vec<String>> {
        let serving = || self.deployment.client().map(|client| client.url().to_owned());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut all = words(&["version", step.name()]);
        all.extend(match step {
            Step::Create { version, catalog } => {
                let file = self.deployment.catalog().with_file_name(format!("{version}.toml"));
                fs::write(&file, catalog)?;
                words(&[version, "--catalog", &file.to_string_lossy()])
            }
            Step::Replay { version, from } => words(&[version, "--from", from, "--yes", "--wait"]),
            Step::Verify(version) => words(&[version, "--output", "json"]),
            Step::Promote(version) => words(&[version, "--http", &serving()?]),
            Step::Force(version, what) => words(&[version, "--force", what, "--http", &serving()?]),
            Step::RollBack => words(&["--http", &serving()?]),
            Step::Retire(version) => words(&[version, "--yes"]),
        });
        Ok(all)
    }

    /// What `/v1/versions` says.
    pub async fn told(self) -> Result<Value> {
        let (status, body) = self.deployment.client()?.get("/v1/versions", &[]).await?;
        ensure!(status == 200, "{status}: {body}");
        Ok(body)
    }

    /// What it says of one version.
    pub async fn told_of(self, version: &str) -> Result<Value> {
        let told = self.told().await?;
        let all = told["versions"].as_array().with_context(|| format!("no versions: {told}"))?;
        all.iter().find(|one| one["version"] == version).cloned().with_context(|| format!("no {version}: {told}"))
    }

    /// Waits until answers that ask for no version are of that one.
    pub async fn is_active(self, version: &str) -> Result<()> {
        let client = self.deployment.client()?;
        wait_for(&format!("answers of version {version}"), DEADLINE, async || {
            let answer = client.total(METRIC, &[]).await?;
            Ok(Progress::when(answer.version == version, format_args!("{answer:?}")))
        })
        .await
    }

    /// The number of the newest pointer as it lies in the store, and its content; 0 and null if there is none.
    pub fn pointer(self) -> Result<(u64, Value)> {
        let folder = self.deployment.store().join("active");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?,
            Err(_) => Vec::new(),
        };
        let number = |path: &PathBuf| -> Option<u64> {
            let digits = path.file_name()?.to_str()?.strip_suffix(".json")?;
            digits.parse().ok().filter(|_| digits.len() == DIGITS)
        };
        let Some((number, path)) = entries.iter().filter_map(|path| Some((number(path)?, path))).max() else {
            return Ok((0, Value::Null));
        };
        Ok((number, serde_json::from_slice(&fs::read(path)?)?))
    }

    /// What the newest pointer says of a version.
    pub fn recorded(self, version: &str) -> Result<Value> {
        Ok(self.pointer()?.1["versions"][version].clone())
    }

    /// The version that the newest pointer names as the active one.
    pub fn active(self) -> Result<String> {
        let (_, pointer) = self.pointer()?;
        Ok(pointer["active"].as_str().with_context(|| format!("no active version: {pointer}"))?.to_owned())
    }

    /// From which version to which each promotion went, the oldest first.
    pub fn promotions(self) -> Result<Vec<(String, String)>> {
        let (_, pointer) = self.pointer()?;
        let side = |promotion: &Value, name: &str| promotion[name].as_str().unwrap_or_default().to_owned();
        let all = pointer["promotions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(all.iter().map(|promotion| (side(promotion, "from"), side(promotion, "to"))).collect())
    }
}

/// Whether a step was refused for nothing but how far answers are behind, or because Redis had not said it in time.
fn is_only_behind(output: &str) -> bool {
    let Some((_, refusals)) = output.split_once("does not become the active one:\n") else { return false };
    let mut refusals = refusals.lines().take_while(|line| line.starts_with("  ")).peekable();
    let may_pass = |line: &str| match line.strip_prefix("  incomplete: its answers are not complete: ") {
        Some(why) => why.split("; ").all(|why| why.contains(": redis did not answer within ")),
        None => line.starts_with("  lag: "),
    };
    refusals.peek().is_some() && refusals.all(may_pass)
}

/// Nothing counts for a version any more, and who asks for it is told so: no shard, no counter and no group of it is left.
pub async fn is_gone(stage: &Stage, version: &str) -> Result<()> {
    let stage_of = Versions::of(&stage.deployment).recorded(version)?["stage"].clone();
    ensure!(stage_of == "retired", "{version} is {stage_of}");
    let keys = keys(&stage.redis, &format!("braid:{{{}/{version}/*", stage.topic)).await?;
    ensure!(keys.is_empty(), "{version} has left {} keys: {:?}", keys.len(), keys.first());
    let groups = groups(&stage.brokers, &format!("braid.{}.{version}.", stage.topic))?;
    ensure!(groups.is_empty(), "{version} has left {groups:?}");
    let asked = stage.client()?.of_version(version);
    wait_for(&format!("{version} to be answered no more"), DEADLINE, async || {
        let (status, problem) = asked.get(&format!("/v1/metrics/{METRIC}/total"), &[]).await?;
        let says_so = status == 404 && problem.to_string().contains("retired");
        Ok(Progress::when(says_so, format_args!("{status}: {problem}")))
    })
    .await
}

/// One life of a shard, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The name of that life.
    pub instance: String,
    /// The first offset that it has not counted.
    pub cursor: i64,
}

/// The shards of a version, by their keys.
pub async fn shards(stage: &Stage, version: &str) -> Result<BTreeMap<String, Shard>> {
    let mut connection = stage.redis.connection().await?;
    let mut shards = BTreeMap::new();
    for key in keys(&stage.redis, &format!("braid:{{{}/{version}/*:shard", stage.topic)).await? {
        // A shard has no cursor while it is written to.
        let (instance, cursor): (Option<String>, Option<i64>) = connection.hmget(&key, &["instance", "cursor"]).await?;
        if let (Some(instance), Some(cursor)) = (instance, cursor) {
            shards.insert(key, Shard { instance, cursor });
        }
    }
    Ok(shards)
}

/// The keys in Redis that fit a pattern.
pub async fn keys(redis: &Redis, pattern: &str) -> Result<Vec<String>> {
    Ok(redis.connection().await?.keys(pattern).await?)
}

/// Waits until a version answers at all: a serving process hears of it a moment after it was created.
pub async fn answers(client: &Client, version: &str) -> Result<()> {
    let asked = client.of_version(version);
    wait_for(&format!("an answer of {version}"), DEADLINE, async || {
        let (status, body) = asked.get(&format!("/v1/metrics/{METRIC}/total"), &[]).await?;
        Ok(Progress::when(status == 200, format_args!("{status}: {body}")))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_tried_again_only_if_nothing_but_lag_stands_against_it() {
        let said = |refusals: &str| {
            format!("error: version v2 does not become the active one:\n{refusals}--force lag overrides that\n")
        };
        let lag = "  lag: its answers are 2000 ms behind, more than versions.max_lag (1000 ms): wait until it has caught up\n";
        assert!(is_only_behind(&said(lag)));
        let incomplete =
            |why: &str| said(&format!("{lag}  incomplete: its answers are not complete: metric views: {why}\n"));
        assert!(is_only_behind(&incomplete("redis did not answer within 500 ms")));
        assert!(!is_only_behind(&incomplete(
            "offsets 3 to 5 are lost; metric pages: redis did not answer within 500 ms"
        )));
        let other = "  unverified: it was not verified: run `braid version verify`\n";
        assert!(!is_only_behind(&said(&format!("{lag}{other}"))) && !is_only_behind(&said(&format!("{other}{lag}"))));
        assert!(!is_only_behind(&said(other)) && !is_only_behind(&said("")));
        assert!(!is_only_behind(&format!("error: cannot reach the serving layer\n{lag}")));
    }
}
