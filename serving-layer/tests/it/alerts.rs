//! Alerts: judged on complete answers by one process, written once, and told at least once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use platform::settings::{Secret, Span};
use serde_json::{Value, json};
use shared_logic::alert::change_id;
use shared_logic::catalog::Changed;
use shared_logic::contracts::alert::{Undelivered, undelivered_record};
use shared_logic::time::parse_rfc3339;
use storage::FollowedVersions;
use test_kit::{Receiver, catalogs};

use crate::alert_log::{AlertTopics, Outcome};
use crate::test_server::{DEADLINE, Event, TestServer};
use crate::versions::{change, resolved, two};

const ALERTS: &str = "/v1/alerts";
const ALERT: &str = r#"
[alerts.fewer]
metric = "views"
window = "5m"
against = "previous"
when = "views < 0.8 * before.views"
for = "1m"
lateness = "0s"
summary = "there are fewer views"
"#;

/// A view of each minute from 09:16 to 09:29.
const USUAL: [Event; 14] = {
    const fn view(at: &'static str) -> Event {
        (at, "v1", "de", 1)
    }
    [
        view("2026-04-24T09:16:30Z"),
        view("2026-04-24T09:17:30Z"),
        view("2026-04-24T09:18:30Z"),
        view("2026-04-24T09:19:30Z"),
        view("2026-04-24T09:20:30Z"),
        view("2026-04-24T09:21:30Z"),
        view("2026-04-24T09:22:30Z"),
        view("2026-04-24T09:23:30Z"),
        view("2026-04-24T09:24:30Z"),
        view("2026-04-24T09:25:30Z"),
        view("2026-04-24T09:26:30Z"),
        view("2026-04-24T09:27:30Z"),
        view("2026-04-24T09:28:30Z"),
        view("2026-04-24T09:29:30Z"),
    ]
};
/// A view that is in none of the windows.
const LONG_AGO: Event = ("2026-04-24T01:00:00Z", "v1", "de", 1);

/// A deployment that has counted the usual views by 09:30, its topics of alerts, and a receiver.
struct Watched {
    server: TestServer,
    log: AlertTopics,
    receiver: Receiver,
}

impl Watched {
    async fn new() -> Watched {
        let (log, receiver) = (AlertTopics::default(), Receiver::start().await.expect("it listens"));
        let mut server = TestServer::with(&format!("{}{ALERT}", catalogs::VIEWS)).await;
        server.settings.alerts.every = Span::from_millis(30);
        server.settings.alerts.lease = Span::from_secs(4);
        // Its answers are about a day that has long gone.
        server.settings.alerts.stale_after = Span::from_secs(10 * 365 * 86_400);
        server.settings.alerts.webhook_url = Secret::from(receiver.url());
        server.alerts = Some(Arc::new(log.clone()));
        server.topics.set(&[1_000]);
        server.archive_begins().await;
        server.open(0, 0).await;
        server.apply(0, &USUAL, "2026-04-24T09:30:00Z").await;
        Watched { server, log, receiver }
    }

    async fn serving() -> Watched {
        let mut watched = Watched::new().await;
        watched.server.serve().await;
        watched.judged_to("2026-04-24T09:30:00Z").await;
        watched
    }

    /// Serves the first of two versions, of which the second declares no alerts, until the alert fires. Gives what makes the second one the
    /// active one, which has to be kept: once it is dropped, nobody hears of versions any more.
    async fn fires_in_the_first_of_two_versions() -> (Watched, impl Fn()) {
        let mut watched = Watched::new().await;
        let pointer = two(Changed::default());
        let deployed = |number, pointer| resolved(number, pointer, &watched.server.catalog, catalogs::VIEWS);
        let (known, followed) = FollowedVersions::given(deployed(2, pointer.clone()));
        let promoted = pointer.promote("v2", None, Vec::new(), change("promote v2")).expect("promoted");
        let promoted = Arc::new(deployed(3, promoted));
        watched.server.versions = Some(followed);
        watched.server.serve().await;
        watched.judged_to("2026-04-24T09:30:00Z").await;
        watched.fires().await;
        let promote = move || {
            known.send_replace(Arc::clone(&promoted));
        };
        (watched, promote)
    }

