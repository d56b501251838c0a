//! Plays how a mistake is corrected with another version, under load, and says each step in plain words with what a person types: `make
//! demo-kappa`. Exits with 1 if it is not so.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use e2e_tests::versions::kappa;
use e2e_tests::{Kafka, scenario};

/// What the log holds before anything is corrected.
const EVENTS: usize = 200_000;

fn main() -> ExitCode {
    let began = Instant::now();
    let played = catch_unwind(|| {
        scenario("demo-kappa", async |scenario| {
            ensure!(Kafka::shared().await?.is_real(), "a replay of so many events needs the real Kafka broker");
            let say = |step: &str| println!("{:6.1} s  {step}", began.elapsed().as_secs_f64());
            kappa::play(scenario, EVENTS, say).await
        });
    });
    match played {
        Ok(()) => {
            println!("{:6.1} s  it is so", began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(_) => {
            eprintln!("error: it is not so; the lines above say what was seen instead");
            ExitCode::FAILURE
        }
    }
}
