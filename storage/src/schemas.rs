//! What the schemas mean that a source's records name: what stands beside the archive, or else what the registry says.
//!
//! A layer that meets a record whose schema its decoder lacks stops reading there, and asks until it knows: records wait in Kafka
//! as long as the registry is away. Nothing else stops meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::clock::now_us;
use platform::registry::{RegisteredSchema, Registry, RegistryError};
use platform::store::StoreError;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::{ArchivedSchema, Facts};
use shared_logic::decode::Decoder;
use shared_logic::format::{SchemaId, SchemaReference, WriterSchema};
use tracing::{error, info, warn};

use crate::{Followed, Storage};

/// The schemas that records of one source name.
#[derive(Debug, Clone)]
pub struct Schemas {
    source: String,
    archive: Followed<Facts>,
    registry: Registry,
    /// When it was last waited in vain for as long as the registry may be late.
    in_vain: Option<Instant>,
}

/// A schema that records wait for.
#[derive(Debug)]
pub struct AwaitedSchema {
    id: SchemaId,
    /// How long the registry may still learn of it.
    patience: Duration,
    since: Instant,
    backoff: Backoff,
    /// When to ask again.
    next: Instant,
}

/// Why it is not known yet what a schema's id means.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The archive could not be read or written.
    #[error("cannot look up schema {id} beside the archive")]
    Store {
        /// The schema's id.
        id: SchemaId,
        /// Why.
        source: StoreError,
    },
    /// The registry did not say.
    #[error("cannot ask for schema {id}")]
    Registry {
        /// The schema's id.
        id: SchemaId,
        /// Why.
        source: RegistryError,
    },
    /// The registry does not know the schema, but it may have been registered only just now.
    #[error("the schema registry does not know schema {id} yet")]
    NotKnownYet {
        /// The schema's id.
        id: SchemaId,
    },
    /// There is nothing yet beside which schemas could be kept.
    #[error("cannot keep schema {id}: the source has no archive yet; is `batch-layer archive` running?")]
    NoArchive {
        /// The schema's id.
        id: SchemaId,
    },
}

impl Schemas {
    /// The schemas of a source. Nothing is read or asked yet.
    pub fn new(storage: &Storage, source: &str, registry: &Registry) -> Schemas {
        let archive = storage.follow_archive(source);
        Schemas { source: source.to_owned(), archive, registry: registry.clone(), in_vain: None }
    }

    /// A schema that a record names and the layer's decoder lacks.
    ///
    /// If the registry does not know it, it is waited for as long as the registry may be late, however old the record says it is:
    /// a copy of another cluster's topic has old timestamps, and so has one whose producers write the time of the event. For as
    /// long after such a wait, `time_us`, the record's timestamp, is believed, so that a flood of records with ids of their own
    /// does not wait for each of them.
    pub fn awaited(&self, id: SchemaId, time_us: Option<i64>) -> AwaitedSchema {
        let unknown_after = self.unknown_after();
        let believes = self.in_vain.is_some_and(|at| at.elapsed() < unknown_after);
        self.waited_for(id, if believes { self.left_of(time_us) } else { unknown_after })
    }

    fn waited_for(&self, id: SchemaId, patience: Duration) -> AwaitedSchema {
        let (since, backoff) = (Instant::now(), Backoff::new(self.registry.settings().retry_backoff.get()));
        AwaitedSchema { id, patience, since, backoff, next: since }
    }

    /// How long the registry may be late.
    fn unknown_after(&self) -> Duration {
        self.registry.settings().unknown_after.get()
    }

    /// How much of that is left for a schema that a record of that time names.
    fn left_of(&self, time_us: Option<i64>) -> Duration {
        let age_us = time_us.map_or(0, |time_us| now_us().saturating_sub(time_us).max(0));
        self.unknown_after().saturating_sub(Duration::from_micros(age_us.unsigned_abs()))
    }

