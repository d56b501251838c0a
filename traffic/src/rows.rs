//! Plausible values for the declared fields.
//!
//! The field's role in the catalog decides first: the event's id and time, the key, the columns that metrics group by. For any
//! other field, its type decides and, loosely, its name: `status` holds 200, 404 or 500, `url` an address, `user_id`
//! something like `user-17`, `lat` and `lon` a place near the home of the key, `name` and `country` what stays the same of a key, and `plan`
//! one of a few. Keys follow a Zipf distribution, so some are popular and most are rare.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::schema::{Field, FieldType};
use shared_logic::time::HOUR_US;

use crate::cell::{Cell, Row, text};
use crate::mix::MixError;

/// The share of the rows in which an optional field is absent.
const ABSENT: f64 = 0.2;
/// How many values a group-key column has, unless records are keyed by it.
const GROUPED_VALUES: u64 = 5;
/// How many values any other text field has.
const NAMED_VALUES: u64 = 10_000;
/// How many pages people look at.
const PAGES: u64 = 40;
const NAMES: [&str; 12] =
    ["Ada", "Ben", "Chen", "Dina", "Emil", "Fatou", "Gita", "Hugo", "Ines", "Jun", "Kofi", "Lena"];
const PLANS: [&str; 3] = ["free", "basic", "pro"];
const MILLISECOND_US: i64 = 1_000;
/// New York, Chicago, Toronto and Bogotá; Sydney, Tokyo, Singapore and Mumbai. Each of the first four is more than 10,000 km away from
/// the one in its place among the others.
const CITIES: [(f64, f64); 8] = [
    (40.71, -74.0),
    (41.88, -87.63),
    (43.65, -79.38),
    (4.71, -74.07),
    (-33.87, 151.21),
    (35.68, 139.69),
    (1.35, 103.82),
    (19.08, 72.88),
];

/// Makes up rows of one source.
#[derive(Debug)]
pub(crate) struct Rows {
    recipes: Vec<Recipe>,
    popularity: Zipf<f64>,
    /// The index of the field that records are keyed by.
    key: usize,
    made: u64,
}

#[derive(Debug)]
struct Recipe {
    field: Field,
    role: Role,
    /// The words of its name in a payload, in lower case: `video` and `id` for both `video_id` and `videoId`.
    words: Vec<String>,
    /// Whether the key is a person, who looks at many pages. Otherwise an address is that of the key.
    of_person: bool,
}

/// The role of a field in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The last of the fields that identify an event. It alone is unique; the others hold what they would without that role.
    EventId,
    EventTime,
    /// The key of the records, or else the first column that metrics group by. Its popularity varies.
    Main,
    /// Another column that metrics group by. It has few values.
    Grouped,
    Other,
}

impl Rows {
    /// Rows with `keys` different keys. Their popularity falls with the given exponent; 0 makes all equal.
    pub(crate) fn new(catalog: &Catalog, source: &Source, keys: u64, zipf: f64) -> Result<Rows, MixError> {
        let popularity = Zipf::new(keys as f64, zipf).map_err(|_| MixError::Popularity)?;
        let grouped: BTreeSet<&str> =
            catalog.metrics_of(&source.name).flat_map(|metric| &metric.by).map(String::as_str).collect();
        let main = main_field(source, &grouped);
        let role = |field: &Field| {
            if source.event_id.last() == Some(&field.name) {
                Role::EventId
            } else if source.event_time == field.name {
                Role::EventTime
            } else if main == Some(field.name.as_str()) {
                Role::Main
            } else if grouped.contains(field.name.as_str()) {
                Role::Grouped
            } else {
                Role::Other
            }
        };
        let of_person = main.is_some_and(|main| words(main).iter().any(|word| word == "user" || word == "customer"));
        let recipe =
            |field: &Field| Recipe { role: role(field), words: words(field.column()), field: field.clone(), of_person };
        let recipes: Vec<Recipe> = source.fields.iter().map(recipe).collect();
        let of_role = |role| recipes.iter().position(|recipe| recipe.role == role);
        // Every record has a key: without one, a record and its copy could go to different partitions.
        let declared = source.key.as_ref().and_then(|key| source.fields.iter().position(|field| field.name == *key));
        let key = declared.or(of_role(Role::EventId)).or(of_role(Role::EventTime)).unwrap_or_default();
        Ok(Rows { recipes, popularity, key, made: 0 })
    }

