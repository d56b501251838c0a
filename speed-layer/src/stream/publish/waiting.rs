//! When a transaction begins: the more time they take, the rarer, so that each holds more; but one that is full waits for nothing.

use std::time::Duration;

use platform::settings::Streams;

/// What there is for the next transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    /// Outputs of as many offsets as it may hold.
    pub(super) outputs: bool,
    /// As many outputs as it may hold.
    pub(super) is_full: bool,
    /// The lane has moved.
    pub(super) progress: bool,
    /// Marks that say something else than the last ones.
    pub(super) marks: bool,
}

impl Waiting {
    /// In how long a transaction is due, where the last one began `since` ago and the last marks were written `since_marks` ago; `None` if there
    /// is nothing for one.
    pub(super) fn due_in(
        self,
        settings: &Streams,
        interval: Duration,
        since: Duration,
        since_marks: Duration,
    ) -> Option<Duration> {
        let (next, mark_every) = (interval.saturating_sub(since), settings.mark_every.get());
        // One that cannot grow waits for nothing.
        let least = if self.is_full { settings.min_interval.get().saturating_sub(since) } else { next };
        let outputs = self.outputs.then_some(least);
        let progress = self.progress.then(|| settings.progress_every.get().saturating_sub(since));
        let marks = self.marks.then(|| next.max(mark_every.saturating_sub(since_marks)));
        [outputs, progress, marks].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const LONG_AGO: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_transaction_is_due_when_there_is_something_for_it() {
        let settings = Streams::default();
        let due = |waiting: Waiting, since, since_marks| waiting.due_in(&settings, INTERVAL, since, since_marks);
        assert_eq!(due(Waiting::default(), LONG_AGO, LONG_AGO), None, "however long ago the last one was");
        let (outputs, progress) = (
            Waiting { outputs: true, progress: true, ..Waiting::default() },
            Waiting { progress: true, ..Waiting::default() },
        );
        assert_eq!(due(outputs, INTERVAL / 4, LONG_AGO), Some(INTERVAL * 3 / 4));
        assert_eq!(due(progress, INTERVAL, LONG_AGO), Some(settings.progress_every.get() - INTERVAL));
        assert_eq!(
            (due(outputs, INTERVAL, LONG_AGO), due(progress, LONG_AGO, LONG_AGO)),
            (Some(Duration::ZERO), Some(Duration::ZERO))
        );
        let full = Waiting { is_full: true, ..outputs };
        let least = settings.min_interval.get();
        assert_eq!(due(full, least / 4, LONG_AGO), Some(least * 3 / 4), "it cannot grow");
        let (marks, every) = (Waiting { marks: true, ..Waiting::default() }, settings.mark_every.get());
        assert_eq!(due(marks, LONG_AGO, every / 2), Some(every / 2));
        assert_eq!(due(marks, INTERVAL / 2, LONG_AGO), Some(INTERVAL / 2), "not before a transaction may begin");
    }
}
