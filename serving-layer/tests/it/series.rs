//! Series over both layers.

use serde_json::{Value, json};

use crate::test_server::{Row, TOTAL, TestServer};

const AS_OF: &str = "2026-04-24T09:30:12Z";

async fn server() -> TestServer {
    let mut server = TestServer::new().await;
    server.topics.set(&[4]);
    server.archive_begins().await;
    let version = server.archive_rows(0, 4).await;
    let rows = [
        ("2026-04-24T08:10:00Z", "v1", "de", 2, Some(100), 60),
        ("2026-04-24T08:59:00Z", "v1", "fr", 1, Some(10), 10),
        ("2026-04-24T09:00:00Z", "v1", "de", 1, Some(5), 5),
    ];
    server.view(&[2], version, &rows).await;
    server.open(0, 2).await;
    server.apply(0, &[("2026-04-24T09:05:30Z", "v1", "de", 9), ("2026-04-24T11:00:00Z", "v1", "fr", 1)], AS_OF).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    server
}

fn shape(series: &Value) -> Vec<(&str, i64, &str)> {
    let points = series["points"].as_array().expect("points");
    points
        .iter()
        .map(|point| {
            let views = point["values"]["views"].as_i64().expect("a number");
            (point["start"].as_str().expect("a start"), views, point["layer"].as_str().expect("a layer"))
        })
        .collect()
}

#[tokio::test]
async fn steps_hold_what_a_total_over_them_would() {
    let server = server().await;
    let series = server.ok("/v1/metrics/views/series?step=1h").await;
    let expected = [
        ("2026-04-24T08:00:00Z", 3, "batch"),
        ("2026-04-24T09:00:00Z", 2, "both"),
        ("2026-04-24T10:00:00Z", 0, "batch"),
        ("2026-04-24T11:00:00Z", 1, "speed"),
    ];
    assert_eq!(shape(&series), expected);
    assert_eq!(
        series["points"][0]["values"],
        json!({"views": 3, "dwell_ms": 110, "longest": 60, "mean_ms": 110.0 / 3.0})
    );
    assert_eq!(series["points"][2]["values"], json!({"views": 0, "dwell_ms": 0, "longest": null, "mean_ms": null}));
    assert_eq!((&series["from"], &series["to"]), (&json!("2026-04-24T08:00:00Z"), &json!("2026-04-24T12:00:00Z")));
    assert_eq!((&series["step"], &series["grain"]), (&json!("1h"), &json!("1m")));
    assert_eq!(
        (&series["complete"], &series["authoritative"], &series["as_of"]),
        (&json!(true), &json!(false), &json!(AS_OF))
    );
    assert_eq!(series["provenance"]["batch"]["values"]["views"], 4);
    assert_eq!(series["provenance"]["speed"]["values"]["views"], 2);
    assert!(series.get("values").is_none());
    for (start, views, _) in expected {
        let hour = format!("from={start}&to={}", start.replace(":00:00Z", ":59:01Z"));
        let total = server.ok(&format!("/v1/metrics/views/total?{hour}")).await;
        assert_eq!(total["values"]["views"], views, "{hour}");
    }

    let fine = server.ok("/v1/metrics/views/series?country=de&from=2026-04-24T08:58:30Z&to=2026-04-24T09:01:30Z").await;
    let minutes = [("58", 0), ("59", 0)].map(|(minute, views)| (format!("2026-04-24T08:{minute}:00Z"), views));
    let more = [("00", 1), ("01", 0)].map(|(minute, views)| (format!("2026-04-24T09:{minute}:00Z"), views));
    let got: Vec<(String, i64)> = shape(&fine).into_iter().map(|(start, views, _)| (start.to_owned(), views)).collect();
    assert_eq!(got, minutes.into_iter().chain(more).collect::<Vec<_>>());
    assert_eq!((&fine["authoritative"], &fine["key"]), (&json!(true), &json!({"country": "de"})));

    let days = server.ok("/v1/metrics/views/series?step=1d&from=2026-04-23T05:00:00Z&to=2026-04-24T10:00:00Z").await;
    assert_eq!(shape(&days), [("2026-04-23T00:00:00Z", 0, "batch"), ("2026-04-24T00:00:00Z", 6, "both")]);
}