    /// The number of the key of a next row.
    pub(crate) fn rank(&self, rng: &mut StdRng) -> i64 {
        self.popularity.sample(rng) as i64
    }

    /// The row of an event of the key with that number, which happened at that moment.
    pub(crate) fn row(&mut self, rng: &mut StdRng, rank: i64, time_us: i64) -> Row {
        self.made += 1;
        let moment_us = time_us - time_us.rem_euclid(MILLISECOND_US);
        let keyed = self.key;
        let cell = |(at, recipe): (usize, &Recipe)| {
            let may_be_absent = recipe.field.optional && at != keyed;
            // Drawn for every field, so that making a field optional does not change the other values.
            let absent = rng.random_bool(ABSENT);
            let cell = recipe.cell(rng, self.made, rank, moment_us);
            (!(may_be_absent && absent)).then_some(cell)
        };
        self.recipes.iter().enumerate().map(cell).collect()
    }

    /// The key of the record with that row.
    pub(crate) fn key(&self, row: &Row) -> Vec<u8> {
        row[self.key].as_ref().map(text).unwrap_or_default().into_bytes()
    }
}

impl Recipe {
    fn cell(&self, rng: &mut StdRng, number: u64, rank: i64, time_us: i64) -> Cell {
        match (self.role, self.field.kind) {
            (Role::EventTime, _) => Cell::Instant(time_us),
            (Role::EventId, FieldType::Int) => Cell::Int(i64::from(rng.random_range(0..1 << 20)) << 32 | number as i64),
            (Role::EventId, _) => Cell::Text(format!("e-{number}-{:08x}", rng.random::<u32>())),
            (Role::Main, kind) => self.numbered(rng, kind, rank, time_us),
            (Role::Grouped, FieldType::Int) if !self.is_status() => {
                Cell::Int(rng.random_range(1..=GROUPED_VALUES as i64))
            }
            (Role::Grouped, FieldType::String) => self.named(draw(rng, GROUPED_VALUES)),
            // Whole hours, so that many events share a group key.
            (Role::Grouped, FieldType::Timestamp) => Cell::Instant(time_us - time_us.rem_euclid(HOUR_US)),
            (_, kind) => self.plain(rng, kind, rank, time_us),
        }
    }

    /// The value with that number, out of a numbered set.
    fn numbered(&self, rng: &mut StdRng, kind: FieldType, number: i64, time_us: i64) -> Cell {
        match kind {
            FieldType::String => self.named(number),
            FieldType::Int => Cell::Int(number),
            FieldType::Float => Cell::Float(number as f64),
            kind => self.plain(rng, kind, number, time_us),
        }
    }

    fn named(&self, number: i64) -> Cell {
        Cell::Text(match self.words.join("_").as_str() {
            // Parts of a request in an access log, which have forms of their own.
            "method" => ["GET", "POST", "HEAD"][number.rem_euclid(3) as usize].to_owned(),
            "target" => format!("/page-{number}"),
            "protocol" => ["HTTP/1.1", "HTTP/2.0"][number.rem_euclid(2) as usize].to_owned(),
            "request" => format!("GET /page-{number} HTTP/1.1"),
            _ if self.is_address() => format!("https://example.org/page-{number}"),
            _ => format!("{}-{number}", self.stem()),
        })
    }

