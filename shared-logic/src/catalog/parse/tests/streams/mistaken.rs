//! Every mistake of a stream is reported once, at its line, with what to write.

use super::*;

/// Replaces the first `old` by `new` and expects one mistake: what the line there holds, words of what, and words of the fix.
#[test]
fn a_broken_line_is_named_with_what_to_write_instead() {
    let table: &[(&str, &str, &str, &str, &str)] = &[
        // Which kind it is.
        ("session = \"30m\"\n", "session = \"30m\"\ncolour = 1\n", "colour", "unknown key `colour`", "keys are from"),
        (
            "session = \"30m\"\n",
            "session = \"30m\"\nwindow = \"5m\"\n",
            "session",
            "both `window` and `session`",
            "two streams",
        ),
        (
            "session = \"30m\"\n",
            "session = \"30m\"\nslide = \"5m\"\n",
            "slide",
            "`slide` is for a window, and",
            "leave it out",
        ),
        (
            "session = \"30m\"\n",
            "session = \"30m\"\nhistory = \"5m\"\n",
            "history",
            "is for a detector",
            "leave it out",
        ),
        (
            "window = \"5m\"\n",
            "window = \"5m\"\nkey = \"country\"\n",
            "key",
            "is for a map or a detector",
            "leave it out",
        ),
        (
            "where = \"amount > 0\"",
            "where = \"amount > 0\"\nby = [\"user_id\"]",
            "by =",
            "`by` is for a window or a session, and [streams.everything] is a map",
            "or add `window` or `session`",
        ),
        ("where = \"amount > 0\"\n", "", "[streams.everything]", "does not say what it does", "window = \"5m\""),
        ("from = \"clicks\"\nby", "by", "[streams.visits]", "has no `from`", "add from ="),
        (
            "from = \"transactions\"\nkey",
            "from = \"transaction\"\nkey",
            "from",
            "unknown source `transaction`",
            "`transactions`",
        ),
        // Keys (T12).
        ("by = [\"user_id\"]\n", "", "[streams.visits]", "has no `by`", "add by = [\"user_id\"]"),
        (
            "by = [\"user_id\"]",
            "by = [\"url\"]",
            "by =",
            "lacks `user_id`, by which the records of `clicks` are keyed",
            "add \"user_id\", or re-key by a map first, [streams.clicks_by_url] with from = \"clicks\" and key = \"url\"",
        ),
        ("by = [\"user_id\"]", "by = []", "by =", "`by` lacks `user_id`", "re-key by a map"),
        (
            "key = \"user_id\"\nhistory",
            "key = \"merchant\"\nhistory",
            "key =",
            "`key` is not `user_id`, by which",
            "write key = \"user_id\", or re-key by a map first, [streams.transactions_by_merchant]",
        ),
        (
            "event_time = \"at\"\nkey = \"country\"\n",
            "event_time = \"at\"\n",
            "by = [\"country\"]",
            "does not say by what the records of `orders` are keyed",
            "write key = \"country\" in [sources.orders]",
        ),
        ("key = \"user_id\"\nhistory", "history", "[streams.fraud_alerts]", "has no `key`", "add key = \"user_id\""),
        ("key = \"user_id\"\nhistory", "key = \"amount\"\nhistory", "key =", "which is float", "string, int"),
        ("by = [\"user_id\"]", "by = [\"user_id\", \"ulr\"]", "by =", "undeclared field `ulr`", "did you mean `url`?"),
        ("by = [\"user_id\"]", "by = [\"user_id\", \"user_id\"]", "by =", "twice", "once"),
        // Durations.
        ("window = \"5m\"", "window = \"5 min\"", "window", "`window` is \"5 min\"", "from 1s to 36525d"),
        ("session = \"30m\"", "session = 30", "session", "`session` is an integer", "write session = "),
        ("lateness = \"20s\"", "lateness = \"soon\"", "lateness", "`lateness` is \"soon\"", "from 0s"),
        ("slide = \"1m\"", "slide = \"2m\"", "slide", "2m, which does not divide a window of 5m", "such as \"150s\""),
        ("slide = \"1m\"", "slide = \"6m\"", "slide", "does not divide", "such as \"5m\""),
        (
            "slide = \"1m\"",
            "slide = \"1s\"",
            "slide",
            "counts in 300 windows of 5m",
            "write slide = \"3s\", or windows_max = 300",
        ),
        (
            "slide = \"1m\"",
            "slide = \"1m\"\nwindows_max = 4",
            "slide",
            "in 5 windows of 5m that start every 1m, more than 4",
            "\"75s\"",
        ),
        ("slide = \"1m\"", "slide = \"1m\"\noffset = \"90s\"", "offset", "windows start every 1m", "write \"30s\""),
        // A key has a window for each minute from 20 s before the front to an hour and five minutes behind it.
        (
            "slide = \"1m\"",
            "slide = \"1m\"\nopen_max = 65",
            "open_max",
            "66 windows open at a time, more than 65: its events may be 1h ahead (`max_ahead`) and 20s late",
            "write open_max = 66 if that is meant, or lower `lateness`",
        ),
        (
            "longest = \"24h\"",
            "longest = \"24h\"\nopen_max = 4",
            "open_max",
            "5 sessions open at a time, more than 4",
            "open_max = 5",
        ),
        (
            "session = \"30m\"",
            "session = \"30m\"\nlateness = \"3000d\"",
            "session",
            "open at a time, more than 10000",
            "open_max = 14",
        ),
        (
            "where = \"amount > 0\"",
            "where = \"amount > 0\"\nopen_max = 3",
            "open_max",
            "`open_max` is for a window or a session",
            "leave it out",
        ),
        ("longest = \"24h\"", "longest = \"7h\"", "longest", "at other times each day", "\"12h\""),
        ("longest = \"24h\"", "longest = \"20m\"", "longest", "the gap that ends a session is 30m", "\"24h\""),
        ("history = \"1h\"\n", "", "[streams.fraud_alerts]", "has no `history`", "add history = \"1h\""),
        ("history = \"1h\"", "history = \"1h\"\nhistory_max = 0", "history_max", "`history_max` is 0", "from 1 to"),
        (
            "history = \"1h\"",
            "history = \"30s\"",
            "high_velocity",
            "looks back for '1m', and a key remembers 30s",
            "raise `history`",
        ),
        // Expressions.
        ("where = \"amount > 0\"", "where = \"amount\"", "where", "`where` is float, not a condition", "comparison"),
        ("where = \"amount > 0\"", "where = \"previous(amount) > 0\"", "where", "looks at earlier events", "….detect]"),
        (
            "clicks = \"count()\"",
            "clicks = \"distinct(url)\"",
            "clicks",
            "is a sketch",
            "cannot be written to a stream yet",
        ),
        ("orders = \"count()\"", "orders = \"top(country, 3)\"", "orders =", "is a sketch", "in a metric"),
        ("clicks = \"count()\"", "clicks = \"sum(history_count())\"", "clicks", "looks at earlier events", "….detect]"),
        ("path = \"url_path(url)\"", "path = \"previous(url)\"", "path", "looks at earlier events", "….detect]"),
        (">= 5\"", "+ 5\"", "high_velocity", "rule `high_velocity` is int, not a condition", "comparison"),
        ("lon) > 5000", "lnog) > 5000", "impossible_travel", "unknown field `lnog`", "fields are"),
        ("high_velocity ", "High ", "High", "`High` is no name for a rule", "a-z"),
        ("mean = \"revenue / orders\"", "mean = \"revenue / ordres\"", "mean", "unknown measure `ordres`", "`orders`"),
        // Names.
        ("[streams.everything]", "[streams.Everything]", "Everything", "`Everything` is no name for a stream", "a-z"),
        (
            "[streams.everything]",
            "[streams.clicks]",
            "[streams.clicks]",
            "is called like a source",
            "call one of them otherwise",
        ),
        ("topic = \"clicks.by.country\"", "topic = \"a b\"", "topic", "which Kafka does not take", "249"),
        (
            "topic = \"clicks.by.country\"",
            "topic = \"orders\"",
            "topic",
            "the stream `clicks_by_country` and the source `orders` share the topic `orders`",
            "another topic",
        ),
        (
            "topic = \"clicks.by.country\"",
            "topic = \"fraud_alerts.late\"",
            "topic",
            "the stream `clicks_by_country` and the side output of the stream `fraud_alerts` share",
            "another topic",
        ),
        (
            "by = [\"user_id\"]",
            "topic = \"orders\"\nby = [\"user_id\"]",
            "topic",
            "and the source `orders` share",
            "topic =",
        ),
        (
            "clicks = \"count()\"",
            "incomplete = \"count()\"",
            "incomplete",
            "like another column of the stream",
            "the measure otherwise",
        ),
        ("clicks = \"count()\"", "user_id = \"count()\"", "user_id", "like another column of the stream", "otherwise"),
        ("mean = \"revenue", "window_end = \"revenue", "window_end", "like another column of the stream", "otherwise"),
        ("mean = \"revenue", "price = \"revenue", "price", "is called like a measure", "otherwise"),
        (
            "orders = \"count()\"",
            "orders = \"count()\"\nprice_sum = \"count()\"",
            "price =",
            "makes a measure `price_sum`",
            "otherwise",
        ),
        ("at = \"at\"", "incomplete = \"at\"", "incomplete", "like one that every map writes itself", "otherwise"),
        ("at = \"at\"", "Path = \"at\"", "Path", "`path` and `Path` differ in case only", "otherwise"),
        ("at = \"at\"", "\"a b\" = \"at\"", "a b", "`a b` is no name for a field", "letters, digits"),
        // The key of a map.
        ("key = \"land\"", "key = \"lnad\"", "key", "`lnad`, which the stream does not write", "did you mean `land`?"),
        ("coalesce(country, '-')", "country", "key", "`land`, which may be absent", "coalesce("),
        ("coalesce(country, '-')", "length(url) * 0.5", "key", "`land`, which is float", "string, int"),
        (
            "merchant = {",
            "rule = {",
            "[streams.fraud_alerts]",
            "the field `rule` of `transactions` is called like",
            "by a map",
        ),
    ];
    for (old, new, line, what, fix) in table {
        assert!(STREAMS.contains(old), "the test replaces nothing: {old}");
        let mut text = STREAMS.replacen(old, new, 1);
        // What hangs on the replaced name must not make a second mistake.
        if new.starts_with("price = \"revenue") {
            text = text.replace("twice = \"price * 2\"\n", "");
        }
        expect_one_mistake(&text, new, line, what, fix);
    }
}

