//! What an event, a bucket, a metric, a partial and a merge are.
//!
//! All layers share this crate, and only it decides a number. It does no I/O and knows no clock, no Kafka, no Redis and
//! no store: positions, bytes, times and tables are arguments, and values are results.
//!
//! The ground floor is words that everything else uses: [`time`], [`log`] (positions), [`schema`] (fields and types),
//! [`group_key`], [`rejection`], [`identity`] and [`format`](mod@format) (how payloads are written). Then read in the order
//! of the flow: [`catalog`] declares, [`decode`] turns bytes into columns, [`dedup`] removes repeated events, [`plan`] turns
//! columns into [`partial`]s, [`merge`] merges the partials of both layers, [`cut`] and [`complete`] decide which offsets
//! belong to which layer and what an answer lacks, and [`drift`](mod@drift) compares what both said of the same offsets.
//! [`table`] says which row keyed changes leave. [`stream`] makes outputs of events, which are written to Kafka, and [`stream_check`]
//! compares what was written with what is decided again. [`stream_topics`] says to which topics, and [`stream_standing`] what stops that.
//! [`report`](mod@report) says which days a report writes, and of what its rows consist. [`alert`] says what is known of
//! a condition on a metric, and what changes. [`version`] says which versions of all that
//! there are, and which of them answers. [`index`](mod@index) says what the documents of a search index are, and what can be asked of it.
//! [`contracts`] says how all of it is written down.

pub mod alert;
pub mod catalog;
pub mod complete;
pub mod contracts;
pub mod cut;
pub mod decode;
pub mod dedup;
pub mod drift;
pub mod expression;
pub mod format;
pub mod group_key;
mod hash_index;
pub mod identity;
pub mod index;
pub mod log;
pub mod measure;
pub mod merge;
pub mod partial;
pub mod plan;
pub mod rejection;
pub mod report;
pub mod schema;
pub mod stream;
pub mod stream_check;
pub mod stream_standing;
pub mod stream_topics;
pub mod suggest;
pub mod table;
pub mod time;
pub mod version;
