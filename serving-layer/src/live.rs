//! Answers that are told again whenever they change, as server-sent events.
//!
//! A question is a path with parameters. However many clients watch the answer of one, it is asked once at a time, as a client would ask that
//! polls: the same handler answers, so what is told is to the letter what a `GET` gets. A question that nobody watches is not asked.
//!
//! Nothing waits for a slow client. What a question's clients are told lies in one ring, bounded in events and in bytes; a client that is
//! overtaken by it is told so and disconnected. It connects again if it wants, and then gets the newest answer.
//!
//! - `question`: what is asked, and by which handler;
//! - `asked`: all questions that are watched; `pace`: how often they are asked; `seen`: what counts as another answer;
//! - `teller`: what follows from an answer for those who watch; `event`: how it is written;
//! - `ring`: what lies between the two; `client`: what one client is told.

mod asked;
mod client;
mod event;
mod pace;
mod question;
mod ring;
mod seen;
mod teller;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use platform::settings;

use crate::problem::Problem;
use crate::watchers::Watchers;
use asked::Questions;
use client::Client;
use question::{Handler, Question};

/// The content type of server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";
/// The header in which a client that connects again says what it was told last.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// Answers that are watched.
pub(crate) struct Live {
    watchers: Arc<Watchers>,
    questions: Arc<Questions>,
}

impl Live {
    /// Nobody watches yet.
    pub(crate) fn new(watchers: Arc<Watchers>, serving: &settings::Serving) -> Live {
        let questions = Questions::new(serving.live_questions, serving.live_every.get(), watchers.stopping());
        Live { watchers, questions: Arc::new(questions) }
    }

    /// Tells a client the answer to a request whenever it changes. `next` answers that request, within `within` each time.
    ///
    /// # Errors
    /// If too many clients watch, or too many questions are watched.
    pub(crate) async fn watch(&self, request: Parts, next: Next, within: Duration) -> Result<Response, Problem> {
        let place = self.watchers.place().ok_or_else(|| self.too_many())?;
        let last_event_id = request.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let question = Question::of(&request.uri);
        let asked = self.questions.asked(question, || Handler::new(request, next, within))?;
        match Client::of(asked, last_event_id.as_deref(), self.watchers.stopping(), place).await {
            Ok(client) => {
                let mut response = Response::new(Body::from_stream(client.events()));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
                Ok(response)
            }
            Err(refusal) => Ok(refusal.into_response()),
        }
    }

    /// What a client gets for which there is no place.
    pub(crate) fn too_many(&self) -> Problem {
        Problem::too_many_watchers(self.watchers.most())
    }

    /// Ends every watch, also of streams.
    pub(crate) fn stop(&self) {
        self.watchers.stop();
    }
}

/// Whether a client takes server-sent events.
pub(crate) fn accepts_events(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut names = accept.flat_map(|accept| accept.split(',')).map(|kind| kind.split(';').next().unwrap_or_default());
    names.any(|name| name.trim().eq_ignore_ascii_case(EVENTS))
}
