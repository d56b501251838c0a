use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    Int64Builder, ListBuilder, MapBuilder, StringArray, StringBuilder, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Field;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{Int64Type, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use shared_logic::catalog::Catalog;
use shared_logic::decode::Decoder;

use super::*;

fn source(lines: &str, at: &str) -> Source {
    let text = format!("[sources.s]\nevent_time = \"at\"\n{lines}[sources.s.fields]\nat = {at}\nn = \"int?\"\n");
    let mut catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    catalog.sources.remove("s").expect("its source")
}

/// The objects of a file with these columns.
fn objects(columns: Vec<(&str, ArrayRef)>, source: &Source) -> Result<Vec<String>, InputError> {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = tempfile::tempfile().expect("a file");
    let mut writer =
        ArrowWriter::try_new(file.try_clone().expect("a handle"), batch.schema(), None).expect("a schema for Parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    objects_of(file, source)
}

/// The objects of a file.
fn objects_of(file: File, source: &Source) -> Result<Vec<String>, InputError> {
    let mut rows = ParquetRows::open(file, source, "a test")?;
    let mut all = Vec::new();
    while let Some(line) = rows.next()? {
        assert_eq!(line.number, all.len() + 1);
        all.push(String::from_utf8(line.text).expect("UTF-8"));
    }
    Ok(all)
}

fn usual() -> Source {
    source("", "\"timestamp\"")
}

const US: i64 = 1_777_022_999_000_001;

#[test]
fn each_type_becomes_the_json_of_its_value() {
    let utc = TimestampMicrosecondArray::from(vec![US, -1]).with_timezone("UTC");
    let decimals = Decimal128Array::from(vec![Some(-5), None]).with_precision_and_scale(38, 2).expect("it fits");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("at", Arc::new(utc)),
        ("n", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("f", Arc::new(Float64Array::from(vec![0.1, f64::NAN]))),
        ("g", Arc::new(Float32Array::from(vec![0.1, f32::NEG_INFINITY]))),
        ("is", Arc::new(BooleanArray::from(vec![true, false]))),
        ("text", Arc::new(StringArray::from(vec!["a \"b\"\n", ""]))),
        ("day", Arc::new(Date32Array::from(vec![20_567, -1]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![3_661_000_005, 0]))),
        ("cents", Arc::new(decimals)),
        ("local", Arc::new(TimestampMillisecondArray::from(vec![1_500, 0]))),
    ];
    let expected = [
        r#"{"at":"2026-04-24T09:29:59.000001Z","n":-9223372036854775808,"u":18446744073709551615,"f":0.1,"g":0.1,"is":true,"text":"a \"b\"\n","day":"2026-04-24","time":"01:01:01.000005","cents":-0.05,"local":"1970-01-01T00:00:01.500"}"#,
        r#"{"at":"1969-12-31T23:59:59.999999Z","u":0,"f":"NaN","g":"-inf","is":false,"text":"","day":"1969-12-31","time":"00:00:00","local":"1970-01-01T00:00:00"}"#,
    ];
    let source = usual();
    let objects = objects(columns, &source).expect("read");
    assert_eq!(objects, expected);
    let mut decoder = Decoder::new(&source);
    let event = decoder.decode(Some(objects[0].as_bytes()), None).expect("an event");
    assert_eq!(event.time_us, US);
}

#[test]
fn nested_columns_become_nested_json() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append(true);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(7);
    maps.append(true).expect("an entry");
    maps.append(true).expect("no entry");
    let (id, name) = (Int64Array::from(vec![Some(3), Some(4)]), StringArray::from(vec![Some("x"), None]));
    let members: Vec<(Arc<Field>, ArrayRef)> = vec![
        (Arc::new(Field::new("id", DataType::Int64, true)), Arc::new(id)),
        (Arc::new(Field::new("name", DataType::Utf8, true)), Arc::new(name)),
    ];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", Arc::new(StructArray::from(members))),
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
    ];
    let objects = objects(columns, &usual()).expect("read");
    assert_eq!(
        objects,
        [r#"{"user":{"id":3,"name":"x"},"list":[1,null],"map":{"k":7}}"#, r#"{"user":{"id":4},"list":[],"map":{}}"#]
    );
}

#[test]
fn an_instant_is_written_in_the_unit_that_its_field_reads() {
    let column = || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![US]).with_timezone("UTC")) };
    for unit in EpochUnit::ALL {
        let source = source("", &format!("{{ type = \"timestamp\", format = \"{}\" }}", unit.name()));
        let objects = objects(vec![("at", column())], &source).expect("read");
        let mut decoder = Decoder::new(&source);
        let event =
            decoder.decode(Some(objects[0].as_bytes()), None).unwrap_or_else(|why| panic!("{objects:?}: {why:?}"));
        assert_eq!(event.time_us, US, "{objects:?}");
    }
}

