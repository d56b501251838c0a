//! How the instants of a sample are written: what the decoder reads with one format after the other.
//!
//! Each format is tried on a source that declares it, so a text is an instant here exactly if it is one in every layer.

use std::ops::Range;

use shared_logic::catalog::Catalog;
use shared_logic::decode::Decoder;
use shared_logic::time::parse_rfc3339;

use super::profile::few;

/// RFC 3339 and what comes near it; also milliseconds since 1970.
const USUAL: &str = "";
/// Numbers since 1970. Those of different units lie far apart, so a plausible year tells the unit.
const EPOCHS: [&str; 4] = ["epoch_s", USUAL, "epoch_us", "epoch_ns"];
/// Digits that are dates.
const DIGITS: [&str; 2] = ["%Y%m%d%H%M%S", "%Y%m%d"];
/// What programs write besides. Where two read the same texts, the first is taken; see [`Written::or`].
const PATTERNS: [&str; 25] = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%d %b %Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
];

/// Patterns in which day and month may have changed places.
const SWAPPED: [(&str, &str); 2] = [("%m/%d/%Y", "%d/%m/%Y"), ("%d/%m/%Y", "%m/%d/%Y")];

/// How the instants at one place are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The format as a catalog names it; `None` is the usual one.
    pub(super) format: Option<String>,
    /// Whether every text names its zone. Numbers since 1970 need none.
    pub(super) names_zone: bool,
    /// Another format that reads the same texts as other instants.
    pub(super) or: Option<String>,
}

/// Reads texts in every known format.
pub(super) struct Instants {
    readers: Vec<Reader>,
    plausible_us: Range<i64>,
    plausible_numbers_us: Range<i64>,
}

/// Reads texts in one format.
struct Reader {
    format: &'static str,
    /// For texts that name their zone.
    zoned: Option<Decoder>,
    /// For all texts; those without a zone count as UTC.
    any: Option<Decoder>,
}

impl Instants {
    /// Readers of all formats.
    pub(super) fn new() -> Instants {
        let formats = EPOCHS.into_iter().chain(PATTERNS).chain(DIGITS);
        let years = |from: &str, to: &str| year_us(from)..year_us(to);
        Instants {
            readers: formats.map(Reader::new).collect(),
            plausible_us: years("1900", "2200"),
            plausible_numbers_us: years("2000", "2100"),
        }
    }

    /// How these texts are written, if nearly all of them are instants. Mere digits are taken for instants only if they
    /// `may_be_digits`: most numbers are not.
    pub(super) fn find(&mut self, texts: &[&str], may_be_digits: bool) -> Option<Written> {
        let are_digits = texts.iter().filter(|text| is_decimal(text)).count() * 2 > texts.len();
        let (formats, plausible): (Vec<&'static str>, _) = if are_digits {
            let formats = EPOCHS.into_iter().chain(DIGITS);
            (if may_be_digits { formats.collect() } else { Vec::new() }, self.plausible_numbers_us.clone())
        } else {
            ([USUAL].into_iter().chain(PATTERNS).collect(), self.plausible_us.clone())
        };
        let format = formats.into_iter().find(|format| self.reads_all(format, texts, &plausible))?;
        let swapped = SWAPPED.iter().find(|(pattern, _)| format.starts_with(pattern));
        let or = swapped.map(|(pattern, other)| format.replacen(pattern, other, 1));
        let or = or.filter(|other| self.reads_all(other, texts, &plausible));
        let counts_since_1970 = are_digits && !format.starts_with('%');
        let names_zone = counts_since_1970 || self.names_zone(format, texts);
        Some(Written { format: (format != USUAL).then(|| format.to_owned()), names_zone, or })
    }

    /// The instant of a text that is written so, in microseconds since 1970; one without a zone counts as UTC.
    pub(super) fn read(&mut self, written: &Written, text: &str) -> Option<i64> {
        self.reader(written.format.as_deref().unwrap_or(USUAL))?.read(text)
    }

    /// Whether nearly all of the texts are plausible instants in that format.
    fn reads_all(&mut self, format: &str, texts: &[&str], plausible: &Range<i64>) -> bool {
        let Some(reader) = self.reader(format) else { return false };
        let mut others = 0;
        for text in texts {
            if reader.read(text).is_none_or(|us| !plausible.contains(&us)) {
                others += 1;
                if !few(others, texts.len()) {
                    return false;
                }
            }
        }
        !texts.is_empty()
    }

    /// Whether every text that is an instant names its zone.
    fn names_zone(&mut self, format: &str, texts: &[&str]) -> bool {
        let Some(reader) = self.reader(format) else { return false };
        texts.iter().all(|text| reader.names_zone(text))
    }

    fn reader(&mut self, format: &str) -> Option<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.format == format)
    }
}

impl Reader {
    fn new(format: &'static str) -> Reader {
        Reader { format, zoned: decoder(format, ""), any: decoder(format, "time_zone = \"UTC\"") }
    }

