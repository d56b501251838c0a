//! A receiver of webhooks: a web server of the test's own that keeps what is posted to it, and may refuse it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A receiver. Dropping it ends it.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What was posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// The header `Idempotency-Key`.
    pub id: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
    /// Whether the receiver has taken it.
    pub taken: bool,
}

#[derive(Default)]
struct Shared {
    posts: Mutex<Vec<Post>>,
    refuses: AtomicBool,
}

impl Receiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> Result<Receiver> {
        let shared: Arc<Shared> = Arc::default();
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/hook", post(received)).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It fails only if the listener does, and then nothing arrives, which a test notices.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Receiver { address, shared, serving })
    }

    /// Where to post to.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers 503 from now on, or takes what is posted again.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Everything that was posted so far, in order.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has taken, each id once, in order: the id and whether the alert fires or is resolved.
    pub fn told(&self) -> Vec<(String, String)> {
        let mut told: Vec<(String, String)> = Vec::new();
        for post in self.posts().into_iter().filter(|post| post.taken) {
            let status = post.body["status"].as_str().unwrap_or_default().to_owned();
            if told.iter().all(|(id, _)| *id != post.id) {
                told.push((post.id, status));
            }
        }
        told
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn received(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let taken = !shared.refuses.load(Ordering::SeqCst);
    let id = header("idempotency-key").unwrap_or_default();
    let post = Post { id, authorization: header("authorization"), body, taken };
    shared.posts.lock().unwrap_or_else(PoisonError::into_inner).push(post);
    if taken { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