    /// These events, and that nothing else has arrived by a moment.
    async fn counts(&self, events: &[Event], as_of: &str) {
        self.server.apply(0, events, as_of).await;
    }

    /// Waits until the window that ends at a moment was judged; gives the alert.
    async fn judged_to(&self, end: &str) -> Value {
        let is_judged = |_: u16, body: &Value| body["alerts"][0]["judged_to"] == end;
        self.server.until(ALERTS, is_judged).await["alerts"][0].clone()
    }

    async fn in_state(&self, state: &str) -> Value {
        let is_so = |_: u16, body: &Value| body["alerts"][0]["state"] == state;
        self.server.until(ALERTS, is_so).await["alerts"][0].clone()
    }

    /// No views come any more until it fires.
    async fn fires(&self) {
        for as_of in ["2026-04-24T09:31:00Z", "2026-04-24T09:32:00Z", "2026-04-24T09:33:00Z"] {
            self.counts(&[LONG_AGO], as_of).await;
            self.judged_to(as_of).await;
        }
        assert_eq!(self.in_state("firing").await["since"], "2026-04-24T09:32:00Z");
    }

    /// Enough views come again.
    async fn recovers(&self) {
        self.counts(&[("2026-04-24T09:33:30Z", "v1", "de", 1); 4], "2026-04-24T09:34:00Z").await;
        self.in_state("ok").await;
    }

    /// Waits until the receiver was told of so much.
    async fn told(&self, expected: &[&str]) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let told = self.receiver.told();
            let statuses: Vec<&str> = told.iter().map(|(_, status)| status.as_str()).collect();
            if statuses == expected {
                return;
            }
            assert!(Instant::now() < deadline, "the receiver is told {told:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the serving process in order, and starts another one.
    async fn restarts(&mut self) {
        self.server.shutdown.begin("the test stops it");
        self.server.ended().await;
        self.server.shutdown = platform::shutdown::Shutdown::new();
        self.server.serve().await;
    }

    fn ids(&self) -> Vec<String> {
        self.log.changes().iter().map(|change| change["id"].as_str().expect("an id").to_owned()).collect()
    }

    fn each_id_is_written_once(&self) {
        let (ids, mut sorted) = (self.ids(), self.ids());
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), ids.len(), "{ids:?}");
    }
}

const WHOLE: [&str; 4] = ["unknown>ok", "ok>pending", "pending>firing!", "firing>ok!"];

#[tokio::test]
async fn an_alert_is_judged_written_and_told() {
    let watched = Watched::serving().await;
    let alert = watched.in_state("ok").await;
    assert_eq!(alert["values"], json!({"before.views": 5, "views": 5}));
    assert_eq!((&alert["window"], &alert["against"], &alert["for"]), (&json!("5m"), &json!("5m"), &json!("1m")));
    watched.fires().await;
    watched.told(&["firing"]).await;
    watched.recovers().await;
    watched.told(&["firing", "resolved"]).await;
    assert_eq!(watched.log.words(), WHOLE);
    let (changes, posts) = (watched.log.changes(), watched.receiver.posts());
    assert_eq!((&posts[0].id, &posts[1].id), (&watched.ids()[2], &watched.ids()[3]));
    assert_eq!(posts[0].body["alerts"][0]["annotations"]["change_id"], changes[2]["id"]);
    assert_eq!(posts[0].body["commonAnnotations"]["summary"], "there are fewer views");
    assert_eq!(posts[0].body["alerts"][0]["startsAt"], "2026-04-24T09:32:00Z");
    assert_eq!(posts[1].body["alerts"][0]["endsAt"], "2026-04-24T09:34:00Z");
    assert_eq!(changes[2]["values"], json!({"before.views": 5, "views": 2}));
    let body = watched.server.until(ALERTS, |_, body| body["webhook"]["undelivered"] == 0).await;
    assert_eq!((&body["judge"]["state"], &body["webhook"]["configured"]), (&json!("judging"), &json!(true)));
    let status = watched.server.ok("/v1/status").await;
    let expected = json!({"ok": 1, "pending": 0, "firing": 0, "unknown": 0, "undelivered": 0});
    assert_eq!(status["alerts"], expected);
}

