//! Records as bytes: events in many spellings, copies of them, late ones, and what is no event.

use super::catalogs::{Definition, MAX_RECORD};
use super::oracle::{self, MAX_KEY_BYTES};
use test_kit::Dice;

pub(super) struct Partition {
    pub(super) records: Vec<Record>,
}

pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) timestamp_us: Option<i64>,
    pub(super) payload: Option<Vec<u8>>,
}

/// How far apart copies lie.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    InsideTheWindow,
    BeyondTheWindow,
}

/// 2026-04-24T09:30:00Z.
const NOON_US: i64 = 1_777_023_000_000_000;
const TEXTS: [&str; 8] = ["a", "b", "ab", "ü\"x", "", "\u{1}\t", "emoji 😀", "\u{7f}\\/"];
const URLS: [&str; 6] = ["a", "http://h/p?q", "/p", "b", "", "null"];

pub(super) fn random(dice: &mut Dice, definition: &Definition, shape: Shape) -> Vec<Partition> {
    let partitions = dice.between(1, 3);
    (0..partitions).map(|number| partition(dice, definition, shape, number)).collect()
}

fn partition(dice: &mut Dice, definition: &Definition, shape: Shape, number: i64) -> Partition {
    let (mut offset, mut records) = (dice.between(0, 3), Vec::new());
    // Where the last copy of each event lies.
    let mut seen: Vec<(i64, Event)> = Vec::new();
    for n in 0..dice.between(0, 90) {
        let timestamp_us = NOON_US + n * 1_000_000 * dice.between(0, 90);
        let near = |at: i64| offset - at <= definition.dedup_window();
        let candidates: Vec<usize> =
            (0..seen.len()).filter(|at| near(seen[*at].0) || shape == Shape::BeyondTheWindow).collect();
        let event = if !candidates.is_empty() && dice.chance(25) {
            let copied = seen[*dice.pick(&candidates)].1.clone();
            let again = copied.again(dice);
            let said = |(_, other): &&(i64, Event)| other.identity(definition) == again.identity(definition);
            let far = seen.iter().find(said).is_some_and(|(at, _)| !near(*at));
            if far && shape == Shape::InsideTheWindow { copied } else { again }
        } else {
            Event::random(dice, format!("{number}-{n}"), timestamp_us)
        };
        let broken = dice.chance(12);
        let payload = if broken { event.broken(dice) } else { Some(event.json(dice)) };
        let timestamp_us = (!dice.chance(5)).then_some(timestamp_us);
        let record = Record { offset, timestamp_us, payload };
        // A record that is rejected, mostly for its age, does not count as an earlier copy.
        if oracle::decode(definition, 0, &record)
            .is_some_and(|row| row.identity(definition) == event.identity(definition))
        {
            seen.retain(|(_, other)| other.identity(definition) != event.identity(definition));
            seen.push((offset, event));
        }
        records.push(record);
        // Transactions leave holes.
        offset += if dice.chance(10) { dice.between(2, 3) } else { 1 };
    }
    Partition { records }
}

#[derive(Clone)]
struct Event {
    id: String,
    at_ms: i64,
    s: String,
    t: Option<String>,
    n: i64,
    m: Option<i64>,
    k: i64,
    x: Option<f64>,
    b: bool,
    w_ms: i64,
}

impl Event {
    fn random(dice: &mut Dice, id: String, timestamp_us: i64) -> Event {
        let odd = (1_i64 << 53) + 1;
        let n = if dice.chance(5) { *dice.pick(&[odd, -odd]) } else { dice.between(-4, 8) };
        // Most are recent, some late, a few too late or too early.
        let behind_ms = match dice.below(20) {
            0..15 => dice.between(0, 90_000),
            15..18 => dice.between(0, 6 * 3_600_000),
            18 => 6 * 3_600_000 + dice.between(-2, 2),
            _ => -600_000 + dice.between(-2, 2),
        };
        Event {
            id,
            at_ms: timestamp_us / 1_000 - behind_ms,
            s: text(dice),
            t: dice.chance(60).then(|| if dice.chance(15) { long(dice) } else { (*dice.pick(&URLS)).to_owned() }),
            n,
            m: dice.chance(70).then(|| dice.between(-6, 9)),
            k: dice.between(0, 3),
            // Quarters add up exactly.
            x: dice.chance(70).then(|| dice.between(-20, 40) as f64 / 4.0),
            b: dice.chance(50),
            w_ms: dice.between(0, 2) * 43_200_000 + 1_776_945_600_000
                - if dice.chance(20) { 1_776_945_600_001 } else { 0 },
        }
    }

