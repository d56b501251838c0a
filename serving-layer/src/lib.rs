//! The serving layer: answers queries by merging the batch view with the speed view.
//!
//! The modules, in the order in which a request meets them:
//!
//! 1. `router` lists the paths and bounds every request in time; `access` admits it, or says what it lacks.
//! 2. `routes` holds the handlers, one file per resource. They read the parameters strictly and write the JSON.
//! 3. `versions` holds what each served version of the deployment needs: its catalog, its snapshots and its speed view.
//! 4. `snapshot` is what was known of views, archives and topics at one moment. A request uses one snapshot.
//! 5. `answer` reads both views, decides whether the answer is complete, and merges.
//! 6. `batch_view` serves batch views from segments on the local disk; `speed_view` reads shards from Redis.
//! 7. `stream_read` reads what streams have written, and what they write from now on; `table_read` reads the rows of tables;
//!    `report_read` reads what reports have written, `search_read` searches indexes, and
//!    `reject_read` reads rejected records with their bytes.
//!
//! Around them: `openapi` has the words with which handlers describe themselves, and `document` makes one description of all, `alert` judges conditions on metrics, `live` asks again and again what clients watch, `watchers` are all that do, `problem` is what a request gets instead of an answer,
//! `gap_text` is what may be missing in one, `known` is how totals were read that were asked for before, `together` is what requests share that ask the same at the same time, `topics` asks Kafka,
//! `redis_link` is the connection to Redis, `asked` is what is asked of a metric, `written` is an answer as it is sent, `last_read` keeps
//! the last known value when a read fails, `reconciliations` is the table of what reconciles have moved, `table_notes` says how far
//! tables are materialised, `requests` counts requests, `request_id` names them in logs, `app` is what they all share, `server` listens and stops in order, and
//! `command` is the command line.
//!
//! This crate counts nothing and decides nothing about offsets: `shared_logic::complete` says which slices belong to an
//! answer, and `shared_logic::merge` merges them with the batch view.

mod access;
mod alert;
mod answer;
mod app;
mod asked;
mod batch_view;
pub mod command;
mod document;
mod gap_text;
mod known;
mod last_read;
mod live;
mod openapi;
mod problem;
mod reconciliations;
mod redis_link;
mod reject_read;
mod report_read;
mod request_id;
mod requests;
mod router;
mod routes;
mod search_read;
mod server;
mod snapshot;
mod speed_view;
mod stream_read;
mod table_notes;
mod table_read;
mod together;
mod topics;
mod versions;
mod watchers;
mod written;

pub use alert::{AlertClock, AlertLog, AlertRead, AlertRecords, AlertWriter, NoAlertTopics, StoredRecord};
pub use server::{ServeError, Server, granted_keys, run};
pub use stream_read::{Follower, LogClient, LogRecord, Told};
pub use topics::TopicClient;
