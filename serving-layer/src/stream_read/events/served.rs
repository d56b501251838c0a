//! Which version's stream a client is told. A client that names no version is told that of the active one, and goes over to another when that
//! becomes the active one.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::Watcher;
use crate::stream_read::StreamReader;
use crate::stream_read::output::OutputReader;
use crate::stream_read::question::Filter;

/// What a client is told now.
pub(crate) struct Served {
    /// The version.
    pub(crate) version: String,
    /// Its stream, and which of its outputs; `None`: it is not served any more, or has no such stream, or none with the fields that the client
    /// asks for.
    pub(crate) stream: Option<(Arc<StreamReader>, Filter)>,
}

/// Says which version's stream a client is told.
pub(crate) trait Serves: Send + Sync + 'static {
    /// What the client is told from now on.
    fn now(&mut self) -> Served;

    /// Whether that may be another than [`Serves::now`] has said last.
    fn has_changed(&self) -> bool;

    /// Waits until that is so. May be cancelled.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
}

impl Watcher {
    /// Goes over to what the client is told now. Of another topic that is everything from its end on; of the same one, everything that
    /// it was not told yet.
    pub(super) fn go_over(&mut self) {
        let Served { version, stream } = self.serves.now();
        let Some((reader, filter)) = stream else {
            self.has_ended = true;
            return self.tell("end", &json!({"reason": "version", "version": version}).to_string());
        };
        if Arc::ptr_eq(&reader, &self.reader) {
            return;
        }
        if reader.source.topic != self.reader.source.topic {
            self.at = None;
        }
        self.outputs = OutputReader::new(&reader.source);
        (self.reader, self.filter) = (reader, filter);
        // The one of the version before does not know what is archived from now on.
        self.subscription = None;
        let text = said(&version, &self.reader);
        self.tell("version", &text);
    }
}

/// What a client is told of the version whose stream it gets.
pub(super) fn said(version: &str, reader: &StreamReader) -> String {
    json!({"version": version, "topic": reader.source.topic}).to_string()
}
