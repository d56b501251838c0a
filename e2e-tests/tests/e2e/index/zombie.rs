//! An indexer is frozen before it writes documents, or between these and the progress; another one takes its partitions and goes on; and
//! the first wakes up: what it writes then changes nothing, and brings nothing back that was deleted.

use anyhow::{Context, Result, ensure};
use e2e_tests::search::{Proxy, shared};
use e2e_tests::{Deployment, Layer, busy_scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::people::People;

const AT_FIRST: usize = 300;
const SOME: usize = 200;
/// These are changed by what the zombie holds, and then deleted or changed again.
const HELD: u32 = 30;
/// Where it is frozen. What it does when it wakes up comes first.
const MOMENTS: [&str; 3] = ["index::before_bulk", "search::before_bulk", "index::before_progress"];
const LONG_ENOUGH_MS: u32 = 5_000;

#[test]
fn index_zombie() {
    busy_scenario("index_zombie", async |scenario| {
        let Some(url) = shared(scenario.name()).await? else { return Ok(()) };
        // Only the zombie writes documents by this way, once the index is there.
        let proxy = Proxy::start(&url).await?;
        let Some(mut people) = People::start_behind(scenario, proxy.url(), &url).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        let mut other = people.stage.beside("other", &people.stage.catalog)?;
        other.set("search.url", &url);
        for moment in MOMENTS {
            wakes_up(&mut people, &other, &proxy, moment).await.with_context(|| moment.to_owned())?;
        }
        people.are_versioned().await?;
        people.are_checked().await
    });
}

async fn wakes_up(people: &mut People, other: &Deployment, proxy: &Proxy, moment: &str) -> Result<()> {
    let zombie = people.stage.deployment.launch(Layer::Speed, &format!("{moment}=1*return({LONG_ENOUGH_MS})->off"))?;
    other.kill(Layer::Speed);
    for number in 0..HELD {
        people.put(&held(number))?;
    }
    zombie.line_with(&format!("failpoint {moment}"), DEADLINE).await?;
    zombie.suspend()?;
    for number in 0..HELD {
        if number % 3 == 0 { people.put(&held(number))? } else { people.delete(&held(number))? }
    }
    people.send(SOME)?;
    other.start(Layer::Speed).await?;
    people.are_exact().await.context("the other one has gone on")?;

    let revoked = || zombie.output().map(|text| text.matches("partition revoked").count());
    let (bulks, before) = (proxy.bulks(), revoked()?);
    zombie.resume()?;
    wait_for("the zombie to write", DEADLINE, async || {
        ensure!(zombie.ended()?.is_none(), "it ended");
        // Where it learns first that its partitions are another one's, it has nothing to write.
        Ok(Progress::when(proxy.bulks() > bulks || revoked()? > before, "it writes nothing"))
    })
    .await?;
    people.are_exact().await.context("it has written")?;
    // With both at work, and with the zombie alone.
    people.send(SOME)?;
    people.are_exact().await.context("both are at work")?;
    other.kill(Layer::Speed);
    people.send(SOME)?;
    people.are_exact().await.context("it is alone")
}

fn held(number: u32) -> String {
    format!("held-{number}")
}
