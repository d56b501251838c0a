//! An index is built anew beside the one that serves, under load, while the process that does it is killed at every step: the old build is
//! searched until another one is equal to the table, and one that is not never serves.

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario;
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

use super::people::{PEOPLE, People, state_of, staying};

const AT_FIRST: usize = 1_000;
/// Where it is killed while nothing that it has begun can be gone on with: an operator asks for another build.
const LOADING: [&str; 3] = ["index::after_begin", "index::while_loading", "index::before_follow"];
/// Where it is killed behind that: the next run goes on.
const BUILT: [&str; 4] =
    ["index::while_checking", "index::before_promote", "index::after_promote", "index::before_alias"];

#[test]
fn index_rebuilt_under_load() {
    scenario("index_rebuilt_under_load", async |scenario| {
        let Some(mut people) = People::start(scenario).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        one_that_differs_never_serves(&mut people).await.context("a build that differs")?;
        for moment in LOADING.repeat(repetitions(1, 3)) {
            killed(&mut people, moment).await.with_context(|| moment.to_owned())?;
            people.command(&["rebuild", PEOPLE]).await?;
            is_replaced(&mut people).await.with_context(|| moment.to_owned())?;
        }
        for moment in BUILT.repeat(repetitions(1, 3)) {
            killed(&mut people, moment).await.with_context(|| moment.to_owned())?;
            is_replaced(&mut people).await.with_context(|| moment.to_owned())?;
        }
        let (serves, listed) = (people.serving().await?, people.command(&["list"]).await?);
        ensure!(listed.lines().any(|line| line.starts_with(&format!("{PEOPLE} {serves}  serving"))), "{listed}");
        people.command(&["retire", PEOPLE]).await?;
        let (serving, found) = (people.serving().await?, people.search.indexes(&format!("{}.", people.alias())).await?);
        ensure!(found == [people.build(serving)], "{serving} serves, and there are {found:?}");
        people.are_exact().await?;
        people.are_checked().await
    });
}

/// Somebody deletes a document of a build whose rows were just written: the check names it, and the build does not serve.
async fn one_that_differs_never_serves(people: &mut People) -> Result<()> {
    let (before, newest) = (people.serving().await?, people.newest().await?);
    people.command(&["rebuild", PEOPLE]).await?;
    let (search, spoiled, id) = (people.search.clone(), newest + 1, staying(3));
    let document = format!("/{}/_doc/{id}", people.build(spoiled));
    people
        .flow_and_serve_during(async |stage| {
            let load = stage.deployment.launch_reconcile("index::before_follow=1*return(3000)->off")?;
            load.line_with("failpoint index::before_follow", DEADLINE).await?;
            search.delete(&document).await?;
            load.end(DEADLINE).await.map(drop)
        })
        .await?;
    let check = wait_for("the build to be compared", DEADLINE, async || {
        let checks = people.checks().await?;
        let of_it = checks.iter().find(|check| check["build"] == spoiled && check["not_checked"].is_null());
        if of_it.is_none() {
            // Its lanes were not there in time.
            people.stage.deployment.reconcile().await?;
        }
        Ok(of_it.map_or_else(|| Progress::NotYet(format!("{checks:?}")), |check| Progress::Done(check.clone())))
    })
    .await?;
    let named = check["first"].as_array().context("no ids")?;
    let is_named = named.iter().any(|one| one["id"] == id.as_str() && one["kind"] == "missing");
    ensure!(is_named && check["missing"] == 1, "{check}");
    ensure!(people.serving().await? == before, "a build that differs serves");
    is_replaced(people).await?;
    ensure!(people.serving().await? > spoiled, "a build that differs serves");
    Ok(())
}

/// Asks for another build, and kills the process that begins it, or finds it equal, there.
async fn killed(people: &mut People, moment: &str) -> Result<()> {
    people.command(&["rebuild", PEOPLE]).await?;
    people
        .flow_and_serve_during(async |stage| {
            wait_for(&format!("{moment} to be passed"), DEADLINE, async || {
                let run = stage.deployment.launch_reconcile(&format!("{moment}=return(60000)"))?;
                let passed = run.line_with(&format!("failpoint {moment}"), DEADLINE).await;
                if passed.is_err() && run.ended()?.is_some() {
                    // The lanes were not there in time.
                    return Ok(Progress::NotYet(run.output()?));
                }
                passed?;
                run.kill();
                Ok(Progress::Done(()))
            })
            .await
        })
        .await
}

/// Reconciles under load until another build serves, and the alias names it; then the index is exact.
async fn is_replaced(people: &mut People) -> Result<()> {
    let (search, alias) = (people.search.clone(), people.alias());
    people
        .flow_and_serve_during(async |stage| {
            wait_for("the newest build to serve", 2 * DEADLINE, async || {
                stage.deployment.reconcile().await?;
                let (_, answer) = stage.client()?.get(&format!("/v1/search/{PEOPLE}"), &[]).await?;
                let (serving, aliased) = (answer["build"].clone(), search.aliased(&alias).await?);
                let (status, state) = search.get(&state_of(&stage.topic)).await?;
                ensure!(status == 200, "{status}: {state}");
                let newest = &state["_source"]["record"]["begun"];
                let is_aliased = aliased == [format!("{alias}.{serving}")];
                let is_done = serving == *newest && is_aliased;
                Ok(Progress::when(is_done, format_args!("{newest} is the newest: {answer}, {aliased:?}")))
            })
            .await
        })
        .await?;
    people.are_exact().await
}
