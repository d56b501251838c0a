//! A search: a bounded, safe subset of what a server can be asked (I6).
//!
//! `q` is searched in all text fields (or, where an index has none, in its keywords), all words of it, with `"phrases"`, `-word`, `a | b`, `(…)` and `word*`. Any other parameter is a field:
//! `plan=pro` is an exact value (of a text field: all its words), `age=18..65` a range with both ends, of which one may be left out.
//! Nothing of what a user types is ever a script, a regular expression, or the name of a field that the catalog does not have.

use serde_json::{Value, json};

use crate::catalog::{Index, IndexKind};
use crate::suggest;
use crate::time::{format_rfc3339, parse_rfc3339};

/// The most hits of one answer.
pub const LIMIT_MAX: u64 = 100;
/// The most hits that can be passed over.
pub const OFFSET_MAX: u64 = 1_000;
/// The hits of an answer whose search names no limit.
const LIMIT: u64 = 20;
/// The longest value of a parameter, in bytes.
pub const TEXT_MAX: usize = 512;
/// The parameter that says by what hits are ordered.
const SORT: &str = "sort";
/// The longest time that the server may search, in milliseconds.
const TIMEOUT_MS: u64 = 2_000;
/// What of its small language `q` may use.
const FLAGS: &str = "AND|OR|NOT|PHRASE|PREFIX|PRECEDENCE|WHITESPACE";

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    q: Option<String>,
    filters: Vec<Filter>,
    sort: Vec<Sort>,
    limit: u64,
    offset: u64,
}

/// What a field has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    field: String,
    kind: IndexKind,
    of: Wanted,
}

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Value(Value),
    Range(Option<Value>, Option<Value>),
}

/// By what hits are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    field: String,
    descending: bool,
}

/// Why parameters are no search. The text is for who asked, and names the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {fix}")]
pub struct NotASearch {
    /// The parameter that has to change.
    pub parameter: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Search {
    /// Reads the parameters of a search, each of which comes once. `version` is not among them.
    ///
    /// # Errors
    /// [`NotASearch`], the first mistake.
    pub fn parse<'p>(
        index: &Index,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Search, NotASearch> {
        let mut search = Search { q: None, filters: Vec::new(), sort: Vec::new(), limit: LIMIT, offset: 0 };
        for (name, value) in parameters {
            if value.len() > TEXT_MAX {
                return Err(mistake(name, format!("`{name}` is longer than {TEXT_MAX} bytes"), "shorten it"));
            }
            match name {
                "q" => search.q = Some(value.trim().to_owned()).filter(|q| !q.is_empty()),
                "limit" => search.limit = number(name, value, 1, LIMIT_MAX)?,
                "offset" => search.offset = number(name, value, 0, OFFSET_MAX)?,
                SORT => {
                    for part in value.split(',') {
                        search.sort.push(sort(index, part.trim())?);
                    }
                }
                field => search.filters.push(filter(index, field, value)?),
            }
        }
        Ok(search)
    }

    /// The question to the server.
    pub fn body(&self, index: &Index) -> Value {
        let must: Vec<Value> = self.q.iter().map(|q| words(index, q)).collect();
        let filter: Vec<Value> = self.filters.iter().map(Filter::body).collect();
        let order = |sort: &Sort| json!({&sort.field: {"order": if sort.descending { "desc" } else { "asc" }, "missing": "_last"}});
        let mut body = json!({
            "query": {"bool": {"must": must, "filter": filter}},
            "size": self.limit,
            "from": self.offset,
            "track_total_hits": true,
            "timeout": format!("{TIMEOUT_MS}ms"),
            "version": true,
        });
        if !self.sort.is_empty() {
            body["sort"] = self.sort.iter().map(order).collect();
        }
        body
    }
}

impl Filter {
    fn body(&self) -> Value {
        let Filter { field, kind, of } = self;
        match (of, kind) {
            (Wanted::Value(value), IndexKind::Text) => json!({"match": {field: {"query": value, "operator": "and"}}}),
            (Wanted::Value(value), _) => json!({"term": {field: {"value": value}}}),
            (Wanted::Range(from, to), _) => {
                let mut bounds = json!({});
                from.iter().for_each(|from| bounds["gte"] = from.clone());
                to.iter().for_each(|to| bounds["lte"] = to.clone());
                json!({"range": {field: bounds}})
            }
        }
    }
}

fn words(index: &Index, q: &str) -> Value {
    let of = |kind| index.fields.iter().filter(move |field| field.kind == kind).map(|field| field.name.as_str());
    let mut fields: Vec<&str> = of(IndexKind::Text).collect();
    if fields.is_empty() {
        fields = of(IndexKind::Keyword).collect();
    }
    if fields.is_empty() {
        return json!({"match_none": {}});
    }
    json!({"simple_query_string": {
        "query": q, "fields": fields, "flags": FLAGS, "default_operator": "and", "lenient": true, "fuzzy_max_expansions": 1,
    }})
}

fn filter(index: &Index, name: &str, value: &str) -> Result<Filter, NotASearch> {
    let kind = known(index, name, name)?;
    let of = match (kind, value.split_once("..")) {
        (IndexKind::Integer | IndexKind::Float | IndexKind::Time, Some((from, to))) => {
            let bound = |text: &str| if text.is_empty() { Ok(None) } else { self::value(name, kind, text).map(Some) };
            Wanted::Range(bound(from)?, bound(to)?)
        }
        _ => Wanted::Value(self::value(name, kind, value)?),
    };
    Ok(Filter { field: name.to_owned(), kind, of })
}

fn value(name: &str, kind: IndexKind, text: &str) -> Result<Value, NotASearch> {
    let read = match kind {
        IndexKind::Text | IndexKind::Keyword => Some(Value::from(text)),
        IndexKind::Integer => text.parse::<i64>().ok().map(Value::from),
        IndexKind::Float => text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Value::from),
        IndexKind::Time => parse_rfc3339(text.as_bytes()).map(|us| Value::from(format_rfc3339(us))),
        IndexKind::Boolean => text.parse::<bool>().ok().map(Value::from),
    };
    let example = match kind {
        IndexKind::Text | IndexKind::Keyword => "a text",
        IndexKind::Integer => "an integer, or a range such as 18..65",
        IndexKind::Float => "a number, or a range such as 0.5..1",
        IndexKind::Time => "an instant such as 2026-04-24T09:30:00Z, or a range of two with `..` between them",
        IndexKind::Boolean => "true or false",
    };
    read.ok_or_else(|| mistake(name, format!("`{name}` is {text:?}"), &format!("write {example}")))
}

