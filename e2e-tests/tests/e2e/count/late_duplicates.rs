//! Copies sent beyond the window are counted by speed, and corrected by the next reconcile: the answer becomes exact, and
//! smaller by exactly the number of copies.

use anyhow::{Result, ensure};
use e2e_tests::exactness::total_is_exact;
use e2e_tests::oracle::{Counts, EVER};
use e2e_tests::views::{CatalogOptions, Event, Mix, Sent, catalog};
use e2e_tests::{Layer, Stage, Traffic, scenario};

/// A worker that starts reads so many records before its cursor. It hands on who they are in two portions.
const DEDUP_WINDOW: u64 = 20_000;
const COPIES: usize = 387;
/// The window is counted in records of one partition.
const PARTITION: i32 = 0;

#[test]
fn late_duplicates() {
    scenario("late_duplicates", async |scenario| {
        let stage = Stage::of(scenario)
            .catalog(|topic| catalog(&CatalogOptions { dedup_window: DEDUP_WINDOW, ..CatalogOptions::of(topic) }))
            .partitions(2)
            .start()
            .await?;
        let mut traffic = stage.traffic(40, Mix::PLAIN)?;
        let first: Vec<_> = (0..COPIES).map(|rank| traffic.views.about(&format!("video-{}", rank % 7))).collect();
        send(&mut traffic, first.clone())?;
        let between = traffic.views.batch(usize::try_from(DEDUP_WINDOW)?);
        let (arrived, expected) = send(&mut traffic, between.clone())?;
        total_is_exact(&stage.total_as_of(arrived).await?, expected)?;

        // Within the window copies do not count, also for a worker that has just been started; beyond it they do.
        stage.deployment.kill(Layer::Speed);
        stage.deployment.start(Layer::Speed).await?;
        let near = copies(&mut traffic, &between[500..]);
        let (arrived, expected) = send(&mut traffic, near)?;
        total_is_exact(&stage.total_as_of(arrived).await?, expected)?;

        let far = copies(&mut traffic, &first);
        let (arrived, expected) = send(&mut traffic, far)?;
        let high = stage.total_as_of(arrived).await?;
        let too_many = i64::try_from(COPIES)?;
        ensure!(high.int("views")? == expected.views + too_many, "expected {expected:?} and {too_many} more: {high:?}");

        stage.deployment.reconcile().await?;
        let exact = stage.authoritative_total().await?;
        total_is_exact(&exact, expected)?;
        ensure!(high.int("views")? - exact.int("views")? == too_many, "{high:?} became {exact:?}");
        stage.is_exact(&traffic.oracle).await
    });
}

fn copies(traffic: &mut Traffic, sent: &[Sent]) -> Vec<Sent> {
    let events: Vec<&Event> = sent.iter().filter_map(|sent| sent.event.as_ref()).collect();
    events.into_iter().map(|event| traffic.views.copy(event)).collect()
}

/// Sends into one partition. Returns when all had arrived, and the total that is then expected.
fn send(traffic: &mut Traffic, mut sent: Vec<Sent>) -> Result<(i64, Counts)> {
    sent.iter_mut().for_each(|sent| sent.record.partition = Some(PARTITION));
    Ok((traffic.send_these(&sent)?, traffic.oracle.total(None, EVER)))
}