#[tokio::test]
async fn open_ends_are_found_in_the_data() {
    let mut server = server().await;
    let unseen = server.ok("/v1/metrics/views/series?video=v9").await;
    assert_eq!((&unseen["points"], &unseen["from"], &unseen["to"]), (&json!([]), &Value::Null, &Value::Null));
    let until = server.ok("/v1/metrics/views/series?step=1h&to=2026-04-24T09:00:00Z").await;
    assert_eq!(shape(&until), [("2026-04-24T08:00:00Z", 3, "batch")]);
    // From a moment on: to the step that holds now, so that silence shows.
    let (status, problem) = server.get("/v1/metrics/views/series?from=2020-01-01T00:00:00Z").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("from")), "{problem}");
    let recent = server.ok("/v1/metrics/views/series?from=-10m").await;
    let points = recent["points"].as_array().expect("points").len();
    assert!((11..=12).contains(&points), "{points} points");
    // Everything may be too much, too.
    server.shutdown.begin("another setting");
    server.ended().await;
    server.shutdown = platform::shutdown::Shutdown::new();
    server.settings.http.max_points = 100;
    server.serve().await;
    let (status, problem) = server.get("/v1/metrics/views/series").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("from")), "{problem}");
    assert!(problem["detail"].as_str().expect("a detail").contains("171 points"), "{problem}");
    assert_eq!(shape(&server.ok("/v1/metrics/views/series?step=1h").await).len(), 4);
}

#[tokio::test]
async fn a_range_with_an_open_end_is_read_as_far_as_an_answer_can_go() {
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    let minute = |n: i64| -> &'static str { format!("2026-04-24T{:02}:{:02}:00Z", n / 60, n % 60).leak() };
    let rows: Vec<Row> = (0..120).map(|n| (minute(n), "v1", "de", 1, Some(1), 1)).collect();
    let version = server.archive_rows(0, 1).await;
    server.view(&[1], version, &rows).await;
    server.open(0, 1).await;
    server.apply(0, &[(minute(0), "v1", "de", 1)], AS_OF).await;
    server.settings.http.max_points = 100;
    server.serve().await;
    server.until_complete(TOTAL).await;
    for (query, most) in [("", 100), ("?from=2026-04-24T00:01:00Z", 100), ("?video=v1&video=v2", 50)] {
        let (status, problem) = server.get(&format!("/v1/metrics/views/series{query}")).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!("from")), "{query}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(&format!("more than {most} steps of 1m")), "{query}: {detail}");
    }
    let to = minute(100);
    let whole = server.ok(&format!("/v1/metrics/views/series?to={to}")).await;
    assert_eq!(shape(&whole).len(), 100, "as many as there may be");
}

