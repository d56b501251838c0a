//! An indexer is frozen while its requests are on their way; another one takes its partitions and goes on; and then the requests arrive, or
//! the first wakes up before they do: what it has written changes nothing, and brings nothing back that was deleted.
//!
//! The requests are held back on their way to the server, so that there is no chance in it: a round in which the server has answered none
//! of them proves nothing, and fails.

use anyhow::{Context, Result, ensure};
use e2e_tests::search::{Proxy, Writes, shared};
use e2e_tests::{Deployment, Layer, busy_scenario};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::people::{PARTITIONS, People};

const AT_FIRST: usize = 300;
const SOME: usize = 200;
/// These are changed by what the zombie sends, and then deleted or changed again: some of them in every partition.
const HELD: u32 = 30;
/// For how long the zombie waits for an answer: longer than another one needs to take its place.
const PATIENCE: &str = "120s";

/// What arrives late, and whether the zombie is awake by then.
#[derive(Debug, Clone, Copy)]
struct Round {
    writes: Writes,
    is_awake: bool,
}

const ROUNDS: [Round; 3] = [
    Round { writes: Writes::Documents, is_awake: false },
    Round { writes: Writes::Documents, is_awake: true },
    Round { writes: Writes::Progress, is_awake: false },
];

#[test]
fn index_zombie() {
    busy_scenario("index_zombie", async |scenario| {
        let Some(url) = shared(scenario.name()).await? else { return Ok(()) };
        // Only the zombie writes by this way, once the index is there.
        let proxy = Proxy::start(&url).await?;
        let Some(mut people) = People::start_behind(scenario, proxy.url(), &url).await? else { return Ok(()) };
        people.are_served(AT_FIRST).await?;
        let mut other = people.stage.beside("other", &people.stage.catalog)?;
        other.set("search.url", &url);
        people.stage.deployment.set("search.request_timeout", PATIENCE);
        for round in ROUNDS {
            round.happens(&mut people, &other, &proxy).await.with_context(|| format!("{round:?}"))?;
        }
        people.are_versioned().await?;
        people.are_checked().await
    });
}

impl Round {
    async fn happens(self, people: &mut People, other: &Deployment, proxy: &Proxy) -> Result<()> {
        people.stage.deployment.kill(Layer::Speed);
        other.kill(Layer::Speed);
        for number in 0..HELD {
            people.put(&held(number))?;
        }
        proxy.hold(self.writes);
        let zombie = people.stage.deployment.launch(Layer::Speed, "")?;
        let lanes = u64::try_from(PARTITIONS)?;
        wait_for("a request of each lane to be on its way", DEADLINE, async || {
            Ok(Progress::when(proxy.held() >= lanes, format_args!("{} are", proxy.held())))
        })
        .await?;
        zombie.suspend()?;
        for number in 0..HELD {
            if number % 3 == 0 { people.put(&held(number))? } else { people.delete(&held(number))? }
        }
        people.send(SOME)?;
        other.start(Layer::Speed).await?;
        people.are_exact().await.context("the other one has gone on")?;

        self.arrive(&zombie, proxy, lanes).await?;
        people.are_exact().await.context("the requests have arrived")?;
        if !self.is_awake {
            zombie.resume()?;
        }
        // With both at work, and with the zombie alone.
        people.send(SOME)?;
        people.are_exact().await.context("both are at work")?;
        other.kill(Layer::Speed);
        people.send(SOME)?;
        people.are_exact().await.context("it is alone")?;
        ensure!(zombie.ended()?.is_none(), "it ended");
        Ok(())
    }

    /// Lets the requests arrive. The server answers all of them, and nothing that they write is taken.
    async fn arrive(self, zombie: &Process, proxy: &Proxy, lanes: u64) -> Result<()> {
        let before = proxy.arrived();
        ensure!(proxy.held() >= lanes, "the requests are not on their way any more");
        if self.is_awake {
            zombie.resume()?;
        }
        proxy.release();
        wait_for("the requests to arrive", DEADLINE, async || {
            let requests = proxy.arrived().requests - before.requests;
            Ok(Progress::when(requests >= lanes, format_args!("{requests} have")))
        })
        .await?;
        let late = proxy.arrived();
        let (items, conflicts) = (late.items - before.items, late.conflicts - before.conflicts);
        println!("{self:?}: {conflicts} of {items} items that arrived late were conflicts");
        ensure!(items >= lanes && conflicts == items, "{conflicts} of {items} items that arrived late were conflicts");
        Ok(())
    }
}

fn held(number: u32) -> String {
    format!("held-{number}")
}
