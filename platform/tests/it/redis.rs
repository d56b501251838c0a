//! Connecting to a Redis, and refusing one that would lose counts.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use platform::redis::{RedisError, check, connect, is_back_pressure};
use platform::settings;

use crate::cluster::DEADLINE;

/// A `redis-server` for one test, ended with it.
struct Server {
    child: Child,
    settings: settings::Redis,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(flags)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server of the system's packages");
        let settings =
            settings::Redis { url: format!("redis://127.0.0.1:{port}").into(), ..settings::Redis::default() };
        Server { child, settings, _folder: folder }
    }

    async fn connection(&self) -> platform::redis::Connection {
        let begun = Instant::now();
        loop {
            match connect(&self.settings).await {
                Ok(connection) => return connection,
                Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

#[tokio::test]
async fn a_redis_that_keeps_everything_is_accepted() {
    let server = Server::start(&[]);
    check(&mut server.connection().await).await.expect("fit");
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_with_the_remedy() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let error = check(&mut server.connection().await).await.expect_err("unfit");
        assert!(matches!(&error, RedisError::Evicts { policy: found } if found == policy), "{error}");
        assert!(error.to_string().contains("noeviction"), "{error}");
    }
}

#[tokio::test]
async fn a_managed_redis_without_config_is_asked_otherwise() {
    let server = Server::start(&["--rename-command", "CONFIG", "", "--maxmemory-policy", "allkeys-lfu"]);
    let error = check(&mut server.connection().await).await.expect_err("unfit");
    assert!(matches!(error, RedisError::Evicts { .. }), "{error}");
}

#[tokio::test]
async fn a_full_redis_is_back_pressure_also_within_a_script() {
    let server = Server::start(&["--maxmemory", "1"]);
    let mut connection = server.connection().await;
    let set: Result<(), _> = ::redis::cmd("SET").arg("a").arg(1).query_async(&mut connection).await;
    assert!(is_back_pressure(&set.expect_err("full")));
    for script in ["return redis.call('SET', KEYS[1], 1)", "#!lua\nreturn redis.call('SET', KEYS[1], 1)"] {
        let run: Result<(), _> = ::redis::cmd("EVAL").arg(script).arg(1).arg("a").query_async(&mut connection).await;
        let error = run.expect_err("full");
        assert!(is_back_pressure(&error), "{error}");
    }
    check(&mut connection).await.expect("a full one is accepted all the same");
}

#[tokio::test]
async fn a_connection_survives_a_server_that_was_away() {
    let mut server = Server::start(&[]);
    let mut connection = server.connection().await;
    server.child.kill().expect("killed");
    server.child.wait().expect("ended");
    let ping = ::redis::cmd("PING");
    let error = loop {
        // The first command may succeed before the connection notices the loss.
        if let Err(error) = ping.query_async::<()>(&mut connection).await {
            break error;
        }
    };
    assert!(is_back_pressure(&error), "{error}");
    let port = server.settings.url.reveal().rsplit(':').next().expect("a port").to_owned();
    server.child = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
        .stdout(Stdio::null())
        .spawn()
        .expect("started again");
    let begun = Instant::now();
    while let Err(error) = ping.query_async::<()>(&mut connection).await {
        assert!(is_back_pressure(&error) && begun.elapsed() < DEADLINE, "{error}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_a_url_is_named_without_the_password() {
    let wrong = settings::Redis { url: "rodis://:hunter2@nowhere".into(), ..settings::Redis::default() };
    let error = connect(&wrong).await.map(drop).expect_err("not a URL");
    assert!(matches!(error, RedisError::Url { .. }) && !format!("{error:?}").contains("hunter2"), "{error:?}");
    let nothing = settings::Redis { url: "redis://:hunter2@127.0.0.1:1".into(), ..settings::Redis::default() };
    let error = connect(&nothing).await.map(drop).expect_err("nothing listens");
    assert_eq!(error.to_string(), "cannot connect to redis at 127.0.0.1:1");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_and_no_panic() {
    let server = Server::start(&[]);
    drop(server.connection().await);
    let tls = settings::Redis {
        url: server.settings.url.reveal().replace("redis://", "rediss://").into(),
        ..settings::Redis::default()
    };
    let error = connect(&tls).await.map(drop).expect_err("it speaks no TLS");
    assert!(matches!(error, RedisError::Connect { .. }), "{error:?}");
}
