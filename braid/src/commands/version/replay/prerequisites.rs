//! What a replay needs, judged from what was seen (K4). Nothing is asked here.

use shared_logic::version::ReplayFrom;

use crate::number::{duration, integer};

/// What a row of a view takes in Redis, about: its part of a group key's field, and its values.
const ROW_BYTES: u64 = 150;

/// What was seen of all that a replay needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// What is to be read.
    pub(super) from: ReplayFrom,
    /// Whether the deployment keeps an archive.
    pub(super) keeps_archive: bool,
    /// The sources that are counted or that streams of the version's own read.
    pub(super) sources: Vec<SeenSource>,
    /// What it will take in Redis.
    pub(super) redis: SeenRedis,
    /// How many records the active version counts a second; `None` if none arrived while it was looked at.
    pub(super) per_second: Option<f64>,
    /// Whether the version has shards already, and goes on.
    pub(super) has_shards: bool,
}

/// A source of the version.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeenSource {
    /// Its name.
    pub(super) name: String,
    /// Its topic.
    pub(super) topic: String,
    /// The version's own streams that read it, which are written from the log's begin, however metrics are counted.
    pub(super) own_streams: Vec<String>,
    /// Whether metrics count it.
    pub(super) is_counted: bool,
    /// The topic as it is; `None` if there is none.
    pub(super) log: Option<SeenLog>,
    /// The archive; `None` if nothing is archived.
    pub(super) archive: Option<SeenArchive>,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeenLog {
    /// Whether records may vanish from its middle.
    pub(super) is_compacted: bool,
    /// Its partitions, by their numbers.
    pub(super) partitions: Vec<SeenPartition>,
}

/// A partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct SeenPartition {
    /// The first offset that the log holds.
    pub(super) start: i64,
    /// Where it ends.
    pub(super) end: i64,
    /// Where the archive begins it, or where the version goes on; `None` if the archive has not begun it, or there is none.
    pub(super) begin: Option<i64>,
    /// Below which events were erased; the log may hold them still. `None` if none were.
    pub(super) erased_below: Option<i64>,
}

/// What the archive of a source says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeenArchive {
    /// How many logs, or partitions of logs, have ended, so that nothing but the archive holds them.
    pub(super) closed: usize,
    /// How many ranges were lost before they were archived, and nobody has accepted that.
    pub(super) lost: usize,
    /// The first records that cannot be decoded by the version's rules, if there are any.
    pub(super) undecodable: Option<String>,
    /// Whether days were retired.
    pub(super) is_retired: bool,
}

/// Redis, and what the version will take of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SeenRedis {
    /// Rows of the active version's views of the metrics that the version counts.
    pub(super) rows: u64,
    /// What the active version's shards take now.
    pub(super) shard_bytes: u64,
    /// What the version's own take already, if it goes on.
    pub(super) own_bytes: u64,
    /// Metrics that the active version does not count, so that nobody knows what they take.
    pub(super) unknown: Vec<String>,
    /// What is used.
    pub(super) used: u64,
    /// What may be used at most; `None` if Redis does not say.
    pub(super) most: Option<u64>,
    /// Primaries of a cluster that could not be asked.
    pub(super) unasked: Vec<String>,
}

/// Something that a replay needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prerequisite {
    /// What to call it.
    pub(super) name: String,
    /// Whether it holds.
    pub(super) verdict: Verdict,
    /// Whether a replay may not begin as long as nobody knows.
    is_needed: bool,
}

/// Whether something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does, with what was found.
    Ok(String),
    /// It does not: why, and the way out.
    Refused(String, &'static str),
    /// Nobody knows, and why.
    Unknown(String),
}

impl Verdict {
    pub(super) fn is_ok(&self) -> bool {
        matches!(self, Verdict::Ok(_))
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Verdict::Ok(_) => "yes",
            Verdict::Refused(..) => "no",
            Verdict::Unknown(_) => "unknown",
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Verdict::Ok(found) => found.clone(),
            Verdict::Refused(why, way_out) => format!("{why}: {way_out}"),
            Verdict::Unknown(why) => why.clone(),
        }
    }
}