#[tokio::test]
async fn what_is_not_complete_is_unknown_and_no_receiver_hears_of_it() {
    let watched = Watched::serving().await;
    watched.fires().await;
    watched.told(&["firing"]).await;
    watched.server.command(&["FLUSHALL"]).await;
    let alert = watched.in_state("unknown").await;
    assert!(alert["reason"].as_str().is_some_and(|why| why.contains("not complete")), "{alert}");
    assert_eq!(alert["since"], "2026-04-24T09:32:00Z", "how far it has come stays");
    // The speed layer counts everything again.
    watched.server.open(0, 0).await;
    watched.counts(&USUAL, "2026-04-24T09:33:00Z").await;
    watched.in_state("firing").await;
    watched.recovers().await;
    watched.told(&["firing", "resolved"]).await;
    let expected = ["unknown>ok", "ok>pending", "pending>firing!", "firing>unknown", "unknown>firing", "firing>ok!"];
    assert_eq!(watched.log.words(), expected);
}

#[tokio::test]
async fn answers_that_are_too_old_are_unknown() {
    let mut watched = Watched::new().await;
    watched.server.settings.alerts.stale_after = Span::from_secs(60);
    watched.server.serve().await;
    let is_old = |_: u16, body: &Value| {
        body["alerts"][0]["reason"].as_str().is_some_and(|why| why.contains("2026-04-24T09:30:00Z is counted yet"))
    };
    watched.server.until(ALERTS, is_old).await;
    assert_eq!(watched.log.words(), [""; 0], "nothing was known before, either");
}

