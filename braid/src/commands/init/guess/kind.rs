//! The values at a place → the type of its field.

use super::super::instants::{Instants, Written};
use super::super::profile::{Seen, Value, few};
use super::super::words::words;

/// What nearly all of the values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::init) enum Kind {
    /// Texts, and in JSON perhaps numbers among them.
    Text {
        /// Whether some are numbers of JSON.
        numbers: bool,
    },
    /// Integers of 64 bits.
    Int,
    /// Numbers, some of which are no such integers.
    Float,
    /// Truth values.
    Bool,
    /// Instants.
    Instant(Written),
    /// Arrays.
    Lists,
    /// Objects.
    Objects,
    /// Values that no type takes together.
    Mixed,
}

/// Names with one of these words may be those of instants that are written as mere digits.
const TIME_WORDS: [&str; 22] = [
    "at",
    "time",
    "timestamp",
    "ts",
    "t",
    "date",
    "datetime",
    "day",
    "when",
    "on",
    "epoch",
    "since",
    "until",
    "created",
    "updated",
    "modified",
    "occurred",
    "received",
    "sent",
    "ms",
    "datum",
    "zeit",
];

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    /// An integer of 64 bits.
    Int,
    /// An integer that needs more.
    Large,
    /// Another number.
    Float,
}

/// How often each sort of value was seen.
#[derive(Debug, Default)]
struct Tally {
    texts: usize,
    ints: usize,
    large: usize,
    floats: usize,
    bools: usize,
    lists: usize,
    objects: usize,
}

impl Kind {
    /// What the values at a place are. `columns`: every value is a text, and what it says decides.
    pub(in crate::commands::init) fn of(seen: &Seen, columns: bool, instants: &mut Instants) -> Kind {
        match Kind::instant(seen, instants) {
            Some(written) => Kind::Instant(written),
            None => Tally::of(seen, columns).kind(seen.values.len(), columns),
        }
    }

    /// How the values are written, if they are instants.
    pub(super) fn instant(seen: &Seen, instants: &mut Instants) -> Option<Written> {
        let texts: Vec<&str> = seen.written().map(|(_, text)| text).collect();
        if !few(seen.values.len() - texts.len(), seen.values.len()) {
            return None;
        }
        instants.find(&texts, sounds_like_time(&seen.steps))
    }
}

impl Tally {
    fn of(seen: &Seen, columns: bool) -> Tally {
        let mut tally = Tally::default();
        for (_, value) in &seen.values {
            match value {
                Value::Text(text) if columns && is_truth(text) => tally.bools += 1,
                Value::Text(text) if columns => tally.add(number(text)),
                Value::Text(_) => tally.texts += 1,
                Value::Number(text) => tally.add(number(text)),
                Value::Bool(_) => tally.bools += 1,
                Value::List => tally.lists += 1,
                Value::Object => tally.objects += 1,
            }
        }
        tally
    }

    fn add(&mut self, number: Option<Number>) {
        match number {
            Some(Number::Int) => self.ints += 1,
            Some(Number::Large) => self.large += 1,
            Some(Number::Float) => self.floats += 1,
            None => self.texts += 1,
        }
    }

    fn kind(&self, of: usize, columns: bool) -> Kind {
        let nearly_all = |count: usize| few(of - count, of);
        let numbers = self.ints + self.large + self.floats;
        if of == 0 {
            Kind::Text { numbers: false }
        } else if nearly_all(self.objects) {
            Kind::Objects
        } else if nearly_all(self.lists) {
            Kind::Lists
        } else if nearly_all(self.bools) {
            Kind::Bool
        } else if nearly_all(numbers) && self.floats > 0 {
            Kind::Float
        } else if nearly_all(numbers) && self.large == 0 {
            Kind::Int
        } else if columns || nearly_all(self.texts + numbers) {
            // Integers of more than 64 bits are names rather than quantities.
            Kind::Text { numbers: !columns && numbers > 0 }
        } else {
            Kind::Mixed
        }
    }
}

