//! What proves that a log still holds what was read of it: the last record before a position (R12).
//!
//! A broker that went back to an older copy of its data gives offsets, and even leader epochs, a second time. So an
//! offset alone says nothing. A process that continues at a position reads its witness again and compares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

/// The last record before a position.
///
/// It is written as `<offset>:<timestamp>:<leader epoch>:<hash>`; what is not known is left out. The hash has 16 hexadecimal
/// digits, or 8 where only its low half is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Witness {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp, microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// The leader epoch in which it was written, where Kafka said so. The archive's rows do not hold it.
    pub epoch: Option<i32>,
    /// The hash of key, payload and headers.
    pub hash: ContentHash,
}

/// XXH3 of a record's key, payload and headers, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentHash {
    /// All 64 bits, of a record that was read from a log.
    Whole(u64),
    /// The low 32 bits, as an integer in two's complement. The archive's rows hold so much of it.
    Short(i32),
}

/// The text is not a [`Witness`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no witness <offset>:<timestamp>:<leader epoch>:<hash>")]
pub struct NotAWitness(String);

/// The parts of a record that its witness is made from.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The payload's bytes.
    pub payload: Option<&'a [u8]>,
    /// The headers, as the archive writes them.
    pub headers: Option<&'a str>,
}

impl Content<'_> {
    fn hash(&self) -> ContentHash {
        // It copies no secret, which would take longer than to hash a short record.
        let mut hash = Xxh3Default::new();
        for part in [self.key, self.payload, self.headers.map(str::as_bytes)] {
            // An absent part is not an empty one, and no part can reach into the next.
            hash.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hash.update(part.unwrap_or_default());
        }
        ContentHash::Whole(hash.digest())
    }

    /// The [short hash](Witness::short_hash) of a record with that content.
    pub fn short_hash(&self) -> i32 {
        self.hash().short()
    }
}

impl ContentHash {
    fn short(self) -> i32 {
        match self {
            ContentHash::Whole(hash) => {
                let [a, b, c, d, ..] = hash.to_le_bytes();
                i32::from_le_bytes([a, b, c, d])
            }
            ContentHash::Short(hash) => hash,
        }
    }

    /// Whether both are of the same content, as far as both are known.
    fn is_same(self, other: ContentHash) -> bool {
        match (self, other) {
            (ContentHash::Whole(one), ContentHash::Whole(other)) => one == other,
            _ => self.short() == other.short(),
        }
    }
}

impl Witness {
    /// The witness of a record at that offset.
    pub fn of(offset: i64, epoch: Option<i32>, content: &Content<'_>) -> Witness {
        Witness { offset, timestamp_us: content.timestamp_us, epoch, hash: content.hash() }
    }

    /// The low 32 bits of the hash, as an integer in two's complement. The archive keeps so much of it with each record.
    pub fn short_hash(&self) -> i32 {
        self.hash.short()
    }

    /// Whether both are one record. An epoch that only one of them knows is not compared, and neither are the high 32 bits of
    /// the hash.
    pub fn is_same(&self, other: &Witness) -> bool {
        let epochs = self.epoch.zip(other.epoch).is_none_or(|(one, other)| one == other);
        let places = (self.offset, self.timestamp_us) == (other.offset, other.timestamp_us);
        places && self.hash.is_same(other.hash) && epochs
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Witness { offset, timestamp_us, epoch, hash } = self;
        write!(f, "{offset}:")?;
        timestamp_us.map_or(Ok(()), |us| write!(f, "{us}"))?;
        f.write_str(":")?;
        epoch.map_or(Ok(()), |epoch| write!(f, "{epoch}"))?;
        match hash {
            ContentHash::Whole(hash) => write!(f, ":{hash:016x}"),
            ContentHash::Short(hash) => write!(f, ":{hash:08x}"),
        }
    }
}

impl FromStr for Witness {
    type Err = NotAWitness;

    fn from_str(text: &str) -> Result<Witness, NotAWitness> {
        parsed(text).ok_or_else(|| NotAWitness(text.to_owned()))
    }
}

fn parsed(text: &str) -> Option<Witness> {
    let mut parts = text.split(':');
    let (offset, timestamp, epoch, hash) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Witness {
        offset: offset.parse().ok()?,
        timestamp_us: if timestamp.is_empty() { None } else { Some(timestamp.parse().ok()?) },
        epoch: if epoch.is_empty() { None } else { Some(epoch.parse().ok()?) },
        hash: parsed_hash(hash)?,
    })
}

