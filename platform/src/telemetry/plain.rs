//! Directives that name levels and targets alone: what is logged then depends on no span.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{EnvFilter, Layer};

/// A filter that is not told of spans. It would look each of them up whenever it is made, entered, left and closed, behind a lock that all
/// threads share, and find none that it cares about.
pub(super) struct Plain(EnvFilter);

impl Plain {
    /// Whether no directive is about spans or fields, which stand in brackets.
    pub(super) fn suffices(directives: &str) -> bool {
        !directives.contains('[')
    }

    /// A filter of such directives.
    pub(super) fn of(filter: EnvFilter) -> Plain {
        Plain(filter)
    }
}

impl<S: Subscriber> Layer<S> for Plain {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&self.0, metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::<S>::enabled(&self.0, metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use tracing::info_span;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn what_is_logged_is_the_same() {
        assert!(Plain::suffices("info,serving_layer=debug,hyper=off"));
        assert!(!Plain::suffices("info,[request{route=\"/v1/status\"}]=debug"));
        let filter = EnvFilter::new("info,quiet=off,loud=debug");
        let subscriber = tracing_subscriber::registry().with(Plain::of(filter));
        tracing::subscriber::with_default(subscriber, || {
            let _request = info_span!("request").entered();
            assert!(tracing::enabled!(target: "other", tracing::Level::INFO));
            assert!(!tracing::enabled!(target: "other", tracing::Level::DEBUG));
            assert!(tracing::enabled!(target: "loud", tracing::Level::DEBUG));
            assert!(!tracing::enabled!(target: "quiet", tracing::Level::ERROR));
        });
    }

    /// A directive about a span, which no plain filter is made of, shows whether a filter is told of spans.
    #[test]
    fn it_is_not_told_of_spans() {
        let about_a_span = || EnvFilter::new("info,[request]=debug");
        assert!(is_told_of_spans(about_a_span()), "the directive shows nothing");
        assert!(!is_told_of_spans(Plain::of(about_a_span())));
    }

    /// Whether what is within a request is logged in more detail.
    fn is_told_of_spans(filter: impl Layer<Registry> + Send + Sync) -> bool {
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            let _request = info_span!("request").entered();
            tracing::enabled!(tracing::Level::DEBUG)
        })
    }
}
