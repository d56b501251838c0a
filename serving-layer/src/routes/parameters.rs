//! A query string as names and values (`application/x-www-form-urlencoded`).

use crate::problem::Problem;

/// Decoded pairs, each name once.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string.
    ///
    /// # Errors
    /// A name that is repeated, or a text that is not UTF-8.
    pub(crate) fn read(query: Option<&str>) -> Result<Parameters, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad =
                || Problem::parameter(name, format!("parameter {name} is not percent-encoded UTF-8: write %25 for %"));
            let (name, value) = (decoded(name).ok_or_else(bad)?, decoded(value).ok_or_else(bad)?);
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::parameter(&name, format!("parameter {name} is repeated: give it once")));
            }
            pairs.push((name, value));
        }
        Ok(Parameters(pairs))
    }

    /// The value of a parameter, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Refuses every parameter but these.
    ///
    /// # Errors
    /// The first other one.
    pub(crate) fn only<'a>(&self, allowed: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
        let allowed: Vec<&str> = allowed.collect();
        match self.0.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) if allowed.is_empty() => Err(Problem::parameter(
                name,
                format!("parameter {name} is not known: there are none here, leave it out"),
            )),
            Some((name, _)) => {
                let detail = format!("parameter {name} is not known: there are {}", allowed.join(", "));
                Err(Problem::parameter(name, detail))
            }
        }
    }
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