#[test]
fn times_without_a_zone_need_one_in_the_source() {
    let column = || -> ArrayRef { Arc::new(TimestampNanosecondArray::from(vec![US * 1_000])) };
    let refused = objects(vec![("at", column())], &usual()).expect_err("no zone").to_string();
    assert!(refused.contains("column `at` of a test") && refused.contains("time_zone = \"UTC\""), "{refused}");
    let zoned = source("time_zone = \"Asia/Tokyo\"\n", "\"timestamp\"");
    let objects = objects(vec![("at", column())], &zoned).expect("read");
    let mut decoder = Decoder::new(&zoned);
    let event = decoder.decode(Some(objects[0].as_bytes()), None).expect("an event");
    assert_eq!(event.time_us, US - 9 * 3_600_000_000);
}

/// As older versions of Spark, Hive and Impala write instants: a Julian day, and the nanosecond of it.
fn int96(day: u32, nanosecond: u64) -> Int96 {
    let mut instant = Int96::new();
    instant.set_data(nanosecond as u32, (nanosecond >> 32) as u32, day);
    instant
}

#[test]
fn an_old_instant_beyond_the_reach_of_nanoseconds_stays_what_it_is() {
    let schema = "message s { required int64 n; required group in { required int96 at; } required int96 at; }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let file = tempfile::tempfile().expect("a file");
    let handle = file.try_clone().expect("a handle");
    let mut writer = SerializedFileWriter::new(handle, schema, Arc::new(WriterProperties::default())).expect("begun");
    let mut group = writer.next_row_group().expect("a row group");
    // 2026-04-24 and 9999-12-31.
    let instants = [int96(2_461_155, 34_199_000_001_000), int96(5_373_484, 0)];
    let mut column = group.next_column().expect("a column").expect("the first");
    column.typed::<Int64Type>().write_batch(&[1, 2], None, None).expect("written");
    column.close().expect("closed");
    for _ in 0..2 {
        let mut column = group.next_column().expect("a column").expect("another");
        column.typed::<Int96Type>().write_batch(&instants, None, None).expect("written");
        column.close().expect("closed");
    }
    group.close().expect("closed");
    writer.close().expect("closed");
    let objects = objects_of(file, &source("time_zone = \"UTC\"\n", "\"timestamp\"")).expect("read");
    let [first, last] = ["2026-04-24T09:29:59.000001", "9999-12-31T00:00:00"];
    assert_eq!(
        objects,
        [
            format!(r#"{{"n":1,"in":{{"at":"{first}"}},"at":"{first}"}}"#),
            format!(r#"{{"n":2,"in":{{"at":"{last}"}},"at":"{last}"}}"#)
        ]
    );
}

#[test]
fn bytes_are_refused_with_the_way_out() {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\xff"[..]]));
    let refused = objects(vec![("blob", bytes)], &usual()).expect_err("bytes").to_string();
    assert_eq!(
        refused,
        "column `blob` of a test holds bytes, which JSON cannot hold: write the file without it, or with it as text"
    );
}

#[test]
fn two_columns_of_one_name_are_refused_and_so_are_two_members_of_a_group() {
    let number = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
    let refused = objects(vec![("n", number()), ("at", number()), ("n", number())], &usual()).expect_err("a guess");
    let expected =
        "a test has two columns `n`, and which of them is meant would be a guess: give each column a name of its own";
    assert!(refused.to_string().starts_with(expected), "{refused}");
    let member = || (Arc::new(Field::new("m", DataType::Int64, true)), number());
    let group: ArrayRef = Arc::new(StructArray::from(vec![member(), member()]));
    let refused = objects(vec![("g", group)], &usual()).expect_err("a guess").to_string();
    assert!(refused.starts_with("column `g` of a test holds two members `m` in one group"), "{refused}");
}

#[test]
fn rows_are_numbered_across_batches() {
    let rows = ROWS_AT_ONCE * 2 + 1;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    assert_eq!(numbers.len(), rows);
    let objects = objects(vec![("n", numbers)], &usual()).expect("read");
    let numbered = |(n, object): (usize, &String)| *object == format!("{{\"n\":{n}}}");
    assert!(objects.len() == rows && objects.iter().enumerate().all(numbered));
}
