//! What follows from an answer for those who watch.

use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::event::{event, fresh, id, refused};
use super::question::{Answered, Refusal};
use super::seen::Seen;

/// How often clients are told at most that the answer they have is that of a later moment.
const FRESH_EVERY: Duration = Duration::from_secs(5);

/// An event for all clients of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Numbers what the clients of a question are told.
    pub(super) number: u64,
    pub(super) event: Bytes,
    /// Whether nothing comes after it.
    pub(super) is_last: bool,
}

/// What a client is told first.
#[derive(Debug, Clone)]
pub(super) enum Newest {
    /// The newest answer, or why there is none now.
    Told {
        /// The event.
        frame: Frame,
        /// For a client that has this answer already: its id, and the event that tells it only as of when it is the answer.
        known: Option<(String, Option<Bytes>)>,
    },
    /// Nothing: the request cannot be answered as it is.
    Refused(Refusal),
}

/// What follows from an answer.
#[derive(Debug)]
pub(super) struct Told {
    /// For clients that come.
    pub(super) newest: Newest,
    /// For clients that are there.
    pub(super) frame: Option<Frame>,
    /// Whether the question is not asked again.
    pub(super) is_last: bool,
}

/// Knows what was told of a question.
#[derive(Debug, Default)]
pub(super) struct Teller {
    number: u64,
    told: Option<What>,
    /// As of when the clients know the answer.
    as_of: Option<String>,
    /// When they were told that.
    fresh_at: Option<Instant>,
}

/// What was told last, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Answer(u64),
    Problem(u64),
}

impl Teller {
    /// What follows from that answer, which came at `now`.
    pub(super) fn tell(&mut self, answered: Answered, now: Instant) -> Told {
        match answered {
            Answered::Answer(body) => self.answer(&body, now),
            Answered::Problem(body) => self.problem(&body),
            Answered::Refused(refusal) => {
                let frame = self.told.is_some().then(|| self.frame(refused(&refusal.body), true));
                Told { newest: Newest::Refused(refusal), frame, is_last: true }
            }
        }
    }

    fn answer(&mut self, body: &[u8], now: Instant) -> Told {
        let Seen { tag, as_of } = Seen::of(body);
        let is_another = self.told != Some(What::Answer(tag));
        let later = as_of.as_deref().filter(|_| as_of != self.as_of).map(fresh);
        let is_due = self.fresh_at.is_none_or(|at| at + FRESH_EVERY <= now);
        let event = event("", Some(&id(tag)), body);
        let known = Some((id(tag), as_of.as_deref().map(fresh)));
        let frame = match later {
            _ if is_another => Some(self.frame(event.clone(), false)),
            Some(later) if is_due => Some(self.frame(later, false)),
            _ => None,
        };
        if frame.is_some() {
            (self.told, self.as_of, self.fresh_at) = (Some(What::Answer(tag)), as_of, Some(now));
        }
        Told { newest: self.newest(event, known), frame, is_last: false }
    }

    fn problem(&mut self, body: &[u8]) -> Told {
        let what = What::Problem(xxh3_64(body));
        let event = event("problem", None, body);
        let frame = (self.told != Some(what)).then(|| self.frame(event.clone(), false));
        // The answer that comes after it is told, also if it is the one of before.
        self.told = Some(what);
        Told { newest: self.newest(event, None), frame, is_last: false }
    }

    /// The next event.
    fn frame(&mut self, event: Bytes, is_last: bool) -> Frame {
        self.number += 1;
        Frame { number: self.number, event, is_last }
    }

