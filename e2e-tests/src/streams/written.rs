//! What a stream has written: its topic and its side output, read as a consumer of committed records does.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use super::front::is_mark;
use super::log::parts;
use super::murmur2::partition_of;
use super::{Decided, Said};
use crate::kafka::{Found, partitions_of, read_all};
use crate::time::micros;

/// How many differences are shown.
const SHOWN: usize = 3;

/// Where a stream writes.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name in the catalog.
    pub name: String,
    /// The version of its deployment.
    pub version: String,
    /// Its topic.
    pub topic: String,
    /// Whether it keys records anew.
    pub is_rekeying: bool,
    /// Whether it has a side output.
    pub has_late: bool,
}

/// Something that a stream has written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The log of the source.
    pub log: String,
    /// The partition that the lane reads.
    pub partition: i32,
    /// The offset of the record that caused it.
    pub offset: i64,
    /// How many things the same record caused before.
    pub n: u32,
    /// The definition that it was written under.
    pub definition: String,
    /// Whether it stands in the side output.
    pub is_late: bool,
    /// The record.
    pub found: Found,
}

impl Written {
    /// The JSON of an output.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.found.payload).with_context(|| format!("no JSON: {self:?}"))
    }

    fn place(&self) -> (i32, i64, u32) {
        (self.partition, self.offset, self.n)
    }
}

impl Stream {
    /// A stream of windows, sessions or rules, or a map that keeps partitions; with the name that its topic ends with.
    pub fn of(stage: &str, name: &str) -> Stream {
        Stream {
            name: name.to_owned(),
            version: "v1".to_owned(),
            topic: format!("{stage}-{name}"),
            is_rekeying: false,
            has_late: true,
        }
    }

    /// Reads all that is committed. Each output must stand there once and in the order of positions, with its headers.
    pub fn read(&self, brokers: &str) -> Result<Vec<Written>> {
        let partitions = partitions_of(brokers, &self.topic)?;
        let mut all = Vec::new();
        self.take(&mut all, read_all(brokers, &self.topic)?, false, partitions)?;
        if self.has_late {
            self.take(&mut all, read_all(brokers, &format!("{}.late", self.topic))?, true, partitions)?;
        }
        let mut places = HashSet::new();
        for written in &all {
            ensure!(places.insert((&written.log, written.place())), "{} has written twice: {written:?}", self.name);
        }
        Ok(all)
    }

    fn take(&self, all: &mut Vec<Written>, records: Vec<Found>, is_late: bool, partitions: i32) -> Result<()> {
        // What was last seen of a lane in a partition of the topic.
        let mut last: HashMap<(i32, String, i32), (i64, u32)> = HashMap::new();
        for found in records.into_iter().filter(|found| !is_mark(found)) {
            let written = self.written(found, is_late)?;
            let lane = (written.found.partition, written.log.clone(), written.partition);
            let (offset, n) = (written.offset, written.n);
            if let Some(before) = last.insert(lane, (offset, n)) {
                ensure!(before < (offset, n), "{before:?} stands before {written:?}");
            }
            let partition = match &written.found.key {
                Some(key) if self.is_rekeying && !is_late => partition_of(key, partitions),
                _ => written.partition,
            };
            ensure!(written.found.partition == partition, "in another partition than {partition}: {written:?}");
            all.push(written);
        }
        Ok(())
    }

    fn written(&self, found: Found, is_late: bool) -> Result<Written> {
        let header = |name: &str| found.header(name).with_context(|| format!("no {name}: {found:?}"));
        ensure!(header("braid-stream")? == self.name, "of another stream: {found:?}");
        let position = header("braid-position")?.to_owned();
        let (log, partition, offset, n) = parts(&position)?;
        let definition = header("braid-definition")?.to_owned();
        let is_hash = definition.len() == 16 && definition.bytes().all(|digit| digit.is_ascii_hexdigit());
        ensure!(is_hash, "{definition:?} is no definition: {found:?}");
        if is_late {
            ensure!(header("braid-reason")? == "late", "another reason: {found:?}");
        } else {
            let document: Value = serde_json::from_slice(&found.payload).with_context(|| format!("{found:?}"))?;
            let id = format!("{}/{}/{position}", self.name, self.version);
            ensure!(document["output_id"] == id.as_str(), "{id} is called otherwise: {document}");
        }
        if self.is_rekeying && !is_late {
            ensure!(header("braid-upstream")? == format!("{log}/{partition}"), "of another upstream: {found:?}");
        }
        Ok(Written { log, partition, offset, n, definition, is_late, found })
    }

