//! Catalogs that more than one test reads. Everything that they leave out takes its default: deployment `braid`, version `v1`.
//!
//! A test whose subject is the catalog itself, such as the parser's mistakes or the hash of a definition, has a text of its own.

/// Counts events by the text `k`.
pub const TINY: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
n = "count()"
"#;

/// A measure of each kind, by the text `k`.
pub const EVERY_MEASURE: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string"
n = "int"
x = "float"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
count = "count()"
sum = "sum(n)"
floats = "sum(x)"
least = "min(n)"
most = "max(n)"
lowest = "min(x)"
highest = "max(x)"
"#;

/// Groups by a column of each type that a group key may have. All but one may be absent.
pub const EVERY_KEY_TYPE: &str = r#"
[sources.visits]
event_time = "at"
[sources.visits.fields]
at = "timestamp"
page = "string?"
code = "int"
ok = "bool?"
seen = "timestamp?"
[metrics.visits]
source = "visits"
by = ["page", "code", "ok", "seen"]
grain = "1m"
[metrics.visits.measures]
visits = "count()"
codes = "sum(code)"
least = "min(code)"
"#;

/// Views of videos in countries, some of them unknown, with a filter, an integer extreme and a derived value.
pub const VIEWS: &str = r#"
[sources.views]
event_time = "at"
[sources.views.fields]
at = "timestamp"
video = "string"
country = "string?"
dwell_ms = "int"
[metrics.views]
source = "views"
where = "dwell_ms >= 0"
by = ["video", "country"]
grain = "1m"
[metrics.views.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
longest = "max(dwell_ms)"
[metrics.views.derived]
mean_ms = "dwell_ms / views"
"#;