#[tokio::test]
async fn a_window_that_has_not_come_is_not_judged() {
    let watched = Watched::serving().await;
    // The clock of the machine that counts is ahead.
    watched.counts(&[LONG_AGO], "2999-01-01T00:00:00Z").await;
    let is_judged = |_: u16, body: &Value| body["alerts"][0]["judged_to"] != "2026-04-24T09:30:00Z";
    let body = watched.server.until(ALERTS, is_judged).await;
    let to = body["alerts"][0]["judged_to"].as_str().expect("a moment");
    assert!(to > "2026-04-24" && to < "2900", "{to}");
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_is_not_believed() {
    let (mut watched, begun, ahead_us) = (Watched::new().await, Instant::now(), Arc::new(AtomicI64::new(0)));
    let (begin_us, by) = (parse_rfc3339(b"2026-04-24T09:30:01Z").expect("an instant"), Arc::clone(&ahead_us));
    let elapsed_us = move || i64::try_from(begun.elapsed().as_micros()).expect("a short test");
    watched.server.alert_clock = Some(Arc::new(move || begin_us + elapsed_us() + by.load(Ordering::SeqCst)));
    // Longer than the test takes.
    watched.server.settings.alerts.stale_after = Span::from_secs(86_400);
    watched.server.serve().await;
    watched.judged_to("2026-04-24T09:30:00Z").await;
    // Counting has the same clock: the windows of the next minutes are empty, and nothing is missing in them.
    ahead_us.store(360_000_000, Ordering::SeqCst);
    watched.counts(&[LONG_AGO], "2026-04-24T09:36:00Z").await;
    let alert = watched.in_state("unknown").await;
    assert!(alert["reason"].as_str().is_some_and(|why| why.contains("was set ahead by 3")), "{alert}");
    ahead_us.store(0, Ordering::SeqCst);
    assert_eq!(watched.in_state("ok").await["judged_to"], "2026-04-24T09:30:00Z");
    assert_eq!(watched.log.words(), ["unknown>ok", "ok>unknown", "unknown>ok"]);
}

#[tokio::test]
async fn a_restart_tells_nothing_again() {
    let mut watched = Watched::serving().await;
    watched.fires().await;
    watched.told(&["firing"]).await;
    watched.restarts().await;
    assert_eq!(watched.in_state("firing").await["since"], "2026-04-24T09:32:00Z");
    watched.recovers().await;
    watched.told(&["firing", "resolved"]).await;
    assert_eq!(watched.log.words(), WHOLE);
}

#[tokio::test]
async fn one_process_judges_and_the_other_takes_over_when_it_is_gone() {
    let watched = Watched::serving().await;
    let (address, shutdown, other) = watched.server.another().await;
    let http = &watched.server.http;
    let asked = async || {
        let answer = http.get(format!("http://{address}{ALERTS}")).timeout(DEADLINE).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")
    };
    let until = async |what: &str, is_so: fn(&Value) -> bool| {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let body = asked().await;
            if is_so(&body) {
                return;
            }
            assert!(Instant::now() < deadline, "not {what}: {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until("following", |body| body["judge"]["state"] == "following").await;
    watched.fires().await;
    // The other one tells what the first has judged.
    until("firing", |body| body["alerts"][0]["state"] == "firing" && body["judge"]["state"] == "following").await;
    watched.server.shutdown.begin("the test stops it");
    until("judging", |body| body["judge"]["state"] == "judging").await;
    watched.counts(&[("2026-04-24T09:33:30Z", "v1", "de", 1); 4], "2026-04-24T09:34:00Z").await;
    until("ok", |body| body["alerts"][0]["state"] == "ok").await;
    watched.told(&["firing", "resolved"]).await;
    assert_eq!(watched.log.words(), WHOLE);
    watched.each_id_is_written_once();
    shutdown.begin("the test stops it");
    tokio::time::timeout(DEADLINE, other).await.expect("in time").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_process_that_was_fenced_writes_nothing_more_and_stays_back() {
    let watched = Watched::serving().await;
    watched.log.fence();
    watched.server.until(ALERTS, |_, body| body["judge"]["state"] == "following").await;
    // Whoever has fenced it is never heard of again, so it takes over once more.
    watched.server.until(ALERTS, |_, body| body["judge"]["state"] == "judging").await;
    watched.fires().await;
    watched.told(&["firing"]).await;
    assert_eq!(watched.log.words(), WHOLE[..3]);
    watched.each_id_is_written_once();
}

#[tokio::test]
async fn transactions_that_fail_or_whose_reply_is_lost_write_each_change_once() {
    let watched = Watched::serving().await;
    for (outcome, as_of) in [
        (Outcome::Lost, "2026-04-24T09:31:00Z"),
        (Outcome::ReplyLost, "2026-04-24T09:32:00Z"),
        (Outcome::ReplyLost, "2026-04-24T09:33:00Z"),
    ] {
        watched.log.next(outcome);
        watched.counts(&[LONG_AGO], as_of).await;
        watched.judged_to(as_of).await;
    }
    watched.told(&["firing"]).await;
    assert_eq!(watched.log.words(), WHOLE[..3]);
    watched.each_id_is_written_once();
}

#[tokio::test]
async fn a_notification_is_posted_until_it_is_taken_by_whichever_process() {
    let mut watched = Watched::new().await;
    let secret = watched.server.store_folder().with_file_name("secret");
    std::fs::write(&secret, "Bearer of news\n").expect("written");
    watched.server.settings.alerts.webhook_authorization_file = secret.display().to_string();
    watched.server.serve().await;
    watched.judged_to("2026-04-24T09:30:00Z").await;
    watched.receiver.refuse(true);
    watched.fires().await;
    let body = watched.server.until(ALERTS, |_, body| body["webhook"]["error"].is_string()).await;
    assert_eq!(body["webhook"]["undelivered"], 1);
    let error = body["webhook"]["error"].as_str().expect("a reason");
    assert!(error.contains("503") && !error.contains("/hook"), "the address may hold a secret: {error}");
    watched.restarts().await;
    watched.receiver.refuse(false);
    watched.told(&["firing"]).await;
    watched.server.until(ALERTS, |_, body| body["webhook"]["undelivered"] == 0).await;
    let posts = watched.receiver.posts();
    assert!(posts.len() > 1 && posts.iter().all(|post| post.id == posts[0].id), "{posts:?}");
    assert!(posts.iter().all(|post| post.authorization.as_deref() == Some("Bearer of news")));
}

#[tokio::test]
async fn what_waits_for_a_receiver_is_bounded_and_the_newest_of_each_alert_stays() {
    let mut watched = Watched::new().await;
    watched.receiver.refuse(true);
    // As it is where the receiver was away for long: one alert has changed once, and another one again and again.
    let owed = |number: u64| {
        let id = change_id("braid", if number == 1 { "quiet" } else { "busy" }, 7, number);
        undelivered_record(&Undelivered { id, number, body: json!({"status": "firing"}) })
    };
    watched.log.owes((1..=1_003).map(owed));
    watched.server.serve().await;
    watched.server.until(ALERTS, |_, body| body["webhook"]["undelivered"] == 1_000).await;
    assert_eq!(watched.log.owed(), [1].into_iter().chain(5..=1_003).collect::<Vec<u64>>());
    watched.judged_to("2026-04-24T09:30:00Z").await;
    watched.fires().await;
    assert_eq!(watched.log.owed(), [1].into_iter().chain(6..=1_004).collect::<Vec<u64>>());
    let posts = watched.receiver.posts();
    assert!(posts.iter().all(|post| !post.taken && post.id == change_id("braid", "quiet", 7, 1)), "{posts:?}");
}

#[tokio::test]
async fn an_alert_that_another_version_does_not_declare_is_resolved() {
    let (watched, promote) = Watched::fires_in_the_first_of_two_versions().await;
    promote();
    watched.told(&["firing", "resolved"]).await;
    let last = watched.log.changes().pop().expect("a change");
    assert_eq!(last["reason"], "the alert is not declared any more");
    let body = watched.server.until(ALERTS, |_, body| body["version"] == "v2").await;
    assert_eq!(body["alerts"], json!([]));
    assert_eq!(watched.receiver.told().len(), 2);
}

#[tokio::test]
async fn what_is_owed_of_the_last_alert_is_posted_by_the_next_process() {
    let (mut watched, promote) = Watched::fires_in_the_first_of_two_versions().await;
    watched.told(&["firing"]).await;
    watched.server.until(ALERTS, |_, body| body["webhook"]["undelivered"] == 0).await;
    watched.receiver.refuse(true);
    promote();
    let is_owed = |_: u16, body: &Value| body["alerts"] == json!([]) && body["webhook"]["undelivered"] == 1;
    watched.server.until(ALERTS, is_owed).await;
    // No alert is declared or known any more, and the receiver has not heard that this one is resolved.
    watched.restarts().await;
    watched.receiver.refuse(false);
    watched.told(&["firing", "resolved"]).await;
    watched.server.until(ALERTS, |_, body| body["webhook"]["undelivered"] == 0).await;
    watched.each_id_is_written_once();
}

#[tokio::test]
async fn without_alerts_nothing_is_written() {
    let (log, mut server) = (AlertTopics::default(), TestServer::new().await);
    server.alerts = Some(Arc::new(log.clone()));
    server.topics.set(&[0]);
    server.serve().await;
    let body = server.until(ALERTS, |_, body| body["judge"]["state"] == "idle").await;
    assert_eq!(body["alerts"], json!([]));
    assert_eq!(log.changes(), Vec::<Value>::new());
    let (status, problem) = server.get(&format!("{ALERTS}?limit=1")).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("limit")));
}
