//! A stream, as a catalog declares it and as the oracle takes it.

use std::fmt::Write;

use serde_json::Value as Json;

pub(super) const SECOND_US: i64 = 1_000_000;

/// A field that streams may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Int,
    Float,
}

/// A stream.
#[derive(Debug, Clone)]
pub(super) struct Defined {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) lateness_us: i64,
    pub(super) takes: Option<Takes>,
    pub(super) what: What,
}

/// `where`.
#[derive(Debug, Clone)]
pub(super) struct Takes {
    pub(super) field: String,
    pub(super) test: Test,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Above(i64),
    Is(&'static str),
    IsNot(&'static str),
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Map { key: Option<String>, fields: Vec<(String, Of)> },
    Window { by: Vec<String>, size_us: i64, slide_us: i64, offset_us: i64, measures: Vec<Measure> },
    Session { by: Vec<String>, gap_us: i64, longest_us: Option<i64>, measures: Vec<Measure> },
    Detect { key: String, history_us: i64, history_max: usize, rejudge_max: usize, rules: Vec<Rule> },
}

/// A field of a map's output.
#[derive(Debug, Clone)]
pub(super) enum Of {
    Field(String),
    /// A number, doubled.
    Twice(String),
    /// A text, or `-` where there is none.
    Or(String),
}

/// A measure.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) name: String,
    pub(super) law: Law,
    /// Its argument, and whether that is an integer.
    pub(super) of: Option<(String, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    Count,
    Sum,
    Mean,
    Least,
    Greatest,
}

/// A rule of a detector, with one look at the past.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) look: Look,
    /// What is looked at, and whether that is an integer; nothing for a number of events.
    pub(super) of: Option<(String, bool)>,
    pub(super) span_us: Option<i64>,
    pub(super) than: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Previous,
    Count,
    Sum,
    Mean,
    Least,
    Greatest,
}

impl Takes {
    /// Whether an event passes with that value of the field. An absent one does not.
    pub(super) fn holds(&self, value: Option<&Json>) -> bool {
        let Some(value) = value else { return false };
        match &self.test {
            Test::Above(least) => value.as_f64().is_some_and(|value| value > *least as f64),
            Test::Is(text) => value.as_str() == Some(text),
            Test::IsNot(text) => value.as_str() != Some(text),
        }
    }

    fn text(&self) -> String {
        let field = &self.field;
        match &self.test {
            Test::Above(least) => format!("{field} > {least}"),
            Test::Is(text) => format!("{field} = '{text}'"),
            Test::IsNot(text) => format!("{field} <> '{text}'"),
        }
    }
}

impl Rule {
    /// What it looks at, as its alerts name it.
    pub(super) fn looks_at(&self) -> String {
        let name = match self.look {
            Look::Previous => "previous",
            Look::Count => "history_count",
            Look::Sum => "history_sum",
            Look::Mean => "history_avg",
            Look::Least => "history_min",
            Look::Greatest => "history_max",
        };
        let of = self.of.iter().map(|(of, _)| of.clone());
        let span = self.span_us.iter().map(|us| format!("'{}'", seconds(*us)));
        format!("{name}({})", of.chain(span).collect::<Vec<_>>().join(", "))
    }

    fn condition(&self) -> String {
        let (look, than) = (self.looks_at(), self.than);
        let of = self.of.as_ref().map(|(of, _)| of.as_str()).unwrap_or_default();
        match self.look {
            Look::Previous => format!("{of} - {look} > {than}"),
            Look::Count => format!("{look} >= {than}"),
            Look::Sum => format!("{look} > {than}"),
            Look::Mean | Look::Least => format!("{of} > {look}"),
            Look::Greatest => format!("{of} >= {look}"),
        }
    }
}

/// Whole seconds, below a minute.
fn seconds(us: i64) -> String {
    format!("{}s", us / SECOND_US)
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", names.join(", "))
}

impl Defined {
    /// As it stands in a catalog.
    pub(super) fn toml(&self) -> String {
        let (name, mut tables) = (&self.name, String::new());
        let mut text = format!("[streams.{name}]\nfrom = \"{}\"\n", self.from);
        if let Some(takes) = &self.takes {
            line(&mut text, "where", &takes.text());
        }
        if !matches!(self.what, What::Map { .. }) {
            line(&mut text, "lateness", &seconds(self.lateness_us));
        }
        match &self.what {
            What::Map { key, fields } => {
                key.iter().for_each(|key| line(&mut text, "key", key));
                tables.push_str(&format!("[streams.{name}.fields]\n"));
                for (field, of) in fields {
                    let of = match of {
                        Of::Field(of) => of.clone(),
                        Of::Twice(of) => format!("{of} * 2"),
                        Of::Or(of) => format!("coalesce({of}, '-')"),
                    };
                    line(&mut tables, field, &of);
                }
            }
            What::Window { by, size_us, slide_us, offset_us, measures } => {
                text.push_str(&format!("by = {}\n", list(by)));
                for (key, us) in [("window", size_us), ("slide", slide_us), ("offset", offset_us)] {
                    line(&mut text, key, &seconds(*us));
                }
                tables = measured(name, measures);
            }
            What::Session { by, gap_us, longest_us, measures } => {
                text.push_str(&format!("by = {}\n", list(by)));
                line(&mut text, "session", &seconds(*gap_us));
                longest_us.iter().for_each(|us| line(&mut text, "longest", &seconds(*us)));
                tables = measured(name, measures);
            }
            What::Detect { key, history_us, history_max, rejudge_max, rules } => {
                line(&mut text, "key", key);
                line(&mut text, "history", &seconds(*history_us));
                text.push_str(&format!("history_max = {history_max}\nrejudge_max = {rejudge_max}\n"));
                tables.push_str(&format!("[streams.{name}.detect]\n"));
                rules.iter().for_each(|rule| line(&mut tables, &rule.name, &rule.condition()));
            }
        }
        text + &tables
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = \"{value}\"").expect("a text takes everything");
}

/// The tables of measures and of what is derived from them.
fn measured(stream: &str, measures: &[Measure]) -> String {
    let mut text = format!("[streams.{stream}.measures]\n");
    for Measure { name, law, of } in measures {
        let function = match law {
            Law::Count => "count",
            Law::Sum => "sum",
            Law::Mean => "avg",
            Law::Least => "min",
            Law::Greatest => "max",
        };
        let of = of.as_ref().map(|(of, _)| of.as_str()).unwrap_or_default();
        line(&mut text, name, &format!("{function}({of})"));
    }
    if let Some(sum) = ratio(measures) {
        text.push_str(&format!("[streams.{stream}.derived]\n"));
        line(&mut text, RATIO, &format!("{sum} / {EVENTS}"));
    }
    text
}

/// The measure that every window and session has: a number of events.
pub(super) const EVENTS: &str = "events";
/// The derived value of those that have a sum: that for each event.
pub(super) const RATIO: &str = "ratio";

/// The sum of which [`RATIO`] is made.
pub(super) fn ratio(measures: &[Measure]) -> Option<&str> {
    measures.iter().find(|measure| measure.law == Law::Sum).map(|measure| measure.name.as_str())
}
