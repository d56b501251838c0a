//! Partitions that wait: their next record names a schema that the decoder lacks.

use std::collections::BTreeSet;

use shared_logic::decode::Decoder;
use shared_logic::format::SchemaId;
use storage::{AwaitedSchema, Schemas};

/// The partitions that wait. Nothing more of them is taken.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    partitions: BTreeSet<i32>,
    /// The schema that the first of them waits for.
    awaited: Option<AwaitedSchema>,
}

impl Waiting {
    /// Whether no partition waits.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Whether that partition waits.
    pub(super) fn holds(&self, partition: i32) -> bool {
        self.partitions.contains(&partition)
    }

    /// From now on that partition waits for that schema, which a record of that time names.
    pub(super) fn add(&mut self, partition: i32, id: SchemaId, time_us: Option<i64>, schemas: &Schemas) {
        self.partitions.insert(partition);
        self.awaited.get_or_insert_with(|| schemas.awaited(id, time_us));
    }

    /// Asks for the schema, at most once. Returns whether the decoder has learned it: then all partitions are read on, and one
    /// that names another schema waits again.
    pub(super) async fn ask(&mut self, schemas: &mut Schemas, decoder: &mut Decoder) -> bool {
        let is_learned = match &mut self.awaited {
            Some(awaited) => schemas.ask(awaited, decoder).await,
            None => true,
        };
        if is_learned {
            *self = Waiting::default();
        }
        is_learned
    }
}
