//! Workers join and leave under load: no complete answer is wrong.

use anyhow::Context;
use e2e_tests::views::Mix;
use e2e_tests::watch::watched;
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::{DEADLINE, repetitions};

const SOME: usize = 500;
const PARTITIONS: i32 = 6;
/// What a worker prints when it is given a partition.
const ASSIGNED: &str = "partition assigned";

#[test]
fn rebalance() {
    busy_scenario("rebalance", async |scenario| {
        let stage = Stage::of(scenario).partitions(PARTITIONS).start().await?;
        let client = stage.client()?;
        let peers = [stage.beside("peer-0", &stage.catalog)?, stage.beside("peer-1", &stage.catalog)?];
        let load = stage.load(50, Mix::USUAL)?;

        watched(&client, &load, async {
            let mut running = [None, None];
            let changes = repetitions(6, 10);
            for change in 0..changes {
                let (place, peer) = (change % 2, &peers[change % 2]);
                match running[place].take() {
                    None => {
                        let process = peer.start(Layer::Speed).await?;
                        process.line_with(ASSIGNED, DEADLINE).await.with_context(|| format!("join {change}"))?;
                        running[place] = Some(process);
                    }
                    // Some leave in good order, and some do not.
                    Some(process) if place == 0 => process.kill(),
                    Some(process) => {
                        process.terminate()?;
                        process.success(DEADLINE).await.with_context(|| format!("leave {change}"))?;
                    }
                }
                stage.counts_more(&load, SOME).await.with_context(|| format!("change {change}"))?;
                if change == changes / 2 {
                    stage.deployment.reconcile().await?;
                }
            }
            Ok(())
        })
        .await?;

        stage.ends_exactly(load).await.map(drop)
    });
}
