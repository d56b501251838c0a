//! What stands against a promotion (K7).

use std::collections::BTreeMap;
use std::fmt;

use super::pointer::{Pointer, Verified};
use crate::catalog::{DECODER_VERSION, DefinitionHash, PLAN_VERSION, REPORT_VERSION, STREAM_VERSION, TABLE_VERSION};

/// What is known of a version that is to become the active one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Now, microseconds since 1970.
    pub now_us: i64,
    /// By metric, the definition that its catalog has now.
    pub definitions: BTreeMap<String, DefinitionHash>,
    /// The code that looks, see [`code`].
    pub code: String,
    /// How far its answers are behind; `None` if that is not known.
    pub lag_ms: Option<u64>,
    /// What its answers lack, in words; nothing if all of them are complete.
    pub incomplete: Vec<String>,
    /// The streams of its own whose check did not find nothing, each with what it found.
    pub unproven_streams: Vec<String>,
    /// The streams and tables that it shares with a version that has changed them in place since.
    pub changed_in_place: Vec<String>,
}

/// The bounds within which a version may become the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long ago it may have been verified, in microseconds.
    pub verify_age_us: i64,
    /// How far its answers may be behind, in milliseconds.
    pub max_lag_ms: u64,
}

/// Something that stands against a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// No verification has found it to be right.
    NotVerified,
    /// That was too long ago: so many microseconds.
    VerifiedLongAgo {
        /// How long.
        ago_us: i64,
        /// How long it may be.
        at_most_us: i64,
    },
    /// These metrics are others than those that were verified.
    OtherDefinitions {
        /// Their names.
        metrics: Vec<String>,
    },
    /// Other code verified it.
    OtherCode {
        /// Which.
        verified_by: String,
    },
    /// Its answers are too far behind, or it is not known how far.
    Lag {
        /// How far.
        lag_ms: Option<u64>,
        /// How far they may be.
        at_most_ms: u64,
    },
    /// Not all of its answers are complete.
    Incomplete {
        /// What they lack.
        why: Vec<String>,
    },
    /// Its own streams are not what their definitions decide, or that is not known.
    Streams {
        /// Which, and what was found.
        why: Vec<String>,
    },
    /// What it shares was changed in place since.
    ChangedInPlace {
        /// The names of streams and tables.
        names: Vec<String>,
    },
}

impl Obstacle {
    /// The word by which an operator overrides it.
    pub fn word(&self) -> &'static str {
        match self {
            Obstacle::NotVerified => "unverified",
            Obstacle::VerifiedLongAgo { .. } => "verify-age",
            Obstacle::OtherDefinitions { .. } => "definitions",
            Obstacle::OtherCode { .. } => "code",
            Obstacle::Lag { .. } => "lag",
            Obstacle::Incomplete { .. } => "incomplete",
            Obstacle::Streams { .. } => "streams",
            Obstacle::ChangedInPlace { .. } => "changed-in-place",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |us: i64| us / 1_000_000;
        match self {
            Obstacle::NotVerified => write!(f, "it was not verified: run `braid version verify`"),
            Obstacle::VerifiedLongAgo { ago_us, at_most_us } => write!(
                f,
                "it was verified {} s ago, more than versions.verify_age ({} s): run `braid version verify` again",
                seconds(*ago_us),
                seconds(*at_most_us)
            ),
            Obstacle::OtherDefinitions { metrics } => {
                write!(
                    f,
                    "{} count otherwise than what was verified: run `braid version verify` again",
                    metrics.join(", ")
                )
            }
            Obstacle::OtherCode { verified_by } => {
                write!(f, "other code verified it ({verified_by}): run `braid version verify` again")
            }
            Obstacle::Lag { lag_ms: None, .. } => {
                write!(f, "how far its answers are behind is not known: does the speed layer count it?")
            }
            Obstacle::Lag { lag_ms: Some(lag), at_most_ms } => {
                write!(
                    f,
                    "its answers are {lag} ms behind, more than versions.max_lag ({at_most_ms} ms): wait until it has caught up"
                )
            }
            Obstacle::Incomplete { why } => write!(f, "its answers are not complete: {}", why.join("; ")),
            Obstacle::Streams { why } => write!(
                f,
                "its streams are not proven to be what their definitions decide: {}; see `braid streams`, and wait for the next check",
                why.join("; ")
            ),
            Obstacle::ChangedInPlace { names } => write!(
                f,
                "{} are shared with a version that has changed them in place since: undo that, or create another version",
                names.join(", ")
            ),
        }
    }
}

/// K7: what stands against making a version the active one.
pub fn obstacles(pointer: &Pointer, name: &str, candidate: &Candidate, bounds: &Bounds) -> Vec<Obstacle> {
    let mut found = Vec::new();
    match pointer.versions.get(name).and_then(|recorded| recorded.verified.as_ref()) {
        None => found.push(Obstacle::NotVerified),
        Some(verified) => verified_obstacles(verified, candidate, bounds, &mut found),
    }
    found.extend(obstacles_back(candidate, bounds));
    if !candidate.unproven_streams.is_empty() {
        found.push(Obstacle::Streams { why: candidate.unproven_streams.clone() });
    }
    if !candidate.changed_in_place.is_empty() {
        found.push(Obstacle::ChangedInPlace { names: candidate.changed_in_place.clone() });
    }
    found
}

