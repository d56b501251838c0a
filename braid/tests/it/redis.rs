//! The embedded Redis lives as long as its owner and keeps its files.

use braid::embedded::redis::EmbeddedRedis;
use redis::AsyncCommands;

async fn connect(url: &str) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    redis::Client::open(url)?.get_multiplexed_async_connection().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_outlives_a_stop_and_a_kill() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().join("redis");

    let redis = EmbeddedRedis::start(&folder).await.expect("starts");
    let mut connection = connect(redis.url()).await.expect("connects");
    let _: () = connection.set("stopped", 1).await.expect("set");
    redis.stop().await;

    let redis = EmbeddedRedis::start(&folder).await.expect("starts again");
    let url = redis.url().to_owned();
    let mut connection = connect(&url).await.expect("connects");
    assert_eq!(connection.get::<_, i64>("stopped").await.expect("get"), 1);
    // Dropping it kills the server; the next one waits for its lock.
    drop(redis);

    let redis = EmbeddedRedis::start(&folder).await.expect("starts after a kill");
    assert_ne!(redis.url(), url);
    let mut connection = connect(redis.url()).await.expect("connects");
    assert_eq!(connection.get::<_, i64>("stopped").await.expect("get"), 1);
    platform_accepts(redis.url()).await;
    redis.stop().await;
    assert!(connect(&url).await.is_err());
}

/// The layers accept this server: it is new enough and evicts nothing.
async fn platform_accepts(url: &str) {
    let settings = platform::settings::Redis { url: url.into(), ..platform::settings::Redis::default() };
    let mut connection = platform::redis::connect(&settings).await.expect("connects");
    platform::redis::check(&mut connection).await.expect("is fit");
}
