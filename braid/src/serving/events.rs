//! Server-sent events, as the HTML standard defines them. After an interruption it connects again, and says where it was.

use std::mem;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use platform::task::Backoff;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};

use super::Refusal;

/// How long to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection on which nothing arrives for so long is broken: a serving layer says something every 15 seconds.
const SILENT_WITHIN: Duration = Duration::from_secs(45);
/// The first wait before connecting again, doubled up to 32 times this.
const RETRY: Duration = Duration::from_millis(500);
/// The most bytes of an event. A larger one cannot be an output.
const EVENT_BYTES_MAX: usize = 1 << 30;

/// A path whose events are read.
#[derive(Debug)]
pub struct Events {
    client: reqwest::Client,
    url: Url,
    parser: Parser,
    response: Option<Response>,
    backoff: Backoff,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// An event.
    Event(Event),
    /// The connection is there, for the first time or again.
    Connected,
    /// There is no connection now, for this reason. The next call waits a moment and tries again.
    Interrupted(String),
}

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; empty if it names none.
    pub kind: String,
    /// What it says.
    pub data: String,
}

impl Events {
    /// Nothing is read yet. Each request sends these headers. `last_event_id` is where to go on.
    ///
    /// # Errors
    /// If no client can be made.
    pub(super) fn new(url: Url, headers: HeaderMap, last_event_id: Option<String>) -> Result<Events> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).read_timeout(SILENT_WITHIN);
        let client = client.default_headers(headers).build()?;
        let parser = Parser { id: last_event_id.unwrap_or_default(), ..Parser::default() };
        Ok(Events { client, url, parser, response: None, backoff: Backoff::new(RETRY) })
    }

    /// The next event, or what became of the connection.
    ///
    /// # Errors
    /// A [`Refusal`] that would come again.
    pub async fn next(&mut self) -> Result<Told> {
        let Some(response) = &mut self.response else { return self.connect().await };
        loop {
            if let Some(event) = self.parser.event()? {
                self.backoff.reset();
                return Ok(Told::Event(event));
            }
            let why = match response.chunk().await {
                Ok(Some(chunk)) => {
                    self.parser.push(&chunk);
                    continue;
                }
                Ok(None) => "the serving layer ended the connection".to_owned(),
                Err(error) => error_text(error),
            };
            self.response = None;
            return Ok(self.interrupted(why).await);
        }
    }

    async fn connect(&mut self) -> Result<Told> {
        self.parser.begin();
        let mut request = self.client.get(self.url.clone()).header("accept", "text/event-stream");
        if !self.parser.id.is_empty() {
            request = request.header("last-event-id", &self.parser.id);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(self.interrupted(error_text(error)).await),
        };
        let status = response.status();
        if status == StatusCode::OK {
            self.response = Some(response);
            return Ok(Told::Connected);
        }
        let body = response.text().await.with_context(|| format!("the answer of {} was cut off", self.url))?;
        let refusal = Refusal::new(status, body);
        if status.is_server_error() {
            return Ok(self.interrupted(refusal.to_string()).await);
        }
        Err(refusal.into())
    }

    /// Waits before the next try.
    async fn interrupted(&mut self, why: String) -> Told {
        tokio::time::sleep(self.backoff.wait()).await;
        Told::Interrupted(why)
    }
}

/// Why there is no connection, without the URL, which the user knows.
fn error_text(error: reqwest::Error) -> String {
    platform::telemetry::error_text(&error.without_url())
}

/// What has arrived, as events.
#[derive(Debug, Default)]
struct Parser {
    /// The id of the last whole event that had one.
    id: String,
    /// That of the event that is not whole yet: whoever names it is not told that event again.
    begun_id: Option<String>,
    /// What has arrived and is not parsed.
    bytes: Vec<u8>,
    /// The fields of the event that is not whole yet.
    kind: String,
    data: Option<String>,
}

impl Parser {
    /// Another connection begins. What was begun on the one before is forgotten, the id is not.
    fn begin(&mut self) {
        *self = Parser { id: mem::take(&mut self.id), ..Parser::default() };
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is whole.
    fn event(&mut self) -> Result<Option<Event>> {
        loop {
            let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
                if self.bytes.len() > EVENT_BYTES_MAX {
                    bail!("an event has more than {EVENT_BYTES_MAX} bytes; is this a serving layer?");
                }
                return Ok(None);
            };
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\n').trim_end_matches('\r');
            if line.is_empty() {
                if let Some(id) = self.begun_id.take() {
                    self.id = id;
                }
                let (kind, data) = (mem::take(&mut self.kind), self.data.take());
                if let Some(data) = data {
                    return Ok(Some(Event { kind, data }));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            self.field(field, value.strip_prefix(' ').unwrap_or(value));
        }
    }

    /// Takes a field in. One without a name is a comment.
    fn field(&mut self, name: &str, value: &str) {
        match name {
            "id" => self.begun_id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => match &mut self.data {
                Some(data) => data.extend(["\n", value]),
                none => *none = Some(value.to_owned()),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parser: &mut Parser) -> Vec<(String, String)> {
        let mut events = Vec::new();
        while let Some(Event { kind, data }) = parser.event().expect("small") {
            events.push((kind, data));
        }
        events
    }

    fn told(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_read_however_they_arrive() {
        let text = "retry: 1000\n\nid: L:1\n\n: a comment\n\nid: L:2\ndata: {\"a\":1}\n\nevent: gap\nid: L:3\r\ndata: x\r\ndata:y\r\n\r\n\
                    event: none\n\ndata\n\ndata: ü";
        let expected = [told("", "{\"a\":1}"), told("gap", "x\ny"), told("", "")];
        for pieces in [1, 2, 7, 1_000] {
            let (mut parser, mut found) = (Parser::default(), Vec::new());
            for piece in text.as_bytes().chunks(pieces) {
                parser.push(piece);
                found.extend(events(&mut parser));
            }
            assert_eq!((found.as_slice(), parser.id.as_str()), (expected.as_slice(), "L:3"), "pieces of {pieces}");
        }
    }

    #[test]
    fn what_a_broken_connection_began_is_forgotten_and_the_place_is_not() {
        let mut parser = Parser::default();
        parser.push(b"id: L:7\ndata: one\n\nevent: gap\ndata: tw");
        assert_eq!(events(&mut parser), [told("", "one")]);
        parser.begin();
        parser.push(b"data: two\n\n");
        assert_eq!((events(&mut parser), parser.id.as_str()), (vec![told("", "two")], "L:7"));
    }

    #[test]
    fn an_event_of_which_only_the_id_has_arrived_is_asked_for_again() {
        let mut parser = Parser::default();
        parser.push(b"id: L:7\ndata: one\n\nid: L:8\ndata: tw");
        assert_eq!((events(&mut parser), parser.id.as_str()), (vec![told("", "one")], "L:7"));
        parser.begin();
        parser.push(b"data: two\n\nid: L:9\n\n");
        assert_eq!((events(&mut parser), parser.id.as_str()), (vec![told("", "two")], "L:9"));
    }
}