impl Prerequisite {
    fn needed(name: impl Into<String>, verdict: Verdict) -> Prerequisite {
        Prerequisite { name: name.into(), verdict, is_needed: true }
    }

    /// Whether the replay does not begin. `yes`: an operator wants it also where something is not known.
    pub(super) fn stops(&self, yes: bool) -> bool {
        match self.verdict {
            Verdict::Ok(_) => false,
            Verdict::Refused(..) => true,
            Verdict::Unknown(_) => self.is_needed && !yes,
        }
    }
}

impl Seen {
    /// Whether the batch layer has to count archives before the speed layer may begin. One that has begun goes on.
    pub(super) fn counts_first(&self) -> bool {
        let has_ended = |source: &SeenSource| source.is_counted && source.closed() > 0;
        !self.has_shards && (self.from == ReplayFrom::Archive || self.sources.iter().any(has_ended))
    }

    /// How many records are to be read of the logs.
    fn to_go(&self) -> u64 {
        let logs = self.sources.iter().filter(|source| source.is_counted).filter_map(|source| source.log.as_ref());
        let left = |partition: &SeenPartition| {
            let from = partition.begin.unwrap_or(partition.start).max(partition.start);
            u64::try_from(partition.end - from).unwrap_or(0)
        };
        logs.flat_map(|log| &log.partitions).map(left).sum()
    }
}

impl SeenSource {
    fn closed(&self) -> usize {
        self.archive.as_ref().map_or(0, |archive| archive.closed)
    }
}

/// Whether the speed layer counts all of a source from its log.
fn counts_log(seen: &Seen, source: &SeenSource) -> bool {
    seen.from == ReplayFrom::Log && source.is_counted
}

/// K4: what a replay needs, and whether it is there.
pub(super) fn judge(seen: &Seen) -> Vec<Prerequisite> {
    let mut all = Vec::new();
    for source in &seen.sources {
        let reads_log = counts_log(seen, source) || !source.own_streams.is_empty();
        if reads_log {
            all.push(Prerequisite::needed(format!("log of {}", source.name), log(seen, source)));
        }
        let reads_archive = source.is_counted && (seen.from == ReplayFrom::Archive || source.closed() > 0);
        if reads_archive {
            all.push(Prerequisite::needed(format!("archive of {}", source.name), archive(seen, source)));
        }
        if !source.own_streams.is_empty() && source.closed() > 0 {
            let (streams, closed) = (source.own_streams.join(", "), source.closed());
            let why =
                format!("{streams}: {closed} logs of {} have ended, of which no stream can be written", source.name);
            all.push(Prerequisite::needed(format!("streams over {}", source.name), Verdict::Unknown(why)));
        }
    }
    let deterministic = "an expression of a catalog depends on nothing but its record".to_owned();
    all.push(Prerequisite::needed("expressions", Verdict::Ok(deterministic)));
    all.push(Prerequisite::needed("room in Redis", room(seen)));
    all.push(Prerequisite { name: "time".to_owned(), verdict: time(seen), is_needed: false });
    all
}

/// The log holds everything from the begin.
fn log(seen: &Seen, source: &SeenSource) -> Verdict {
    // What streams of its own need, no archive has.
    let way_out = if source.own_streams.is_empty() && seen.keeps_archive {
        "use --from archive"
    } else {
        "nothing else holds these records"
    };
    let Some(log) = &source.log else {
        return Verdict::Refused(format!("there is no topic {}", source.topic), "create it: `batch-layer init`");
    };
    if log.is_compacted {
        return Verdict::Refused(format!("topic {} is compacted, so records may be gone", source.topic), way_out);
    }
    for (number, partition) in log.partitions.iter().enumerate() {
        match partition.begin {
            Some(begin) if partition.start > begin => {
                let why = format!(
                    "partition {number} of topic {} starts at {} by now, and begins at {begin}",
                    source.topic, partition.start
                );
                return Verdict::Refused(why, way_out);
            }
            None if seen.keeps_archive => {
                let why = format!("the archive has not begun partition {number} of {}", source.topic);
                return Verdict::Refused(why, "is `batch-layer archive` running?");
            }
            Some(begin) if counts_log(seen, source) && partition.erased_below.is_some_and(|below| begin < below) => {
                let below = partition.erased_below.unwrap_or(begin);
                let why = format!(
                    "events of partition {number} of topic {} were erased below {below}, which the log may hold still, and would be counted again",
                    source.topic
                );
                return Verdict::Refused(why, "create another version and use --from archive");
            }
            _ => {}
        }
    }
    Verdict::Ok(if seen.keeps_archive {
        "it holds everything from where the archive begins".to_owned()
    } else {
        "there is no archive: what it holds now is everything".to_owned()
    })
}

