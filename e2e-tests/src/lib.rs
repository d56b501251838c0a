//! What the scenarios under `tests/e2e/` are written with.
//!
//! A [`scenario`] gets a folder and a printed seed. It starts a [`Deployment`]: the layers' real binaries, on a real
//! [`Kafka`] broker and a real [`Redis`]. It sends [`views`] events, asks over HTTP as any [`Client`] would, kills
//! [`Process`]es, and compares what it is told with an [`Oracle`] that counts row by row. [`wait`] waits for conditions,
//! never for time to pass. [`Archive`] reads the archive's files as any Delta reader would.
//!
//! Nothing here outlives the test process: every child dies with it, however it ends.

pub mod answer;
pub mod archive;
pub mod deployment;
pub mod exactness;
pub mod kafka;
pub mod load;
pub mod mutation;
pub mod naive;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod redis;
pub mod scenario;
pub mod stage;
pub mod up;
pub mod views;
pub mod wait;
pub mod watch;

pub use self::redis::Redis;
pub use answer::{Answer, Client};
pub use archive::Archive;
pub use deployment::{Deployment, Layer};
pub use kafka::{Kafka, Producer};
pub use load::Load;
pub use oracle::Oracle;
pub use process::Process;
pub use scenario::{Scenario, scenario};
pub use stage::Stage;
pub use up::Up;
pub use wait::wait_for;