    /// What stands in the topics is what the oracle has decided, by partition.
    pub fn is_exactly(&self, written: &[Written], expected: &BTreeMap<i32, Vec<Decided>>) -> Result<()> {
        let mut open: BTreeMap<(i32, i64, u32), &Said> = BTreeMap::new();
        for (partition, decided) in expected {
            open.extend(decided.iter().map(|decided| ((*partition, decided.offset, decided.n), &decided.said)));
        }
        let (of, mut wrong) = (open.len(), Vec::new());
        for written in written {
            let outcome = match open.remove(&written.place()) {
                Some(said) => self.says(written, said),
                None => Err(anyhow::anyhow!("nothing is expected there")),
            };
            if let Err(error) = outcome {
                let payload = String::from_utf8_lossy(&written.found.payload);
                wrong.push(format!("{:?} in {}: {error:#}: {payload}", written.place(), self.topic));
            }
        }
        let missing: Vec<_> = open.iter().take(SHOWN).collect();
        if wrong.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let (number, count) = (wrong.len(), open.len());
        wrong.truncate(SHOWN);
        bail!(
            "stream {}: {of} expected, {} written, {number} of them wrong: {wrong:#?}; {count} missing: {missing:#?}",
            self.name,
            written.len()
        )
    }

    fn says(&self, written: &Written, expected: &Said) -> Result<()> {
        match expected {
            Said::Late { key, payload, missed } => {
                ensure!(written.is_late, "a late event is expected");
                ensure!(written.found.key == *key && written.found.payload == *payload, "the record is not as it was");
                let said = written.found.header("braid-missed").map(range).transpose()?;
                ensure!(said == *missed, "it says that {said:?} was missed instead of {missed:?}");
            }
            Said::Output { time_us, key, fields } => {
                ensure!(!written.is_late, "an output is expected");
                ensure!(written.found.key == *key, "the key is {:?} instead of {key:?}", written.found.key);
                let document = written.json()?;
                let said = document.as_object().context("no object")?;
                let names = ["output_id", "output_time"].into_iter().chain(fields.keys().map(String::as_str));
                let names: Vec<&str> = names.collect();
                ensure!(said.keys().eq(&names), "expected the fields {names:?}");
                let output_time = said["output_time"].as_str().context("no output_time")?;
                ensure!(micros(output_time)? == *time_us, "the output_time is not {time_us}");
                for (name, value) in fields {
                    ensure!(said[name] == *value, "{name} is not {value}");
                }
            }
        }
        Ok(())
    }

    /// Waits until what is committed is what `expected` gives, which is asked again each time.
    pub async fn becomes(
        &self,
        brokers: &str,
        expected: impl Fn() -> Result<BTreeMap<i32, Vec<Decided>>>,
    ) -> Result<Vec<Written>> {
        wait_for(&format!("stream {} to be written", self.name), DEADLINE, async || {
            let written = self.read(brokers)?;
            Ok(match self.is_exactly(&written, &expected()?) {
                Ok(()) => Progress::Done(written),
                Err(differs) => Progress::NotYet(format!("{differs:#}")),
            })
        })
        .await
    }
}

/// Microseconds of `<start>/<end>`.
fn range(text: &str) -> Result<(i64, i64)> {
    let (start, end) = text.split_once('/').with_context(|| format!("{text:?} is no range"))?;
    Ok((micros(start)?, micros(end)?))
}
