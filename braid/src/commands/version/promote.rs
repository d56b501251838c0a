//! `braid version promote` and `roll-back`: another version becomes the active one. It is one conditional put of the pointer, and before
//! that everything is judged that stands against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use batch_layer::version::candidate;
use platform::settings::{Settings, SettingsArgs};
use serde::{Deserialize, Serialize};
use shared_logic::catalog::Catalog;
use shared_logic::version::{Bounds, Candidate, DeployedVersions, Obstacle, code, obstacles, obstacles_back};

use super::{Steps, Who};
use crate::commands::output::{Output, show};
use crate::serving::{Serving, ServingArgs};

/// The words by which obstacles are overridden.
const WORDS: [&str; 8] =
    ["unverified", "verify-age", "definitions", "code", "lag", "incomplete", "streams", "changed-in-place"];

/// Makes a version the active one, if nothing stands against it
///
/// It has to be verified within `versions.verify_age`, under the definitions and the code of now; its answers may be at most `versions.max_lag`
/// behind, and have to be complete; the checks of its own streams must not have found anything. `--force` names what of that is
/// overridden. From one moment on, every process answers by it that has read the pointer; which topics change for those who read
/// streams themselves is printed.
///
/// Exits with 1 if something stands against it, and with 0 if it is the active one already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version promote v2
  braid version promote v2 --force lag,incomplete")]
pub(super) struct Args {
    /// The version
    #[arg(id = "of_version", value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    how: How,
}

/// Makes the version before the active one again
///
/// It was counted all the time, so its answers have to be complete and up to date, and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version roll-back
  braid version roll-back --force lag")]
pub(super) struct BackArgs {
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// What is overridden: unverified, verify-age, definitions, code, lag, incomplete, streams, changed-in-place
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = WORDS)]
    force: Vec<String>,
    /// How it is printed; lines on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    by: Who,
    #[command(flatten)]
    serving: ServingArgs,
}

/// Runs `promote`.
///
/// # Errors
/// If something stands against it.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let steps = Steps::of(settings)?;
    let versions = Arc::new(steps.deployed().await?);
    let Steps { settings, file, store } = steps;
    let (version, how) = (args.version, args.how);
    if versions.active_name() == version {
        // So one whose end was not heard can be called again.
        return show(how.output, &Promoted::already(version, versions.number)).map(|()| ExitCode::SUCCESS);
    }
    let candidate = known(&settings, &versions, &version, &how.serving).await?;
    let found = obstacles(&versions.pointer, &version, &candidate, &bounds(&settings));
    let forced = overridden(&version, &found, &how.force)?;
    let (first, who, what) = (file.deployment.version.as_str(), how.by.name(), format!("promote {version}"));
    let lag_ms = candidate.lag_ms;
    let step =
        store.step(first, &who, &what, |pointer, change| pointer.promote(&version, lag_ms, forced.clone(), change));
    let (number, _) = step.await?;
    show(how.output, &Promoted::of(&versions, version, number, forced))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `roll-back`.
///
/// # Errors
/// If there is no version before, or something stands against it.
pub(super) async fn roll_back(args: BackArgs, settings: &SettingsArgs) -> Result<ExitCode> {
    let steps = Steps::of(settings)?;
    let versions = Arc::new(steps.deployed().await?);
    let Steps { settings, file, store } = steps;
    let how = args.how;
    let active = versions.active_name();
    let before = versions.pointer.before.clone();
    let before = before.with_context(|| format!("no version was active before {active}, or it is retired"))?;
    let candidate = known(&settings, &versions, &before, &how.serving).await?;
    let forced = overridden(&before, &obstacles_back(&candidate, &bounds(&settings)), &how.force)?;
    let (first, who, what) = (file.deployment.version.as_str(), how.by.name(), format!("roll back to {before}"));
    let lag_ms = candidate.lag_ms;
    let step =
        store.step(first, &who, &what, |pointer, change| pointer.roll_back(&before, lag_ms, forced.clone(), change));
    let (number, _) = step.await?;
    show(how.output, &Promoted::of(&versions, before, number, forced))?;
    Ok(ExitCode::SUCCESS)
}

fn bounds(settings: &Settings) -> Bounds {
    let verify_age_us = i64::try_from(settings.versions.verify_age.get().as_micros()).unwrap_or(i64::MAX);
    Bounds { verify_age_us, max_lag_ms: settings.versions.max_lag.millis() }
}