/// 16 hexadecimal digits are all of a hash; 8 are its low half.
fn parsed_hash(digits: &str) -> Option<ContentHash> {
    if digits.len() == 8 {
        let low = u32::from_str_radix(digits, 16).ok()?;
        return Some(ContentHash::Short(i32::from_le_bytes(low.to_le_bytes())));
    }
    u64::from_str_radix(digits, 16).ok().map(ContentHash::Whole)
}

impl TryFrom<String> for Witness {
    type Error = NotAWitness;

    fn try_from(text: String) -> Result<Witness, NotAWitness> {
        text.parse()
    }
}

impl From<Witness> for String {
    fn from(witness: Witness) -> String {
        witness.to_string()
    }
}

/// An offset at which something continues, and the last record before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The offset.
    pub offset: i64,
    /// The last record before it; `None` if there is none, or it is not known.
    pub witness: Option<Witness>,
}

impl From<i64> for Position {
    fn from(offset: i64) -> Position {
        Position { offset, witness: None }
    }
}

/// Compares a log with a position. It is given, in order, what a reader finds from the witness's offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    witness: Witness,
    /// The position whose witness it is.
    next: i64,
    /// Whether records may vanish from the middle of the log, because its topic is compacted.
    has_holes: bool,
    /// Whether the witness was found.
    found: bool,
}

/// What a [`Check`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The log still holds what was read of it.
    Fits,
    /// At this offset the log holds something else than what was read: it had lost its tail.
    Differs(i64),
}

impl Check {
    /// Compares with the position `next`. Where the topic is compacted (`has_holes`), a missing witness proves nothing.
    pub fn new(witness: Witness, next: i64, has_holes: bool) -> Check {
        Check { witness, next, has_holes, found: false }
    }

    /// The first offset to be read.
    pub fn begins_at(&self) -> i64 {
        self.witness.offset
    }

    /// The log's next record. Returns the outcome as soon as it is certain.
    pub fn record(&mut self, record: &Witness) -> Option<Outcome> {
        let at = self.witness.offset;
        if record.offset < at {
            return None;
        }
        if record.offset == at {
            self.found = record.is_same(&self.witness);
            return match self.found {
                false => Some(Outcome::Differs(at)),
                // Only markers and aborted records lay between the witness and the position, so there may be nothing
                // else now.
                true => (self.next == at + 1).then_some(Outcome::Fits),
            };
        }
        if !self.found && !self.has_holes {
            return Some(Outcome::Differs(at));
        }
        Some(if record.offset < self.next { Outcome::Differs(record.offset) } else { Outcome::Fits })
    }

