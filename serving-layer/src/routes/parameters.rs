//! The query string of a request as names and values (`application/x-www-form-urlencoded`). Every request may name the version that it is about.

use shared_logic::time::parse_instant;

use crate::problem::{Problem, VERSION};

/// The most parameters of one request.
const MOST: usize = 1_000;

/// Decoded parameters, in the order of the request.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string.
    ///
    /// # Errors
    /// If a name is repeated, or a name or value is not UTF-8.
    pub(crate) fn read(query: Option<&str>) -> Result<Parameters, Problem> {
        let parameters = Parameters::read_repeated(query)?;
        parameters.repeat_only(|_| false)?;
        Ok(parameters)
    }

    /// Reads a query string in which names may be repeated. [`Parameters::repeat_only`] says which ones.
    ///
    /// # Errors
    /// If a name or value is not UTF-8.
    pub(crate) fn read_repeated(query: Option<&str>) -> Result<Parameters, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let given = query.unwrap_or_default();
        if given.split('&').nth(MOST).is_some() {
            return Err(too_many(given.split(['=', '&']).next().unwrap_or_default()));
        }
        for pair in given.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad =
                || Problem::parameter(name, format!("parameter {name} is not percent-encoded UTF-8: write %25 for %"));
            pairs.push((decoded(name).ok_or_else(bad)?, decoded(value).ok_or_else(bad)?));
        }
        Ok(Parameters(pairs))
    }

    /// Parameters that did not come as a query string.
    ///
    /// # Errors
    /// If there are too many. Each is compared with all others.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Result<Parameters, Problem> {
        if pairs.len() > MOST { Err(too_many(&pairs[0].0)) } else { Ok(Parameters(pairs)) }
    }

    /// Refuses a name that is repeated but may not be, and one that is repeated with the same value.
    ///
    /// # Errors
    /// If there is one; the problem names the first.
    pub(crate) fn repeat_only(&self, may_repeat: impl Fn(&str) -> bool) -> Result<(), Problem> {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let mut before = self.0[..at].iter().filter(|(known, _)| known == name).peekable();
            if before.peek().is_none() {
                continue;
            }
            if !may_repeat(name) {
                return Err(Problem::parameter(name, format!("parameter {name} is repeated: give it once")));
            }
            if before.any(|(_, known)| known == value) {
                let detail = format!("{name}={value} is repeated: give each value once");
                return Err(Problem::parameter(name, detail));
            }
        }
        Ok(())
    }

    /// Every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The version that the request names, if it does.
    pub(crate) fn version(&self) -> Option<&str> {
        self.get(VERSION)
    }

    /// Refuses every parameter but the version, for routes that have no other.
    ///
    /// # Errors
    /// If there is one.
    pub(crate) fn refuse_all(query: Option<&str>) -> Result<(), Problem> {
        Parameters::read(query)?.only(std::iter::empty::<&str>())
    }

    /// Refuses every parameter, for routes that are about no single version.
    ///
    /// # Errors
    /// If there is one.
    pub(crate) fn refuse_any(query: Option<&str>) -> Result<(), Problem> {
        let parameters = Parameters::read(query)?;
        let Some((name, _)) = parameters.0.first() else { return Ok(()) };
        let detail = format!("parameter {name} is not known: this path has no parameters, leave it out");
        Err(Problem::parameter(name, detail))
    }

    /// The value of a parameter, if the request has it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_ending(name, "")
    }

    /// The same of the parameter whose name is `name` with that `ending`.
    pub(crate) fn get_ending(&self, name: &str, ending: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(known, _)| known.strip_prefix(name) == Some(ending));
        pair.map(|(_, value)| value.as_str())
    }

    /// The moment that a parameter says, in microseconds since 1970, if the request has it.
    ///
    /// # Errors
    /// If it says none.
    pub(crate) fn instant(&self, name: &str, now_us: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse_instant(text, now_us).map(Some).ok_or_else(|| {
            let wanted = "an RFC 3339 timestamp such as 2026-04-24T09:30:00Z, now, or a time before now such as -24h";
            Problem::parameter(name, format!("{name}={text} is not a point in time: write {wanted}{}", plus_hint(text)))
        })
    }

    /// The range that `from` and `to` say, as far as the request has them.
    ///
    /// # Errors
    /// If one of them is no moment, or they are not in order.
    pub(crate) fn range(&self, now_us: i64) -> Result<(Option<i64>, Option<i64>), Problem> {
        let (from, to) = (self.instant("from", now_us)?, self.instant("to", now_us)?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            let detail = "from must be before to: the range includes its start and excludes its end".to_owned();
            return Err(Problem::parameter("from", detail));
        }
        Ok((from, to))
    }

    /// How many rows `limit` asks for.
    ///
    /// # Errors
    /// If it is no number from 1 to `most`.
    pub(crate) fn limit(&self, usual: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else { return Ok(usual) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Problem::parameter("limit", format!("limit is {text:?}: write a number from 1 to {most}")))
    }

    /// All parameters but the version.
    pub(crate) fn of_path(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| *name != VERSION)
    }

    /// Refuses all other parameters but the version.
    ///
    /// # Errors
    /// If there is one; the problem names the first.
    pub(crate) fn only(&self, allowed: impl Iterator<Item: AsRef<str>> + Clone) -> Result<(), Problem> {
        let is_allowed = |name: &str| name == VERSION || allowed.clone().any(|known| known.as_ref() == name);
        let Some((name, _)) = self.0.iter().find(|(name, _)| !is_allowed(name)) else { return Ok(()) };
        let allowed: Vec<_> = allowed.collect();
        let allowed: Vec<&str> = allowed.iter().map(AsRef::as_ref).collect();
        let detail = match allowed.as_slice() {
            [] => format!("parameter {name} is not known: this path has {VERSION} alone, leave it out"),
            allowed => format!("parameter {name} is not known: this path has {}, {VERSION}", allowed.join(", ")),
        };
        Err(Problem::parameter(name, detail))
    }
}

fn too_many(first: &str) -> Problem {
    Problem::parameter(first, format!("there are more than {MOST} parameters: ask for less at a time"))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(rest.next()?)?, hex(rest.next()?)?);
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

/// A hint for a zone such as `+02:00`, whose plus a query string decodes as a space.
pub(crate) fn plus_hint(text: &str) -> &'static str {
    if text.contains('T') && text.contains(' ') { " (a + in a query string has to be written %2B)" } else { "" }
}
