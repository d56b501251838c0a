//! Values of Parquet columns as JSON.
//!
//! Numbers and decimals are written with all of their digits, instants as RFC 3339 with up to six digits of a second, dates as
//! `YYYY-MM-DD`, times of day as `hh:mm:ss`. A float that is not finite is a text, which no number is.

use std::io::Write;

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use shared_logic::schema::EpochUnit;
use shared_logic::time::{SECOND_US, format_day, format_rfc3339};

use crate::columns::twice;
use crate::json::write_text;

/// What values of that type are, or contain, if JSON has no place for them.
pub(super) fn not_in_json(kind: &DataType) -> Option<String> {
    match kind {
        DataType::List(of) | DataType::FixedSizeList(of, _) => not_in_json(of.data_type()),
        DataType::Struct(members) => match twice(members.iter().map(|member| member.name().as_str())) {
            Some(name) => Some(format!("two members `{name}` in one group")),
            None => members.iter().find_map(|member| not_in_json(member.data_type())),
        },
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 && *pair[0].data_type() == DataType::Utf8 => {
                not_in_json(pair[1].data_type())
            }
            _ => Some("a map whose keys are not texts".to_owned()),
        },
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Date32
        | DataType::Time32(TimeUnit::Millisecond)
        | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => None,
        DataType::Binary | DataType::FixedSizeBinary(_) => Some("bytes".to_owned()),
        other => Some(other.to_string()),
    }
}

/// Writes the value in that row, which is not null unless it stands in a list. `unit` is the one in which an instant is written.
pub(super) fn write(out: &mut Vec<u8>, values: &dyn Array, row: usize, unit: Option<EpochUnit>) {
    if values.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    match values.data_type() {
        DataType::Boolean => put(out, format_args!("{}", values.as_boolean().value(row))),
        DataType::Int8 => put(out, format_args!("{}", values.as_primitive::<Int8Type>().value(row))),
        DataType::Int16 => put(out, format_args!("{}", values.as_primitive::<Int16Type>().value(row))),
        DataType::Int32 => put(out, format_args!("{}", values.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => put(out, format_args!("{}", values.as_primitive::<Int64Type>().value(row))),
        DataType::UInt8 => put(out, format_args!("{}", values.as_primitive::<UInt8Type>().value(row))),
        DataType::UInt16 => put(out, format_args!("{}", values.as_primitive::<UInt16Type>().value(row))),
        DataType::UInt32 => put(out, format_args!("{}", values.as_primitive::<UInt32Type>().value(row))),
        DataType::UInt64 => put(out, format_args!("{}", values.as_primitive::<UInt64Type>().value(row))),
        DataType::Float16 => single(out, values.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => single(out, values.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            // The shortest digits that give the same float again.
            number(out, value.is_finite(), format_args!("{value:?}"));
        }
        DataType::Utf8 => write_text(out, values.as_string::<i32>().value(row)),
        DataType::Decimal128(..) => {
            put(out, format_args!("{}", values.as_primitive::<Decimal128Type>().value_as_string(row)));
        }
        DataType::Decimal256(..) => {
            put(out, format_args!("{}", values.as_primitive::<Decimal256Type>().value_as_string(row)));
        }
        DataType::Date32 => {
            write_text(out, &format_day(values.as_primitive::<Date32Type>().value(row).into()));
        }
        DataType::Time32(_) => {
            time_of_day(out, i64::from(values.as_primitive::<Time32MillisecondType>().value(row)) * 1_000);
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            time_of_day(out, values.as_primitive::<Time64MicrosecondType>().value(row));
        }
        DataType::Time64(_) => time_of_day(out, values.as_primitive::<Time64NanosecondType>().value(row) / 1_000),
        DataType::Timestamp(of, zone) => {
            let us = match of {
                TimeUnit::Nanosecond => {
                    Some(values.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000))
                }
                TimeUnit::Microsecond => Some(values.as_primitive::<TimestampMicrosecondType>().value(row)),
                _ => values.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000),
            };
            match us {
                Some(us) => instant(out, us, zone.is_some(), unit),
                None => write_text(out, "an instant beyond the year 9999"),
            }
        }
        DataType::Struct(_) => members(out, values.as_struct(), row),
        DataType::List(_) => list(out, values.as_list::<i32>().value(row).as_ref()),
        DataType::FixedSizeList(..) => list(out, values.as_fixed_size_list().value(row).as_ref()),
        DataType::Map(..) => map(out, &values.as_map().value(row)),
        // No other type passes `not_in_json`.
        _ => out.extend_from_slice(b"null"),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = out.write_fmt(text);
}

fn single(out: &mut Vec<u8>, value: f32) {
    number(out, value.is_finite(), format_args!("{value:?}"));
}

fn number(out: &mut Vec<u8>, is_finite: bool, text: std::fmt::Arguments<'_>) {
    if is_finite {
        put(out, text);
    } else {
        put(out, format_args!("\"{text}\""));
    }
}

fn instant(out: &mut Vec<u8>, us: i64, has_zone: bool, unit: Option<EpochUnit>) {
    let Some(unit) = unit else {
        let text = format_rfc3339(us);
        return write_text(out, if has_zone { &text } else { text.trim_end_matches('Z') });
    };
    let sign = if us < 0 { "-" } else { "" };
    let us = us.unsigned_abs();
    match unit {
        EpochUnit::Seconds => put(out, format_args!("{sign}{}.{:06}", us / 1_000_000, us % 1_000_000)),
        EpochUnit::Milliseconds => put(out, format_args!("{sign}{}.{:03}", us / 1_000, us % 1_000)),
        EpochUnit::Microseconds => put(out, format_args!("{sign}{us}")),
        EpochUnit::Nanoseconds => put(out, format_args!("{sign}{}", u128::from(us) * 1_000)),
    }
}

fn time_of_day(out: &mut Vec<u8>, us: i64) {
    let (seconds, fraction) = (us.div_euclid(SECOND_US), us.rem_euclid(SECOND_US));
    put(out, format_args!("\"{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
    if fraction > 0 {
        put(out, format_args!(".{fraction:06}"));
    }
    out.push(b'"');
}

fn members(out: &mut Vec<u8>, values: &StructArray, row: usize) {
    out.push(b'{');
    let mut is_first = true;
    for (member, column) in values.fields().iter().zip(values.columns()) {
        if !column.is_null(row) {
            name(out, &mut is_first, member.name());
            write(out, column.as_ref(), row, None);
        }
    }
    out.push(b'}');
}

fn map(out: &mut Vec<u8>, entries: &StructArray) {
    out.push(b'{');
    let mut is_first = true;
    let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
    for entry in 0..entries.len() {
        name(out, &mut is_first, keys.value(entry));
        write(out, values.as_ref(), entry, None);
    }
    out.push(b'}');
}

fn list(out: &mut Vec<u8>, elements: &dyn Array) {
    out.push(b'[');
    for element in 0..elements.len() {
        if element > 0 {
            out.push(b',');
        }
        write(out, elements, element, None);
    }
    out.push(b']');
}

fn name(out: &mut Vec<u8>, is_first: &mut bool, name: &str) {
    if !std::mem::replace(is_first, false) {
        out.push(b',');
    }
    write_text(out, name);
    out.push(b':');
}