    /// The log ends there. One that ends before the position is waited for: `None`.
    pub fn end(&self, end: i64) -> Option<Outcome> {
        if end < self.next {
            return None;
        }
        let fits = self.found || self.has_holes;
        Some(if fits { Outcome::Fits } else { Outcome::Differs(self.witness.offset) })
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn record(offset: i64, payload: &[u8]) -> Witness {
        let content = Content { timestamp_us: Some(5), key: None, payload: Some(payload), headers: None };
        Witness::of(offset, Some(3), &content)
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let whole = record(7, b"x");
        let short = |hash| Witness { hash: ContentHash::Short(hash), ..whole };
        let unknown = [Witness { epoch: None, ..whole }, Witness { timestamp_us: None, epoch: None, ..whole }];
        for witness in unknown.into_iter().chain([whole, short(7), short(-1), short(i32::MIN)]) {
            assert_eq!(witness.to_string().parse(), Ok(witness));
            assert!(!witness.to_string().contains(','), "a shard keeps a list of them");
        }
        for strange in ["", "7", "7:5:3", "7:5:3:zz", "7:5:3:00:1", ":::00"] {
            assert!(strange.parse::<Witness>().is_err(), "{strange}");
        }
    }

    #[test]
    fn what_is_absent_is_not_what_is_empty() {
        let hash = |key: Option<&str>, payload: Option<&str>, headers: Option<&str>| {
            let (key, payload) = (key.map(str::as_bytes), payload.map(str::as_bytes));
            Witness::of(1, None, &Content { timestamp_us: None, key, payload, headers }).hash
        };
        let all = [
            hash(None, Some("ab"), None),
            hash(Some(""), Some("ab"), None),
            hash(Some("a"), Some("b"), None),
            hash(None, None, None),
            hash(None, Some(""), None),
            hash(None, Some("ab"), Some("[]")),
        ];
        for (at, hash) in all.iter().enumerate() {
            assert!(!all[..at].contains(hash), "{at}");
        }
        let known = record(1, b"a");
        assert!(known.is_same(&Witness { epoch: None, ..known }));
        assert!(!known.is_same(&Witness { epoch: Some(4), ..known }));
    }

    #[test]
    fn what_archives_and_shards_hold_of_a_hash_stays_the_same() {
        // Computed by another implementation of XXH3.
        let (own_key, payload) = (Some(b"k".as_slice()), Some(br#"{"at": 1000}"#.as_slice()));
        for (key, payload, headers, hash, short) in [
            (None, payload, None, 0xe037_8723_cafb_0447, -889_519_033),
            (own_key, payload, Some(r#"[["a","1"]]"#), 0x580f_c312_52b2_d1bc, 1_387_450_812),
            (own_key, None, None, 0xd802_9f2d_fba4_69a7, -73_111_129),
        ] {
            let content = Content { timestamp_us: Some(5), key, payload, headers };
            let witness = Witness::of(1, None, &content);
            let shorts = (witness.short_hash(), content.short_hash());
            assert_eq!((witness.hash, shorts), (ContentHash::Whole(hash), (short, short)), "{content:?}");
        }
    }

    #[test]
    fn records_of_any_length_are_hashed_as_one_text_of_their_parts_and_lengths() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        for length in [0, 1, 16, 100, 215, 216, 217, 230, 256, 1_000, 100_000] {
            let payload = &bytes[..length];
            let content = Content { timestamp_us: None, key: Some(b"k"), payload: Some(payload), headers: None };
            let lengths = [1, length as u64, u64::MAX].map(u64::to_le_bytes);
            let text = [lengths[0].as_slice(), b"k", &lengths[1], payload, &lengths[2]].concat();
            assert_eq!(content.hash(), ContentHash::Whole(xxh3_64(&text)), "{length}");
        }
    }

    #[test]
    fn a_short_hash_is_the_low_half_in_twos_complement() {
        for (hash, expected) in [(0xffff_ffff_0000_0007, 7), (0x0000_0000_ffff_ffff, -1), (0x8000_0000, i32::MIN)] {
            let hash = ContentHash::Whole(hash);
            assert_eq!(Witness { hash, ..record(1, b"a") }.short_hash(), expected, "{hash:?}");
        }
    }

    #[test]
    fn of_a_record_whose_short_hash_is_known_as_much_is_compared() {
        let (known, other) = (record(4, b"d"), record(4, b"x"));
        let short = Witness { epoch: None, hash: ContentHash::Short(known.short_hash()), ..known };
        assert!(short.is_same(&known) && known.is_same(&short) && short.is_same(&short));
        assert!(!short.is_same(&other) && !other.is_same(&short));
        assert!(!short.is_same(&Witness { timestamp_us: None, ..known }), "its time is compared as always");
        for (found, outcome) in [(known, Outcome::Fits), (other, Outcome::Differs(4))] {
            assert_eq!(Check::new(short, 5, false).record(&found), Some(outcome));
        }
    }

    /// What a check of the position `next`, whose witness lies at 4, says about a log that holds these records.
    fn checked(next: i64, log: &[(i64, &[u8])], end: i64, has_holes: bool) -> Option<Outcome> {
        let mut check = Check::new(record(4, b"d"), next, has_holes);
        let found = log.iter().find_map(|(offset, payload)| check.record(&record(*offset, payload)));
        found.or_else(|| check.end(end))
    }

    #[test]
    fn only_a_record_that_differs_is_a_loss() {
        let same = (4, b"d".as_slice());
        assert_eq!(checked(5, &[same], 5, false), Some(Outcome::Fits));
        assert_eq!(checked(5, &[(4, b"x")], 9, false), Some(Outcome::Differs(4)));
        assert_eq!(checked(5, &[], 4, false), None, "a short log is waited for");
        assert_eq!(checked(7, &[same], 6, false), None);
        assert_eq!(checked(7, &[same], 7, false), Some(Outcome::Fits), "a marker lies before the position");
        assert_eq!(checked(7, &[same, (7, b"e")], 8, false), Some(Outcome::Fits));
        assert_eq!(checked(7, &[same, (5, b"e")], 8, false), Some(Outcome::Differs(5)), "there was only a marker");
        assert_eq!(checked(5, &[(5, b"e")], 6, false), Some(Outcome::Differs(4)), "the record is gone");
        assert_eq!(checked(5, &[], 6, false), Some(Outcome::Differs(4)));
        assert_eq!(checked(5, &[(5, b"e")], 6, true), Some(Outcome::Fits), "compaction may have taken it");
        assert_eq!(checked(5, &[], 6, true), Some(Outcome::Fits));
    }
}
