//! CSV and TSV.

use super::*;

#[test]
fn old_rides_need_a_zone_and_an_age() {
    let header = "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,payment_type,fare_amount,tip_amount,total_amount";
    let rides = sample(header, 40, |n| {
        format!(
            "{},2015-01-15 19:{n:02}:39,2015-01-15 20:{n:02}:42,{},1.{n},{},12,3.25,17.05",
            n % 2 + 1,
            n % 6,
            n % 4 + 1
        )
    });
    let lines = [
        r#"format = "csv""#,
        "# no event_id: no field looks like one, so no event counts as a duplicate",
        r#"event_time = "tpep_pickup_datetime""#,
        r#"time_zone = "UTC""#,
        r#"max_age = "6570d""#,
        r#"VendorID = "int""#,
        r#"tpep_dropoff_datetime = "timestamp""#,
        r#"trip_distance = "float""#,
        r#"by = ["payment_type", "VendorID"]"#,
        r#"total_amount = "sum(total_amount)""#,
        r#"fare_amount = "sum(fare_amount)""#,
    ];
    says("rides.csv", &rides, 0, &lines);
}

#[test]
fn rows_in_quotes_have_columns_of_any_name_and_marks_of_absent_values() {
    let orders = sample("Order ID,\"Ordered, at\",Country,Net Amount,Note", 40, |n| {
        let (country, amount) = (["DE", "FR", "\\N"][n % 3], ["12.5", "NA"][n % 2]);
        format!("{n},2026-11-25T10:{n:02}:00Z,{country},{amount},\"line one\nline \"\"two\"\"\"")
    });
    let lines = [
        r#"null = ["", "\\N", "NA"]"#,
        r#"event_id = "order_id""#,
        r#"event_time = "ordered_at""#,
        r#"order_id = { type = "int", path = ["Order ID"] }"#,
        r#"ordered_at = { type = "timestamp", path = ["Ordered, at"] }"#,
        r#"Country = "string?""#,
        r#"net_amount = { type = "float?", path = ["Net Amount"] }"#,
        r#"by = ["Country"]"#,
        r#"net_amount = "sum(net_amount)""#,
    ];
    says("orders.csv", &orders, 0, &lines);
}

#[test]
fn a_date_and_a_time_of_day_are_joined() {
    let sales = sample("Datum,Uhrzeit,Filiale,Betrag", 40, |n| {
        format!("{:02}.11.2026,9:{n:02},{},{n}", n % 20 + 1, ["Köln", "Bonn"][n % 2])
    });
    let lines = [
        r#"event_time = { fields = ["Datum", "Uhrzeit"], format = "%d.%m.%Y %H:%M" }"#,
        r#"time_zone = "UTC""#,
        r#"Datum = "string""#,
        r#"Uhrzeit = "string""#,
        r#"by = ["Filiale"]"#,
        r#"betrag = "sum(Betrag)""#,
    ];
    says("kasse.csv", &sales, 0, &lines);
    let iso = sample("date\ttime\tn", 20, |n| format!("2026-11-25\t10:00:{n:02}\t{n}"));
    says("iso.tsv", &iso, 0, &[r#"format = "tsv""#, r#"event_time = ["date", "time"]"#]);
    // The time that is put together is called like a column that has none.
    let taken = sample("date,time,Event_Time,n", 20, |n| format!("2026-11-25,10:00:{n:02},,{n}"));
    let lines = [r#"event_time = ["date", "time"]"#, r#"Event_Time_2 = { type = "string?", path = ["Event_Time"] }"#];
    says("taken.csv", &taken, 0, &lines);
}

#[test]
fn dates_alone_are_counted_by_day() {
    let days = sample("day,shop,visits", 40, |n| format!("11/{:02}/2026,s{},{n}", n % 12 + 1, n % 4));
    let lines = [r#"day = { type = "timestamp", format = "%m/%d/%Y" }"#, r#"grain = "24h""#, r#"by = ["shop"]"#];
    says("days.csv", &days, 0, &lines);
    let text = draft("days.csv", &days).expect("guessed").text;
    assert!(text.contains("# or \"%d/%m/%Y\": no day of the sample tells which"), "{text}");
}

#[test]
fn tab_separated_values_may_have_a_header_or_none() {
    let with = sample("ts\tuser-agent\tbytes", 30, |n| format!("{}\tagent {n}, \"x\"\t{}", 1_795_600_000 + n, n * 10));
    let lines = [
        r#"format = "tsv""#,
        r#"ts = { type = "timestamp", format = "epoch_s" }"#,
        r#"user_agent = { type = "string", path = ["user-agent"] }"#,
        r#"by = []"#,
        r#"bytes = "sum(bytes)""#,
    ];
    says("with.tsv", &with, 0, &lines);
    let without = sample("", 30, |n| format!("2026-11-25T10:00:{n:02}Z\t{}\t{n}", ["GET", "PUT"][n % 2]));
    let lines = [r#"event_time = "column_1""#, r#"column_2 = "string""#, r#"column_3 = "int""#, r#"by = ["column_2"]"#];
    says("without.tsv", &without, 0, &lines);
}

#[test]
fn comments_are_left_out_and_a_header_may_be_told() {
    let table = sample("# exported by a program\nshop\tat", 20, |n| format!("s{}\t2026-11-25T10:00:{n:02}Z", n % 3));
    let rows = RowArgs { header: true, comment: Some("#".to_owned()) };
    let draft = draft_of("sales.tsv", &table, &rows).expect("guessed");
    assert_eq!((draft.records, draft.verdicts.rejected()), (20, 0), "{}", draft.text);
    assert!(draft.text.contains("\nshop = \"string\"\nat = \"timestamp\"\n"), "{}", draft.text);
}
