//! JSON, one object a line.

use super::*;

pub(super) fn orders() -> String {
    sample("", 40, |n| {
        let country = ["DE", "FR", "US"][n % 3];
        let coupon = if n % 2 == 0 { format!("\"SAVE{}\"", n % 3) } else { "null".to_owned() };
        format!(
            r#"{{"order_id":"o-{n}","placed_at":"2026-11-25T10:{n:02}:00Z","country":"{country}","items":{},"price":{n}.5,"coupon":{coupon}}}"#,
            n % 5 + 1
        )
    })
}

#[test]
fn nested_members_and_odd_names_are_fields() {
    let tracker = sample("", 40, |n| {
        let country = ["\"DE\"", "\"FR\"", "null"][n % 3];
        let amount = if n % 4 == 0 { ",\"amount\":12.5" } else { "" };
        format!(
            r#"{{"event":{{"id":"e-{n}","type":"{}","ts":{}}},"user":{{"id":{},"firstName":"n{n}"}},"context":{{"page.url":"/{n}","geo":{{"country":{country}}}}},"items":[{{"sku":"a"}}]{amount}}}"#,
            ["view", "click"][n % 2],
            1_795_600_000_000 + n * 1_000,
            1_000 + n % 7,
        )
    });
    let lines = [
        r#"event_id = "event_id""#,
        r#"event_time = "event_ts""#,
        r#"key = "event_type""#,
        r#"event_id = { type = "string", path = "event.id" }"#,
        r#"event_ts = { type = "timestamp", path = "event.ts" }"#,
        r#"user_id = { type = "int", path = "user.id" }"#,
        r#"user_first_name = { type = "string", path = "user.firstName" }"#,
        r#"context_page_url = { type = "string", path = ["context", "page.url"] }"#,
        r#"context_geo_country = { type = "string?", path = "context.geo.country" }"#,
        r#"amount = "float?""#,
        r#"# - arrays, of which a field can take an element (first_of_it = { type = "string?", path = "items[0]" }): items"#,
        r#"by = ["event_type", "context_geo_country"]"#,
        r#"tracker = "count()""#,
        r#"amount = "sum(amount)""#,
    ];
    says("tracker.json", &tracker, 0, &lines);
}

#[test]
fn logs_of_programs_have_dots_and_signs_in_their_names() {
    let logs = sample("", 30, |n| {
        format!(
            r#"{{"@timestamp":"2026-11-25T10:00:{n:02}.123Z","log.level":"{}","http.response.status_code":{},"message":"m {n}","duration_ms":{n}}}"#,
            ["info", "warn"][n % 2],
            [200, 404, 500][n % 3],
        )
    });
    let lines = [
        "# no event_id: no field looks like one, so no event counts as a duplicate",
        r#"timestamp = { type = "timestamp", path = "@timestamp" }"#,
        r#"log_level = { type = "string", path = ["log.level"] }"#,
        r#"http_response_status_code = { type = "int", path = ["http.response.status_code"] }"#,
        r#"by = ["http_response_status_code", "log_level"]"#,
        r#"duration_ms = "sum(duration_ms)""#,
    ];
    says("app.log", &logs, 0, &lines);
}

#[test]
fn cloud_events_are_identified_by_two_attributes() {
    let events = sample("", 30, |n| {
        format!(
            r#"{{"specversion":"1.0","id":"{}","source":"/shop/{}","type":"{}","time":"2026-11-25T10:00:{n:02}+01:00","data":{{"amount":{n}}}}}"#,
            n / 2,
            n % 2,
            ["sale", "refund"][n / 2 % 2],
        )
    });
    let lines = [
        r#"event_id = ["source", "id"]"#,
        r#"event_time = "time""#,
        r#"by = ["type"]"#,
        r#"data_amount = { type = "int", path = "data.amount" }"#,
        r#"data_amount = "sum(data_amount)""#,
    ];
    says("events", &events, 0, &lines);
}