#[test]
fn more_windows_are_allowed_where_the_catalog_says_so() {
    let text = STREAMS.replace("slide = \"1m\"", "slide = \"1s\"\nwindows_max = 300");
    let catalog = Catalog::parse(&text).expect("a valid catalog");
    assert!(matches!(stream(&catalog, "revenue_5m").kind, StreamKind::Window(Window { slide_us: SECOND_US, .. })));
}

#[test]
fn streams_that_read_each_other_are_refused() {
    let map = |name: &str, from: &str| format!("[streams.{name}]\nfrom = \"{from}\"\nwhere = \"url <> ''\"\n");
    let own = STREAMS.to_owned() + &map("a", "a");
    let found = mistakes(&own);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].what, "stream `a` reads itself");
    // `d` only hangs on the circle.
    let three = STREAMS.to_owned() + &map("a", "c") + &map("b", "a") + &map("c", "b") + &map("d", "c");
    let found: Vec<String> = mistakes(&three).into_iter().map(|mistake| mistake.what).collect();
    let expected = [
        "stream `a` reads itself, by way of `c` and `b`",
        "stream `b` reads itself, by way of `a` and `c`",
        "stream `c` reads itself, by way of `b` and `a`",
    ];
    assert_eq!(found, expected);
}

/// What reads a stream that could not be read is not blamed for it.
#[test]
fn a_mistaken_stream_does_not_blame_those_that_read_it() {
    let text = STREAMS.replace("from = \"orders\"", "from = \"ordres\"");
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("unknown source `ordres`"), "{found:?}");
    let text = STREAMS.replace("revenue = \"sum(price)\"", "revenue = \"sum(prize)\"");
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("unknown field `prize`"), "{found:?}");
}

#[test]
fn a_topic_leaves_room_for_that_of_late_events() {
    for (length, mistaken) in [(244, 0), (245, 1)] {
        let text = STREAMS.replace("session = ", &format!("topic = \"{}\"\nsession = ", "t".repeat(length)));
        assert_eq!(mistakes(&text).len(), mistaken, "{length}");
    }
}
