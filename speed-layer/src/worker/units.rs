//! What a worker runs, as the versions change: which units begin, end, and are tried again.
//!
//! A unit has a *place*, in which only one can be: the shards of a version's source, the streams of a generation over a source, the rows of a
//! generation of a table. When another unit is wanted in a place, it begins only once the one before has ended.
//!
//! The active version is what the process is for: what fails of it ends the process, and whoever supervises it starts it anew. What fails of
//! another version must not touch the active one, so it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::catalog::DefinitionHash;
use shared_logic::version::{CountUnit, DeployedVersions, IndexUnit, LaneUnit, RowsUnit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::error::{SourceError, SpeedError};

/// Something that a worker runs.
#[derive(Debug, Clone)]
pub enum Unit {
    /// Counts a source for a version.
    Count(CountUnit),
    /// Writes the streams of a generation over a source.
    Lanes(LaneUnit),
    /// Keeps the rows of a table.
    Rows(RowsUnit),
    /// Keeps a search index.
    Index(IndexUnit),
}

/// What only one unit at a time may write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The shards of a source.
    Shards {
        /// The version.
        version: String,
        /// The source.
        source: String,
    },
    /// The streams over a source (T3).
    Streams {
        /// The source.
        source: String,
        /// Their generation.
        generation: String,
    },
    /// The rows of a table.
    Rows {
        /// The table.
        table: String,
        /// Its generation.
        generation: String,
    },
    /// The documents of an index.
    Documents {
        /// The index.
        index: String,
        /// Its definition.
        definition: DefinitionHash,
    },
}

/// The units of a worker, at most one in a place.
#[derive(Debug)]
pub struct Units {
    places: BTreeMap<Place, Held>,
    retry_backoff: Duration,
}

/// A unit in its place.
#[derive(Debug)]
struct Held {
    unit: Unit,
    stop: CancellationToken,
    state: State,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// It failed, and is tried again then.
    Waits(Instant),
    /// It has nothing to do here.
    IsIdle,
    /// Another worker has adopted other definitions. To try again would take the shards back and forth.
    IsOutdated,
}

/// The units that versions ask for; those of indexes only where a search server is named.
pub fn wanted(versions: &DeployedVersions, keeps_indexes: bool) -> Vec<Unit> {
    let counted = versions.counted().into_iter().map(Unit::Count);
    let lanes = versions.lanes().into_iter().map(Unit::Lanes);
    let indexes = if keeps_indexes { versions.indexes() } else { Vec::new() };
    let others = versions.rows().into_iter().map(Unit::Rows).chain(indexes.into_iter().map(Unit::Index));
    counted.chain(lanes).chain(others).collect()
}

impl Unit {
    /// Where it is the only one.
    pub fn place(&self) -> Place {
        match self {
            Unit::Count(unit) => Place::Shards { version: unit.version.clone(), source: unit.source.clone() },
            Unit::Lanes(unit) => Place::Streams { source: unit.source.clone(), generation: unit.generation.clone() },
            Unit::Rows(unit) => Place::Rows { table: unit.table.clone(), generation: unit.generation.clone() },
            Unit::Index(unit) => Place::Documents { index: unit.index.clone(), definition: unit.definition.clone() },
        }
    }

    /// The version by whose catalog it runs.
    pub fn version(&self) -> &str {
        match self {
            Unit::Count(unit) => &unit.version,
            Unit::Lanes(unit) => &unit.host,
            Unit::Rows(unit) => &unit.host,
            Unit::Index(unit) => &unit.host,
        }
    }

    /// What to call it.
    pub fn name(&self) -> String {
        match self {
            Unit::Count(unit) => format!("{} of version {}", unit.source, unit.version),
            Unit::Lanes(unit) => {
                format!("streams over {} of generation {}, by {}", unit.source, unit.generation, unit.host)
            }
            Unit::Index(unit) => format!("index {} of definition {}, by {}", unit.index, unit.definition, unit.host),
            Unit::Rows(unit) => format!("table {} of generation {}, by {}", unit.table, unit.generation, unit.host),
        }
    }

