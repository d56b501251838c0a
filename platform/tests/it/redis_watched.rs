//! A connection to a real primary that sentinels watch.

use std::net::TcpListener;
use std::time::Instant;

use platform::redis::{Connection, check, connect, is_back_pressure};
use platform::settings::{self, Span};
use redis::Script;
use test_kit::{DEADLINE, WatchedRedis};

fn settings(url: &str) -> settings::Redis {
    let (connect_timeout, response_timeout) = (Span::from_secs(1), Span::from_secs(1));
    settings::Redis { url: url.into(), connect_timeout, response_timeout }
}

/// Counts until it is counted, and returns the sum. Whatever is answered meanwhile is worth a retry.
async fn counted(connection: &mut Connection) -> u64 {
    let (script, begun) = (Script::new("return redis.call('INCR', KEYS[1])"), Instant::now());
    loop {
        match script.key("key").invoke_async(connection).await {
            Ok(sum) => return sum,
            Err(error) => assert!(is_back_pressure(&error) && begun.elapsed() < DEADLINE, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_follows_the_primary_that_sentinels_name() {
    let mut watched = WatchedRedis::start().await.expect("servers and sentinels start");
    let mut connection = connect(&settings(&watched.url())).await.expect("there is a primary");
    check(&mut connection).await.expect("fit");
    assert_eq!(counted(&mut connection).await, 1);
    watched.in_step(0).await.expect("in step");

    watched.server_mut(0).kill();
    assert!(counted(&mut connection).await >= 2, "what the replica had, and one more");
    let second = watched.replaced(0).await.expect("replaced");

    // It answers no more, and closes no connection. When it answers again, it still takes itself for the primary.
    let before: u64 = watched.server(second).ask(&["GET", "key"]).await.expect("it answers");
    watched.in_step(second).await.expect("in step");
    watched.server(second).suspend().expect("frozen");
    let sum = counted(&mut connection).await;
    let third = watched.replaced(second).await.expect("replaced");
    watched.server(second).resume().expect("thawed");
    assert!(sum > before, "{sum} after {before}");
    for n in 1..=5 {
        assert_eq!(counted(&mut connection).await, sum + n, "it was counted elsewhere");
    }
    let there: u64 = watched.server(third).ask(&["GET", "key"]).await.expect("it answers");
    assert_eq!(there, sum + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sentinels_do_not_know_is_an_error_with_its_name() {
    let watched = WatchedRedis::start().await.expect("servers and sentinels start");
    let url = watched.url().replace("/main", "/other");
    let error = connect(&settings(&url)).await.map(drop).expect_err("nobody of that name");
    assert_eq!(error.to_string(), "cannot connect to redis at the primary that sentinels call other");
    let error = connect(&settings("redis+sentinel://127.0.0.1:1/main")).await.map(drop).expect_err("no sentinel");
    assert!(error.to_string().contains("sentinels call main"), "{error}");
}

/// As hosts that are off: nothing says that nobody answers there.
#[tokio::test(flavor = "multi_thread")]
async fn what_few_sentinels_say_counts_where_most_are_silent() {
    let watched = WatchedRedis::start().await.expect("servers and sentinels start");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let begin = format!("redis+sentinel://{}", format!("{address},").repeat(4));
    let url = watched.url().replacen("redis+sentinel://", &begin, 1);
    let mut connection = connect(&settings(&url)).await.expect("three of seven answer");
    assert_eq!(counted(&mut connection).await, 1);
}
