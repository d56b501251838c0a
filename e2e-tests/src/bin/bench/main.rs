//! The figures of this machine: `make bench`.
//!
//! Everything is real: the broker, Redis, and the layers' own processes, built in release. Each figure stands beside a
//! limit that was measured in the same run. Prints a table and writes `target/bench.json`.

mod figures;
mod load;
mod speed;
mod usage;
mod visible;

use anyhow::ensure;
use e2e_tests::process::target_dir;
use e2e_tests::{Kafka, scenario};

use self::figures::Figures;
use self::load::Keys;

fn main() {
    scenario("bench", async |scenario| {
        ensure!(!cfg!(debug_assertions), "benchmarks measure release builds: run `make bench`");
        let kafka = Kafka::shared().await?;
        ensure!(kafka.is_real(), "benchmarks need the real Kafka broker");
        let mut figures = Figures::default();
        for keys in [Keys::Zipf, Keys::Uniform] {
            speed::measure(scenario, kafka, keys, &mut figures).await?;
        }
        visible::measure(scenario, kafka, &mut figures).await?;
        print!("{figures}");
        figures.write(&target_dir()?.join("bench.json"))
    });
}
