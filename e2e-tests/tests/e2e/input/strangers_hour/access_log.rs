//! The access log of a web server, in the form that Apache and nginx call `combined`. Clients decide what stands in it: quotes,
//! escapes, requests that are none, addresses of both kinds.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, FixedOffset};
use e2e_tests::scenario::now_us;
use e2e_tests::stranger::{Stranger, braid};
use e2e_tests::{Kafka, Scenario, Up, scenario};
use rand::Rng;

const LINES: usize = 20_000;
const FILE: &str = "access.log";
const HOSTS: [&str; 4] = ["203.0.113.7", "2001:db8::1", "::ffff:198.51.100.2", "localhost"];
const USERS: [&str; 4] = ["-", "-", "frank", "o\\\"brien"];
const REQUESTS: [&str; 8] = [
    "GET / HTTP/1.1",
    "GET //favicon.ico HTTP/1.1",
    "POST /login?next=%22%5D HTTP/2.0",
    "GET /a b\\\"c HTTP/1.1",
    "HEAD http://example.org/ HTTP/1.0",
    "\\x16\\x03\\x01\\x02",
    "-",
    "] \\\"GET / HTTP/1.1\\\" 200 1",
];
const AGENTS: [&str; 7] = [
    "Mozilla/5.0 (X11; Linux x86_64) \\\"quoted\\\", with commas",
    "() { :;}; echo \\x22owned\\x22",
    "'; DROP TABLE visits; --",
    "-",
    "",
    "a\\tb\\\\",
    "curl/8.5.0 [x] \\\"200 7",
];
const STATUSES: [&str; 5] = ["200", "200", "304", "404", "500"];
/// No server writes these.
const BROKEN: [&str; 3] =
    ["203.0.113.7 - - [", "-- MARK --", "203.0.113.7 - - [now] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\""];
const BROKEN_EVERY: usize = 2_000;
const DAY_US: i64 = 86_400_000_000;

/// What was counted of some lines.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    requests: i64,
    bytes: i64,
}

/// By status and method; what is no request has none.
type Counts = BTreeMap<(String, Option<String>), Count>;

