//! Change data capture, with the real parts: a PostgreSQL, and Kafka Connect with Debezium's connector. `make test-cdc` names where Connect
//! lies; without that, scenarios of it do not run.

mod connect;
mod postgres;

use std::path::PathBuf;

use anyhow::Result;

pub use connect::Connect;
pub use postgres::Postgres;

use crate::fetched::notice;
use crate::stage::Stage;

/// Names the folder of jars that `e2e-tests/connect-jars.sh` prints.
const JARS: &str = "BRAID_TEST_CDC";

/// The jars of Connect; nothing where they are not named. Then the scenario, which has no meaning without them, is named in a notice.
pub fn jars(scenario: &str) -> Option<PathBuf> {
    let jars = std::env::var_os(JARS).map(PathBuf::from);
    if jars.is_none() {
        notice(&format!("scenario {scenario} is run by `make test-cdc` alone"));
    }
    jars
}

/// A database, and the process that writes its changes to the stage's Kafka.
pub struct Capture {
    /// The database.
    pub postgres: Postgres,
    /// Reads it.
    pub connect: Connect,
}

impl Capture {
    /// Starts an empty database, and nothing that reads it yet. The topic of its table `users` is the stage's, with `.public.users` behind.
    pub async fn start(jars: PathBuf, stage: &Stage, folder: PathBuf) -> Result<Capture> {
        std::fs::create_dir_all(&folder)?;
        let postgres = Postgres::start(&folder).await?;
        let connect = Connect::new(jars, folder, &stage.brokers, &stage.topic, postgres.port());
        Ok(Capture { postgres, connect })
    }
}
