//! Users and keys. OpenSearch's own access control is not among the jars, so what asks for the password here is a door before it.

use std::sync::Arc;
use std::time::Duration;

use platform::settings::{self, Secret, Span};
use shared_logic::catalog::Deployment;
use storage::{NotWritten, Pace, SearchClient, SearchError};
use test_kit::DEADLINE;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::fixture::{far_away, write};

/// A door that lets in who sends that header, answers for the server, and notes what came.
struct Door {
    url: String,
    headers: Arc<Mutex<Vec<String>>>,
}

impl Door {
    async fn open(wanted: &'static str) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let headers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&headers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let (mut authorization, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
                            break;
                        }
                        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
                        match name.to_ascii_lowercase().as_str() {
                            "authorization" => value.clone_into(&mut authorization),
                            "content-length" => length = value.parse().unwrap_or(0),
                            _ => {}
                        }
                    }
                    let mut body = vec![0; length];
                    if stream.read_exact(&mut body).await.is_err() {
                        return;
                    }
                    let (status, body) = if authorization == wanted {
                        ("200 OK", r#"{"version":{"number":"8.17.0"}}"#)
                    } else {
                        ("401 Unauthorized", "")
                    };
                    seen.lock().await.push(authorization);
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    // An error means that the client has given up.
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Door { url, headers }
    }

    fn client(&self, user: &str, password: &str, key: &str) -> SearchClient {
        let settings = settings::Search {
            url: self.url.clone(),
            user: user.to_owned(),
            password: Secret::from(password),
            api_key: Secret::from(key),
            retry_backoff: Span::from_millis(20),
            ..settings::Search::default()
        };
        let client = SearchClient::new(&settings, &Deployment::new("braid", "v1")).expect("a client");
        client.expect("a server is named")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_keys_are_sent_and_never_told() {
    // "me:hidden-word" in base64.
    let door = Door::open("Basic bWU6aGlkZGVuLXdvcmQ=").await;
    let info = door.client("me", "hidden-word", "").info().await.expect("let in");
    assert_eq!((info.distribution.as_str(), info.version.as_str()), ("elasticsearch", "8.17.0"));
    for client in [door.client("me", "hidden-other", ""), door.client("", "", "hidden-key"), door.client("", "", "")] {
        let refused = client.info().await.expect_err("not let in");
        assert!(matches!(refused, SearchError::NotAllowed { status: 401, .. }), "{refused}");
        let printed = format!("{refused} {refused:?} {client:?}");
        assert!(printed.contains("search.password") && !printed.contains("hidden"), "{printed}");
    }
    let door = Door::open("ApiKey aWQ6a2V5").await;
    door.client("", "", "aWQ6a2V5").info().await.expect("let in");
    assert_eq!(*door.headers.lock().await, ["ApiKey aWQ6a2V5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_wait_for_who_mends_the_password() {
    let door = Door::open("Basic nobody").await;
    let (client, stop) = (door.client("me", "hidden-word", ""), CancellationToken::new());
    let stopping = stop.clone();
    let writing = tokio::spawn(async move {
        let items = [write("a", 1, "{}")];
        client.write_all("braid.braid.users.1", &items, &mut Pace::new(1 << 20), far_away(), &stopping).await
    });
    let tried = async {
        while door.headers.lock().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, tried).await.expect("it tries again");
    assert!(!writing.is_finished());
    stop.cancel();
    let written = writing.await.expect("no panic");
    assert!(matches!(written, Err(NotWritten::Stopped)), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_kind_is_named_as_such() {
    let door = Door::open("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let unreachable = Door { url: closed, ..door }.client("", "", "").info().await.expect_err("nobody listens");
    assert!(unreachable.is_back_pressure(), "{unreachable}");
    let door = Door::open("").await;
    let foreign = door.client("", "", "").count("x").await.expect_err("no count");
    assert!(matches!(foreign, SearchError::Foreign { .. }), "{foreign}");
}
