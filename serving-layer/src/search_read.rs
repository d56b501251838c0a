//! Searches an index in the search server, and knows how far that is behind the log (I6).
//!
//! Which build is asked says the state that the server holds; what is known of it is read every so often, beside requests. Where nothing
//! serves, there is no answer: one without documents would not be known to lack them. So it is where a build may hold what was erased.
//!
//! - `follow`: reads the state, the progress of lanes, and the log's ends;
//! - `seen`: as of when a search can find everything.

mod follow;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, DefinitionHash, Index};
use shared_logic::contracts::index::{Build, BuildStage, IndexState, Refused, build_name};
use shared_logic::index::Search;
use storage::{Hits, SearchClient, SearchError};
use tokio::sync::watch;

use crate::problem::Problem;
use crate::snapshot::SnapshotCache;
use crate::topics::TopicClient;

/// How often it is looked how far an index is.
const EVERY: Duration = Duration::from_millis(500);

/// Searches one index.
pub(crate) struct SearchReader {
    pub(crate) index: Index,
    pub(crate) definition: DefinitionHash,
    topic: String,
    client: Option<SearchClient>,
    snapshots: Arc<SnapshotCache>,
    topics: Arc<dyn TopicClient>,
    known: watch::Sender<Known>,
}

/// What was known of an index when it was looked last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Its builds; `None`: the server has not said that yet.
    pub(crate) state: Option<Arc<IndexState>>,
    /// Why the last look has failed.
    pub(crate) error: Option<String>,
    /// How many commits have taken erased changes out of the archive. `None`: that is not known yet.
    erasures: Option<usize>,
    /// The build that is searched, or would be.
    pub(crate) build: Option<u64>,
    pub(crate) behind: Behind,
    /// How many documents of that build the server has refused, and the first of them.
    pub(crate) refused: Option<(u64, Vec<Refused>)>,
}

/// How far an index is behind the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// How many records of the log are not in it; `None`: Kafka or the server did not say.
    pub(crate) records: Option<i64>,
    /// What was in the log by then can be found.
    pub(crate) as_of_us: Option<i64>,
    /// Whether there are partitions that the build does not have.
    pub(crate) lacks_partitions: bool,
}

/// The build that is searched for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its number.
    pub(crate) number: u64,
    /// Whether it is of the definition that the version has. If not, it is the one that the alias names, until another serves.
    pub(crate) is_own: bool,
}

/// What a search has found.
pub(crate) struct Found {
    pub(crate) served: Served,
    /// The definition of the build.
    pub(crate) definition: DefinitionHash,
    pub(crate) hits: Hits,
    pub(crate) behind: Behind,
    pub(crate) refused: Option<u64>,
}

impl SearchReader {
    /// An index of a catalog. Nothing is read before [`SearchReader::follow`].
    pub(crate) fn new(
        catalog: &Catalog,
        index: &Index,
        client: Option<SearchClient>,
        snapshots: &Arc<SnapshotCache>,
        topics: &Arc<dyn TopicClient>,
    ) -> SearchReader {
        SearchReader {
            index: index.clone(),
            definition: catalog.index_definition(index),
            topic: catalog.sources[index.from.source()].topic.clone(),
            client,
            snapshots: Arc::clone(snapshots),
            topics: Arc::clone(topics),
            known: watch::Sender::default(),
        }
    }

    /// What was known when it was looked last. `None`: no server is named.
    pub(crate) fn known(&self) -> Option<Known> {
        self.client.as_ref().map(|_| self.known.borrow().clone())
    }

    /// How often the server makes what was written visible, in milliseconds, as the settings say.
    pub(crate) fn refresh_ms(&self) -> u64 {
        let refresh = self.client.as_ref().map(|client| client.settings().refresh.get()).unwrap_or_default();
        u64::try_from(refresh.as_millis()).unwrap_or(u64::MAX)
    }

    /// Searches the build that serves. `is_active`: for the active version, which may go on with the one that the alias names.
    ///
    /// # Errors
    /// If nothing serves, or the server does not answer.
    pub(crate) async fn search(&self, search: &Search, is_active: bool) -> Result<Found, Problem> {
        let name = &self.index.name;
        let Some(client) = &self.client else {
            let why =
                "no search server is named; set search.url, and start `speed-layer` and `batch-layer schedule` with it";
            return Err(Problem::not_searchable(name, why));
        };
        let known = self.known.borrow().clone();
        let (served, build) =
            known.served(&self.definition, is_active).map_err(|why| Problem::not_searchable(name, &why))?;
        let index = build_name(client.deployment(), name, served.number);
        let hits = client.search(&index, &search.body(&self.index)).await.map_err(|error| match error {
            SearchError::Refused { status: 400, reason, .. } => {
                Problem::not_a_search(format!("the search server refuses it: {reason}"))
            }
            error => Problem::not_searchable(name, &error_text(&error)),
        })?;
        // What was looked for another build says nothing of this one.
        let is_known = known.build == Some(served.number);
        Ok(Found {
            served,
            definition: build.definition,
            hits,
            behind: if is_known { known.behind } else { Behind::default() },
            refused: known.refused.filter(|_| is_known).map(|(count, _)| count),
        })
    }
}