/// The archive is whole and can be decoded.
fn archive(seen: &Seen, source: &SeenSource) -> Verdict {
    let Some(archive) = &source.archive else {
        let way_out = if seen.keeps_archive { "is `batch-layer archive` running?" } else { "use --from log" };
        return Verdict::Refused(format!("nothing of {} is archived", source.name), way_out);
    };
    if let Some(records) = &archive.undecodable {
        let why = format!("{records} are archived without their bytes, and cannot be decoded by this version's rules");
        return Verdict::Refused(why, "see `braid lost list`; make the version's catalog read them as before");
    }
    if archive.is_retired {
        let why = format!("old days of {} are retired, so that they cannot be counted", source.name);
        return Verdict::Refused(why, "replay from the log if that still holds them");
    }
    if archive.lost > 0 {
        let why = format!(
            "{} ranges of {} were lost before they were archived, which answers of every version lack; see `braid lost list`",
            archive.lost, source.name
        );
        return Verdict::Unknown(why);
    }
    Verdict::Ok("it is whole, and can be decoded by this version's rules".to_owned())
}

/// Redis has room for what the speed layer will count.
fn room(seen: &Seen) -> Verdict {
    let redis = &seen.redis;
    // From the archive, shards begin where the views end.
    let rows = if seen.from == ReplayFrom::Archive { 0 } else { redis.rows };
    let all = rows.saturating_mul(ROW_BYTES).saturating_add(redis.shard_bytes);
    let needed = all.saturating_sub(redis.own_bytes);
    let mib = |bytes: u64| format!("{} MiB", integer(bytes.div_ceil(1 << 20)));
    if !redis.unasked.is_empty() {
        return Verdict::Unknown(format!(
            "it takes about {}; what these primaries of the Redis Cluster have is not known, since they do not answer: {}",
            mib(needed),
            redis.unasked.join(", ")
        ));
    }
    let Some(most) = redis.most else {
        return Verdict::Unknown(format!("it takes about {}; Redis does not say how much it has", mib(needed)));
    };
    let free = most.saturating_sub(redis.used);
    if needed > free {
        return Verdict::Refused(
            format!("it takes about {}, and {} of {} are free", mib(needed), mib(free), mib(most)),
            "give Redis more memory (maxmemory), retire a version, or use --from archive",
        );
    }
    let found = format!("it takes about {}, and {} are free", mib(needed), mib(free));
    if redis.unknown.is_empty() || seen.from == ReplayFrom::Archive {
        Verdict::Ok(found)
    } else {
        Verdict::Unknown(format!("{found}; but {} were not counted before", redis.unknown.join(", ")))
    }
}

/// How long it takes.
fn time(seen: &Seen) -> Verdict {
    let to_go = seen.to_go();
    let records = integer(to_go);
    match seen.per_second {
        Some(per_second) if per_second > 0.0 => {
            let ms = (to_go as f64 / per_second * 1_000.0).min(u64::MAX as f64) as u64;
            Verdict::Ok(format!(
                "{records} records; the active version counts {} a second now, at which that is {}",
                integer(per_second.round() as u64),
                duration(ms)
            ))
        }
        _ => Verdict::Unknown(format!("{records} records; how fast they are counted is seen once it has begun")),
    }
}

#[cfg(test)]
mod tests;