/// What a number is; `None` if the text is none, or one with zeros in front, which is a name such as a postal code.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let zero_in_front = digits.first() == Some(&b'0') && is_digit(digits.get(1));
    if zero_in_front || !is_digit(digits.first()) || !is_digit(digits.last()) {
        return None;
    }
    if digits.iter().all(u8::is_ascii_digit) {
        return Some(if text.parse::<i64>().is_ok() { Number::Int } else { Number::Large });
    }
    let is_plain = digits.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    (is_plain && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(Number::Float)
}

/// Words that can hardly mean anything else. `1`, `0`, `t`, `f`, `y` and `n` can.
fn is_truth(text: &str) -> bool {
    ["true", "false", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn sounds_like_time(steps: &[String]) -> bool {
    let words = steps.last().map(|name| words(name)).unwrap_or_default();
    words.iter().any(|word| TIME_WORDS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, values: &[Value]) -> Seen {
        Seen { steps: vec![name.to_owned()], values: values.iter().cloned().enumerate().collect() }
    }

    fn in_json(values: &[Value]) -> Kind {
        Kind::of(&seen("x", values), false, &mut Instants::new())
    }

    fn in_columns(texts: &[&str]) -> Kind {
        let texts: Vec<Value> = texts.iter().map(|text| Value::Text((*text).to_owned())).collect();
        Kind::of(&seen("x", &texts), true, &mut Instants::new())
    }

    fn number(text: &str) -> Value {
        Value::Number(text.to_owned())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn json_says_what_its_values_are() {
        assert_eq!(in_json(&[number("1"), number("-7")]), Kind::Int);
        assert_eq!(in_json(&[number("1"), number("2.5")]), Kind::Float);
        assert_eq!(in_json(&[Value::Bool(true)]), Kind::Bool);
        assert_eq!(in_json(&[text("1")]), Kind::Text { numbers: false });
        assert_eq!(in_json(&[text("a"), number("1")]), Kind::Text { numbers: true });
        assert_eq!(in_json(&[number("18446744073709551615")]), Kind::Text { numbers: true });
        assert_eq!(in_json(&[text("a"), Value::Bool(true)]), Kind::Mixed);
        assert_eq!(in_json(&[text("a"), Value::Object]), Kind::Mixed);
        assert_eq!(in_json(&[Value::List]), Kind::Lists);
        assert_eq!(in_json(&[Value::Object]), Kind::Objects);
    }

    #[test]
    fn what_texts_say_decides_in_columns() {
        assert_eq!(in_columns(&["1", "-7", "0"]), Kind::Int);
        assert_eq!(in_columns(&["1", "2.5", "1e3"]), Kind::Float);
        assert_eq!(in_columns(&["true", "FALSE"]), Kind::Bool);
        assert_eq!(in_columns(&["01234", "1"]), Kind::Text { numbers: false }, "a postal code");
        assert_eq!(in_columns(&["1,5"]), Kind::Text { numbers: false });
        assert_eq!(in_columns(&["99999999999999999999"]), Kind::Text { numbers: false });
        assert_eq!(in_columns(&["1", "a"]), Kind::Text { numbers: false });
        assert_eq!(in_columns(&[]), Kind::Text { numbers: false });
        assert!(matches!(in_columns(&["2026-11-25T10:00:00Z"]), Kind::Instant(_)));
    }

    #[test]
    fn a_few_broken_values_do_not_change_the_type() {
        let mut values = vec![number("1"); 100];
        values.push(text("oops"));
        assert_eq!(in_json(&values), Kind::Int);
        values.push(text("again"));
        assert_eq!(in_json(&values), Kind::Text { numbers: true });
    }

    #[test]
    fn digits_are_instants_only_where_the_name_says_so() {
        let values = [number("1795305600"), number("1795305601")];
        let kind = |name| Kind::of(&seen(name, &values), false, &mut Instants::new());
        assert!(matches!(kind("created_at"), Kind::Instant(_)));
        assert!(matches!(kind("ts"), Kind::Instant(_)));
        assert_eq!(kind("serial"), Kind::Int);
    }
}
