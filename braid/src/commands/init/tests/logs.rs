//! Access logs.

use super::*;

#[test]
fn what_clients_may_leave_out_is_optional() {
    let log = sample("", 40, |n| match n {
        // Bytes of another protocol, and a quote in the user agent, as Apache and nginx write them.
        5 => r#"2001:db8::7 - frank [25/Nov/2026:10:05:00 +0100] "\x16\x03" 400 - "-" "say \"hi\"""#.to_owned(),
        6 => r#"203.0.113.6 - - [25/Nov/2026:10:06:00 +0100] "GET //favicon.ico HTTP/1.1" 404 0 "" "say \x22hi\x22""#
            .to_owned(),
        _ => format!(
            r#"203.0.113.{} - - [25/Nov/2026:10:{n:02}:00 +0100] "{} /p/{n} HTTP/1.1" {} {} "-" "Mozilla/5.0 (a; b)""#,
            n % 9,
            ["GET", "POST"][n % 2],
            [200, 304][n % 2],
            n * 10,
        ),
    });
    let lines = [
        r#"format = "combined""#,
        "# no event_id: no field looks like one, so no event counts as a duplicate",
        r#"event_time = "time""#,
        r#"key = "status""#,
        r#"remote_host = "string""#,
        r#"user = "string?""#,
        r#"time = "timestamp""#,
        r#"method = "string?""#,
        r#"status = "int""#,
        r#"bytes = "int?""#,
        r#"user_agent = "string?""#,
        r#"by = ["status", "method"]"#,
        r#"access = "count()""#,
        r#"bytes = "sum(bytes)""#,
    ];
    says("access.log", &log, 0, &lines);
    let text = draft("access.log", &log).expect("guessed").text;
    assert!(!text.contains("time_zone") && !text.contains("null = "), "{text}");
}

#[test]
fn a_log_may_end_before_the_referer() {
    let log =
        sample("", 20, |n| format!(r#"203.0.113.7 - - [25/Nov/2026:10:{n:02}:00 +0000] "GET / HTTP/1.0" 200 {n}"#));
    says("common.log", &log, 0, &[r#"format = "combined""#, r#"user_agent = "string?""#, r#"grain = "1m""#]);
}
