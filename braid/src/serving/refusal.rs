//! A response other than 200. The serving layer sends a problem as of RFC 9457; whatever stands between may send anything.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Gap, indented};
use crate::terminal::printable;

/// A response other than 200.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    body: String,
}

/// What a problem says to a person.
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    detail: String,
    /// The parameter that has to change.
    parameter: Option<String>,
    #[serde(default)]
    gaps: Vec<Gap>,
}

impl Refusal {
    /// The response with this status and this body.
    pub(super) fn new(status: StatusCode, body: String) -> Refusal {
        Refusal { status, body }
    }

    /// The response as a program reads it: the problem as JSON, or the status and whatever the body is.
    pub fn for_programs(&self) -> String {
        match self.problem() {
            Some(_) => indented(&self.body),
            None => format!("{}\n{}", self.status, indented(&self.body)),
        }
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_str(&self.body).ok()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = self.problem() else {
            let lines: Vec<_> = self.body.lines().map(printable).collect();
            return write!(f, "{}\n  {}", self.status, lines.join("\n  "));
        };
        write!(f, "{} ({})\n  {}", printable(&problem.title), self.status, printable(&problem.detail))?;
        if let Some(parameter) = &problem.parameter {
            write!(f, "\n  parameter: {}", printable(parameter))?;
        }
        problem.gaps.iter().try_for_each(|gap| write!(f, "\n  gap: {gap}"))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_words() {
        let body = r#"{"type": "urn:braid:problem:incomplete", "title": "No complete answer", "status": 503,
            "detail": "it would not be complete", "gaps": [
                {"reason": "lost", "text": "offsets 1 to 2 are lost", "source": "views", "log": "L", "partition": 0}]}"#;
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body.to_owned());
        let expected = "No complete answer (503 Service Unavailable)\n  it would not be complete\n  \
                        gap: offsets 1 to 2 are lost (source views, log L, partition 0)";
        assert_eq!(refusal.to_string(), expected);
        assert!(refusal.for_programs().starts_with("{\n  \"type\": \"urn:braid:problem:incomplete\",\n"));

        let body = r#"{"type": "urn:x", "title": "Bad", "status": 400, "detail": "no", "parameter": "step"}"#;
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, body.to_owned());
        assert_eq!(refusal.to_string(), "Bad (400 Bad Request)\n  no\n  parameter: step");
    }

    #[test]
    fn anything_else_is_shown_with_its_status() {
        let refusal = Refusal::new(StatusCode::BAD_GATEWAY, "bad gateway\n".to_owned());
        assert_eq!(refusal.to_string(), "502 Bad Gateway\n  bad gateway");
        assert_eq!(refusal.for_programs(), "502 Bad Gateway\nbad gateway");
    }
}
