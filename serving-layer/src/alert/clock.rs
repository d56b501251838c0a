//! When it is, and whether that can be believed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared_logic::alert::ClockWatch;

/// What the wall clock says, microseconds since 1970.
pub type AlertClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The wall clock, and how it has run since this process began.
pub(super) struct Clock {
    wall: AlertClock,
    begun: Instant,
    watch: ClockWatch,
    settles: Duration,
}

/// What a look at the clock gives.
pub(super) struct Moment {
    /// Microseconds since 1970.
    pub(super) now_us: i64,
    /// Why it may be later than it is.
    pub(super) doubt: Option<String>,
}

impl Clock {
    /// This clock. Once it was set ahead, it is believed again when it has run evenly for as long as `settles`.
    pub(super) fn new(wall: &AlertClock, settles: Duration) -> Clock {
        Clock { wall: Arc::clone(wall), begun: Instant::now(), watch: ClockWatch::default(), settles }
    }

    /// Looks at it.
    pub(super) fn look(&mut self) -> Moment {
        let (now_us, measured) = ((self.wall)(), self.begun.elapsed());
        let doubt = self.watch.look(now_us, measured, self.settles).map(|by_us| {
            format!(
                "the clock of the machine that judges was set ahead by {} s, or the machine stood still for as long: alerts are judged once the \
                 clock has run evenly for {} s (alerts.stale_after)",
                by_us / 1_000_000,
                self.settles.as_secs()
            )
        });
        Moment { now_us, doubt }
    }
}