    /// The same event once more, or another one that resembles it.
    fn again(&self, dice: &mut Dice) -> Event {
        let mut event = self.clone();
        if dice.chance(30) {
            // The same event by its id and time, though it says something else: the first one stands.
            event.n += 1;
        }
        if dice.chance(10) {
            // Not a copy: the id is used again at another time.
            event.at_ms -= 1;
        }
        if dice.chance(20) {
            // A copy only if these are no part of the id.
            (event.s, event.k) = (text(dice), dice.between(0, 3));
        }
        event
    }

    /// What tells it from other events, as [`oracle::Row::identity`].
    fn identity(&self, definition: &Definition) -> oracle::Identity {
        oracle::identity(definition, &self.id, &self.s, self.k, self.at_ms * 1_000)
    }

    /// Its members as JSON texts.
    fn members(&self, dice: &mut Dice) -> Vec<(&'static str, String)> {
        let quoted = |text: &str, dice: &mut Dice| {
            if dice.chance(80) {
                return serde_json::to_string(text).expect("a text");
            }
            let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            format!("\"{units}\"")
        };
        let mut members = vec![
            ("id", quoted(&self.id, dice)),
            ("at", instant(dice, self.at_ms)),
            ("s", quoted(&self.s, dice)),
            ("n", self.n.to_string()),
            ("k", self.k.to_string()),
            ("b", self.b.to_string()),
            ("w", instant(dice, self.w_ms)),
        ];
        let null = |dice: &mut Dice| dice.chance(30).then(|| "null".to_owned());
        let t = self.t.as_ref().map(|t| quoted(t, dice)).or_else(|| null(dice));
        let m = self.m.map(|m| m.to_string()).or_else(|| null(dice));
        let x = self
            .x
            .map(|x| if dice.chance(50) { format!("{x:?}") } else { format!("{}e-2", x * 100.0) })
            .or_else(|| null(dice));
        members.extend([("t", t), ("m", m), ("x", x)].into_iter().filter_map(|(name, value)| Some((name, value?))));
        if dice.chance(20) {
            members.push(("undeclared", "{\"deep\": [1, {\"n\": \"\\u00fc\"}]}".to_owned()));
        }
        if dice.chance(5) {
            // The last one stands.
            members.insert(0, ("n", "77".to_owned()));
        }
        members
    }

    fn json(&self, dice: &mut Dice) -> Vec<u8> {
        let members = self.members(dice);
        object(dice, &members).into_bytes()
    }

    /// Something that is no event, or is one after all: the oracle judges for itself.
    fn broken(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        let mut members = self.members(dice);
        let set = |members: &mut Vec<(&'static str, String)>, name: &'static str, value: &str| {
            members.retain(|(other, _)| *other != name);
            members.push((name, value.to_owned()));
        };
        match dice.below(11) {
            0 => return None,
            1 => return Some(Vec::new()),
            2 => {
                let mut bytes = self.json(dice);
                bytes.truncate(dice.below(bytes.len()));
                return Some(bytes);
            }
            3 => {
                let mut bytes = self.json(dice);
                let at = dice.below(bytes.len());
                bytes[at] = 0xff;
                return Some(bytes);
            }
            4 => return Some(b"[1, 2]".to_vec()),
            5 => members.retain(|(name, _)| *name != "k"),
            6 => set(&mut members, "n", "\"5\""),
            7 => set(&mut members, "n", "9223372036854775808"),
            8 => set(&mut members, "x", "1e400"),
            9 => {
                // Around the most bytes that a record may have.
                let others = object(dice, &members).len();
                let length = MAX_RECORD.saturating_sub(others + dice.below(24));
                members.push(("padding", format!("\"{}\"", "l".repeat(length))));
            }
            _ => set(&mut members, "at", "\"yesterday\""),
        }
        Some(object(dice, &members).into_bytes())
    }
}

/// One of few texts, and sometimes a long one.
fn text(dice: &mut Dice) -> String {
    if dice.chance(15) { long(dice) } else { (*dice.pick(&TEXTS)).to_owned() }
}

/// A text of about as many bytes as a key may have, or clearly more. Some begin with the same letters and end with others.
fn long(dice: &mut Dice) -> String {
    let letter = *dice.pick(&["l", "ü", "😀"]);
    let bytes = if dice.chance(50) { MAX_KEY_BYTES - 4 + dice.below(9) } else { MAX_KEY_BYTES + 500 };
    letter.repeat(bytes / letter.len()) + *dice.pick(&["", "x", "y"])
}

/// Epoch milliseconds, or RFC 3339 for the years that the fold by hand reads.
fn instant(dice: &mut Dice, ms: i64) -> String {
    if ms < 0 || dice.chance(40) {
        return ms.to_string();
    }
    let text = shared_logic::time::format_rfc3339(ms * 1_000);
    format!("\"{text}\"")
}

fn object(dice: &mut Dice, members: &[(&'static str, String)]) -> String {
    let space = if dice.chance(30) { " " } else { "" };
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{space}{value}")).collect();
    format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
}
