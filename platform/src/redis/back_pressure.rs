//! Which errors of Redis are worth a retry, and which mean that something is wrong.
//!
//! On back-pressure, a layer keeps what it has, waits and sends the same again. It must not skip anything, and it need not
//! know whether the first try ran.

use std::fmt;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Wait and send the same again; the reason is for the log.
    Retry(&'static str),
    /// A retry would fail in the same way.
    Fatal,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Retry(reason) => f.write_str(reason),
            Reply::Fatal => f.write_str("not to be retried"),
        }
    }
}

/// Error codes of a server that cannot serve a command now, with the text for the log. The error of a script has the code of
/// the command that failed in it.
const LATER: [(&str, &str); 12] = [
    ("OOM", "redis is full"),
    ("READONLY", "redis is read-only (a replica, or a failover under way)"),
    ("LOADING", "redis is loading its data"),
    ("BUSY", "redis is busy with a script"),
    ("MASTERDOWN", "redis has lost its primary"),
    ("CLUSTERDOWN", "the redis cluster is down"),
    ("TRYAGAIN", "redis is moving a slot"),
    ("MOVED", "redis has moved a slot"),
    ("ASK", "redis is moving a slot"),
    ("NOREPLICAS", "redis has too few replicas to write"),
    ("EXECABORT", "redis refuses a transaction (it is full, or cannot persist)"),
    ("MISCONF", "redis cannot persist and refuses writes"),
];

/// Decides whether an error is worth a retry.
pub fn classify(error: &RedisError) -> Reply {
    if error.is_timeout() {
        return Reply::Retry("redis did not answer in time");
    }
    if error.is_connection_refusal() {
        return Reply::Retry("redis refuses connections");
    }
    if error.is_connection_dropped() || error.is_io_error() {
        return Reply::Retry("the connection to redis was lost");
    }
    let code = error.code().unwrap_or_default();
    if let Some((_, reason)) = LATER.iter().find(|(later, _)| *later == code) {
        return Reply::Retry(reason);
    }
    match error.kind() {
        // A reply that cannot be parsed was cut off by a lost connection.
        ErrorKind::Parse => Reply::Retry("the connection to redis was cut within a reply"),
        ErrorKind::ClusterConnectionNotFound => Reply::Retry("no node of the redis cluster answers"),
        ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel => {
            Reply::Retry("the redis sentinels know no primary")
        }
        // When a command inside a script fails, for example because the server is full, the code may stand within the
        // script's message.
        ErrorKind::Server(ServerErrorKind::ResponseError) => wrapped(error),
        _ => Reply::Fatal,
    }
}

/// Whether the same command is worth a retry after a wait; see [`classify`].
pub fn is_back_pressure(error: &RedisError) -> bool {
    matches!(classify(error), Reply::Retry(_))
}

fn wrapped(error: &RedisError) -> Reply {
    let detail = error.detail().unwrap_or_default();
    let found =
        LATER.iter().find(|(code, _)| detail.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *code));
    found.map_or(Reply::Fatal, |(_, reason)| Reply::Retry(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: &str) -> RedisError {
        let reply = format!("-{line}\r\n");
        let value = ::redis::parse_redis_value(reply.as_bytes()).expect("a reply");
        value.extract_error().expect_err("an error")
    }

    #[test]
    fn a_redis_that_cannot_take_it_now_is_back_pressure() {
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "ERR Error running script: OOM command not allowed when used memory > 'maxmemory'.",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            "NOREPLICAS Not enough good replicas to write.",
        ] {
            assert!(is_back_pressure(&server(line)), "{line}");
        }
    }

    #[test]
    fn a_lost_connection_is_back_pressure() {
        use std::io::{Error, ErrorKind::*};
        for kind in [TimedOut, ConnectionRefused, ConnectionReset, BrokenPipe, UnexpectedEof] {
            assert!(is_back_pressure(&RedisError::from(Error::from(kind))), "{kind:?}");
        }
    }

    #[test]
    fn a_mistake_is_not() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR unknown command 'FOO'",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'eval' command",
            "NOSCRIPT No matching script. Please use EVAL.",
        ] {
            assert_eq!(classify(&server(line)), Reply::Fatal, "{line}");
        }
    }
}
