//! How an answer is sent: as JSON or CSV, with what a client needs to see whether it has changed, and whether something may be missing.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::response::Response;

use crate::problem::Problem;
use crate::written::{Form, Told, Written};

/// Whether nothing is missing in the answer: CSV has no other place to say it.
const COMPLETE: HeaderName = HeaderName::from_static("braid-complete");
/// As of when the answer speaks, also if it has not changed.
const AS_OF: HeaderName = HeaderName::from_static("braid-as-of");
/// Whether there is another page, of what is answered page by page.
const MORE: HeaderName = HeaderName::from_static("braid-more");

/// How many headers an answer has at most, with its length and those that every answer gets: with less room, each answer would move what it has
/// to where there is more.
const HEADERS: usize = 14;

/// The form that a request wants most: CSV if it says so, else JSON.
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let weight = |wanted: &str| {
        let all = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = all.flat_map(|value| value.split(',')).map(|range| range.split(';').map(str::trim));
        let weights = ranges.filter_map(|mut range| {
            let is_wanted = range.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let given = range.find_map(|parameter| parameter.strip_prefix("q=")).map(str::parse::<f32>);
            is_wanted.then(|| given.and_then(Result::ok).unwrap_or(1.0))
        });
        weights.fold(0.0_f32, f32::max)
    };
    let csv = weight("text/csv");
    if csv > 0.0 && csv > weight("application/json") { Form::Csv } else { Form::Json }
}

/// Sends an answer, or says that it is the one which the client has. Refuses an incomplete one if the request requires a complete one.
///
/// # Errors
/// [`Problem::incomplete`].
pub(crate) fn respond(answer: &Written, require_complete: bool, headers: &HeaderMap) -> Result<Response, Problem> {
    check_complete(answer, require_complete)?;
    let Told { tag, as_of } = answer.told();
    let weak = tag.as_bytes();
    let is_known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        let mut tags = value.split(',').map(|known| known.trim().as_bytes());
        tags.any(|known| known == b"*" || known == weak || weak.strip_prefix(b"W/") == Some(known))
    });
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(answer.body.clone()) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let kind = match answer.form {
        Form::Json => "application/json",
        Form::Csv => "text/csv; charset=utf-8; header=present",
    };
    let headers = response.headers_mut();
    *headers = HeaderMap::with_capacity(HEADERS);
    if !is_known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(ETAG, tag.clone());
    // It may be kept, but changes with every event: it has to be asked for again.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(COMPLETE, word(answer.gaps.is_empty()));
    if let Some(more) = answer.more {
        headers.insert(MORE, word(more));
    }
    if let Some(as_of) = as_of {
        headers.insert(AS_OF, as_of.clone());
    }
    Ok(response)
}

fn word(is_so: bool) -> HeaderValue {
    HeaderValue::from_static(if is_so { "true" } else { "false" })
}

/// Counts an incomplete answer.
///
/// # Errors
/// [`Problem::incomplete`], if the request requires a complete one.
pub(super) fn check_complete(answer: &Written, require_complete: bool) -> Result<(), Problem> {
    if answer.gaps.is_empty() {
        return Ok(());
    }
    ::metrics::counter!("braid_serving_incomplete_answers_total").increment(1);
    if require_complete { Err(Problem::incomplete(answer.gaps.clone())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn csv_is_sent_to_those_who_want_it_most() {
        for (accept, expected) in [
            (&[][..], Form::Json),
            (&["*/*"], Form::Json),
            (&["text/csv"], Form::Csv),
            (&["TEXT/CSV; charset=utf-8"], Form::Csv),
            (&["text/html, text/csv;q=0.9"], Form::Csv),
            (&["text/html", "text/csv"], Form::Csv),
            (&["text/csv, application/json"], Form::Json),
            (&["text/csv;q=0.5, application/json"], Form::Json),
            (&["text/csv, application/json; q=0.5"], Form::Csv),
            (&["text/csv;q=0"], Form::Json),
            (&["text/csvx"], Form::Json),
        ] {
            assert_eq!(form(&headers(ACCEPT, accept)), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_known_answer_is_not_sent_again() {
        let answer = Written::new(Form::Json, b"{}".to_vec(), &[b"{}"], Vec::new(), Some(1_000_000));
        let sent = respond(&answer, true, &HeaderMap::new()).expect("complete");
        assert_eq!(
            (sent.status(), &sent.headers()[CACHE_CONTROL]),
            (StatusCode::OK, &HeaderValue::from_static("no-cache"))
        );
        let tag: &'static str = sent.headers()[ETAG].to_str().expect("text").to_owned().leak();
        assert!(tag.starts_with("W/\""), "{tag}");
        for (known, is_known) in [(tag, true), (&tag[2..], true), ("*", true), ("\"0\"", false), (&tag[..5], false)] {
            let again = respond(&answer, false, &headers(IF_NONE_MATCH, &["\"1\", \"2\"", known])).expect("complete");
            let expected = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            assert_eq!(again.status(), expected, "{known}");
            assert_eq!(again.headers()[AS_OF], "1970-01-01T00:00:01Z", "it says as of when, either way");
            assert_eq!(
                (&again.headers()[ETAG], again.headers().contains_key(CONTENT_TYPE)),
                (&sent.headers()[ETAG], !is_known)
            );
        }
    }
}
