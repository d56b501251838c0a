//! Asks one question again and again, as long as somebody watches.

use std::sync::Weak;

use tokio::sync::watch;
use tokio::time::Instant;

use super::asked::Asked;
use super::clients::stopped;
use super::pace::Pace;
use super::question::Handler;
use super::teller::Teller;

/// Asks and tells, until nobody watches any more, the question cannot be answered, or the process stops.
pub(super) async fn look(asked: Weak<Asked>, handler: Handler, pace: Pace, stopping: watch::Receiver<bool>) {
    let mut teller = Teller::default();
    loop {
        let begun = Instant::now();
        metrics::counter!("braid_serving_live_looks_total").increment(1);
        let answered = tokio::select! {
            biased;
            () = stopped(stopping.clone()) => return,
            answered = handler.answer() => answered,
        };
        let ended = Instant::now();
        {
            let Some(asked) = asked.upgrade() else { return };
            let told = teller.tell(answered, ended);
            let is_last = told.is_last;
            asked.tell(told);
            if is_last {
                return;
            }
        }
        tokio::select! {
            biased;
            () = stopped(stopping.clone()) => return,
            () = tokio::time::sleep_until(pace.next(begun, ended)) => {}
        }
        if asked.strong_count() == 0 {
            return;
        }
    }
}
