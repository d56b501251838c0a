//! The forms in which answers about metrics are asked for and sent: several keys, several queries, CSV, tags and compression.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::test_server::{ABSENT, DEADLINE, TOTAL, TestServer};

const AS_OF: &str = "2026-04-24T09:30:12Z";
const SERIES: &str = "/v1/metrics/views/series";

async fn server() -> TestServer {
    let mut server = TestServer::new().await;
    server.topics.set(&[4]);
    server.archive_begins().await;
    let version = server.archive_rows(0, 4).await;
    let rows = [
        ("2026-04-24T08:10:00Z", "v1", "de", 2, Some(100), 60),
        ("2026-04-24T08:59:00Z", "v2", "fr", 1, Some(10), 10),
        ("2026-04-24T09:00:00Z", "v, \"3\"", ABSENT, 1, Some(5), 5),
    ];
    server.view(&[2], version, &rows).await;
    server.open(0, 2).await;
    server.apply(0, &[("2026-04-24T09:05:30Z", "v1", "de", 9), ("2026-04-24T09:06:00Z", "v2", ABSENT, 1)], AS_OF).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    server
}

async fn sent(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let header = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
    };
    let url = format!("http://{}{path}", server.address());
    let request = server.http.get(&url).headers(headers.iter().map(header).collect()).timeout(DEADLINE);
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.expect("a body").to_vec())
}

/// A header of an answer; empty if it has none of that name.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn posted(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}{path}", server.address());
    let response = server.http.post(&url).json(body).timeout(DEADLINE).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// An answer to one key, as far as it stands in one to several.
fn of_one(mut answer: Value) -> Value {
    let kept = ["key", "values", "authoritative", "provenance", "points", "overflow", "bounds"];
    answer.as_object_mut().expect("an object").retain(|name, _| kept.contains(&name.as_str()));
    for layer in ["batch", "speed"] {
        answer["provenance"][layer].as_object_mut().expect("an object").retain(|name, _| name == "values");
    }
    answer
}

