//! What the last reconciles moved and measured.

use platform::settings::Settings;
use serde_json::json;
use shared_logic::contracts::reconciliation::Reconciliation;
use storage::Storage;

use crate::test_server::TestServer;

/// A reconcile that committed that version of a metric's view.
fn row(metric: &str, view_version: u64) -> Reconciliation {
    let row = json!({
        "metric": metric,
        "definition": "00000000000000aa",
        "view_version": view_version,
        "reconciled_at": format!("2026-04-24T09:00:{:02}Z", view_version),
        "took_ms": 812,
        "offsets": 1000,
        "partitions": 1,
        "ranges": [{"log": "log", "partition": 0, "from": 0, "to": 1000}],
        "rows_read": 1000,
        "rows_added": 964,
        "hours_recomputed": 0,
        "comparable": true,
        "reason": null,
        "detail": null,
        "drift": {
            "buckets": 1, "differing": 1, "duplicates": 36, "unexplained": 0,
            "measures": [{
                "name": "views", "speed": 1000, "batch": 964, "difference": 36, "duplicates": 36, "unexplained": 0,
                "differing_buckets": 1, "overflowed_buckets": 0, "unexplained_buckets": 0,
                "largest": {"bucket": "2026-04-24T09:00:00Z", "speed": 1000, "batch": 964},
            }],
        },
    });
    serde_json::from_value(row).expect("a row")
}

async fn keep(server: &TestServer, rows: &[Reconciliation]) {
    let Settings { store, .. } = &server.settings;
    let storage = Storage::new(store, &server.catalog.deployment).expect("a store");
    storage.create_reconciliations().await.expect("created").keep("views", rows, 100).await.expect("kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_come_first_as_they_were_kept() {
    let mut server = TestServer::new().await;
    server.serve().await;
    let path = "/v1/reconciliations";
    assert_eq!(server.ok(path).await, json!({"version": "v1", "reconciliations": []}), "before the first one");
    keep(&server, &[row("views", 1)]).await;
    assert_eq!(server.ok(path).await, json!({"version": "v1", "reconciliations": [row("views", 1)]}));
    keep(&server, &[row("views", 2), row("other", 2)]).await;
    let rows = |rows: &[Reconciliation]| json!({"version": "v1", "reconciliations": rows});
    assert_eq!(server.ok(path).await, rows(&[row("other", 2), row("views", 2), row("views", 1)]));
    assert_eq!(server.ok(&format!("{path}?metric=views")).await, rows(&[row("views", 2), row("views", 1)]));
    assert_eq!(server.ok(&format!("{path}?metric=views&limit=1")).await, rows(&[row("views", 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_is_a_problem_of_this_path_alone() {
    let mut server = TestServer::new().await;
    server.serve().await;
    keep(&server, &[row("views", 1)]).await;
    server.ok("/v1/reconciliations").await;
    let folder = server.store_folder().join(&server.catalog.deployment.name).join("reconciliations");
    std::fs::remove_dir_all(&folder).expect("removed");
    let (status, problem) = server.get("/v1/reconciliations").await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("urn:braid:problem:store-unavailable")), "{problem}");
    assert_eq!(server.get("/v1/status").await.0, 200);
    assert_eq!(
        server.ok("/v1/reconciliations").await,
        json!({"version": "v1", "reconciliations": []}),
        "as before the first one"
    );
}
