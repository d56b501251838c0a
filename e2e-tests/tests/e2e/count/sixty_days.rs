//! Events over sixty days for 200 keys: what a total costs in Redis depends on shards and slices, never on how many buckets
//! it spans. Redis' own count of commands says so.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::total_is_exact;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use e2e_tests::views::{Event, METRIC, Mix, Sent, Views, video};
use e2e_tests::{Archive, Client, Layer, Oracle, Stage, busy_scenario};
use rand::Rng;
use rand::rngs::StdRng;
use test_kit::Redis;

const DAYS: i64 = 60;
const DAY_MS: i64 = 86_400_000;
const VIDEOS: u32 = 200;
const PARTITIONS: u64 = 4;
/// As many as come in a minute at 5,000 a second.
const EVENTS: usize = 300_000;
/// Between two reconciles.
const MORE: usize = 2_000;
/// Slices that nothing is reconciled of yet.
const SLICES: u64 = 4;
/// A video with an event in one bucket only.
const LONELY: &str = "lonely";
/// A video without an event.
const UNSEEN: &str = "unseen";
/// What one total may cost of each shard: its positions; then, of a key that is not held, a script, its positions, and for each slice
/// its counters, twice at most.
const COMMANDS_MAX: u64 = PARTITIONS * (3 + 2 * SLICES);

#[test]
fn sixty_days() {
    busy_scenario("sixty_days", async |scenario| {
        // The gauges are not told meanwhile: the serving layer would ask Redis for them, too.
        let setup = Stage::of(scenario).partitions(PARTITIONS as i32).set("telemetry.gauges_every", "1h");
        let setup = setup.set("reconcile.wait", "100ms");
        let stage = setup.start().await?;
        let client = stage.client()?;
        stage.total_as_of(now_us()).await?;
        // Without an archiver no cut moves, and each reconcile leaves one slice more.
        stage.deployment.kill(Layer::Archive);
        let mut traffic = stage.traffic(VIDEOS, Mix::PLAIN)?;
        let mut rng = stage.rng();
        let of = |name: &str| vec![("video_id", name.to_owned())];
        for slice in 0..SLICES {
            let count = if slice == 0 { EVENTS } else { MORE };
            let mut sent: Vec<Sent> = (0..count).map(|_| of_sixty_days(&mut traffic.views, &mut rng)).collect();
            if slice == 0 {
                sent.push(traffic.views.about(LONELY));
            }
            let arrived = traffic.send_these(&sent)?;
            // The other videos are asked for later: an answer that was given once is cached and costs less the next time.
            client.total_as_of(arrived, METRIC, &of(UNSEEN)).await?;
            if slice + 1 < SLICES {
                stage.deployment.reconcile().await?;
            }
        }
        // From here on only readers use Redis.
        stage.deployment.kill(Layer::Speed);
        let oracle = &traffic.oracle;
        println!("slices: {:?}", stage.partitions().await?.iter().map(|row| &row["slices"]).collect::<Vec<_>>());

        // The first reader of a shard learns which slices there are.
        client.total(METRIC, &of(UNSEEN)).await?;
        let lonely = cost(&stage.redis, async || total_of(&client, oracle, &of(LONELY)).await).await?;
        ensure!(lonely > 0, "the answer did not come from Redis");
        let (mut buckets_max, mut cost_max) = (0, lonely);
        for rank in 0..VIDEOS {
            let name = video(rank);
            let cold = cost(&stage.redis, async || total_of(&client, oracle, &of(&name)).await).await?;
            let buckets = oracle.buckets(&name);
            buckets_max = buckets_max.max(buckets);
            // A key with one chunk in a slice has nothing but its own field there. All that it has besides is read with one more
            // command in each slice of its shard.
            ensure!(
                (lonely..=lonely + SLICES).contains(&cold),
                "{name} has {buckets} buckets and cost {cold} commands, one bucket cost {lonely}"
            );
            cost_max = cost_max.max(cold);
        }
        let all = cost(&stage.redis, async || total_of(&client, oracle, &[]).await).await?;
        println!("a total of one bucket costs {lonely} commands, of {buckets_max} {cost_max}, of everything {all}");
        ensure!(lonely <= COMMANDS_MAX && all <= COMMANDS_MAX, "{lonely} and {all} commands, not {COMMANDS_MAX}");
        ensure!(buckets_max > 1_000, "{buckets_max} buckets prove nothing");
        // A part of the time costs no more than all of it.
        let mut part = of(&video(0));
        part.push(("from", rfc3339(stage.now_us - 30 * DAY_MS * 1_000)));
        let cost_of_part = cost(&stage.redis, async || client.total(METRIC, &part).await.map(drop)).await?;
        ensure!(cost_of_part <= cost_max, "30 days cost {cost_of_part} commands, 60 days {cost_max}");

        stage.deployment.start_all(&[Layer::Archive, Layer::Speed]).await?;
        client.total_as_of(now_us(), METRIC, &of(UNSEEN)).await?;
        stage.archived().await?;
        stage.reconciled_is(oracle).await?;
        for rank in 0..VIDEOS {
            total_of(&client, oracle, &of(&video(rank))).await?;
        }
        let archive = Archive::read(&stage.deployment.store(), METRIC)?;
        ensure!(archive.rows as u64 == oracle.records, "{} rows of {} records", archive.rows, oracle.records);
        Ok(())
    });
}

/// An event about any video at any time of the sixty days.
fn of_sixty_days(views: &mut Views, rng: &mut StdRng) -> Sent {
    let event = views.about(&video(rng.random_range(0..VIDEOS))).event.expect("a sound event");
    views.copy(&Event { at_ms: event.at_ms - rng.random_range(0..DAYS * DAY_MS), ..event })
}

/// A total over all of time, which must be exact.
async fn total_of(client: &Client, oracle: &Oracle, parameters: &[(&str, String)]) -> Result<()> {
    let answer = client.total(METRIC, parameters).await?;
    let video = parameters.first().map(|(_, video)| video.as_str());
    total_is_exact(&answer, oracle.total(video, EVER)).with_context(|| format!("{video:?}"))
}

/// How many commands Redis ran meanwhile, those inside scripts included.
async fn cost(redis: &Redis, meanwhile: impl AsyncFnOnce() -> Result<()>) -> Result<u64> {
    let before = commands(redis).await?;
    meanwhile().await?;
    Ok(commands(redis).await? - before)
}

/// How many commands Redis has run, without those of this question and its connection.
async fn commands(redis: &Redis) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis.connection().await?).await?;
    let mut sum = 0;
    for line in info.lines() {
        let Some((command, stats)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) else {
            continue;
        };
        let calls = stats.split(',').find_map(|stat| stat.strip_prefix("calls="));
        if !["info", "client|setinfo", "hello", "ping"].contains(&command) {
            sum += calls.with_context(|| format!("no calls in {line:?}"))?.parse::<u64>()?;
        }
    }
    Ok(sum)
}
