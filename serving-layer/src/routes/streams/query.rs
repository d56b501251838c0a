//! The parameters of a stream, read strictly as those of metrics are: a parameter that is not known, is repeated or makes no sense is
//! refused by name.
//!
//! A field of the stream is a parameter: `user_id=u-7` for the outputs with that value, and for an optional field `country.missing=true` for
//! those without one. A field with the name of another parameter cannot be asked for.

use shared_logic::catalog::Source;
use shared_logic::schema::{Field, FieldType};
use shared_logic::time::TimeRange;

use crate::problem::{Problem, VERSION};
use crate::routes::parameters::{Parameters, plus_hint};
use crate::stream_read::{Filter, Question, WantedValue};

/// The parameters besides the fields.
const OTHERS: [&str; 3] = ["from", "to", "limit"];
/// How many outputs are given if the request does not say.
const LIMIT: usize = 100;
/// How many outputs a request can ask for.
const LIMIT_MAX: usize = 1_000;

/// What a request asks of what was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) question: Question,
    /// The start and the end of the range, as far as the request names them.
    pub(super) from_us: Option<i64>,
    pub(super) to_us: Option<i64>,
}

impl Asked {
    /// Reads the parameters of a request for what was written.
    ///
    /// # Errors
    /// If a parameter cannot be used; the problem names the first.
    pub(super) fn read(parameters: &Parameters, source: &Source, now_us: i64) -> Result<Asked, Problem> {
        let filter = filter(parameters, source, &OTHERS)?;
        let ((from_us, to_us), limit) = (parameters.range(now_us)?, parameters.limit(LIMIT, LIMIT_MAX)?);
        let all = TimeRange::ALL;
        let times = TimeRange { from_us: from_us.unwrap_or(all.from_us), to_us: to_us.unwrap_or(all.to_us) };
        Ok(Asked { question: Question { filter, times, limit }, from_us, to_us })
    }
}

/// Reads what the fields have to be, and refuses all other parameters than `others`.
///
/// # Errors
/// If a parameter cannot be used; the problem names the first.
pub(super) fn filter(parameters: &Parameters, source: &Source, others: &[&str]) -> Result<Filter, Problem> {
    let fields = || source.fields.iter().enumerate().filter(|(_, field)| !is_other(&field.name));
    let known: Vec<String> = fields().flat_map(|(_, field)| names(field)).collect();
    parameters.only(known.iter().map(String::as_str).chain(others.iter().copied()))?;
    let mut filter = Filter::default();
    for (place, field) in fields() {
        if let Some(value) = wanted(parameters, field)? {
            filter.add(place, value);
        }
    }
    Ok(filter)
}

/// Whether it is the name of another parameter.
fn is_other(name: &str) -> bool {
    name == VERSION || OTHERS.contains(&name)
}

/// The parameters of a field. Names of fields hold no dot, so no other field has one of these names.
fn names(field: &Field) -> impl Iterator<Item = String> {
    [field.name.clone()].into_iter().chain(field.optional.then(|| missing(field)))
}

/// The parameter that asks for the outputs without a value.
fn missing(field: &Field) -> String {
    format!("{}.missing", field.name)
}

/// What a field has to be, if the request says that.
fn wanted(parameters: &Parameters, field: &Field) -> Result<Option<WantedValue>, Problem> {
    let (name, missing) = (&field.name, missing(field));
    match (parameters.get(name), parameters.get(&missing)) {
        (None, None) => Ok(None),
        (Some(text), None) => value(field, text).map(Some),
        (None, Some("true")) => Ok(Some(WantedValue::Missing)),
        (Some(_), Some(_)) => {
            Err(Problem::parameter(&missing, format!("{name} and {missing} exclude each other: give one of them")))
        }
        (None, Some(other)) => {
            let detail = format!(
                "{missing}={other} is not known: write {missing}=true for the outputs without {name}, or leave it out"
            );
            Err(Problem::parameter(&missing, detail))
        }
    }
}