    /// Asks for a schema once and teaches the decoder, unless a failed attempt was only just made. Returns whether the decoder
    /// knows it now. A failure is logged.
    pub async fn ask(&mut self, awaited: &mut AwaitedSchema, decoder: &mut Decoder) -> bool {
        if Instant::now() < awaited.next {
            return false;
        }
        match self.meaning(awaited.id, awaited.may_be_late()).await {
            Ok(meaning) => {
                if meaning.schema().is_none() && awaited.since.elapsed() >= self.unknown_after() {
                    self.in_vain = Some(Instant::now());
                }
                if decoder.schemas() >= self.registry.settings().max_schemas {
                    decoder.forget_schemas();
                }
                self.teach(decoder, awaited.id, &meaning);
                true
            }
            Err(failed) => {
                let wait = awaited.backoff.wait();
                awaited.next = Instant::now() + wait;
                self.report(&failed, wait);
                false
            }
        }
    }

    /// Teaches a decoder of archived records the schemas that they name. `named` has the timestamp of the first record that names
    /// each. Those whose meaning was never needed before are asked for. If the registry does not know them, those of records that
    /// are not older than the registry may be late are waited for.
    ///
    /// # Errors
    /// If one of them cannot be looked up.
    pub async fn teach_all(
        &mut self,
        decoder: &mut Decoder,
        named: &BTreeMap<SchemaId, Option<i64>>,
    ) -> Result<(), SchemaError> {
        // All of them wait from now on, not one after the other.
        let awaited = named.iter().map(|(id, time_us)| self.waited_for(*id, self.left_of(*time_us)));
        for mut awaited in awaited.collect::<Vec<_>>() {
            let meaning = self.meaning_in_time(&mut awaited).await?;
            self.teach(decoder, awaited.id, &meaning);
        }
        Ok(())
    }

    async fn meaning_in_time(&mut self, awaited: &mut AwaitedSchema) -> Result<ArchivedSchema, SchemaError> {
        loop {
            let wait = match self.meaning(awaited.id, awaited.may_be_late()).await {
                Err(late @ SchemaError::NotKnownYet { .. }) => {
                    let wait = awaited.backoff.wait();
                    self.report(&late, wait);
                    wait
                }
                meaning => return meaning,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// What a schema's id means. If it `may_be_late`, the registry may still learn of it.
    async fn meaning(&mut self, id: SchemaId, may_be_late: bool) -> Result<ArchivedSchema, SchemaError> {
        let of_store = |source| SchemaError::Store { id, source };
        let archive = self.archive.newest().await.map_err(of_store)?.ok_or(SchemaError::NoArchive { id })?;
        if let Some(known) = archive.schema(id).await.map_err(of_store)? {
            return Ok(known);
        }
        let answer = self.registry.schema(id.0).await.map_err(|source| SchemaError::Registry { id, source })?;
        let meaning = match answer {
            Some(schema) => ArchivedSchema::Registered(written(schema)),
            None if may_be_late => return Err(SchemaError::NotKnownYet { id }),
            None => ArchivedSchema::Unknown,
        };
        archive.keep_schema(id, meaning).await.map_err(of_store)
    }

    fn teach(&self, decoder: &mut Decoder, id: SchemaId, meaning: &ArchivedSchema) {
        let source = &self.source;
        match decoder.learn(id, meaning.schema()) {
            Err(unusable) => error!(
                source,
                schema = id.0,
                error = error_text(&unusable),
                "records of this schema cannot be read and are rejected; they are archived, and a version of Braid that reads \
                 the schema decodes them"
            ),
            Ok(()) if meaning.schema().is_none() => warn!(
                source,
                schema = id.0,
                "the schema registry did not know this schema; records that name it are rejected"
            ),
            Ok(()) => info!(source, schema = id.0, "reading records of another schema"),
        }
    }

    fn report(&self, failed: &SchemaError, wait: Duration) {
        let (source, wait_ms, text) = (&self.source, wait.as_millis(), error_text(failed));
        match failed {
            SchemaError::NotKnownYet { .. } | SchemaError::NoArchive { .. } => {
                warn!(source, wait_ms, "{text}; records wait for it");
            }
            _ => error!(
                source,
                wait_ms,
                "{text}; records wait for it, and none is lost (docs/operations.md, *A schema registry*, says what to do if it never \
                 comes)"
            ),
        }
    }
}

impl AwaitedSchema {
    /// Whether the registry may still learn of it.
    fn may_be_late(&self) -> bool {
        self.since.elapsed() < self.patience
    }
}

fn written(schema: RegisteredSchema) -> WriterSchema {
    let references = schema.references.into_iter().map(|(name, text)| SchemaReference { name, text });
    WriterSchema { kind: schema.kind, text: schema.text, references: references.collect() }
}
