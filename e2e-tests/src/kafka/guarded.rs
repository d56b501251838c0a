//! A broker that checks who may do what: Kafka's own authorizer, and a listener at which clients say who they are.
//!
//! Whoever comes in by its other listener may do everything: there the tests' own clients are the operator.

use std::path::Path;

use anyhow::Result;
use test_kit::{DEADLINE, Process, free_port};

use super::broker::Broker;

/// The users that it knows: the programs. The password of each is its name.
const USERS: [&str; 3] = ["init", "archive", "speed"];
/// Kafka's command for rights.
const COMMAND: &str = "org.apache.kafka.tools.AclCommand";
/// How many of these commands run at a time.
const AT_ONCE: usize = 2;

/// A broker that lets each user do only what was granted.
pub struct Guarded {
    broker: Broker,
    port: u16,
}

/// What a user may do.
#[derive(Debug, Clone)]
pub struct Right<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The names of the operations, as Kafka's command takes them.
    pub operations: &'a [&'a str],
    /// What they are granted on: an option of that command, and a name.
    pub on: Vec<(&'a str, String)>,
    /// Whether it is granted on all names that begin so.
    pub is_prefix: bool,
}

impl Guarded {
    /// Starts one that has granted nothing.
    pub(super) async fn start(dir: &Path, class_path: &Path) -> Result<Guarded> {
        let port = free_port()?;
        let broker = Broker::start(dir, class_path, &properties(port)).await?;
        Ok(Guarded { broker, port })
    }

    /// `bootstrap.servers` for the operator.
    pub fn brokers(&self) -> String {
        self.broker.brokers()
    }

    /// The settings of a program that comes in as that user: `section.key` and value.
    pub fn settings(&self, user: &str) -> [(&'static str, String); 5] {
        [
            ("kafka.brokers", format!("127.0.0.1:{}", self.port)),
            ("kafka.client.security_protocol", "sasl_plaintext".to_owned()),
            ("kafka.client.sasl_mechanism", "PLAIN".to_owned()),
            ("kafka.client.sasl_username", user.to_owned()),
            ("kafka.client.sasl_password", user.to_owned()),
        ]
    }

    /// Grants rights.
    pub async fn grant(&self, rights: &[Right<'_>]) -> Result<()> {
        for rights in rights.chunks(AT_ONCE) {
            let granting = rights.iter().map(|right| self.launch(right)).collect::<Result<Vec<Process>>>()?;
            for process in granting {
                process.success(DEADLINE).await?;
            }
        }
        Ok(())
    }

    fn launch(&self, right: &Right<'_>) -> Result<Process> {
        let mut command = self.broker.tool(COMMAND);
        command.args(["--add", "--allow-principal", &format!("User:{}", right.user)]);
        command.args(["--resource-pattern-type", if right.is_prefix { "prefixed" } else { "literal" }]);
        for operation in right.operations {
            command.args(["--operation", operation]);
        }
        for (option, name) in &right.on {
            command.args([*option, name.as_str()]);
        }
        Process::start("kafka-acls", command, &self.broker.file("kafka-acls.out"))
    }
}

/// The properties by which a broker checks rights, and has a listener at that port for those who need them.
fn properties(port: u16) -> String {
    let users = USERS.map(|user| format!("user_{user}=\"{user}\"")).join(" ");
    format!(
        "listeners=PLAINTEXT://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER_PORT@,CLIENTS://127.0.0.1:{port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:@PORT@,CLIENTS://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.clients.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required {users};\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n"
    )
}
