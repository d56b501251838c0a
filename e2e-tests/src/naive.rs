//! What a record means, read the long way: text, then a tree, then the declared fields one by one. It shares no code with
//! the platform's decoder, and no idea but the rules of the contract.
//!
//! - `json`: text → a tree, checking RFC 8259;
//! - `row`: text → the columns of CSV;
//! - `time`: a date and a time → the same in the form of RFC 3339.

mod json;
mod row;
mod time;

use chrono::{DateTime, Utc};

use json::{Json, Step};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// Tab-separated columns.
    Tsv,
    /// Comma-separated columns, which may stand in quotes.
    Csv,
}

impl Format {
    /// Its name in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Tsv => "tsv",
            Format::Csv => "csv",
        }
    }
}

/// How old a reading may be, as a catalog declares it; the platform's default would spread mutants over more than a year.
pub const MAX_AGE: &str = "10d";
const MAX_AGE_US: i64 = 10 * 24 * HOUR_US;
/// How long a record may be, as a catalog declares it: so short that no site is too long for a group key.
pub const MAX_RECORD: &str = "1KiB";
const MAX_RECORD_BYTES: usize = 1024;

/// The fields of a reading as a catalog declares them, in the order of the columns. In an object, some stand inside of others.
pub fn fields(format: Format) -> &'static str {
    match format {
        Format::Json => {
            r#"
id = "string"
at = "timestamp"
site = { type = "string", path = "place.site" }
amount = "int?"
weight = { type = "float?", path = "scales[1].weight" }
ok = "bool?"
note = { type = "string?", path = "place.note", numbers = true }
"#
        }
        Format::Tsv | Format::Csv => {
            r#"
id = "string"
at = "timestamp"
site = "string"
amount = "int?"
weight = "float?"
ok = "bool?"
note = "string?"
"#
        }
    }
}

/// A record that says something.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Identifies it together with its time.
    pub id: String,
    /// Microseconds since 1970.
    pub at_us: i64,
    /// A column of the group key.
    pub site: String,
    /// An integer.
    pub amount: Option<i64>,
    /// A float.
    pub weight: Option<f64>,
    /// The other column of the group key.
    pub ok: Option<bool>,
}

/// Where the values stand in an object.
const PLACES: [&[Step]; 7] = [
    &[Step::Member("id")],
    &[Step::Member("at")],
    &[Step::Member("place"), Step::Member("site")],
    &[Step::Member("amount")],
    &[Step::Member("scales"), Step::Element(1), Step::Member("weight")],
    &[Step::Member("ok")],
    &[Step::Member("place"), Step::Member("note")],
];
const HOUR_US: i64 = 3_600_000_000;

/// The value of one field before its type is looked at. A column's text may stand for any type.
enum Found {
    Absent,
    Json(Json),
    Column(String),
}

/// Reads a record, whose Kafka timestamp is that.
///
/// # Errors
/// Why it is no reading: `reason` or `reason:field`.
pub fn read(format: Format, payload: &[u8], timestamp_ms: i64) -> Result<Reading, String> {
    if payload.len() > MAX_RECORD_BYTES {
        return Err("too_long".to_owned());
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    if payload.is_empty() {
        return Err("empty".to_owned());
    }
    let text = std::str::from_utf8(payload).map_err(|_| "not_utf8")?;
    let found = match format {
        Format::Json => members(text)?,
        Format::Tsv | Format::Csv => columns(format, text)?,
    };
    let [id, at, site, amount, weight, ok, note] = found;
    let reading = Reading {
        id: required(string(id), "id")?,
        at_us: required(timestamp(at), "at")?,
        site: required(string(site), "site")?,
        amount: int(amount).map_err(|reason| format!("{reason}:amount"))?,
        weight: float(weight).map_err(|reason| format!("{reason}:weight"))?,
        ok: boolean(ok).map_err(|reason| format!("{reason}:ok"))?,
    };
    let note = match note {
        Found::Json(Json::Number(digits)) => Ok(Some(digits)),
        other => string(other),
    };
    note.map_err(|reason| format!("{reason}:note"))?;
    match reading.at_us - timestamp_ms * 1_000 {
        ahead if ahead < -MAX_AGE_US => Err("too_old:at".to_owned()),
        ahead if ahead > HOUR_US => Err("too_far_ahead:at".to_owned()),
        _ => Ok(reading),
    }
}

/// The declared values of an object.
fn members(text: &str) -> Result<[Found; 7], &'static str> {
    let document = json::read(text).ok_or("not_json")?;
    if !matches!(document, Json::Object(_)) {
        return Err("not_object");
    }
    Ok(PLACES.map(|steps| match steps.iter().try_fold(&document, |value, step| value.below(step)) {
        None | Some(Json::Null) => Found::Absent,
        Some(value) => Found::Json(value.clone()),
    }))
}

