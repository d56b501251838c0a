//! Searches: what is refused, and what a real search server finds, with how far that is behind the log.

use platform::settings::Span;
use serde_json::{Value, json};
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::index::{
    BASE_VERSION, Build, BuildStage, IndexState, IndexStepError, Progress, Why, build_name,
};
use shared_logic::index::{Sizing, settings, slice_of};
use shared_logic::log::PartitionId;
use storage::{BulkItem, SearchClient, SearchError};
use test_kit::{Search, catalogs};

use crate::test_server::{LOG, TestServer};

const INDEXES: &str = r#"
[tables.users]
key = "id"
[tables.users.fields]
id = "string"
name = "string?"
plan = "string?"
age = "int?"
[indexes.users]
from = "tables.users"
[indexes.users.fields]
name = "text"
plan = "keyword"
age = "integer"
"#;

fn catalog() -> String {
    format!("{}{INDEXES}", catalogs::VIEWS)
}

#[derive(Debug, thiserror::Error)]
enum NotBuilt {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Step(#[from] IndexStepError),
}

/// The builds of the index `users`, written as the batch layer and lanes do it.
struct Builder {
    client: SearchClient,
    definition: DefinitionHash,
}

impl Builder {
    fn of(server: &TestServer) -> Builder {
        let client = SearchClient::new(&server.settings.search, &server.catalog.deployment);
        let client = client.expect("settings").expect("a server is named");
        Builder { client, definition: server.catalog.index_definition(&server.catalog.indexes["users"]) }
    }

    fn name(&self, number: u64) -> String {
        build_name(self.client.deployment(), "users", number)
    }

    async fn step(&self, step: impl Fn(&IndexState) -> Result<IndexState, IndexStepError>) -> IndexState {
        let step = |state: &IndexState| -> Result<IndexState, NotBuilt> { Ok(step(state)?) };
        self.client.step("users", step).await.expect("a step")
    }

    /// Begins a build with these rows; gives its number.
    async fn load(&self, server: &TestServer, rows: &[(&str, Value)]) -> u64 {
        let build = Build {
            definition: self.definition.clone(),
            stage: BuildStage::Loading,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: String::new(),
            base: [(PartitionId::new(LOG, 0), 0)].into_iter().collect(),
            table_version: 1,
            erasures: 0,
            rows: rows.len() as u64,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        };
        let number = self.step(|state| Ok(state.begin(build.clone()).0)).await.begun;
        let sizing = Sizing { shards: 1, replicas: 0, refresh_ms: 100 };
        let body = settings(&server.catalog.indexes["users"], sizing);
        let uuid = self.client.create_index(&self.name(number), &body).await.expect("created").uuid;
        self.step(|state| state.load(number, "me", &uuid, 0)).await;
        self.write(number, rows).await;
        number
    }

    async fn write(&self, number: u64, rows: &[(&str, Value)]) {
        let item = |(id, fields): &(&str, Value)| {
            let mut document = fields.clone();
            document["braid_slice"] = json!(slice_of(id));
            BulkItem { id: (*id).to_owned(), version: BASE_VERSION, document: Some(document.to_string().into_bytes()) }
        };
        let items: Vec<BulkItem> = rows.iter().map(item).collect();
        let outcomes = self.client.bulk(&self.name(number), &items).await.expect("answered");
        assert!(outcomes.iter().all(|outcome| *outcome == storage::BulkOutcome::Done), "{outcomes:?}");
        self.client.refresh(&self.name(number)).await.expect("refreshed");
    }

    async fn serve(&self, number: u64, cursor: i64) {
        self.progress(number, cursor).await;
        self.step(|state| state.follow(number, "me")).await;
        self.step(|state| state.promote(number, 7)).await;
    }