#[test]
fn strangers_hour_with_an_access_log() {
    scenario("strangers_hour_with_an_access_log", async |scenario| {
        let Some(brokers) = Kafka::shared_real(scenario.name()).await? else { return Ok(()) };
        let log = log(scenario)?;
        std::fs::write(scenario.dir().join(FILE), &log)?;
        let (counts, broken) = count(&log);
        let source = scenario.unique_name().replace('-', "_");
        let stranger = Stranger::init(scenario.dir(), FILE, &source).await?;
        stranger.says(&[r#"format = "combined""#, r#"by = ["status", "method"]"#, r#"bytes = "sum(bytes)""#])?;
        let up = stranger.up(&brokers).await?;
        let told = stranger.send(&up, FILE, FILE).await?;
        ensure!(told.contains(&format!("the catalog rejects {broken}: ")), "{told}");
        every_total_is_right(&stranger, &up, &counts).await.context("speed and batch")?;
        stranger.reconciled(&up).await?;
        every_total_is_right(&stranger, &up, &counts).await.context("batch alone")?;
        the_topic_gives_the_same_catalog(scenario, &stranger, &brokers).await
    });
}

async fn every_total_is_right(stranger: &Stranger, up: &Up, counts: &Counts) -> Result<()> {
    let mut keys = vec![(None, None), (Some("404"), None), (Some("404"), Some(None)), (Some("200"), Some(Some("GET")))];
    keys.extend([None, Some("GET"), Some("POST"), Some("HEAD")].map(|method| (None, Some(method))));
    for (status, method) in keys {
        let mut expected = Count::default();
        for ((of, with), count) in counts {
            if status.is_none_or(|status| status == of) && method.is_none_or(|method| method == with.as_deref()) {
                expected.requests += count.requests;
                expected.bytes += count.bytes;
            }
        }
        let status = status.map(|status| format!("status={status}"));
        let method = method.map(|method| match method {
            Some(method) => format!("method={method}"),
            None => "method.missing=true".to_owned(),
        });
        let key: Vec<&str> = [&status, &method].into_iter().flatten().map(String::as_str).collect();
        let values = stranger.total(up, &key).await?;
        let is_right = values[&stranger.source] == expected.requests && values["bytes"] == expected.bytes;
        ensure!(is_right, "{key:?} is {values}, and the log has {expected:?}");
    }
    Ok(())
}

/// The records of the topic are the lines of the file, so the same is guessed of them.
async fn the_topic_gives_the_same_catalog(scenario: &Scenario, stranger: &Stranger, brokers: &str) -> Result<()> {
    let words = ["init", "--topic", &stranger.source, "--kafka", brokers, "--output", "of-topic.toml"];
    braid(scenario.dir(), &words).await?;
    let catalog = std::fs::read_to_string(scenario.dir().join("of-topic.toml"))?;
    // Which records are in the sample decides the comments, and nothing else.
    let lines = |text: &str| -> Vec<String> {
        let line = |line: &str| line.split('#').next().unwrap_or_default().trim_end().to_owned();
        text.lines().map(line).filter(|line| !line.is_empty()).collect()
    };
    ensure!(lines(&catalog) == lines(&stranger.catalog), "{catalog}\n{}", stranger.catalog);
    Ok(())
}

fn log(scenario: &Scenario) -> Result<String> {
    let (mut rng, now_us) = (scenario.rng(), now_us());
    let ahead = FixedOffset::east_opt(3_600).context("an hour")?;
    let mut log = String::new();
    for n in 0..LINES {
        if n % BROKEN_EVERY == BROKEN_EVERY / 2 {
            writeln!(log, "{}", BROKEN[n / BROKEN_EVERY % BROKEN.len()])?;
        }
        let mut one = |of: &[&'static str]| of[rng.random_range(0..of.len())];
        let (host, user, request, agent) = (one(&HOSTS), one(&USERS), one(&REQUESTS), one(&AGENTS));
        let status = if request.contains("HTTP") { one(&STATUSES) } else { "400" };
        let referer = one(&["-", "https://example.org/?q=\\\"x\\\"", ""]);
        let at = DateTime::from_timestamp_micros(now_us - rng.random_range(0..20 * DAY_US)).context("a time")?;
        let at = at.with_timezone(&ahead).format("%d/%b/%Y:%H:%M:%S %z");
        let bytes = if rng.random_bool(0.1) { "-".to_owned() } else { rng.random_range(0..100_000).to_string() };
        writeln!(log, "{host} - {user} [{at}] \"{request}\" {status} {bytes} \"{referer}\" \"{agent}\"")?;
    }
    Ok(log)
}

/// Counts the lines by hand, and those that are broken.
fn count(log: &str) -> (Counts, usize) {
    let (mut counts, mut broken) = (Counts::new(), 0);
    for line in log.lines() {
        match read(line) {
            Some((status, method, bytes)) => {
                let count = counts.entry((status, method)).or_default();
                *count = Count { requests: count.requests + 1, bytes: count.bytes + bytes };
            }
            None => broken += 1,
        }
    }
    (counts, broken)
}

/// Status, method and bytes of a line.
fn read(line: &str) -> Option<(String, Option<String>, i64)> {
    let (client, rest) = line.split_once("] \"")?;
    // Such as 25/Nov/2026:10:00:00 +0100.
    let time = client.rsplit_once('[')?.1;
    DateTime::parse_from_str(time, "%d/%b/%Y:%H:%M:%S %z").ok()?;
    // The request ends at the first quote that is not escaped.
    let (mut end, mut escaped) = (0, false);
    for (at, letter) in rest.char_indices() {
        if letter == '"' && !escaped {
            end = at;
            break;
        }
        escaped = letter == '\\' && !escaped;
    }
    let request = rest.get(..end)?;
    let mut words = rest.get(end + 1..)?.split_whitespace();
    let (status, bytes) = (words.next()?, words.next()?);
    // A request that a server understood has three parts, the last of which is a version of HTTP.
    let is_request = request.rsplit_once(' ').is_some_and(|(_, protocol)| protocol.starts_with("HTTP/"));
    let method = request.split_once(' ').map(|(method, _)| method.to_owned());
    let method = method.filter(|method| is_request && method.bytes().all(|letter| letter.is_ascii_uppercase()));
    Some((status.to_owned(), method, bytes.parse().unwrap_or_default()))
}