/// The columns of a line or row, which may have a line end.
fn columns(format: Format, text: &str) -> Result<[Found; 7], &'static str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let texts = match format {
        Format::Csv => row::columns(line),
        _ => (!line.contains('\n')).then(|| line.split('\t').map(str::to_owned).collect()),
    };
    let column = |text: String| if text.is_empty() { Found::Absent } else { Found::Column(text) };
    let columns: Vec<Found> = texts.ok_or("wrong_columns")?.into_iter().map(column).collect();
    columns.try_into().map_err(|_| "wrong_columns")
}

type Cell<T> = Result<Option<T>, &'static str>;

fn required<T>(cell: Cell<T>, field: &str) -> Result<T, String> {
    match cell {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("missing_field:{field}")),
        Err(reason) => Err(format!("{reason}:{field}")),
    }
}

fn string(found: Found) -> Cell<String> {
    match found {
        Found::Absent => Ok(None),
        Found::Json(Json::Text(text)) | Found::Column(text) => Ok(Some(text)),
        Found::Json(_) => Err("wrong_type"),
    }
}

fn boolean(found: Found) -> Cell<bool> {
    match found {
        Found::Absent => Ok(None),
        Found::Json(Json::Bool(value)) => Ok(Some(value)),
        Found::Column(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "y" => Ok(Some(true)),
            "false" | "f" | "0" | "no" | "n" => Ok(Some(false)),
            _ => Err("wrong_type"),
        },
        Found::Json(_) => Err("wrong_type"),
    }
}

fn int(found: Found) -> Cell<i64> {
    match found {
        Found::Absent => Ok(None),
        Found::Json(Json::Number(text)) | Found::Column(text) => integer(&text).map(Some),
        Found::Json(_) => Err("wrong_type"),
    }
}

fn float(found: Found) -> Cell<f64> {
    let text = match found {
        Found::Absent => return Ok(None),
        Found::Json(Json::Number(text)) => text,
        // Only what JSON would take for a number, too.
        Found::Column(text) if matches!(json::read(&text), Some(Json::Number(number)) if number == text) => text,
        _ => return Err("wrong_type"),
    };
    let value: f64 = text.parse().map_err(|_| "wrong_type")?;
    if value.is_finite() { Ok(Some(value + 0.0)) } else { Err("out_of_range") }
}

/// A date and a time with a zone, or milliseconds since 1970; digits finer than a microsecond are cut off.
fn timestamp(found: Found) -> Cell<i64> {
    let text = match found {
        Found::Absent => return Ok(None),
        Found::Json(Json::Text(text) | Json::Number(text)) | Found::Column(text) => text,
        Found::Json(_) => return Err("wrong_type"),
    };
    let us = match time::strict(&text).and_then(|text| DateTime::parse_from_rfc3339(&text).ok()) {
        Some(at) => at.timestamp_micros(),
        None => point_moved(&text, 3)?.0.parse().map_err(|_| "out_of_range")?,
    };
    // From year 1 up to and with year 9999.
    let in_range = DateTime::from_timestamp_micros(us).is_some_and(|at| (1..=9999).contains(&year(&at)));
    if in_range { Ok(Some(us)) } else { Err("out_of_range") }
}

/// A whole number of 64 bits: what is behind its point must be zeros.
fn integer(text: &str) -> Result<i64, &'static str> {
    let (whole, behind) = point_moved(text, 0)?;
    if !behind.trim_matches('0').is_empty() {
        return Err("wrong_type");
    }
    whole.parse().map_err(|_| "out_of_range")
}

/// The digits of a number before and behind its point, once that is moved by its exponent, and so many places to the right.
fn point_moved(text: &str, places: i64) -> Result<(String, String), &'static str> {
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let parts = [whole, fraction, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)];
    if !parts.iter().all(|part| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit())) {
        return Err("wrong_type");
    }
    let digits = format!("{whole}{fraction}");
    if digits.trim_matches('0').is_empty() {
        return Ok(("0".to_owned(), String::new()));
    }
    // Far more digits than any payload here has.
    let far: i64 = if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 };
    let point = whole.len() as i64 + exponent.parse().unwrap_or(far).clamp(-1_000_000, 1_000_000) + places;
    let (before, behind) = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
    let zeros = "0".repeat(usize::try_from(point).unwrap_or(0) - before.len());
    Ok((format!("{sign}0{before}{zeros}"), behind.to_owned()))
}

fn year(at: &DateTime<Utc>) -> i32 {
    chrono::Datelike::year(at)
}