#[tokio::test]
async fn several_keys_are_answered_as_each_alone() {
    let server = server().await;
    for path in [format!("{TOTAL}?"), format!("{SERIES}?step=1h&from=2026-04-24T08:00:00Z&to=2026-04-24T10:00:00Z&")] {
        let all = server.ok(&format!("{path}video=v2&video=v9&video=v1")).await;
        let keys = all["keys"].as_array().expect("keys");
        assert_eq!((keys.len(), all.get("key"), all.get("values")), (3, None, None), "{all}");
        for (video, answer) in ["v2", "v9", "v1"].iter().zip(keys) {
            let alone = server.ok(&format!("{path}video={video}")).await;
            assert_eq!(answer, &of_one(alone.clone()), "{path}");
            for same in ["version", "metric", "from", "to", "complete", "gaps", "as_of"] {
                assert_eq!(all[same], alone[same], "{path}: {same}");
            }
        }
        assert_eq!(
            (&all["authoritative"], &all["provenance"]["batch"]["version"]),
            (&json!(false), &json!(1)),
            "{all}"
        );
    }
    let two = server.ok(&format!("{TOTAL}?video=v1&video=v2&country=de&country=fr")).await;
    let shown: Vec<_> =
        two["keys"].as_array().expect("keys").iter().map(|of| (&of["key"], &of["values"]["views"])).collect();
    let key = |video: &str, country: &str| json!({"video": video, "country": country});
    let (a, b, c, d) = (key("v1", "de"), key("v1", "fr"), key("v2", "de"), key("v2", "fr"));
    assert_eq!(shown, [(&a, &json!(3)), (&b, &json!(0)), (&c, &json!(0)), (&d, &json!(1))]);
    // Open ends are those of the keys together.
    let open = server.ok(&format!("{SERIES}?step=1h&video=v2&video=v1")).await;
    assert_eq!((&open["from"], &open["to"]), (&json!("2026-04-24T08:00:00Z"), &json!("2026-04-24T10:00:00Z")));
    let (status, problem) = server.get(&format!("{TOTAL}?video=v1&video=v1")).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("video")), "{problem}");
    let many: String = (0..101).map(|n| format!("video=v{n}&")).collect();
    let (status, problem) = server.get(&format!("{TOTAL}?{many}")).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("video")), "{problem}");
    let most: String = (0..100).map(|n| format!("video=v{n}&")).collect();
    assert_eq!(server.ok(&format!("{TOTAL}?{most}")).await["keys"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn several_keys_cost_one_look_and_one_script() {
    let server = server().await;
    // Something new, so that counters are read.
    server.apply(0, &[("2026-04-24T09:07:00Z", "v1", "de", 1)], AS_OF).await;
    let most: String = (0..90).map(|n| format!("video=v{n}&")).collect();
    let before = server.calls("hget").await;
    let scripts = server.calls("evalsha").await;
    let total = server.ok(&format!("{TOTAL}?{most}")).await;
    assert_eq!(total["keys"][1]["values"]["views"], 4, "{total}");
    let read = server.calls("hget").await - before;
    assert!(read >= 90, "{read} fields");
    assert_eq!(server.calls("evalsha").await - scripts, 1, "all keys of a shard are read by one script");
}

#[tokio::test]
async fn several_queries_are_answered_as_each_alone() {
    let server = server().await;
    let queries = json!({"queries": [
        {"metric": "views", "answer": "total", "parameters": {"video": ["v1", "v2"], "require": "complete"}},
        {"metric": "views", "answer": "series", "parameters": {"step": "1h", "country.missing": true}},
        {"metric": "views", "answer": "top", "parameters": {"by": "video", "limit": 1}},
        {"metric": "views", "answer": "keys", "parameters": {"by": "video", "prefix": "v"}},
        {"metric": "views", "answer": "total"},
    ]});
    let (status, body) = posted(&server, "/v1/query", &queries).await;
    assert_eq!(status, 200, "{body}");
    let paths = [
        "total?video=v1&video=v2",
        "series?step=1h&country.missing=true",
        "top?by=video&limit=1",
        "keys?by=video&prefix=v",
        "total",
    ];
    let answers = body["answers"].as_array().expect("answers");
    assert_eq!((&body["version"], answers.len()), (&json!("v1"), 5));
    for (path, answer) in paths.iter().zip(answers) {
        let mut alone = server.ok(&format!("/v1/metrics/views/{path}")).await;
        let mut answer = answer.clone();
        for timed in [&mut alone, &mut answer] {
            if let Some(lag) = timed.pointer_mut("/provenance/speed/lag_ms") {
                *lag = Value::Null;
            }
        }
        assert_eq!(answer, alone, "{path}");
    }
}

#[tokio::test]
async fn one_query_that_cannot_be_answered_is_named() {
    let server = server().await;
    let total = json!({"metric": "views", "answer": "total"});
    let with = |name: &str, value: Value| json!({"metric": "views", "answer": "series", "parameters": {name: value}});
    for (query, status, parameter) in [
        (with("step", json!("7h")), 400, "queries[1].step"),
        (with("video", json!(["a", "a"])), 400, "queries[1].video"),
        (with("video", json!(null)), 400, "queries[1].video"),
        (with("stie", json!(1)), 400, "queries[1].stie"),
        (with("version", json!("v1")), 400, "queries[1].version"),
        (json!({"metric": "viewz", "answer": "total"}), 404, "queries[1]"),
        (json!({"metric": "views", "answer": "top", "parameters": {"measure": "viewz"}}), 400, "queries[1].measure"),
    ] {
        let (got, problem) = posted(&server, "/v1/query", &json!({"queries": [total, query]})).await;
        assert_eq!((got, &problem["parameter"]), (status, &json!(parameter)), "{problem}");
    }
    for body in [
        json!({}),
        json!({"queries": [{"metric": "views", "answer": "mean"}]}),
        json!([1]),
        json!({"queries": [], "x": 1}),
    ] {
        let (status, problem) = posted(&server, "/v1/query", &body).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:braid:problem:bad-body")), "{problem}");
    }
    for count in [0, 21] {
        let (status, problem) = posted(&server, "/v1/query", &json!({"queries": vec![&total; count]})).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!("queries")), "{problem}");
    }
    // Each value would be compared with all others.
    let many: Vec<String> = (0..1_001).map(|n| format!("v{n}")).collect();
    let (status, problem) = posted(&server, "/v1/query", &json!({"queries": [with("video", json!(many))]})).await;
    let detail = problem["detail"].as_str().expect("a text");
    assert!(status == 400 && detail.contains("more than 1000 parameters"), "{problem}");
    let (status, problem) = posted(&server, "/v1/query?version=v9", &json!({"queries": [total]})).await;
    assert_eq!((status, &problem["parameter"]), (404, &json!("version")), "{problem}");
    let (status, headers, _) = sent(&server, "/v1/query", &[]).await;
    assert_eq!((status, text_of(&headers, "allow")), (405, "POST"));
}

