//! A proxy in front of a Redis that can hold back its replies.

use std::net::SocketAddr;

use test_kit::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy. It ends with the test.
pub(crate) struct RedisProxy {
    address: SocketAddr,
    holds: watch::Sender<bool>,
}

impl RedisProxy {
    /// Passes on what is sent to it and what that Redis replies.
    pub(crate) async fn of(redis: &Redis) -> RedisProxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let upstream = redis.url().strip_prefix("redis://").expect("a URL").to_owned();
        let holds = watch::Sender::new(false);
        let held = holds.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&upstream).await else { continue };
                tokio::spawn(pass(client, server, held.clone()));
            }
        });
        RedisProxy { address, holds }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Holds back every reply from now on.
    pub(crate) fn hold(&self) {
        self.holds.send_replace(true);
    }

    /// Passes on the replies that were held back, and those that follow.
    pub(crate) fn release(&self) {
        self.holds.send_replace(false);
    }
}

/// Passes bytes between a client and Redis until one of them closes.
async fn pass(client: TcpStream, server: TcpStream, mut held: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async move { drop(tokio::io::copy(&mut from_client, &mut to_server).await) };
    let replies = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let is_released = held.wait_for(|held| !held).await.is_ok();
            if !is_released || to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}
