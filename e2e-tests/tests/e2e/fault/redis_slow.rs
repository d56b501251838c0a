//! Redis answers so late that the worker gives up requests that ran.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::views::Mix;
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::redis_refuses::WAITING;

const SOME: usize = 1_000;

#[test]
fn redis_slow() {
    busy_scenario("redis_slow", async |scenario| {
        let mut stage = Stage::of(scenario).running(&[Layer::Archive, Layer::Serving]).start().await?;
        let direct = stage.redis.url();
        let proxy = Proxy::start(direct.trim_start_matches("redis://").parse()?).await?;
        stage.deployment.set("redis.url", &format!("redis://{}", proxy.address));
        stage.deployment.set("redis.response_timeout", "300ms");
        let worker = stage.deployment.start(Layer::Speed).await?;
        stage.deployment.set("redis.url", &direct);
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        stage.counts_more(&load, SOME).await?;
        watched(&client, &load, async {
            for _ in 0..2 {
                // Requests pass at once, so scripts run; replies come when the worker waits for them no longer.
                proxy.delay_replies(Duration::from_millis(700));
                let mut waiting = lines_with(&worker, WAITING)?;
                for _ in 0..4 {
                    waiting = prints_again(&worker, WAITING, waiting).await?;
                }
                // A script was given up and ran; before it is sent again, a new slice is opened.
                stage.deployment.reconcile().await?;
                prints_again(&worker, WAITING, waiting).await?;
                proxy.delay_replies(Duration::ZERO);
                stage.counts_more(&load, SOME).await?;
            }
            Ok(())
        })
        .await?;
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

/// Passes bytes on, and replies late if told to.
struct Proxy {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(to).await else { continue };
                let (requests, to_client) = client.into_split();
                let (replies, to_server) = server.into_split();
                connections.spawn(pass_on(requests, to_server, Arc::default()));
                connections.spawn(pass_on(replies, to_client, Arc::clone(&delay)));
            }
        });
        Ok(Proxy { address, delay_ms, serving })
    }

    fn delay_replies(&self, by: Duration) {
        self.delay_ms.store(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Until one side closes.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: Arc<AtomicU64>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst))).await;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
