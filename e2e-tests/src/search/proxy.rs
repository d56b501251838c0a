//! What stands between the layers and a search server.

mod held;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use held::{Arrived, Writes};

use held::Holding;

const CHUNK: usize = 64 << 10;

/// Passes bytes on to a server and back. It looks at requests only to know whether they write documents, and at what it has held back.
pub struct Proxy {
    url: String,
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Faults {
    /// It lets nothing through, and closes every connection.
    is_away: AtomicBool,
    /// Of so many replies to bulk requests one is lost; 0: none.
    loses_one_of: AtomicU64,
    /// How many bulk requests were answered.
    bulks: AtomicU64,
    lost: AtomicU64,
    holding: Holding,
}

impl Proxy {
    /// Stands before the server at `http://host:port`.
    pub async fn start(server: &str) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (faults, server) = (Arc::new(Faults::default()), server.trim_start_matches("http://").to_owned());
        let known = Arc::clone(&faults);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (faults, server) = (Arc::clone(&known), server.clone());
                tokio::spawn(async move {
                    // An error is what the client sees as a closed connection.
                    let _ = pass(client, &server, &faults).await;
                });
            }
        });
        Ok(Proxy { url, faults, accepting })
    }

    /// `http://…`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets nothing through from now on, or everything again.
    pub fn is_away(&self, is_away: bool) {
        self.faults.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Loses one of so many replies to bulk requests from now on; 0: none. The server has done what they ask for, and the connection
    /// is closed.
    pub fn lose_one_of(&self, replies: u64) {
        self.faults.loses_one_of.store(replies, Ordering::SeqCst);
    }

    /// Holds every request back that writes these, from now on. The server sees nothing of it, as if it was still on its way.
    pub fn hold(&self, writes: Writes) {
        self.faults.holding.begin(writes);
    }

    /// How many requests it holds back as a whole.
    pub fn held(&self) -> u64 {
        self.faults.holding.held()
    }

    /// Lets what is held back go on to the server, whether or not anybody waits for an answer any more.
    pub fn release(&self) {
        self.faults.holding.end();
    }

    /// What the server has answered so far to requests that had been held back.
    pub fn arrived(&self) -> Arrived {
        self.faults.holding.arrived()
    }

    /// How many bulk requests the server has answered.
    pub fn bulks(&self) -> u64 {
        self.faults.bulks.load(Ordering::SeqCst)
    }

    /// How many of these answers were lost.
    pub fn lost(&self) -> u64 {
        self.faults.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Faults {
    fn are_away(&self) -> bool {
        self.is_away.load(Ordering::SeqCst)
    }

    /// A bulk request is answered; whether that is lost.
    fn lose(&self) -> bool {
        let number = self.bulks.fetch_add(1, Ordering::SeqCst) + 1;
        let one_of = self.loses_one_of.load(Ordering::SeqCst);
        let is_lost = one_of > 0 && number.is_multiple_of(one_of);
        self.lost.fetch_add(u64::from(is_lost), Ordering::SeqCst);
        is_lost
    }
}

/// Passes on what comes by one connection. Requests come one after the other, so the first bytes behind an answer begin one.
async fn pass(mut client: TcpStream, server: &str, faults: &Faults) -> Result<()> {
    if faults.are_away() {
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut begins, mut is_bulk) = (true, false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() || faults.are_away() {
                    return Ok(());
                }
                if begins && let Some(writes) = faults.holding.holds(bytes) {
                    let request = held::whole(&mut client, bytes.to_vec()).await?;
                    let answer = faults.holding.pass(writes, &request, &mut server).await?;
                    faults.bulks.fetch_add(1, Ordering::SeqCst);
                    client.write_all(&answer).await?;
                    continue;
                }
                if begins {
                    (begins, is_bulk) = (false, writes_documents(bytes));
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() || faults.are_away() {
                    return Ok(());
                }
                if !begins && is_bulk && faults.lose() {
                    return Ok(());
                }
                begins = true;
                client.write_all(bytes).await?;
            }
        }
    }
}

/// Whether the bytes begin a bulk request.
fn writes_documents(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.starts_with(b"POST ") && line.windows(6).any(|part| part == b"/_bulk")
}