#[tokio::test]
async fn answers_are_sent_as_csv_to_those_who_accept_it() {
    let server = server().await;
    let csv = [("accept", "text/csv")];
    let text = async |path: &str| {
        let (status, headers, body) = sent(&server, path, &csv).await;
        assert_eq!((status, text_of(&headers, "content-type")), (200, "text/csv; charset=utf-8; header=present"));
        assert_eq!((text_of(&headers, "braid-complete"), text_of(&headers, "braid-as-of")), ("true", AS_OF));
        String::from_utf8(body).expect("text")
    };
    let total = "views,dwell_ms,longest,mean_ms,layer\r\n6,125,60,20.833333333333332,\"both\"\r\n";
    assert_eq!(text(TOTAL).await, total);
    let keys = text(&format!("{TOTAL}?video=v%2C%20%223%22&video=v9&country.missing=true")).await;
    let expected = "video,country,views,dwell_ms,longest,mean_ms,layer\r\n\"v, \"\"3\"\"\",,1,5,5,5.0,\"batch\"\r\n\
                    \"v9\",,0,0,,,\"batch\"\r\n";
    assert_eq!(keys, expected);
    let series = text(&format!("{SERIES}?step=1h&country=de")).await;
    let expected = "country,start,end,views,dwell_ms,longest,mean_ms,layer\r\n\
                    \"de\",\"2026-04-24T08:00:00Z\",\"2026-04-24T09:00:00Z\",2,100,60,50.0,\"batch\"\r\n\
                    \"de\",\"2026-04-24T09:00:00Z\",\"2026-04-24T10:00:00Z\",1,9,9,9.0,\"speed\"\r\n";
    assert_eq!(series, expected);
    assert_eq!(text(&format!("{SERIES}?video=v9")).await, "video,start,end,views,dwell_ms,longest,mean_ms,layer\r\n");
    let keys = "/v1/metrics/views/keys?by=video&limit=";
    assert_eq!(text(&format!("{keys}2")).await, "video\r\n\"v, \"\"3\"\"\"\r\n\"v1\"\r\n");
    for (limit, more) in [("2", "true"), ("3", "false")] {
        for accept in ["text/csv", "application/json"] {
            let (_, headers, _) = sent(&server, &format!("{keys}{limit}"), &[("accept", accept)]).await;
            assert_eq!(text_of(&headers, "braid-more"), more, "{limit} {accept}");
        }
    }
    let (_, headers, _) = sent(&server, TOTAL, &csv).await;
    assert_eq!(text_of(&headers, "braid-more"), "", "it has no pages");
    // That there is another page now is a change of a page whose rows are the same.
    let page = format!("{keys}3");
    let tag = text_of(&sent(&server, &page, &csv).await.1, "etag").to_owned();
    let known = [csv[0], ("if-none-match", tag.as_str())];
    assert_eq!(sent(&server, &page, &known).await.0, 304);
    server.apply(0, &[("2026-04-24T09:06:30Z", "v4", "de", 1)], AS_OF).await;
    let (status, headers, _) = sent(&server, &page, &known).await;
    assert_eq!((status, text_of(&headers, "braid-more")), (200, "true"));
    // A problem is a problem, whatever is accepted; and an answer that lacks something says so.
    let (status, headers, _) = sent(&server, &format!("{SERIES}?step=7h"), &csv).await;
    assert_eq!((status, text_of(&headers, "content-type")), (400, "application/problem+json"));
    server.delete_shard(0).await;
    let (status, headers, _) = sent(&server, TOTAL, &csv).await;
    assert_eq!((status, text_of(&headers, "braid-complete")), (200, "false"));
    let (status, ..) = sent(&server, &format!("{TOTAL}?require=complete"), &csv).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let server = server().await;
    let path = format!("{SERIES}?step=1h&country=de");
    let (status, headers, _) = sent(&server, &path, &[]).await;
    let tag = text_of(&headers, "etag").to_owned();
    assert_eq!((status, text_of(&headers, "cache-control"), text_of(&headers, "vary")), (200, "no-cache", "accept"));
    // As of later, something else has changed.
    let later = "2026-04-24T09:31:00Z";
    server.apply(0, &[("2026-04-24T09:30:30Z", "v2", "fr", 1)], later).await;
    let (status, headers, body) = sent(&server, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((status, text_of(&headers, "braid-as-of"), body.len()), (304, later, 0));
    assert_eq!((text_of(&headers, "etag"), text_of(&headers, "braid-complete")), (tag.as_str(), "true"));
    for other in
        [[("if-none-match", tag.as_str()), ("accept", "text/csv")], [("if-none-match", "W/\"0\""), ("accept", "*/*")]]
    {
        assert_eq!(sent(&server, &path, &other).await.0, 200, "{other:?}");
    }
    // What is missing is a change, too.
    server.delete_shard(0).await;
    assert_eq!(sent(&server, &path, &[("if-none-match", &tag)]).await.0, 200);
    server.open(0, 2).await;
    let events = [("2026-04-24T09:05:30Z", "v1", "de", 9), ("2026-04-24T09:06:00Z", "v2", ABSENT, 1)];
    server.apply(0, &events, later).await;
    server.until_complete(TOTAL).await;
    assert_eq!(sent(&server, &path, &[("if-none-match", &tag)]).await.0, 304, "the same again");
    server.apply(0, &[("2026-04-24T09:06:00Z", "v2", "de", 1)], later).await;
    let (status, headers, _) = sent(&server, &path, &[("if-none-match", &tag)]).await;
    assert!(status == 200 && text_of(&headers, "etag") != tag);
    let (_, headers, _) = sent(&server, "/v1/status", &[]).await;
    assert_eq!((text_of(&headers, "cache-control"), text_of(&headers, "etag")), ("no-store", ""));
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_read_it() {
    let server = server().await;
    let path = format!("{SERIES}?from=2026-04-24T08:00:00Z&to=2026-04-24T10:00:00Z");
    let (_, headers, plain) = sent(&server, &path, &[]).await;
    assert_eq!((text_of(&headers, "content-encoding"), plain.len() > 5_000), ("", true));
    let (_, headers, compressed) = sent(&server, &path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(text_of(&headers, "content-encoding"), "gzip");
    assert!(compressed.len() < plain.len() / 4, "{} of {} bytes", compressed.len(), plain.len());
    let mut text = String::new();
    GzDecoder::new(compressed.as_slice()).read_to_string(&mut text).expect("gzip");
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("JSON")["points"].clone();
    assert_eq!(read(text.as_bytes()), read(&plain));
    let (_, headers, _) = sent(&server, "/healthz", &[("accept-encoding", "gzip")]).await;
    assert_eq!(text_of(&headers, "content-encoding"), "", "it is short");
}
