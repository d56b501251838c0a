//! Somebody changes documents in the server by hand: the next reconcile names each of them, and the index is built anew.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::{PEOPLE, People, staying};

const AT_FIRST: usize = 500;
const GHOST: &str = "ghost";

#[test]
fn index_check_names_what_differs() {
    scenario("index_check_names_what_differs", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        people.are_checked().await?;
        let serving = people.serving().await?;
        spoil(&people, &people.build(serving)).await?;

        let check = wait_for("a check to find differences", DEADLINE, async || {
            people.stage.deployment.reconcile().await?;
            let checks = people.checks().await?;
            let found = checks.iter().find(|check| check["different"] == 1);
            Ok(found.map_or_else(|| Progress::NotYet(format!("{checks:?}")), |check| Progress::Done(check.clone())))
        })
        .await?;
        ensure!(check["missing"] == 1 && check["extra"] == 1 && check["build"] == serving, "{check}");
        let named = check["first"].as_array().context("no ids")?;
        let pair = |one: &Value| Some((one["id"].as_str()?.to_owned(), one["kind"].as_str()?.to_owned()));
        let named: BTreeSet<(String, String)> = named.iter().filter_map(pair).collect();
        let expected = [(staying(1), "missing"), (staying(2), "different"), (GHOST.to_owned(), "extra")];
        let expected: BTreeSet<_> = expected.into_iter().map(|(id, kind)| (id, kind.to_owned())).collect();
        ensure!(named == expected, "{named:?} instead of {expected:?}");

        // What serves meanwhile is the old one, which is as it was spoiled.
        wait_for("another build to serve", DEADLINE, async || {
            people.stage.deployment.reconcile().await?;
            let (status, answer) = people.ask(&[]).await?;
            let is_other = status == 200 && answer["build"].as_u64() > Some(serving);
            Ok(Progress::when(is_other, format_args!("{status}: {answer}")))
        })
        .await?;
        people.are_exact().await?;
        let status = people.status().await?;
        ensure!(status["serving"].as_u64() > Some(serving), "{status}");
        people.are_checked().await?;
        people.command(&["retire", PEOPLE]).await?;
        finds_what_is_asked_for(&people).await
    });
}

/// One document is deleted, one gets another age, and one is made up.
async fn spoil(people: &People, build: &str) -> Result<()> {
    let search = &people.search;
    search.delete(&format!("/{build}/_doc/{}", staying(1))).await?;
    let held = search.documents(build).await?;
    let of = |id: &str| held.get(id).map(|document| Value::from(document.fields.clone())).context("nobody stays");
    let mut other = of(&staying(2))?;
    other["age"] = json!(1_000);
    search.put(&format!("/{build}/_doc/{}", staying(2)), &other).await?;
    search.put(&format!("/{build}/_doc/{GHOST}"), &of(&staying(3))?).await.map(drop)
}

/// A search answers documents as they are, by words of a text and by exact values; what is no search is refused.
async fn finds_what_is_asked_for(people: &People) -> Result<()> {
    let id = staying(5);
    let fields = people.oracle().of(&id).context("nobody stays")?;
    let name = fields["name"].as_str().context("no name")?;
    let (status, answer) = people.ask(&[("q", &format!("\"{name}\"")), ("plan", "for life")]).await?;
    let hits = answer["hits"].as_array().context("no hits")?;
    let [hit] = hits.as_slice() else { anyhow::bail!("{status}: {answer}") };
    ensure!(hit["id"] == id.as_str() && hit["document"] == Value::from(fields.clone()), "{fields:?}: {answer}");
    let refused = [("nobody", "x"), ("limit", "1000000"), ("age", "old"), ("sort", "nobody")];
    for (name, value) in refused {
        let asked = people.stage.client()?.get(&format!("/v1/search/{PEOPLE}"), &[(name, value.to_owned())]).await?;
        ensure!(asked.0 == 400, "{name}={value} is taken: {asked:?}");
    }
    Ok(())
}
