//! Connecting to a Redis, and refusing one that would lose counts.

use std::time::Instant;

use platform::redis::{RedisError, check, connect, is_back_pressure};
use platform::settings;
use test_kit::Redis;

use crate::cluster::DEADLINE;

fn settings(url: &str) -> settings::Redis {
    settings::Redis { url: url.into(), ..settings::Redis::default() }
}

/// A server for one test, and a connection to it.
async fn connected(flags: &[&str]) -> (Redis, platform::redis::Connection) {
    let server = Redis::start_with(flags).await.expect("redis starts");
    let connection = connect(&settings(&server.url())).await.expect("connects");
    (server, connection)
}

#[tokio::test]
async fn a_redis_that_keeps_everything_is_accepted() {
    let (_server, mut connection) = connected(&[]).await;
    check(&mut connection).await.expect("fit");
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_with_the_remedy() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let (_server, mut connection) = connected(&["--maxmemory-policy", policy]).await;
        let error = check(&mut connection).await.expect_err("unfit");
        assert!(matches!(&error, RedisError::Evicts { policy: found } if found == policy), "{error}");
        assert!(error.to_string().contains("noeviction"), "{error}");
    }
}

#[tokio::test]
async fn a_managed_redis_without_config_is_asked_otherwise() {
    let flags = ["--rename-command", "CONFIG", "", "--maxmemory-policy", "allkeys-lfu"];
    let (_server, mut connection) = connected(&flags).await;
    let error = check(&mut connection).await.expect_err("unfit");
    assert!(matches!(error, RedisError::Evicts { .. }), "{error}");
}

#[tokio::test]
async fn a_full_redis_is_back_pressure_also_within_a_script() {
    let (_server, mut connection) = connected(&["--maxmemory", "1"]).await;
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
    let (mut server, mut connection) = connected(&[]).await;
    server.kill();
    let ping = ::redis::cmd("PING");
    let error = loop {
        // The first command may succeed before the connection notices the loss.
        if let Err(error) = ping.query_async::<()>(&mut connection).await {
            break error;
        }
    };
    assert!(is_back_pressure(&error), "{error}");
    let start = Instant::now();
    let answered = async {
        while let Err(error) = ping.query_async::<()>(&mut connection).await {
            assert!(is_back_pressure(&error) && start.elapsed() < DEADLINE, "{error}");
        }
    };
    let (restarted, ()) = tokio::join!(server.restart(), answered);
    restarted.expect("started again");
}

#[tokio::test]
async fn what_is_not_there_or_not_a_url_is_named_without_the_password() {
    let error = connect(&settings("rodis://:hunter2@nowhere")).await.map(drop).expect_err("not a URL");
    assert!(matches!(error, RedisError::Url { .. }) && !format!("{error:?}").contains("hunter2"), "{error:?}");
    let error = connect(&settings("redis://:hunter2@127.0.0.1:1")).await.map(drop).expect_err("nothing listens");
    assert_eq!(error.to_string(), "cannot connect to redis at 127.0.0.1:1");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_and_no_panic() {
    let (server, _) = connected(&[]).await;
    let tls = settings(&server.url().replace("redis://", "rediss://"));
    let error = connect(&tls).await.map(drop).expect_err("it speaks no TLS");
    assert!(matches!(error, RedisError::Connect { .. }), "{error:?}");
}