    /// Whether the other does the same, so that nothing has to begin anew.
    fn is_same(&self, other: &Unit) -> bool {
        match (self, other) {
            (Unit::Count(one), Unit::Count(other)) => one.key() == other.key(),
            (Unit::Lanes(one), Unit::Lanes(other)) => one.key() == other.key(),
            (Unit::Rows(one), Unit::Rows(other)) => one.key() == other.key(),
            (Unit::Index(one), Unit::Index(other)) => one.key() == other.key(),
            _ => false,
        }
    }
}

impl Units {
    /// None yet. `retry_backoff` is the first wait after a failure.
    pub fn new(retry_backoff: Duration) -> Units {
        Units { places: BTreeMap::new(), retry_backoff }
    }

    /// Goes towards what is `wanted`: stops what is not, and gives what is to begin now, each with what stops it, which is a child of `stop`. Where
    /// a unit has to end first, call this again once it has.
    pub fn towards(
        &mut self,
        wanted: Vec<Unit>,
        active: &str,
        now: Instant,
        stop: &CancellationToken,
    ) -> Vec<(Unit, CancellationToken)> {
        let mut wanted: BTreeMap<Place, Unit> = wanted.into_iter().map(|unit| (unit.place(), unit)).collect();
        self.places.retain(|place, held| {
            let stays = wanted.get(place).is_some_and(|unit| unit.is_same(&held.unit));
            if !stays && !held.stop.is_cancelled() {
                info!(unit = held.unit.name(), "ends");
                held.stop.cancel();
            }
            stays || held.state == State::Runs
        });
        let mut begin = Vec::new();
        for (place, held) in &mut self.places {
            let Some(unit) = wanted.remove(place) else { continue };
            let is_due = match held.state {
                State::Runs | State::IsIdle => false,
                State::Waits(at) => at <= now,
                State::IsOutdated => unit.version() == active,
            };
            if is_due {
                (held.unit, held.stop, held.state) = (unit, stop.child_token(), State::Runs);
                begin.push((held.unit.clone(), held.stop.clone()));
            }
        }
        for (place, unit) in wanted {
            let (stop, backoff) = (stop.child_token(), Backoff::new(self.retry_backoff));
            begin.push((unit.clone(), stop.clone()));
            self.places.insert(place, Held { unit, stop, state: State::Runs, backoff });
        }
        begin
    }

    /// When the next unit is to be tried again; `None`: there is none to try.
    pub fn next_try(&self) -> Option<Instant> {
        let tries = self.places.values().filter_map(|held| match held.state {
            State::Waits(at) => Some(at),
            _ => None,
        });
        tries.min()
    }

    /// Notes that a unit has ended.
    ///
    /// # Errors
    /// Why, if it is one of the active version: the process has to end.
    pub fn ended(
        &mut self,
        unit: &Unit,
        ended: Result<(), SourceError>,
        active: &str,
        now: Instant,
    ) -> Result<(), SpeedError> {
        let place = unit.place();
        let Some(held) = self.places.get_mut(&place) else { return Ok(()) };
        let was_stopped = held.stop.is_cancelled();
        match ended {
            Err(source) if unit.version() == active => {
                return Err(SpeedError::Source { name: unit.name(), source });
            }
            Err(SourceError::Superseded(why)) => {
                error!(unit = unit.name(), error = error_text(&why), "a version is not counted here any more");
                held.state = State::IsOutdated;
            }
            Err(why) => {
                let wait = held.backoff.wait();
                let (unit, wait_ms) = (unit.name(), wait.as_millis());
                warn!(unit, wait_ms, error = error_text(&why), "failed, and is tried again");
                held.state = State::Waits(now + wait);
            }
            Ok(()) => held.state = State::IsIdle,
        }
        if was_stopped {
            self.places.remove(&place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
