//! What the scenarios under `tests/e2e/` are written with.
//!
//! A [`scenario`] gets a folder and a printed seed. It sets up a [`Stage`]: a [`Deployment`] of the layers' real binaries, on a
//! real [`Kafka`] broker and a real Redis, some with a real schema [`Registry`] or with their tables on [`S3`]. It sends [`views`],
//! as [`Traffic`] batch by batch or as a [`Load`] that flows beside a fault, asks over HTTP as any [`Client`] would, kills
//! processes, and compares the answers with an [`Oracle`] that counts row by row, what [`streams`] write with another one, and what a
//! [`search`] server holds with an [`IndexOracle`].
//! [`Archive`] reads the archive's files as any Delta reader would, and a second [`Observer`] reads tables with other engines. Some play with
//! sections of the catalog that is [`shipped`]. By
//! `make test-cdc` there is a PostgreSQL whose changes are captured ([`cdc`]), and by `make test-cluster` a [`cluster`] that counts for
//! reconciles. A real [`Prometheus`](prometheus::Prometheus) asks what alert rules and
//! dashboard ask. A [`Stranger`](stranger::Stranger) has a file and
//! types commands. Scenarios wait for conditions, never for time to pass.
//!
//! Whatever can fail returns an error that says what was seen instead, and the scenario fails with it. Every child dies with the
//! test process, however that ends.

pub mod answer;
pub mod archive;
pub mod binaries;
pub mod cdc;
pub mod cluster;
pub mod deployment;
pub mod drift;
pub mod exactness;
mod fetched;
pub mod index_oracle;
pub mod kafka;
pub mod live;
pub mod load;
pub mod mutation;
pub mod naive;
pub mod naming;
pub mod observer;
pub mod oracle;
mod places;
pub mod printed;
pub mod prometheus;
pub mod reach;
pub mod registry;
pub mod s3;
pub mod scenario;
pub mod search;
mod shared_folder;
pub mod shipped;
pub mod stage;
pub mod stranger;
pub mod streams;
pub mod time;
pub mod traffic;
pub mod up;
pub mod versions;
pub mod views;
pub mod watch;

pub use answer::{Answer, Client};
pub use archive::Archive;
pub use deployment::{Deployment, Layer};
pub use index_oracle::IndexOracle;
pub use kafka::{Kafka, Producer};
pub use load::Load;
pub use observer::Observer;
pub use oracle::Oracle;
pub use registry::Registry;
pub use s3::S3;
pub use scenario::{Scenario, busy_scenario, scenario};
pub use stage::Stage;
pub use traffic::Traffic;
pub use up::Up;