    /// What a client is told that comes now: everything up to the last number is in it.
    fn newest(&self, event: Bytes, known: Option<(String, Option<Bytes>)>) -> Newest {
        Newest::Told { frame: Frame { number: self.number, event, is_last: false }, known }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;

    fn answer(views: i64, as_of: u64) -> Answered {
        Answered::Answer(format!("{{\"views\":{views},\"as_of\":\"{as_of}\"}}").into())
    }

    fn problem(text: &str) -> Answered {
        Answered::Problem(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// What those who are there are told, and how it is numbered.
    fn text(told: &Told) -> Option<(u64, String)> {
        let frame = told.frame.as_ref()?;
        let event = String::from_utf8(frame.event.to_vec()).expect("UTF-8");
        Some((
            frame.number,
            event.lines().filter(|line| !line.is_empty() && !line.starts_with("id: ")).collect::<Vec<_>>().join(" "),
        ))
    }

    #[test]
    fn an_answer_is_told_when_it_is_another_and_now_and_then_as_of_when() {
        let (mut teller, begun) = (Teller::default(), Instant::now());
        let mut tell =
            |answered: Answered, seconds: u64| text(&teller.tell(answered, begun + Duration::from_secs(seconds)));
        let said = |number: u64, text: &str| Some((number, text.to_owned()));
        assert_eq!(tell(answer(1, 0), 0), said(1, r#"data: {"views":1,"as_of":"0"}"#));
        assert_eq!(tell(answer(1, 1), 1), None);
        assert_eq!(tell(answer(1, 5), 5), said(2, r#"event: fresh data: {"as_of":"5"}"#));
        assert_eq!(tell(answer(1, 6), 6), None);
        assert_eq!(tell(answer(2, 7), 7), said(3, r#"data: {"views":2,"as_of":"7"}"#));
        assert_eq!(tell(answer(2, 7), 60), None, "nothing is known of a later moment");
        assert_eq!(tell(answer(1, 8), 61), said(4, r#"data: {"views":1,"as_of":"8"}"#), "it may come back");
    }

    #[test]
    fn a_problem_is_told_once_and_so_is_the_answer_after_it() {
        let (mut teller, now) = (Teller::default(), Instant::now());
        let mut tell = |answered: Answered| text(&teller.tell(answered, now)).map(|(number, _)| number);
        assert_eq!((tell(answer(1, 0)), tell(problem("{}"))), (Some(1), Some(2)));
        assert_eq!((tell(problem("{}")), tell(problem("{\"a\":1}"))), (None, Some(3)));
        assert_eq!((tell(answer(1, 0)), tell(answer(1, 0))), (Some(4), None));
    }

    #[test]
    fn a_client_that_comes_gets_the_newest_though_others_were_not_told() {
        let (mut teller, now) = (Teller::default(), Instant::now());
        teller.tell(answer(1, 0), now);
        let told = teller.tell(answer(1, 1), now);
        let Newest::Told { frame, known: Some((id, Some(later))) } = told.newest else { panic!("{:?}", told.newest) };
        assert_eq!((frame.number, told.frame), (1, None));
        let event = String::from_utf8(frame.event.to_vec()).expect("UTF-8");
        assert_eq!(event, format!("id: {id}\ndata: {{\"views\":1,\"as_of\":\"1\"}}\n\n"));
        assert_eq!(later, fresh("\"1\""));
    }

    #[test]
    fn a_refusal_is_a_response_at_first_and_the_end_later() {
        let refusal = || crate::live::question::refusal(StatusCode::NOT_FOUND, "{\"title\":\"gone\"}");
        let (mut teller, now) = (Teller::default(), Instant::now());
        let first = teller.tell(Answered::Refused(refusal()), now);
        assert!(first.is_last && first.frame.is_none());
        let Newest::Refused(response) = first.newest else { panic!("{:?}", first.newest) };
        assert_eq!(response.into_response().status(), StatusCode::NOT_FOUND);
        teller.tell(answer(1, 0), now);
        let later = teller.tell(Answered::Refused(refusal()), now);
        let expected = r#"event: end data: {"reason":"refused","problem":{"title":"gone"}}"#;
        assert_eq!(text(&later), Some((2, expected.to_owned())));
        assert!(later.is_last && later.frame.is_some_and(|frame| frame.is_last));
    }
}