impl Known {
    /// The build that is searched, or why none is.
    fn served(&self, definition: &DefinitionHash, is_active: bool) -> Result<(Served, Build), String> {
        let Some(state) = &self.state else {
            return Err(self.error.clone().unwrap_or_else(|| "the state of its builds is being read".to_owned()));
        };
        let Some(erasures) = self.erasures else { return Err("its archive is being read".to_owned()) };
        let (number, build) = chosen(state, definition)
            .filter(|(_, build)| is_active || build.definition == *definition)
            .ok_or_else(|| waits_for(state, definition))?;
        if build.erasures < erasures {
            return Err("something was erased from its source, and it is built anew without that".to_owned());
        }
        Ok((Served { number, is_own: build.definition == *definition }, build.clone()))
    }
}

/// The build that serves a definition; where there is none, the one that the alias names, as long as that serves.
fn chosen<'s>(state: &'s IndexState, definition: &DefinitionHash) -> Option<(u64, &'s Build)> {
    let aliased = || {
        let number = state.aliased?;
        let build = state.builds.get(&number).filter(|build| build.stage == BuildStage::Serving)?;
        Some((number, build))
    };
    state.serving(definition).or_else(aliased)
}

/// Why nothing serves.
fn waits_for(state: &IndexState, definition: &DefinitionHash) -> String {
    let newest = state.builds.iter().rev().find(|(_, build)| build.definition == *definition);
    match newest.map(|(number, build)| (number, build, build.stage)) {
        Some((number, build, BuildStage::Loading)) => {
            format!("build {number} is being loaded: {} of {} rows are written", build.loaded, build.rows)
        }
        Some((number, _, BuildStage::Following)) => {
            format!(
                "build {number} serves once it is found equal to its table; `speed-layer` and `batch-layer schedule` see to that"
            )
        }
        _ => "no build of it is begun yet; `batch-layer schedule` begins one once its rows are materialised".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::index::Why;

    use super::*;

    fn hash(digit: char) -> DefinitionHash {
        String::from(digit).repeat(16).parse().expect("16 digits")
    }

    fn begun(state: &IndexState, definition: char) -> (IndexState, u64) {
        state.begin(Build {
            definition: hash(definition),
            stage: BuildStage::Loading,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: shared_logic::log::Offsets::default(),
            table_version: 3,
            erasures: 1,
            rows: 9,
            loaded: 4,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        })
    }

    fn serving(state: &IndexState, definition: char) -> IndexState {
        let (state, number) = begun(state, definition);
        let followed = state.follow(number, "me").expect("it is loaded");
        let served = followed.promote(number, 7).expect("it is followed");
        IndexState { aliased: Some(number), ..served }
    }

    fn known(state: IndexState, erasures: usize) -> Known {
        Known { state: Some(Arc::new(state)), erasures: Some(erasures), ..Known::default() }
    }

    #[test]
    fn the_build_of_the_own_definition_is_searched_and_until_one_serves_that_of_the_alias() {
        let old = serving(&IndexState::default(), 'a');
        let of = |state: &IndexState, is_active| {
            known(state.clone(), 1).served(&hash('b'), is_active).map(|(served, _)| served)
        };
        assert_eq!(of(&old, true), Ok(Served { number: 1, is_own: false }));
        assert!(
            of(&old, false).is_err_and(|why| why.contains("no build of it")),
            "another version has its own or none"
        );
        let (loading, _) = begun(&old, 'b');
        assert_eq!(of(&loading, true), Ok(Served { number: 1, is_own: false }));
        assert!(of(&loading, false).is_err_and(|why| why.contains("4 of 9 rows")));
        assert_eq!(of(&serving(&old, 'b'), false), Ok(Served { number: 2, is_own: true }));
    }

    #[test]
    fn what_may_hold_something_erased_is_not_searched() {
        let state = serving(&IndexState::default(), 'a');
        assert!(known(state.clone(), 1).served(&hash('a'), true).is_ok());
        assert!(known(state.clone(), 2).served(&hash('a'), true).is_err_and(|why| why.contains("erased")));
        let unknown = Known { erasures: None, ..known(state, 1) };
        assert!(unknown.served(&hash('a'), true).is_err(), "nobody knows whether something was");
    }

    #[test]
    fn nothing_is_searched_before_the_server_has_said_what_there_is() {
        assert!(Known::default().served(&hash('a'), true).is_err_and(|why| why.contains("being read")));
        let away = Known { error: Some("it is away".to_owned()), ..Known::default() };
        assert!(away.served(&hash('a'), true).is_err_and(|why| why == "it is away"));
        let nothing = known(IndexState::default(), 0);
        assert!(nothing.served(&hash('a'), true).is_err_and(|why| why.contains("no build of it is begun")));
    }
}