/// K9: what stands against going back to the version before. It answered once, so it is not verified again.
pub fn obstacles_back(candidate: &Candidate, bounds: &Bounds) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if candidate.lag_ms.is_none_or(|lag| lag > bounds.max_lag_ms) {
        found.push(Obstacle::Lag { lag_ms: candidate.lag_ms, at_most_ms: bounds.max_lag_ms });
    }
    if !candidate.incomplete.is_empty() {
        found.push(Obstacle::Incomplete { why: candidate.incomplete.clone() });
    }
    found
}

fn verified_obstacles(verified: &Verified, candidate: &Candidate, bounds: &Bounds, found: &mut Vec<Obstacle>) {
    let ago_us = candidate.now_us.saturating_sub(verified.at_us);
    // One that lies ahead was noted by a clock that was ahead, and says nothing of its age.
    if !(0..=bounds.verify_age_us).contains(&ago_us) {
        found.push(Obstacle::VerifiedLongAgo { ago_us, at_most_us: bounds.verify_age_us });
    }
    let is_other = |metric: &&String| verified.definitions.get(*metric) != candidate.definitions.get(*metric);
    let mut metrics: Vec<String> = candidate.definitions.keys().filter(is_other).cloned().collect();
    metrics.extend(verified.definitions.keys().filter(|metric| !candidate.definitions.contains_key(*metric)).cloned());
    if !metrics.is_empty() {
        found.push(Obstacle::OtherDefinitions { metrics });
    }
    if verified.code != candidate.code {
        found.push(Obstacle::OtherCode { verified_by: verified.code.clone() });
    }
}

/// The code that counts: the build, and the versions of all that can make the same catalog count otherwise.
pub fn code() -> String {
    format!(
        "{} decoder {DECODER_VERSION} plan {PLAN_VERSION} stream {STREAM_VERSION} table {TABLE_VERSION} report {REPORT_VERSION}",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::super::pointer::{Change, ReplayFrom};
    use super::*;
    use crate::catalog::Changed;

    const BOUNDS: Bounds = Bounds { verify_age_us: 1_000, max_lag_ms: 50 };

    fn change() -> Change {
        Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() }
    }

    fn definition(digit: &str) -> DefinitionHash {
        digit.repeat(16).parse().expect("16 digits")
    }

    fn replayed() -> Pointer {
        let pointer =
            Pointer::begin("v1", change()).create("v2", "c", Changed::default(), 4, change()).expect("created");
        pointer.replay("v2", ReplayFrom::Log, false, change()).expect("replayed")
    }

    fn verified(at_us: i64) -> Pointer {
        let definitions = [("a".to_owned(), definition("a"))].into();
        let verified =
            Verified { at_us, offsets: BTreeMap::new(), definitions, code: "one".to_owned(), report: String::new() };
        replayed().verified("v2", verified, change()).expect("verified")
    }

    fn candidate() -> Candidate {
        Candidate {
            now_us: 2_000,
            definitions: [("a".to_owned(), definition("a"))].into(),
            code: "one".to_owned(),
            lag_ms: Some(50),
            ..Candidate::default()
        }
    }

    fn words(pointer: &Pointer, candidate: &Candidate) -> Vec<&'static str> {
        let found = obstacles(pointer, "v2", candidate, &BOUNDS);
        for obstacle in &found {
            assert!(!obstacle.to_string().is_empty());
        }
        found.iter().map(Obstacle::word).collect()
    }

    #[test]
    fn a_version_is_promoted_if_it_was_verified_lately_as_it_is_now() {
        assert_eq!(words(&verified(1_000), &candidate()), [""; 0]);
        assert_eq!(words(&replayed(), &candidate()), ["unverified"]);
        assert_eq!(words(&verified(999), &candidate()), ["verify-age"]);
        assert_eq!(words(&verified(2_001), &candidate()), ["verify-age"], "by a clock that was ahead");
        let other = Candidate { definitions: [("a".to_owned(), definition("b"))].into(), ..candidate() };
        assert_eq!(words(&verified(1_000), &other), ["definitions"]);
        let gone = Candidate { definitions: BTreeMap::new(), ..candidate() };
        assert_eq!(words(&verified(1_000), &gone), ["definitions"]);
        assert_eq!(words(&verified(1_000), &Candidate { code: "two".to_owned(), ..candidate() }), ["code"]);
    }

    #[test]
    fn a_version_is_promoted_if_it_answers_as_it_should() {
        let but = |candidate: Candidate| words(&verified(1_000), &candidate);
        let why = || vec!["some".to_owned()];
        assert_eq!(but(Candidate { lag_ms: Some(51), ..candidate() }), ["lag"]);
        assert_eq!(but(Candidate { lag_ms: None, ..candidate() }), ["lag"]);
        assert_eq!(but(Candidate { incomplete: why(), ..candidate() }), ["incomplete"]);
        assert_eq!(but(Candidate { unproven_streams: why(), ..candidate() }), ["streams"]);
        assert_eq!(but(Candidate { changed_in_place: why(), ..candidate() }), ["changed-in-place"]);
    }

    #[test]
    fn whoever_goes_back_need_not_verify() {
        assert!(obstacles_back(&candidate(), &BOUNDS).is_empty());
        let behind = Candidate { lag_ms: Some(51), unproven_streams: vec!["s".to_owned()], ..candidate() };
        assert_eq!(obstacles_back(&behind, &BOUNDS), [Obstacle::Lag { lag_ms: Some(51), at_most_ms: 50 }]);
    }
}
