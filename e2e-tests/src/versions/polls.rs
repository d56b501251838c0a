//! Questions that are asked without pause while versions are created, replayed, promoted and retired.
//!
//! No request may fail. Every answer names the version that gave it, and is held to that version's counts: of a video about which nothing is
//! sent any more, to the very number; of everything, to what was sent and what had arrived. Both versions count different views, so an
//! answer that mixes two is neither's.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::answers;
use crate::answer::{Answer, Client};
use crate::load::{Counted, Load};
use crate::oracle::{Counts, EVER, Oracle};
use crate::views::{METRIC, Sent};

/// This leaves the machine to the platform under test; nothing depends on it.
const PAUSE: Duration = Duration::from_millis(10);

/// A video about which nothing is sent any more.
#[derive(Debug, Clone)]
pub struct Still {
    video: String,
    /// What it counts: views of status 200, and all.
    counts: [Counts; 2],
}

impl Still {
    /// That video, of which these are all views there are.
    pub fn of(video: &str, sent: &[Sent]) -> Still {
        let counts = [Oracle::default(), Oracle::of_every_status()].map(|mut oracle| {
            oracle.observe(sent);
            oracle.total(Some(video), EVER)
        });
        Still { video: video.to_owned(), counts }
    }
}

/// One client that asks without pause.
pub struct Polls<'a> {
    client: Client,
    load: &'a Load,
    still: Still,
    /// What each version counts.
    counted: BTreeMap<&'a str, Counted>,
    /// Whether answers may be incomplete.
    may_lack: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Versions that are asked for by name.
    named: BTreeSet<String>,
    /// The versions that were active, one after the other, as answers have named them.
    turns: Vec<String>,
    /// How many answers each version has given.
    answers: BTreeMap<String, usize>,
}

impl<'a> Polls<'a> {
    /// Asks that client about the load and the still video. `counted` says what each version counts.
    pub fn new(client: Client, load: &'a Load, still: Still, counted: &[(&'a str, Counted)]) -> Polls<'a> {
        let counted = counted.iter().copied().collect();
        Polls { client, load, still, counted, may_lack: false, seen: Mutex::default() }
    }

    /// The same where something is wrong meanwhile, so that answers may say that something is missing.
    pub fn that_may_lack(self) -> Polls<'a> {
        Polls { may_lack: true, ..self }
    }

    /// Asks until `work` is done.
    ///
    /// # Errors
    /// If a request fails, or an answer is not exact for the version that it names; and what `work` fails with.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            broken = self.ask_for_ever() => match broken? {},
            done = work => done,
        }
    }

    /// From now on, also asks for that version by its name; waits for its first answer.
    pub async fn ask_for(&self, version: &str) -> Result<()> {
        answers(&self.client, version).await?;
        self.seen().named.insert(version.to_owned());
        Ok(())
    }

    /// From now on, asks no more for that version by its name.
    pub fn ask_no_more(&self, version: &str) {
        self.seen().named.remove(version);
    }

    /// The versions that were active, one after the other, as answers have named them.
    pub fn turns(&self) -> Vec<String> {
        self.seen().turns.clone()
    }

    /// How many answers each version has given.
    pub fn answers(&self) -> BTreeMap<String, usize> {
        self.seen().answers.clone()
    }

    async fn ask_for_ever(&self) -> Result<Infallible> {
        let still = [("video_id", self.still.video.clone())];
        loop {
            let named: Vec<String> = self.seen().named.iter().cloned().collect();
            for asked in [None].into_iter().chain(named.iter().map(Some)) {
                let client = asked.map_or_else(|| self.client.clone(), |version| self.client.of_version(version));
                for parameters in [&[][..], &still[..]] {
                    let answer = client.total(METRIC, parameters).await?;
                    self.holds(asked, !parameters.is_empty(), &answer)
                        .with_context(|| format!("asked for {asked:?}, {parameters:?}"))?;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// An answer is exact for the version that it names.
    fn holds(&self, asked: Option<&String>, is_still: bool, answer: &Answer) -> Result<()> {
        let version = answer.version.as_str();
        let counted = *self.counted.get(version).with_context(|| format!("of no version that there is: {answer:?}"))?;
        match asked {
            Some(asked) => ensure!(version == asked, "of {version} instead of {asked}: {answer:?}"),
            // Nothing else is wrong, so nothing is ever missing.
            None => ensure!(answer.complete || self.may_lack, "incomplete: {answer:?}"),
        }
        if is_still {
            let (counts, expected) = (answer.counts()?, self.still.counts[counted as usize]);
            let is_less = !answer.complete && counts.views <= expected.views && counts.dwell_ms <= expected.dwell_ms;
            ensure!(counts == expected || is_less, "{version} counts {expected:?}: {answer:?}");
        } else {
            self.load.check_of(counted, answer)?;
        }
        let mut seen = self.seen();
        *seen.answers.entry(version.to_owned()).or_default() += 1;
        if asked.is_none() && seen.turns.last().is_none_or(|last| last != version) {
            seen.turns.push(version.to_owned());
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
