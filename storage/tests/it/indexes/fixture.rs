//! Servers, and the index that tests write to.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use platform::settings;
use reqwest::Method;
use serde_json::Value;
use shared_logic::catalog::{Deployment, Index, IndexField, IndexFrom, IndexKind};
use shared_logic::contracts::index::build_name;
use shared_logic::index::{Sizing, settings as index_settings};
use storage::{BulkItem, SearchClient};
use test_kit::{DEADLINE, Progress, Search, wait_for};
use tokio::sync::Mutex;

/// A server and a client with a deployment of the test's own.
pub(super) struct Fixture {
    pub(super) client: SearchClient,
    pub(super) server: Arc<Search>,
    /// The name of the only build.
    pub(super) build: String,
}

/// The server that tests share which do it no harm. The last one to end stops it.
async fn shared(test: &str) -> Option<Arc<Search>> {
    static SHARED: Mutex<Weak<Search>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(Search::start(test).await.expect("opensearch starts")?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

impl Fixture {
    /// A build on the shared server; nothing where no server can be had.
    pub(super) async fn new(test: &str) -> Option<Fixture> {
        Some(Fixture::on(shared(test).await?, test).await)
    }

    /// A build on that server.
    pub(super) async fn on(server: Arc<Search>, test: &str) -> Fixture {
        let client = client(&server.url(), test);
        let build = build_name(client.deployment(), "users", 1);
        client.create_index(&build, &body()).await.expect("created");
        Fixture { client, server, build }
    }

    /// How many documents can be found after a refresh.
    pub(super) async fn count(&self) -> u64 {
        self.client.refresh(&self.build).await.expect("refreshed");
        self.client.count(&self.build).await.expect("counted")
    }

    /// Changes settings of an index, as an operator would.
    pub(super) async fn put_settings(&self, index: &str, settings: Value) {
        self.request(Method::PUT, &format!("{index}/_settings"), Some(settings)).await;
    }

    /// A request of the test's own, which succeeds.
    pub(super) async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = reqwest::Client::new().request(method, format!("{}/{path}", self.server.url()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("it answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{path} {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// A client of the deployment of that name.
pub(super) fn client(url: &str, deployment: &str) -> SearchClient {
    let settings = settings::Search {
        url: url.to_owned(),
        request_timeout: settings::Span::from_secs(20),
        retry_backoff: settings::Span::from_millis(20),
        ..settings::Search::default()
    };
    let client = SearchClient::new(&settings, &Deployment::new(deployment, "v1")).expect("a client");
    client.expect("a server is named")
}

/// Settings and mappings of a build.
pub(super) fn body() -> Value {
    let field = |name: &str, kind| IndexField { name: name.to_owned(), kind };
    let fields =
        vec![field("name", IndexKind::Text), field("age", IndexKind::Integer), field("score", IndexKind::Float)];
    let from = IndexFrom::Table("users".to_owned());
    let index = Index { name: "users".to_owned(), from, id: "id".to_owned(), fields };
    index_settings(&index, Sizing { shards: 1, replicas: 0, refresh_ms: 1_000 })
}

pub(super) fn write(id: &str, version: u64, document: &str) -> BulkItem {
    BulkItem { id: id.to_owned(), version, document: Some(document.as_bytes().to_vec()) }
}

pub(super) fn delete(id: &str, version: u64) -> BulkItem {
    BulkItem { id: id.to_owned(), version, document: None }
}

/// A document of about so many bytes.
pub(super) fn of_bytes(id: &str, bytes: usize) -> BulkItem {
    write(id, 1, &format!("{{\"name\":\"{}\"}}", "x".repeat(bytes)))
}

/// A moment at which no test still runs.
pub(super) fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// Waits until a server that was started on old data answers for all of it.
pub(super) async fn recovered(client: &SearchClient, build: &str) {
    wait_for("the index to be recovered", DEADLINE, async || {
        let refreshed = client.refresh(build).await;
        Ok(Progress::when(refreshed.is_ok(), format_args!("{refreshed:?}")))
    })
    .await
    .expect("recovered");
}
