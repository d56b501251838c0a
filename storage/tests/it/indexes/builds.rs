//! States, builds and the alias (I4).

use serde_json::json;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::index::{IndexState, Progress, alias, build_name, progress_index};
use shared_logic::log::PartitionId;
use storage::{SearchError, StatePut};
use test_kit::Search;

use super::fixture::{Fixture, body, client, write};

fn hash(digit: char) -> DefinitionHash {
    String::from(digit).repeat(16).parse().expect("16 digits")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_steps_on_one_state_one_stands() {
    let Some(fixture) = Fixture::new("steps").await else { return };
    let client = &fixture.client;
    let nothing = client.state("users").await.expect("read");
    assert_eq!((&nothing.state, nothing.at), (&IndexState::default(), None), "there is no progress index yet");
    let (one, other) = (nothing.state.ask(&hash('a')), nothing.state.ask(&hash('b')));
    assert_eq!(client.put_state("users", &nothing, &one).await.expect("put"), StatePut::Done);
    assert_eq!(client.put_state("users", &nothing, &other).await.expect("answered"), StatePut::Overtaken);
    let read = client.state("users").await.expect("read");
    assert_eq!(read.state, one);
    assert_eq!(client.put_state("users", &read, &other).await.expect("put"), StatePut::Done);
    assert_eq!(client.put_state("users", &read, &one).await.expect("answered"), StatePut::Overtaken);
    assert_eq!(client.state("users").await.expect("read").state, other);
    assert_eq!(client.state("others").await.expect("read").at, None, "each index has its own");

    let mut steps = Vec::new();
    for _ in 0..4 {
        let client = client.clone();
        steps.push(tokio::spawn(async move {
            for _ in 0..5 {
                let begun =
                    |state: &IndexState| Ok::<_, SearchError>(IndexState { begun: state.begun + 1, ..state.clone() });
                while client.step("users", begun).await.is_err() {}
            }
        }));
    }
    for step in steps {
        step.await.expect("no panic");
    }
    assert_eq!(client.state("users").await.expect("read").state.begun, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_created_anew_and_told_from_the_one_before() {
    let Some(fixture) = Fixture::new("created").await else { return };
    let (client, build) = (&fixture.client, &fixture.build);
    let first = client.index(build).await.expect("answered").expect("it is there");
    client.bulk(build, &[write("a", 1, "{}")]).await.expect("written");
    let second = client.create_index(build, &body()).await.expect("created");
    assert!(first.name == second.name && first.uuid != second.uuid && fixture.count().await == 0);
    let ten = build_name(client.deployment(), "users", 10);
    client.create_index(&ten, &body()).await.expect("created");
    for other in [build_name(client.deployment(), "users_of_old", 1), format!("{build}.copy")] {
        client.create_index(&other, &body()).await.expect("created");
    }
    let mut names: Vec<_> =
        client.indexes_of("users").await.expect("found").into_iter().map(|info| info.name).collect();
    names.sort();
    assert_eq!(names, [build.clone(), ten]);
    fixture.request(reqwest::Method::POST, &format!("{build}/_close"), None).await;
    assert_eq!(client.indexes_of("users").await.expect("found").len(), 2, "closed ones are there as well");
    assert_eq!(client.indexes_of("nobody").await.expect("found"), []);
    for _ in 0..2 {
        client.delete_index(build).await.expect("deleted, or not there");
    }
    assert_eq!(client.index(build).await.expect("answered"), None);
    let refused = client.create_index(build, &json!({"mappings": {"properties": {"a": {"type": "nothing"}}}})).await;
    assert!(matches!(refused, Err(SearchError::Refused { status: 400, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_names_exactly_one_build() {
    let Some(fixture) = Fixture::new("alias").await else { return };
    let client = &fixture.client;
    let second = build_name(client.deployment(), "users", 2);
    client.create_index(&second, &body()).await.expect("created");
    client.bulk(&second, &[write("a", 1, "{}")]).await.expect("written");
    client.refresh(&second).await.expect("refreshed");
    let alias = alias(client.deployment(), "users");
    let named = async || {
        let answer = fixture
            .request(reqwest::Method::GET, &format!("{}*/_alias", fixture.build.trim_end_matches(".1")), None)
            .await;
        let named = answer.as_object().expect("indexes").iter();
        named.filter(|(_, of)| of["aliases"].get(&alias).is_some()).map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    client.align_alias("users", None).await.expect("there is none");
    for (build, name) in [(1, &fixture.build), (2, &second), (2, &second), (1, &fixture.build)] {
        client.align_alias("users", Some(build)).await.expect("moved");
        assert_eq!(named().await, std::slice::from_ref(name));
        assert_eq!(client.count(&alias).await.expect("counted"), build - 1);
    }
    client.align_alias("users", None).await.expect("removed");
    assert_eq!(named().await, Vec::<String>::new());
    let missing = client.align_alias("users", Some(7)).await;
    assert!(matches!(missing, Err(SearchError::NoIndex { .. })), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_with_all_data_is_not_written_as_if_it_were_there() {
    let Some(mut server) = Search::start("lost").await.expect("opensearch starts") else { return };
    let client = client(&server.url(), "lost");
    let info = client.info().await.expect("it answers");
    assert!(info.distribution == "opensearch" && info.version.starts_with("2."), "{info:?}");
    let progress = Progress { cursor: 5, witness: None, at_us: 0 };
    let id = PartitionId::new("log", 0);
    let missing = client.put_progress("users", 1, &id, &progress).await;
    assert!(matches!(missing, Err(SearchError::NoIndex { .. })), "{missing:?}");
    let nothing = client.state("users").await.expect("read");
    client.put_state("users", &nothing, &nothing.state.ask(&hash('a'))).await.expect("put");
    assert!(client.put_progress("users", 1, &id, &progress).await.expect("put"));
    let read = client.state("users").await.expect("read");

    server.lose_all().await.expect("it starts again");
    assert_eq!(client.progress("users", 1, std::slice::from_ref(&id)).await.expect("read"), [None]);
    let missing = client.put_progress("users", 1, &id, &progress).await;
    assert!(matches!(missing, Err(SearchError::NoIndex { .. })), "{missing:?}");
    assert_eq!(client.put_state("users", &read, &read.state).await.expect("answered"), StatePut::Overtaken);
    let name = progress_index(client.deployment());
    assert_eq!(client.index(&name).await.expect("answered"), None, "no write creates it");
    assert_eq!(client.state("users").await.expect("read").at, None);
    assert_eq!(client.put_state("users", &nothing, &nothing.state).await.expect("put"), StatePut::Done);
}
