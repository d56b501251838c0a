//! All streams over one source, compiled.

use crate::catalog::{Catalog, DefinitionHash, Source};

/// All streams over one source, in the order of their names.
#[derive(Debug)]
pub struct LanePlan {
    columns: Vec<String>,
    streams: Vec<StreamPlan>,
}

/// What is known of a stream without its state.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The stream's name.
    pub name: String,
    /// The hash of everything that can change its outputs.
    pub definition: DefinitionHash,
    /// The topic of its outputs.
    pub topic: String,
    /// The topic of events that came too late for it.
    pub late_topic: String,
    /// Whether its outputs are partitioned by their keys, instead of by the lane's partition.
    pub rekeys: bool,
}

impl LanePlan {
    /// Compiles the streams over a source of a checked catalog.
    pub fn new(catalog: &Catalog, source: &Source) -> LanePlan {
        unimplemented!()
    }

    /// The fields of the source that are read, sorted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The streams, in the order of their names. Elsewhere a stream is named by its place here.
    pub fn streams(&self) -> &[StreamPlan] {
        &self.streams
    }

    /// Whether some stream writes late events, which are the bytes of their records.
    pub fn keeps_originals(&self) -> bool {
        unimplemented!()
    }

    /// T8, *need*: the earliest event time that state at these fronts can hold, in microseconds; `None`: any.
    /// `i64::MAX` where no stream remembers anything.
    pub fn horizon_us(&self, fronts: &super::Fronts) -> Option<i64> {
        unimplemented!()
    }
}