    async fn progress(&self, number: u64, cursor: i64) {
        let progress = Progress { cursor, witness: None, at_us: 0 };
        let id = PartitionId::new(LOG, 0);
        assert!(self.client.put_progress("users", number, &id, &progress).await.expect("put"));
    }
}

fn ids(body: &Value) -> Vec<&str> {
    body["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["id"].as_str()).collect()
}

#[tokio::test]
async fn mistakes_are_named_and_without_a_server_nothing_is_searched() {
    let mut server = TestServer::with(&catalog()).await;
    server.archive_begins().await;
    server.open(0, 0).await;
    server.serve().await;
    for (path, wanted, word) in [
        ("/v1/search/usres", 404, "did you mean `users`?"),
        ("/v1/search/users?plam=pro", 400, "did you mean `plan`?"),
        ("/v1/search/users?limit=0", 400, "from 1 to 100"),
        ("/v1/search/users?sort=name", 400, "keyword"),
        ("/v1/search/users?q=a&q=b", 400, "once"),
        ("/v1/search/users?version=v9&q=ada", 404, "v1"),
        ("/v1/search/users?q=ada", 503, "search.url"),
        ("/v1/reconciliations?index=usres", 400, "did you mean `users`?"),
        ("/v1/reconciliations?index=users&metric=views", 400, "one of them"),
    ] {
        let (status, problem) = server.get(path).await;
        assert_eq!(status, wanted, "{path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{path}: {problem}");
    }
    let (_, status) = server.get("/v1/status").await;
    let index = &status["indexes"][0];
    assert_eq!((&index["index"], &index["serving"]), (&json!("users"), &json!(null)));
    assert!(index["error"].as_str().is_some_and(|error| error.contains("search.url")), "{index}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_documents_and_says_how_far_they_are_behind() {
    let Some(mut search) = Search::start("a search says how far it is behind").await.expect("it starts") else {
        return;
    };
    let mut server = TestServer::with(&catalog()).await;
    server.settings.search.url = search.url();
    server.settings.search.refresh = Span::from_millis(100);
    server.topics.set(&[3]);
    server.archive_begins().await;
    server.open(0, 0).await;
    server.serve().await;
    let path = "/v1/search/users?q=ada";
    let nothing = server.until(path, |_, body| body["detail"].to_string().contains("no build of it is begun")).await;
    assert_eq!(nothing["status"], 503);
    let builder = Builder::of(&server);
    let rows = [
        ("u-1", json!({"name": "Ada Lovelace", "plan": "pro", "age": 36})),
        ("u-2", json!({"name": "Ada Nobody", "plan": "free", "age": 17})),
        ("u-3", json!({"name": "Grace Hopper", "plan": "pro", "age": 85})),
    ];
    let number = builder.load(&server, &rows).await;
    server.until(path, |status, body| status == 503 && body["detail"].to_string().contains("0 of 3 rows")).await;
    builder.serve(number, 2).await;
    // What was refused is asked less often.
    let is_known =
        |status: u16, body: &Value| status == 200 && body["behind"]["records"] == 1 && body["refused"].is_number();
    let found = server.until(path, is_known).await;
    assert_eq!((&found["build"], &found["total"], &found["rebuilding"]), (&json!(1), &json!(2), &json!(false)));
    assert_eq!((&found["version"], &found["timed_out"], &found["refused"]), (&json!("v1"), &json!(false), &json!(0)));
    assert_eq!((&found["behind"]["as_of"], &found["behind"]["refresh_ms"]), (&json!(null), &json!(100)));
    let mut both = ids(&found);
    both.sort_unstable();
    assert_eq!(both, ["u-1", "u-2"]);
    let first = &found["hits"][0];
    assert!(first["score"].is_number() && first["document"].get("braid_slice").is_none(), "{first}");
    builder.progress(number, 3).await;
    let caught_up = |status: u16, body: &Value| {
        status == 200 && body["behind"]["records"] == 0 && body["behind"]["as_of"].is_string()
    };
    server.until(path, caught_up).await;
    let cases: [(&str, &[&str]); 6] = [
        ("q=ada&plan=pro", &["u-1"]),
        ("age=18..&sort=-age", &["u-3", "u-1"]),
        ("sort=age&limit=1&offset=1", &["u-1"]),
        ("q=nobody+-ada", &[]),
        ("q=%22ada+lovelace%22", &["u-1"]),
        ("q=hop*", &["u-3"]),
    ];
    for (query, wanted) in cases {
        let (status, body) = server.get(&format!("/v1/search/users?{query}")).await;
        assert_eq!((status, ids(&body).as_slice()), (200, wanted), "{query}: {body}");
    }
    let (_, status) = server.get("/v1/status").await;
    let index = &status["indexes"][0];
    assert_eq!((&index["serving"], &index["records_behind"]), (&json!(1), &json!(0)), "{index}");
    assert_eq!((&index["builds"][0]["stage"], &index["builds"][0]["why"]), (&json!("serving"), &json!("none")));
    server.topics.set(&[3, 0]);
    server.until(path, |status, body| status == 200 && body["rebuilding"] == true).await;
    search.kill();
    let away = server.until(path, |status, _| status == 503).await;
    assert!(away["detail"].as_str().is_some_and(|detail| detail.starts_with("users cannot be searched now")), "{away}");
}
