//! The serving layer: answers every query by braiding the batch view and the speed view (design 3).
//!
//! Read in the order of one request: `router` lists the routes, `query` reads the parameters, `look` holds what is known
//! of views, archive and topics at one moment, `speed_view` reads the shards, `batch_view` holds the views in memory,
//! `answer` judges completeness, merges and writes the JSON, `problem` says what went wrong. `server` listens and stops,
//! `command` is the command line.
//!
//! Nothing here counts: what an answer is made of is decided by `shared_logic::complete` and `shared_logic::merge`.

mod answer;
mod app;
mod batch_view;
pub mod command;
mod problem;
mod redis_link;
mod router;
mod routes;
mod server;
mod snapshot;
mod speed_view;
mod topics;

pub use server::{ServeError, Server, run};
pub use topics::TopicClient;
