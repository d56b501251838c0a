//! What a registry's client makes of answers: of those that a registry gives, and of those of other servers.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use platform::registry::{RegisteredSchema, Registry, RegistryError};
use platform::settings;
use platform::settings::{Secret, Span};
use tokio::net::TcpListener;

/// A server that answers every path as the function says.
async fn server(answer: fn(&str) -> (u16, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let answers = move |uri: Uri, headers: HeaderMap| async move {
        let user = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let path = format!("{} {user}", uri.path_and_query().map(|path| path.as_str()).unwrap_or_default());
        let (status, text) = answer(path.trim_end());
        (StatusCode::from_u16(status).expect("a status"), text)
    };
    let router = Router::new().fallback(answers);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn registry(url: String) -> Registry {
    Registry::new(&settings::Registry { url, request_timeout: Span::from_secs(5), ..settings::Registry::default() })
}

#[tokio::test]
async fn a_schema_comes_with_all_that_it_refers_to_in_an_order_in_which_they_can_be_read() {
    let url = server(|path| match path {
        "/apis/schemas/ids/7" => (
            200,
            r#"{"schemaType": "PROTOBUF", "schema": "main", "references": [
                {"name": "a.proto", "subject": "a", "version": 1}, {"name": "b.proto", "subject": "b/c", "version": 2}]}"#,
        ),
        "/apis/subjects/a/versions/1?deleted=true" => {
            (200, r#"{"schema": "a", "references": [{"name": "b.proto", "subject": "b/c", "version": 2}]}"#)
        }
        "/apis/subjects/b%2Fc/versions/2?deleted=true" => {
            (200, r#"{"schema": "b", "references": [{"name": "a.proto", "subject": "a", "version": 1}]}"#)
        }
        "/apis/schemas/ids/8" => (200, r#"{"schema": "\"string\""}"#),
        other => panic!("{other} was asked for"),
    });
    let registry = registry(format!("{}/apis/", url.await));
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let expected = RegisteredSchema {
        kind: "PROTOBUF".to_owned(),
        text: "main".to_owned(),
        references: vec![pair("b.proto", "b"), pair("a.proto", "a")],
    };
    assert_eq!(registry.schema(7).await.expect("answered"), Some(expected));
    let plain = registry.schema(8).await.expect("answered").expect("known");
    assert_eq!((plain.kind.as_str(), plain.references.len()), ("AVRO", 0));
}

#[tokio::test]
async fn only_the_registrys_own_word_means_that_a_schema_is_unknown() {
    let url = server(|path| match path {
        "/schemas/ids/1" => (404, r#"{"error_code": 40403, "message": "Schema 1 not found"}"#),
        "/schemas/ids/2" => (404, r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#),
        "/schemas/ids/3" => (404, "<html>no such page</html>"),
        "/schemas/ids/4" => (200, "<html>welcome</html>"),
        "/schemas/ids/5" => (500, r#"{"error_code": 50001, "message": "store timed out"}"#),
        "/schemas/ids/6" => (401, ""),
        _ => (200, r#"{"error_code": 40403, "message": "not found"}"#),
    });
    let registry = registry(url.await);
    let failure = async |id: u32| registry.schema(id).await.expect_err("no answer of a registry");
    assert_eq!(registry.schema(1).await.expect("answered"), None);
    assert!(matches!(failure(2).await, RegistryError::Failed { code: 404, .. }));
    assert!(matches!(failure(3).await, RegistryError::NotARegistry { status: StatusCode::NOT_FOUND, .. }));
    assert!(matches!(failure(4).await, RegistryError::NotARegistry { status: StatusCode::OK, .. }));
    assert!(matches!(failure(5).await, RegistryError::Failed { code: 50_001, .. }));
    assert!(matches!(failure(6).await, RegistryError::Refused { .. }));
    assert!(
        matches!(failure(7).await, RegistryError::NotARegistry { .. }),
        "an error is none with a status of success"
    );
}

#[tokio::test]
async fn the_user_is_named_and_no_registry_is_no_answer() {
    let url = server(|path| match path {
        // `user:secret` in Base64.
        "/schemas/ids/1 Basic dXNlcjpzZWNyZXQ=" => (200, r#"{"schema": "\"int\""}"#),
        other => panic!("{other} was asked for"),
    });
    let mut settings = settings::Registry { url: url.await, ..settings::Registry::default() };
    (settings.user, settings.password) = ("user".to_owned(), Secret::from("secret"));
    assert!(Registry::new(&settings).schema(1).await.expect("answered").is_some());

    let nowhere = registry(String::new()).schema(1).await;
    assert!(matches!(nowhere, Err(RegistryError::NotNamed)), "{nowhere:?}");
    let closed = registry("http://127.0.0.1:1".to_owned()).schema(1).await;
    assert!(matches!(closed, Err(RegistryError::Unreachable { .. })), "{closed:?}");
}
