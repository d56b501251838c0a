//! How far back streams remember (T8).

/// From where on events matter to a stream. The farther back, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Horizon {
    /// From where the stream's past begins: it may remember any event.
    All,
    /// From that event time on, in microseconds.
    Since(i64),
    /// None: it remembers nothing.
    Nothing,
}
