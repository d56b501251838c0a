//! Plays the drift between the layers with a million events, and says each step in plain words: `make demo-drift`. Exits with 1 if it
//! is not so.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use e2e_tests::{Kafka, drift, scenario};

/// What the recount says.
const EVENTS: usize = 1_042_351;
/// What speed says more.
const COPIES: usize = 36;

fn main() -> ExitCode {
    let began = Instant::now();
    let played = catch_unwind(|| {
        scenario("demo-drift", async |scenario| {
            ensure!(Kafka::shared().await?.is_real(), "a million events need the real Kafka broker");
            let say = |step: &str| println!("{:6.1} s  {step}", began.elapsed().as_secs_f64());
            drift::play(scenario, EVENTS, COPIES, say).await
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
