//! A reconcile that is killed before or after it has kept its index of identities: the next one goes on from there, and no event or
//! copy of one is counted twice.

use e2e_tests::views::Mix;
use e2e_tests::{Stage, scenario};
use test_kit::DEADLINE;

/// Events of each round, some of which are copies or late by up to three days.
const MANY: usize = 2_000;
/// Where the reconcile of a round is killed. The index begins with what the first one counts. It follows what the view counts, so it is
/// first extended in the third round.
const ROUNDS: [Option<&str>; 4] = [
    Some("reconcile::before_identities"),
    None,
    Some("reconcile::before_identities"),
    Some("reconcile::after_identities"),
];

#[test]
fn reconcile_killed_around_its_index() {
    scenario("reconcile_killed_around_its_index", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(50, Mix::USUAL)?;
        for fail_point in ROUNDS {
            let arrived = traffic.send(MANY)?;
            stage.total_as_of(arrived).await?;
            stage.archived().await?;
            if let Some(fail_point) = fail_point {
                // It stays there until it is killed.
                let killed = stage.deployment.launch_reconcile(&format!("{fail_point}=return(60000)"))?;
                killed.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
                killed.kill();
            }
            stage.reconciled_is(&traffic.oracle).await?;
        }
        stage.is_exact(&traffic.oracle).await
    });
}