    fn read(&mut self, text: &str) -> Option<i64> {
        read(self.any.as_mut()?, text)
    }

    fn names_zone(&mut self, text: &str) -> bool {
        let zoned = self.zoned.as_mut().and_then(|decoder| read(decoder, text));
        zoned.is_some() || self.read(text).is_none()
    }
}

/// The decoder of a source whose records are instants in that format, and nothing else. `None` if a catalog refuses it, as it
/// refuses a pattern without a zone in a source without one.
fn decoder(format: &str, time_zone: &str) -> Option<Decoder> {
    let at = if format == USUAL {
        "\"timestamp\"".to_owned()
    } else {
        format!("{{ type = \"timestamp\", format = \"{format}\" }}")
    };
    let text = format!(
        "[sources.sample]\nformat = \"tsv\"\nevent_time = \"at\"\n{time_zone}\n[sources.sample.fields]\nat = {at}\n"
    );
    let catalog = Catalog::parse(&text).ok()?;
    catalog.sources.get("sample").map(Decoder::new)
}

/// Whether the text is digits with at most one point, behind a sign or not.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && digits.matches('.').count() <= 1
}

fn read(decoder: &mut Decoder, text: &str) -> Option<i64> {
    decoder.decode(Some(text.as_bytes()), None).ok().map(|event| event.time_us)
}

/// When a year begins.
fn year_us(year: &str) -> i64 {
    parse_rfc3339(format!("{year}-01-01T00:00:00Z").as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(texts: &[&str]) -> Option<(Option<String>, bool)> {
        Instants::new().find(texts, true).map(|written| (written.format, written.names_zone))
    }

    fn format(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_format_can_be_declared() {
        for reader in Instants::new().readers {
            assert!(reader.any.is_some(), "{}", reader.format);
        }
    }

    #[test]
    fn the_format_and_whether_it_names_a_zone_are_found() {
        assert_eq!(find(&["2026-11-25T10:00:00.5Z"]), Some((None, true)));
        assert_eq!(find(&["2026-11-25 10:00:00"]), Some((None, false)));
        assert_eq!(find(&["2026-11-25"]), Some((format("%Y-%m-%d"), false)));
        let utc = ["2026-11-25 10:00:00 UTC", "2026-11-25 10:00:00.25 UTC"];
        assert_eq!(find(&utc), Some((format("%Y-%m-%d %H:%M:%S%.f UTC"), false)), "as databases and Ruby write it");
        assert_eq!(find(&["25/Nov/2026:10:00:00 +0100"]), Some((format("%d/%b/%Y:%H:%M:%S %z"), true)));
        assert_eq!(find(&["25.11.2026 10:00:00"]), Some((format("%d.%m.%Y %H:%M:%S"), false)));
        assert_eq!(find(&["25.11.26 10:00"]), Some((format("%d.%m.%y %H:%M"), false)));
        assert_eq!(find(&["11/25/2026 10:00:00 AM"]), Some((format("%m/%d/%Y %I:%M:%S %p"), false)));
        assert_eq!(find(&["Wed, 25 Nov 2026 10:00:00 +0000"]), Some((format("%a, %d %b %Y %H:%M:%S %z"), true)));
        assert_eq!(find(&["DE", "FR"]), None);
        assert_eq!(find(&[]), None);
    }

    #[test]
    fn the_year_tells_the_unit_of_numbers() {
        assert_eq!(find(&["1795305600", "1795305601.25"]), Some((format("epoch_s"), true)));
        assert_eq!(find(&["1795305600000"]), Some((None, true)), "the usual format reads milliseconds");
        assert_eq!(find(&["1795305600000000"]), Some((format("epoch_us"), true)));
        assert_eq!(find(&["1795305600000000000"]), Some((format("epoch_ns"), true)));
        assert_eq!(find(&["20261125"]), Some((format("%Y%m%d"), false)));
        assert_eq!(find(&["42", "1795305600"]), None);
        assert_eq!(Instants::new().find(&["1795305600"], false), None);
    }

    #[test]
    fn the_order_of_day_and_month_is_told_by_days_behind_the_twelfth() {
        let found = |texts: &[&str]| Instants::new().find(texts, false).map(|written| (written.format, written.or));
        assert_eq!(found(&["01/02/2026", "11/25/2026"]), Some((format("%m/%d/%Y"), None)));
        assert_eq!(found(&["01/02/2026", "25/11/2026"]), Some((format("%d/%m/%Y"), None)));
        assert_eq!(found(&["01/02/2026"]), Some((format("%m/%d/%Y"), format("%d/%m/%Y"))));
    }

    #[test]
    fn a_few_texts_may_be_broken() {
        let mut texts = vec!["2026-11-25T10:00:00Z"; 99];
        texts.push("yesterday");
        assert_eq!(find(&texts), Some((None, true)));
        texts.push("tomorrow");
        assert_eq!(find(&texts), None);
    }
}