#[test]
fn events_of_many_shapes_have_optional_fields() {
    let archive = sample("", 40, |n| {
        let (kind, payload) = match n % 4 {
            0 => ("WatchEvent", r#"{"action":"started"}"#.to_owned()),
            1 => ("CreateEvent", r#"{"ref":null,"ref_type":"repository"}"#.to_owned()),
            _ => ("PushEvent", format!(r#"{{"push_id":{n},"size":{},"commits":[{{"sha":"a"}}]}}"#, n % 5)),
        };
        format!(
            r#"{{"id":"24896{n}","type":"{kind}","actor":{{"id":{n},"login":"u{n}"}},"repo":{{"id":{0},"name":"o/r{0}"}},"payload":{payload},"public":true,"created_at":"2026-11-25T10:{n:02}:00Z"}}"#,
            n % 6,
        )
    });
    let lines = [
        r#"event_id = "id""#,
        r#"event_time = "created_at""#,
        r#"public = "bool""#,
        r#"repo_name = { type = "string", path = "repo.name" }"#,
        r#"payload_size = { type = "int?", path = "payload.size" }"#,
        r#"payload_ref_type = { type = "string?", path = "payload.ref_type" }"#,
        r#"by = ["type", "repo_name"]"#,
    ];
    says("2026-11-25-10.json", &archive, 0, &lines);
}

#[test]
fn numbers_since_1970_tell_their_unit() {
    let of = |factor: u64, fraction: &str| {
        sample("", 20, |n| format!(r#"{{"time":{}{fraction},"n":{n}}}"#, (1_795_600_000 + n as u64) * factor))
    };
    says("s.json", &of(1, ".25"), 0, &[r#"time = { type = "timestamp", format = "epoch_s" }"#]);
    says("ms.json", &of(1_000, ""), 0, &[r#"time = "timestamp""#]);
    says("us.json", &of(1_000_000, ""), 0, &[r#"time = { type = "timestamp", format = "epoch_us" }"#]);
    says("ns.json", &of(1_000_000_000, ""), 0, &[r#"time = { type = "timestamp", format = "epoch_ns" }"#]);
}

#[test]
fn types_that_change_are_texts_or_left_out() {
    let events = sample("", 30, |n| {
        let (code, flag) = if n % 2 == 0 { ("7", "true") } else { ("\"x\"", "\"yes\"") };
        format!(r#"{{"ts":"2026-11-25 10:00:{n:02}","code":{code},"flag":{flag},"big":18446744073709551615}}"#)
    });
    let lines = [
        r#"time_zone = "UTC""#,
        r#"code = { type = "string", numbers = true }"#,
        r#"big = { type = "string", numbers = true }"#,
        "# - flag: no type takes all of its values, such as `true` and `yes`",
        r#"by = ["code"]"#,
    ];
    says("mixed.json", &events, 0, &lines);
}

#[test]
fn a_few_broken_lines_do_not_change_the_guess() {
    let events = sample("", 300, |n| match n {
        7 => "{\"id\":".to_owned(),
        8 => r#"{"oops":1}"#.to_owned(),
        9 => r#"{"id":"9","at":"2026-11-25T10:00:00Z","amount":"much","site":"a"}"#.to_owned(),
        _ => format!(
            r#"{{"id":"{n}","at":"2026-11-25T10:00:{:02}Z","amount":{n},"site":"{}"}}"#,
            n % 60,
            ["a", "b"][n % 2]
        ),
    });
    let lines =
        [r#"id = "string""#, r#"at = "timestamp""#, r#"amount = "int""#, r#"site = "string""#, r#"event_id = "id""#];
    says("broken.json", &events, 3, &lines);
    let told = draft("broken.json", &events).expect("guessed").verdicts.summary();
    let expected = "the catalog rejects 3: 1 not_json (first on line 8), 1 missing_field (first on line 9, field id), \
                    1 wrong_type (first on line 10, field amount)";
    assert_eq!(told, expected);
}
