//! JSON objects, written field by field.

use std::io::Write;

use super::OutputPosition;
use crate::expression::Scalar;
use crate::measure::Value;
use crate::time::push_rfc3339;

const FITS: &str = "a vector takes every byte";

/// An object that is being written. What is null is left out.
#[derive(Debug)]
pub(super) struct Object(Vec<u8>);

impl Object {
    /// An empty object, with room for that many bytes.
    pub(super) fn new(capacity: usize) -> Object {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(b'{');
        Object(bytes)
    }

    /// The object's text.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    /// The id of an output: what those of its stream begin with, and where it stands.
    pub(super) fn id(&mut self, name: &str, prefix: &str, position: OutputPosition) {
        self.name(name);
        self.text(prefix);
        // The position goes on where the text has ended.
        self.0.pop();
        serde_json::to_writer(&mut self.0, &position.offset).expect(FITS);
        self.0.push(b'/');
        serde_json::to_writer(&mut self.0, &position.n).expect(FITS);
        self.0.push(b'"');
    }

    /// A value of an event, unless it is null.
    pub(super) fn field(&mut self, name: &str, value: &Scalar<'_>) {
        if *value != Scalar::Null {
            self.name(name);
            self.scalar(value);
        }
    }

    /// A measured number, unless it is null or has overflowed. No stream writes sketches.
    pub(super) fn number(&mut self, name: &str, value: &Value) {
        match value {
            Value::Int(x) => self.field(name, &Scalar::Int(*x)),
            Value::Float(x) => self.field(name, &Scalar::Float(*x)),
            Value::Null | Value::Overflow | Value::Sketch(_) => {}
        }
    }

    /// An instant.
    pub(super) fn instant(&mut self, name: &str, us: i64) {
        self.field(name, &Scalar::Timestamp(us));
    }

    /// `true`, or nothing.
    pub(super) fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.field(name, &Scalar::Bool(true));
        }
    }

    /// An object of values, null ones too.
    pub(super) fn object<'a>(&mut self, name: &str, fields: impl Iterator<Item = (&'a str, Scalar<'a>)>) {
        self.name(name);
        self.0.push(b'{');
        for (name, value) in fields {
            self.name(name);
            self.scalar(&value);
        }
        self.0.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.text(name);
        self.0.push(b':');
    }

    fn scalar(&mut self, value: &Scalar<'_>) {
        match value {
            Scalar::Null | Scalar::Overflow => self.0.extend_from_slice(b"null"),
            Scalar::Bool(x) => write!(self.0, "{x}").expect(FITS),
            // Of 64 bits, as a rule, which are written in a third of the time.
            Scalar::Int(x) => match i64::try_from(*x) {
                Ok(x) => serde_json::to_writer(&mut self.0, &x).expect(FITS),
                Err(_) => write!(self.0, "{x}").expect(FITS),
            },
            Scalar::Float(x) => serde_json::to_writer(&mut self.0, x).expect(FITS),
            Scalar::String(text) => self.text(text),
            Scalar::Timestamp(us) => {
                self.0.push(b'"');
                push_rfc3339(&mut self.0, *us);
                self.0.push(b'"');
            }
        }
    }

    fn text(&mut self, text: &str) {
        if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return serde_json::to_writer(&mut self.0, text).expect(FITS);
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_its_position() {
        let mut object = Object::new(0);
        let position = OutputPosition { offset: 41, n: 2 };
        object.id("id", "a\"b/", position);
        assert_eq!(object.end(), format!(r#"{{"id":"a\"b/{position}"}}"#).into_bytes());
    }

    #[test]
    fn fields_stand_in_order_and_null_ones_are_left_out() {
        let mut object = Object::new(0);
        object.field("name", &Scalar::String("a \"b\" {".into()));
        object.field("absent", &Scalar::Null);
        object.number("n", &Value::Int(-5));
        object.number("overflow", &Value::Overflow);
        object.number("x", &Value::Float(0.1));
        object.instant("at", 1);
        object.flag("off", false);
        object.flag("on", true);
        object.object("seen", [("a", Scalar::Null), ("b('1m')", Scalar::Float(12.0))].into_iter());
        object.object("empty", std::iter::empty());
        object.field("wide", &Scalar::Int(i128::from(i64::MAX) + 1));
        object.field("escaped", &Scalar::String("\u{1f}\\ü".into()));
        object.field("last", &Scalar::Int(1));
        let text = String::from_utf8(object.end()).expect("it is text");
        let expected = r#"{"name":"a \"b\" {","n":-5,"x":0.1,"at":"1970-01-01T00:00:00.000001Z","on":true,"#;
        let expected = format!(
            r#"{expected}"seen":{{"a":null,"b('1m')":12.0}},"empty":{{}},"wide":9223372036854775808,"escaped":"\u001f\\ü","last":1}}"#
        );
        assert_eq!(text, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