fn sort(index: &Index, text: &str) -> Result<Sort, NotASearch> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    if known(index, name, SORT)? == IndexKind::Text {
        let what = format!("`sort` names `{name}`, whose texts are taken apart into words");
        return Err(mistake(SORT, what, "sort by another field, or index it as \"keyword\""));
    }
    Ok(Sort { field: name.to_owned(), descending })
}

/// How the field of that name is indexed, which a parameter names.
fn known(index: &Index, name: &str, parameter: &str) -> Result<IndexKind, NotASearch> {
    let names = index.fields.iter().map(|field| field.name.as_str());
    let unknown = || {
        let what = format!("index `{}` has no field `{name}`", index.name);
        mistake(parameter, what, &suggest::fix(name, "fields", names))
    };
    index.field(name).map(|field| field.kind).ok_or_else(unknown)
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, NotASearch> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        mistake(name, format!("`{name}` is {value:?}"), &format!("write an integer from {least} to {most}"))
    })
}

fn mistake(parameter: &str, what: String, fix: &str) -> NotASearch {
    NotASearch { parameter: parameter.to_owned(), what, fix: fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{IndexField, IndexFrom};

    fn index() -> Index {
        let field = |name: &str, kind| IndexField { name: name.to_owned(), kind };
        Index {
            name: "users".to_owned(),
            from: IndexFrom::Table("users".to_owned()),
            id: "user_id".to_owned(),
            fields: vec![
                field("name", IndexKind::Text),
                field("plan", IndexKind::Keyword),
                field("age", IndexKind::Integer),
                field("born", IndexKind::Time),
            ],
        }
    }

    fn body(parameters: &[(&str, &str)]) -> Value {
        Search::parse(&index(), parameters.iter().copied()).expect("a search").body(&index())
    }

    fn refused(parameters: &[(&str, &str)]) -> String {
        Search::parse(&index(), parameters.iter().copied()).expect_err("no search").to_string()
    }

    #[test]
    fn a_search_has_words_filters_and_an_order() {
        let asked = body(&[("q", "ada"), ("plan", "pro"), ("age", "18.."), ("sort", "-born,plan"), ("limit", "5")]);
        assert_eq!(asked["query"]["bool"]["must"][0]["simple_query_string"]["fields"], json!(["name"]));
        let filter = json!([{"term": {"plan": {"value": "pro"}}}, {"range": {"age": {"gte": 18}}}]);
        assert_eq!(asked["query"]["bool"]["filter"], filter);
        assert_eq!(asked["sort"][0], json!({"born": {"order": "desc", "missing": "_last"}}));
        assert_eq!((asked["size"].clone(), asked["from"].clone()), (json!(5), json!(0)));
        let all = body(&[]);
        assert_eq!((all["query"]["bool"]["must"].clone(), all["size"].clone()), (json!([]), json!(20)));
    }

    #[test]
    fn what_is_no_search_is_refused_with_the_fix() {
        assert_eq!(refused(&[("plam", "pro")]), "index `users` has no field `plam`: did you mean `plan`?");
        assert!(refused(&[("limit", "101")]).contains("from 1 to 100"));
        assert!(refused(&[("offset", "-1")]).contains("from 0 to 1000"));
        assert!(refused(&[("age", "old")]).contains("18..65"));
        assert!(refused(&[("born", "1990")]).contains("2026-04-24T09:30:00Z"));
        assert!(refused(&[("sort", "name")]).contains("keyword"));
        assert!(refused(&[("q", &"x".repeat(513))]).contains("longer than 512 bytes"));
        let parameter = |parameters: &[(&str, &str)]| {
            Search::parse(&index(), parameters.iter().copied()).expect_err("no search").parameter
        };
        for (name, value) in [("plam", "pro"), ("limit", "0"), ("age", "old"), ("sort", "plam"), ("sort", "name")] {
            assert_eq!(parameter(&[("q", "ada"), (name, value)]), name, "{name}={value}");
        }
    }
}