fn value(field: &Field, text: &str) -> Result<WantedValue, Problem> {
    WantedValue::parse(field.kind, text).ok_or_else(|| {
        let wanted = match field.kind {
            FieldType::Bool => "true or false".to_owned(),
            FieldType::Timestamp => format!("an RFC 3339 timestamp such as 2026-04-24T09:30:00Z{}", plus_hint(text)),
            FieldType::Int => "an integer".to_owned(),
            FieldType::Float | FieldType::String => "a number".to_owned(),
        };
        let (name, kind) = (&field.name, field.kind.name());
        Problem::parameter(name, format!("{name}={text} is not of the field's type {kind}: write {wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use shared_logic::time::parse_rfc3339;
    use test_kit::catalogs;

    use super::*;

    const NOW: &str = "2026-04-24T09:31:07Z";

    fn at(text: &str) -> i64 {
        parse_rfc3339(text.as_bytes()).expect("an instant")
    }

    /// A source with a field of each type but one, and one that is called like a parameter.
    fn source() -> Source {
        let fields = "[sources.visits.fields]\nlimit = \"int?\"\nshare = \"float?\"";
        let text = catalogs::EVERY_KEY_TYPE.replace("[sources.visits.fields]", fields);
        Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["visits"].clone()
    }

    fn read(query: &str) -> Result<Asked, Problem> {
        Asked::read(&Parameters::read(Some(query))?, &source(), at(NOW))
    }

    fn refused(query: &str, parameter: &str, word: &str) {
        let problem = read(query).expect_err(query);
        assert_eq!(problem.parameter.as_deref(), Some(parameter), "{query}: {}", problem.detail);
        assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
    }

    #[test]
    fn fields_are_read_by_their_type() {
        let place = |name: &str| source().fields.iter().position(|field| field.name == name).expect("declared");
        let mut expected = Filter::default();
        expected.add(place("share"), WantedValue::Float(0.5));
        expected.add(place("page"), WantedValue::Text("a b".to_owned()));
        expected.add(place("code"), WantedValue::Int(-7));
        expected.add(place("ok"), WantedValue::Missing);
        expected.add(place("seen"), WantedValue::Instant(at("2026-01-01T00:00:00Z")));
        let query = "page=a%20b&code=-7&ok.missing=true&seen=2026-01-01T02:00:00%2B02:00&share=0.5";
        assert_eq!(read(query).expect("readable").question.filter, expected);
        let asked = read("").expect("readable");
        assert_eq!((asked.question.filter, asked.question.times), (Filter::default(), TimeRange::ALL));
        assert_eq!((asked.question.limit, asked.from_us, asked.to_us), (100, None, None));
    }

    #[test]
    fn ranges_are_taken_as_they_are() {
        let asked = read("from=-1h&to=now&limit=7").expect("readable");
        let times = TimeRange { from_us: at("2026-04-24T08:31:07Z"), to_us: at(NOW) };
        assert_eq!((asked.question.times, asked.question.limit), (times, 7));
        assert_eq!((asked.from_us, asked.to_us), (Some(times.from_us), Some(times.to_us)));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        refused("stie=1", "stie", "share, share.missing, at, page, page.missing, code, ok, ok.missing, seen");
        refused("stie=1", "stie", "from, to, limit");
        refused("code.missing=true", "code.missing", "not known");
        refused("page=a&page.missing=true", "page.missing", "exclude each other");
        refused("page.missing=false", "page.missing", "write page.missing=true");
        refused("code=x", "code", "an integer");
        refused("share=NaN", "share", "a number");
        refused("ok=yes", "ok", "true or false");
        refused("seen=2026-01-01T02:00:00+02:00", "seen", "%2B");
        refused("code=1&code=2", "code", "repeated");
        refused("limit=0", "limit", "1 to 1000");
        refused("limit.missing=true", "limit.missing", "not known");
        refused("from=now&to=-1h", "from", "before to");
        refused("to=monday", "to", "RFC 3339");
    }

    #[test]
    fn events_have_no_range() {
        let parameters = |query: &str| Parameters::read(Some(query)).expect("pairs");
        assert!(filter(&parameters("code=1"), &source(), &[]).is_ok());
        for query in ["from=-1h", "to=now", "limit=7"] {
            let problem = filter(&parameters(query), &source(), &[]).expect_err(query);
            assert!(problem.detail.contains("not known"), "{}", problem.detail);
        }
    }
}
