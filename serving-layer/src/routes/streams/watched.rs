//! Which version's stream those are told who watch: of the version that they name, or of the active one.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::query::filter;
use crate::routes::parameters::Parameters;
use crate::stream_read::{Served, Serves, StreamReader};
use crate::versions::{Hosted, Versions};

/// A stream that is watched.
pub(super) struct Watched {
    stream: String,
    parameters: Parameters,
    /// What is known of versions by what was told last.
    known: Arc<Hosted>,
    changes: watch::Receiver<Arc<Hosted>>,
}

impl Watched {
    /// The stream of that name, with what a request says of it. The request has asked what is hosted, and it was `known`.
    pub(super) fn new(versions: &Versions, known: Arc<Hosted>, stream: &str, parameters: Parameters) -> Watched {
        Watched { stream: stream.to_owned(), parameters, known, changes: versions.changes() }
    }

    /// Whether that is the log of the stream's topic in a version in which it has another topic than here.
    pub(super) fn is_of_another_version(&self, reader: &StreamReader, log: &str) -> bool {
        let others = self.known.all().filter_map(|version| version.streams.get(&self.stream));
        let mut others = others.filter(|other| other.source.topic != reader.source.topic);
        others.any(|other| other.log().is_some_and(|other| other == log))
    }
}

impl Serves for Watched {
    fn now(&mut self) -> Served {
        self.known = Arc::clone(&self.changes.borrow());
        match self.known.requested(self.parameters.version()) {
            Ok(version) => {
                let reader = version.streams.get(&self.stream);
                let with_filter = |reader: &Arc<StreamReader>| {
                    Some((Arc::clone(reader), filter(&self.parameters, &reader.source, &[]).ok()?))
                };
                Served { version: version.version_name().to_owned(), stream: reader.and_then(with_filter) }
            }
            Err(_) => Served { version: self.parameters.version().unwrap_or_default().to_owned(), stream: None },
        }
    }

    fn has_changed(&self) -> bool {
        !Arc::ptr_eq(&self.known, &self.changes.borrow())
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        async move {
            while !self.has_changed() {
                if self.changes.changed().await.is_err() {
                    // The process stops, and says so.
                    std::future::pending::<()>().await;
                }
            }
        }
        .boxed()
    }
}