#[tokio::test]
async fn no_answer_leaves_the_year_9999() {
    const END: &str = "9999-12-31T23:59:59.999999Z";
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let version = server.archive_rows(0, 1).await;
    server.view(&[1], version, &[("9999-12-31T23:59:00Z", "v1", "de", 1, Some(1), 1)]).await;
    server.apply(0, &[("9999-12-31T23:59:10Z", "v1", "de", 1)], AS_OF).await;
    server.rotate(0).await;
    server.apply(0, &[("9999-12-31T23:59:59.5Z", "v1", "de", 1)], AS_OF).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    let (to_the_end, until_the_end) = (format!("from=9999-12-31T23:58:00Z&to={END}"), format!("?to={END}"));
    for (query, from, points) in [
        ("", "9999-12-31T23:59:00Z", 1),
        ("step=1h", "9999-12-31T23:00:00Z", 1),
        // Weeks begin on Mondays, so the last one reaches into the year 10000.
        ("step=7d", "9999-12-27T00:00:00Z", 1),
        ("step=7d&tz=America/New_York", "9999-12-27T05:00:00Z", 1),
        ("step=1mo", "9999-12-01T00:00:00Z", 1),
        ("from=9999-12-31T23:58:00Z", "9999-12-31T23:58:00Z", 2),
        ("from=9999-12-31T23:58:00Z&to=9999-12-31T23:59:01Z", "9999-12-31T23:58:00Z", 2),
        (to_the_end.as_str(), "9999-12-31T23:58:00Z", 2),
    ] {
        let series = server.ok(&format!("/v1/metrics/views/series?{query}")).await;
        assert_eq!((&series["from"], &series["to"]), (&json!(from), &json!(END)), "{query}");
        let shape = shape(&series);
        assert_eq!((shape.len(), shape.last().map(|last| last.1)), (points, Some(2)), "{query}: {series}");
    }
    let totals = [("", Value::Null), ("?to=9999-12-31T23:59:01Z", json!(END)), (until_the_end.as_str(), json!(END))];
    for (query, to) in totals {
        let total = server.ok(&format!("{TOTAL}{query}")).await;
        assert_eq!((&total["to"], &total["values"]["views"]), (&to, &json!(2)), "{query}");
    }
    let first = server.ok(&format!("{TOTAL}?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:00Z")).await;
    assert_eq!((&first["from"], &first["to"]), (&json!("0001-01-01T00:00:00Z"), &json!("9999-12-31T23:59:00Z")));
    assert_eq!(first["values"]["views"], 0);
}

/// Events around both changes of daylight saving in Berlin. Some are in the view, and others came late.
async fn around_changes() -> TestServer {
    let mut server = TestServer::new().await;
    server.topics.set(&[6]);
    server.archive_begins().await;
    let version = server.archive_rows(0, 6).await;
    let rows = [
        ("2026-03-28T22:59:00Z", "v1", "de", 1, Some(1), 1),
        ("2026-03-28T23:00:00Z", "v1", "de", 2, Some(1), 1),
        ("2026-03-29T21:59:00Z", "v1", "de", 4, Some(1), 1),
        ("2026-10-24T22:00:00Z", "v1", "de", 8, Some(1), 1),
    ];
    server.view(&[3], version, &rows).await;
    server.open(0, 3).await;
    let late = [
        ("2026-03-29T22:00:00Z", "v1", "de", 1),
        ("2026-10-25T00:30:00Z", "v1", "de", 1),
        ("2026-10-25T01:30:00Z", "v1", "de", 1),
        ("2026-10-25T22:59:59Z", "v2", "de", 1),
    ];
    server.apply(0, &late, AS_OF).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    server
}