/// What is known of a version: by the store, and by the serving layer, which answers for it.
async fn known(
    settings: &Settings,
    versions: &DeployedVersions,
    version: &str,
    serving: &ServingArgs,
) -> Result<Candidate> {
    let (definitions, unproven_streams) = candidate(settings, versions, version).await?;
    let served = match served(&serving.serving()?, version).await {
        Ok(served) => served,
        Err(why) => Served { lag_ms: None, incomplete: vec![format!("the serving layer does not say: {why:#}")] },
    };
    Ok(Candidate {
        now_us: platform::clock::now_us(),
        definitions,
        code: code(),
        lag_ms: served.lag_ms,
        incomplete: served.incomplete,
        unproven_streams,
        changed_in_place: versions.changed_in_place(version),
    })
}

/// What the serving layer says of a version.
#[derive(Debug, PartialEq)]
struct Served {
    lag_ms: Option<u64>,
    incomplete: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Versions {
    versions: Vec<One>,
}

#[derive(Debug, Deserialize)]
struct One {
    version: String,
    lag_ms: Option<u64>,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    incomplete: Vec<String>,
    #[serde(default)]
    error: Option<String>,
}

async fn served(serving: &Serving, version: &str) -> Result<Served> {
    let answer = serving.answer(&["v1", "versions"]).await?;
    of_version(&answer, version)
}

fn of_version(answer: &str, version: &str) -> Result<Served> {
    let answer: Versions = serde_json::from_str(answer).context("the answer says nothing of versions")?;
    let one = answer.versions.into_iter().find(|one| one.version == version);
    let One { lag_ms, complete, mut incomplete, error, .. } =
        one.with_context(|| format!("it does not host {version}"))?;
    incomplete.extend(error);
    if !complete && incomplete.is_empty() {
        incomplete.push("an answer of it has a gap".to_owned());
    }
    Ok(Served { lag_ms, incomplete })
}

/// The words of what stands against a step and is overridden.
///
/// # Errors
/// If anything stands against it besides.
fn overridden(version: &str, found: &[Obstacle], force: &[String]) -> Result<Vec<String>> {
    let is_forced = |obstacle: &&Obstacle| force.iter().any(|word| word == obstacle.word());
    let left: Vec<String> = found
        .iter()
        .filter(|obstacle| !is_forced(obstacle))
        .map(|obstacle| format!("  {}: {obstacle}", obstacle.word()))
        .collect();
    if !left.is_empty() {
        let words: BTreeSet<&str> = found.iter().map(Obstacle::word).collect();
        let words = words.into_iter().collect::<Vec<_>>().join(",");
        bail!("version {version} does not become the active one:\n{}\n--force {words} overrides that", left.join("\n"));
    }
    Ok(found.iter().filter(is_forced).map(|obstacle| obstacle.word().to_owned()).collect())
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Promoted {
    /// The version that is the active one now.
    version: String,
    /// The number of the pointer that says so, or a later one.
    pointer: u64,
    /// Whether it was the active one before.
    was_active: bool,
    /// What was overridden.
    forced: Vec<String>,
    /// The streams of which those who read topics themselves have to read another one.
    streams: Vec<OtherTopic>,
}

/// A stream that has another topic in the version that is active now.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct OtherTopic {
    stream: String,
    /// Its topic in the version before; `None` if that had no such stream.
    before: Option<String>,
    /// Its topic now; `None` if it is not written any more by the active version.
    now: Option<String>,
}

impl Promoted {
    fn already(version: String, pointer: u64) -> Promoted {
        Promoted { version, pointer, was_active: true, forced: Vec::new(), streams: Vec::new() }
    }