    fn plain(&self, rng: &mut StdRng, kind: FieldType, rank: i64, time_us: i64) -> Cell {
        match kind {
            FieldType::String if self.is_address() && self.of_person => self.named(draw(rng, PAGES)),
            FieldType::String if self.is_address() => Cell::Text(format!("https://example.org/watch/{rank}")),
            FieldType::String if self.is_called(&["name"]) => chosen(&NAMES, rank),
            FieldType::String if self.is_called(&["plan"]) => chosen(&PLANS, draw(rng, PLANS.len() as u64)),
            FieldType::String if self.is_called(&["country"]) => self.named(1 + rank.rem_euclid(GROUPED_VALUES as i64)),
            FieldType::String => self.named(draw(rng, NAMED_VALUES)),
            FieldType::Int if self.is_status() => Cell::Int([200, 404, 500][status(rng.random())]),
            FieldType::Int if self.is_duration() => Cell::Int(1 + skewed(rng, 8_000.0) as i64),
            FieldType::Int => Cell::Int(rng.random_range(0..1_000)),
            FieldType::Float if self.is_duration() => Cell::Float(cents(skewed(rng, 8_000.0))),
            FieldType::Float if self.is_amount() => Cell::Float(usual_amount(rng)),
            FieldType::Float if self.is_called(&["lat", "latitude"]) => Cell::Float(near(rng, home(rank).0)),
            FieldType::Float if self.is_called(&["lon", "longitude"]) => Cell::Float(near(rng, home(rank).1)),
            FieldType::Float => Cell::Float(cents(rng.random_range(-10.0..100.0))),
            FieldType::Bool => Cell::Bool(rng.random_bool(0.8)),
            FieldType::Timestamp => {
                let before_us = rng.random_range(0..HOUR_US);
                Cell::Instant(time_us - before_us + before_us.rem_euclid(MILLISECOND_US))
            }
        }
    }

    fn is_address(&self) -> bool {
        self.is_called(&["url", "uri", "path", "page", "href", "referer", "referrer"])
    }

    fn is_status(&self) -> bool {
        self.is_called(&["status"])
    }

    fn is_duration(&self) -> bool {
        self.is_called(&["ms", "duration", "latency", "elapsed"])
    }

    fn is_amount(&self) -> bool {
        self.is_called(&["amount", "price"])
    }

    /// Whether one of these is among the words of the field's name.
    fn is_called(&self, names: &[&str]) -> bool {
        self.words.iter().any(|word| names.contains(&word.as_str()))
    }

    /// How its texts begin: `video` for `video_id`.
    fn stem(&self) -> String {
        match self.words.split_last() {
            Some((last, stem)) if last == "id" && !stem.is_empty() => stem.join("-"),
            _ => self.words.join("-"),
        }
    }
}

/// The field that the catalog names as the key, else the first of those that metrics group by.
fn main_field<'a>(source: &'a Source, grouped: &BTreeSet<&str>) -> Option<&'a str> {
    let is_other = |name: &str| source.event_id.last().is_none_or(|id| id != name) && source.event_time != name;
    let grouped = source.fields.iter().map(|field| field.name.as_str()).find(|name| grouped.contains(name));
    source.key.as_deref().filter(|key| is_other(key)).or(grouped.filter(|name| is_other(name)))
}

/// Splits a name at underscores, and where a capital letter follows a small one.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for letter in name.chars() {
        if letter == '_' || (after_small && letter.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter != '_') {
            word.push(letter.to_ascii_lowercase());
        }
        after_small = letter.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn draw(rng: &mut StdRng, values: u64) -> i64 {
    rng.random_range(1..=values as i64)
}

/// One of a few texts.
fn chosen(texts: &[&str], number: i64) -> Cell {
    Cell::Text(texts[number.rem_euclid(texts.len() as i64) as usize].to_owned())
}

/// Most requests succeed.
fn status(chance: f64) -> usize {
    usize::from(chance >= 0.9) + usize::from(chance >= 0.98)
}

/// A value of an exponential distribution, as durations have.
fn skewed(rng: &mut StdRng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// An amount that nobody wonders about: less than ten times any other.
fn usual_amount(rng: &mut StdRng) -> f64 {
    cents(rng.random_range(5.0..45.0))
}

/// A degree of latitude or longitude within a drive of that one.
fn near(rng: &mut StdRng, degree: f64) -> f64 {
    cents(degree + rng.random_range(-0.2..0.2))
}

/// The city, as latitude and longitude, that the key with that number lives in.
pub(crate) fn home(rank: i64) -> (f64, f64) {
    CITIES[rank.rem_euclid(CITIES.len() as i64) as usize]
}

/// A city that lies so far from home that nobody gets there within an hour.
pub(crate) fn far_from_home(rank: i64) -> (f64, f64) {
    home(rank + CITIES.len() as i64 / 2)
}

/// Rounds to two decimals, which every parser of numbers reads as the same float.
pub(crate) fn cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}