#[tokio::test]
async fn days_and_weeks_are_those_of_a_zone() {
    let server = around_changes().await;
    let berlin = "/v1/metrics/views/series?tz=Europe/Berlin";
    let days = server.ok(&format!("{berlin}&step=1d&from=2026-03-28T00:00:00Z&to=2026-03-30T10:00:00Z")).await;
    let expected = [
        ("2026-03-27T23:00:00Z", 1, "batch"),
        ("2026-03-28T23:00:00Z", 6, "batch"),
        ("2026-03-29T22:00:00Z", 1, "speed"),
    ];
    assert_eq!(shape(&days), expected);
    assert_eq!(
        (&days["tz"], &days["step"], &days["to"]),
        (&json!("Europe/Berlin"), &json!("1d"), &json!("2026-03-30T22:00:00Z"))
    );
    assert_eq!(days["points"][1]["end"], "2026-03-29T22:00:00Z", "a day of 23 hours");
    let day = "from=2026-10-25T00:00:00Z&to=2026-10-25T00:01:00Z";
    let autumn = server.ok(&format!("{berlin}&step=1d&{day}")).await;
    assert_eq!(shape(&autumn), [("2026-10-24T22:00:00Z", 11, "both")]);
    assert_eq!(autumn["points"][0]["end"], "2026-10-25T23:00:00Z", "a day of 25 hours");
    let hours = server.ok(&format!("{berlin}&step=1h&from=2026-10-24T22:00:00Z&to=2026-10-25T23:00:00Z")).await;
    let counts: Vec<i64> = shape(&hours).into_iter().map(|point| point.1).collect();
    assert_eq!((counts.len(), counts[0], &counts[2..5], counts[24]), (25, 8, &[1, 1, 0][..], 1));

    let weeks = server.ok(&format!("{berlin}&step=7d&to=2026-04-01T00:00:00Z")).await;
    assert_eq!(shape(&weeks), [("2026-03-22T23:00:00Z", 7, "batch"), ("2026-03-29T22:00:00Z", 1, "speed")]);
    let utc = server.ok("/v1/metrics/views/series?step=7d&to=2026-04-01T00:00:00Z").await;
    let of_utc = [("2026-03-23T00:00:00Z", 8, "both"), ("2026-03-30T00:00:00Z", 0, "batch")];
    assert_eq!(shape(&utc), of_utc, "weeks of UTC");
    assert!(utc.get("tz").is_none() && utc["points"][0].get("end").is_none(), "{utc}");
    let months = server.ok(&format!("{berlin}&step=1mo")).await;
    let filled = shape(&months);
    assert_eq!(
        (filled.len(), filled[0], filled[7]),
        (8, ("2026-02-28T23:00:00Z", 8, "both"), ("2026-09-30T22:00:00Z", 11, "both"))
    );

    let (status, problem) = server.get("/v1/metrics/views/series?tz=Europe/Berlinn").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("tz")), "{problem}");
}

#[tokio::test]
async fn a_window_ends_with_each_step() {
    let server = server().await;
    let ask = "/v1/metrics/views/series?step=1h&window=2h";
    let all = server.ok(ask).await;
    let expected = [
        ("2026-04-24T07:00:00Z", 3, "batch"),
        ("2026-04-24T08:00:00Z", 5, "both"),
        ("2026-04-24T09:00:00Z", 2, "both"),
        ("2026-04-24T10:00:00Z", 1, "speed"),
    ];
    assert_eq!(shape(&all), expected);
    assert_eq!(
        (&all["window"], &all["from"], &all["to"]),
        (&json!("2h"), &json!("2026-04-24T08:00:00Z"), &json!("2026-04-24T12:00:00Z"))
    );
    assert_eq!(all["points"][1]["values"], json!({"views": 5, "dwell_ms": 124, "longest": 60, "mean_ms": 124.0 / 5.0}));
    let later = server.ok(&format!("{ask}&from=2026-04-24T09:00:00Z&to=2026-04-24T10:00:00Z")).await;
    assert_eq!(shape(&later), expected[1..2], "what lies before the range is read");
    assert_eq!(later["points"][0]["end"], "2026-04-24T10:00:00Z");
    assert_eq!(later["provenance"]["batch"]["values"]["views"], 4, "of all that the points cover");
    for point in all["points"].as_array().expect("points") {
        let (start, end) = (&point["start"].as_str().expect("text"), &point["end"].as_str().expect("text"));
        let total = server.ok(&format!("{TOTAL}?from={start}&to={end}")).await;
        assert_eq!(total["values"], point["values"], "{start}");
    }
    let unseen = server.ok(&format!("{ask}&video=v9")).await;
    assert_eq!((&unseen["points"], &unseen["from"]), (&json!([]), &Value::Null));
    let (status, problem) = server.get("/v1/metrics/views/series?step=1m&window=366d").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("window")), "{problem}");
}