    /// `versions` are those of before.
    fn of(versions: &DeployedVersions, version: String, pointer: u64, forced: Vec<String>) -> Promoted {
        let topics = |catalog: Option<&Arc<Catalog>>| -> BTreeMap<String, String> {
            let streams = catalog.into_iter().flat_map(|catalog| catalog.streams.values());
            streams.map(|stream| (stream.name.clone(), stream.topic.clone())).collect()
        };
        let (before, now) = (topics(Some(versions.active())), topics(versions.version(&version)));
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let of = |stream: &String| OtherTopic {
            stream: stream.clone(),
            before: before.get(stream).cloned(),
            now: now.get(stream).cloned(),
        };
        let streams = names.into_iter().map(of).filter(|stream| stream.before != stream.now).collect();
        Promoted { version, pointer, was_active: false, forced, streams }
    }
}

impl fmt::Display for Promoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let already = if self.was_active { " already" } else { "" };
        writeln!(f, "version {} is the active one{already} (pointer {})", self.version, self.pointer)?;
        if self.forced.iter().any(|word| word == Obstacle::NotVerified.word()) {
            writeln!(
                f,
                "it is reconciled from now on, so what its replay itself has counted cannot be verified any more"
            )?;
        }
        for OtherTopic { stream, before, now } in &self.streams {
            match (before, now) {
                (Some(before), Some(now)) => writeln!(f, "stream {stream}: read {now} instead of {before}")?,
                (None, Some(now)) => writeln!(f, "stream {stream}: read {now}")?,
                (Some(before), None) => writeln!(f, "stream {stream}: {before} is not written by this version")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::version::{Change, Pointer, changed};

    use super::*;

    #[test]
    fn what_stands_against_a_promotion_is_named_unless_it_is_overridden() {
        let found = [Obstacle::NotVerified, Obstacle::Lag { lag_ms: Some(70), at_most_ms: 50 }];
        let words = |force: &[&str]| {
            let force: Vec<String> = force.iter().map(|word| (*word).to_owned()).collect();
            overridden("v2", &found, &force).map_err(|error| error.to_string())
        };
        assert_eq!(words(&["lag", "unverified"]), Ok(vec!["unverified".to_owned(), "lag".to_owned()]));
        let refused = words(&["lag"]).expect_err("it is not verified");
        assert!(refused.contains("unverified: it was not verified") && !refused.contains("70 ms"), "{refused}");
        assert_eq!(overridden("v2", &[], &["code".to_owned()]).expect("nothing stands against it"), [""; 0]);
    }

    #[test]
    fn who_reads_topics_is_told_which_ones_are_others_now() {
        let text = |streams: &str| {
            format!(
                "[sources.s]\nevent_id = \"id\"\nevent_time = \"at\"\nkey = \"id\"\n[sources.s.fields]\nid = \"string\"\nat = \"timestamp\"\nn = \"int\"\n{streams}"
            )
        };
        let stream = |name: &str, least: u8| format!("[streams.{name}]\nfrom = \"s\"\nwhere = \"n > {least}\"\n");
        let change = || Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() };
        let file = text(&(stream("gone", 1) + &stream("few", 1) + &stream("same", 1)));
        let newer = text(&(stream("added", 1) + &stream("few", 2) + &stream("same", 1)));
        let [file, second] = [file, newer.clone()].map(|text| Catalog::parse(&text).expect("a catalog"));
        let changed = changed(&second, &[&file], "v2", "v1").expect("shared");
        let pointer = Pointer::begin("v1", change()).create("v2", "c", changed, 4, change()).expect("created");
        let texts = [("v2".to_owned(), newer)].into();
        let versions = DeployedVersions::resolve(1, pointer, &file, &texts).expect("resolved");
        let promoted = Promoted::of(&versions, "v2".to_owned(), 7, vec!["unverified".to_owned()]);
        let said = "version v2 is the active one (pointer 7)\n\
                    it is reconciled from now on, so what its replay itself has counted cannot be verified any more\n\
                    stream added: read added.v2\nstream few: read few.v2 instead of few\nstream gone: gone is not written by this version\n";
        assert_eq!(promoted.to_string(), said);
        let json = serde_json::to_value(&promoted).expect("plain data");
        assert_eq!(json["streams"][1], serde_json::json!({"stream": "few", "before": "few", "now": "few.v2"}));
        let already = Promoted::already("v2".to_owned(), 7);
        assert_eq!(already.to_string(), "version v2 is the active one already (pointer 7)\n");
    }

    #[test]
    fn the_serving_layer_says_how_a_version_answers() {
        let answer = r#"{"active": "v1", "versions": [
            {"version": "v1", "lag_ms": 5, "complete": true, "incomplete": []},
            {"version": "v2", "lag_ms": null, "complete": false, "incomplete": ["metric m"], "error": null},
            {"version": "v3", "lag_ms": 1, "complete": false}]}"#;
        let of = |version| of_version(answer, version).map_err(|error| error.to_string());
        assert_eq!(of("v1"), Ok(Served { lag_ms: Some(5), incomplete: vec![] }));
        assert_eq!(of("v2"), Ok(Served { lag_ms: None, incomplete: vec!["metric m".to_owned()] }));
        assert_eq!(of("v3").map(|served| served.incomplete.len()), Ok(1), "it is not complete, and says no more");
        assert_eq!(of("v4"), Err("it does not host v4".to_owned()));
    }

    #[test]
    fn every_obstacle_has_a_word_that_can_be_said() {
        let all = [
            Obstacle::NotVerified,
            Obstacle::VerifiedLongAgo { ago_us: 2, at_most_us: 1 },
            Obstacle::OtherDefinitions { metrics: vec![] },
            Obstacle::OtherCode { verified_by: String::new() },
            Obstacle::Lag { lag_ms: None, at_most_ms: 1 },
            Obstacle::Incomplete { why: vec![] },
            Obstacle::Streams { why: vec![] },
            Obstacle::ChangedInPlace { names: vec![] },
        ];
        assert_eq!(all.map(|obstacle| obstacle.word()), WORDS);
    }
}
