//! A catalog by chance: streams of every kind over a source, and over each other.

use test_kit::Dice;

use super::defined::{
    Defined, EVENTS, Field, Law, Look, Measure, Of, RATIO, Rule, SECOND_US, Takes, Test, Type, What, ratio,
};

/// A catalog.
pub(super) struct Chosen {
    pub(super) text: String,
    /// How many partitions the source has.
    pub(super) partitions: i32,
    /// Each behind what it reads, which has an earlier name.
    pub(super) streams: Vec<Defined>,
}

/// What a stream can read.
struct Known {
    name: String,
    /// The field that its records are keyed by.
    key: String,
    fields: Vec<Field>,
    is_detector: bool,
}

/// Chooses a catalog.
pub(super) fn choose(dice: &mut Dice) -> Chosen {
    let partitions = if dice.chance(30) { 1 } else { 2 };
    let window = *dice.pick(&[1, 8, 30]);
    let mut text = format!(
        r#"[sources.s]
event_id = "id"
event_time = "at"
key = "user"
format = "json"
partitions = {partitions}
max_ahead = "5s"
dedup_window = {window}
[sources.s.fields]
id = "int"
at = "timestamp"
user = "string"
k = "string?"
n = "int"
x = "float?"
"#
    );
    let field = |name: &str, kind, optional| Field { name: name.to_owned(), kind, optional };
    let fields = vec![
        field("user", Type::Text, false),
        field("k", Type::Text, true),
        field("n", Type::Int, false),
        field("x", Type::Float, true),
    ];
    let mut known = vec![Known { name: "s".to_owned(), key: "user".to_owned(), fields, is_detector: false }];
    let mut streams = Vec::new();
    for number in 0..dice.between(2, 5) {
        let from = if dice.chance(40) { &known[0] } else { &known[dice.below(known.len())] };
        let stream = stream(dice, format!("t{number}"), from, partitions == 1);
        text.push_str(&stream.toml());
        let output = output(&stream, from);
        streams.push(stream);
        known.push(output);
    }
    Chosen { text, partitions, streams }
}

fn stream(dice: &mut Dice, name: String, from: &Known, is_single: bool) -> Defined {
    let what = match dice.below(10) {
        0 | 1 => map(dice, from),
        2..=4 => window(dice, from, is_single),
        5 | 6 => session(dice, from, is_single),
        _ if from.is_detector => window(dice, from, is_single),
        _ => detect(dice, from, is_single),
    };
    let lateness_us = SECOND_US * *dice.pick(&[0, 1, 2, 3, 6]);
    let takes = dice.chance(40).then(|| takes(dice, from));
    Defined { name, from: from.name.clone(), lateness_us, takes, what }
}

fn takes(dice: &mut Dice, from: &Known) -> Takes {
    let Field { name, kind, .. } = dice.pick(&from.fields).clone();
    let test = match kind {
        Type::Text if dice.chance(50) => Test::Is(["u", "v", "a"][dice.below(3)]),
        Type::Text => Test::IsNot(["u", "w", "bü"][dice.below(3)]),
        Type::Int | Type::Float => Test::Above(dice.between(0, 3)),
    };
    Takes { field: name, test }
}

/// A map, which keys its records anew or keeps their keys.
fn map(dice: &mut Dice, from: &Known) -> What {
    let mut fields = Vec::new();
    // A key is never absent, and is no float.
    let may_be_key = |field: &&Field| field.kind == Type::Text || (field.kind == Type::Int && !field.optional);
    let keys: Vec<&Field> = from.fields.iter().filter(may_be_key).collect();
    let key = dice.chance(60).then(|| *dice.pick(&keys));
    match key {
        Some(Field { name, kind: Type::Text, .. }) => fields.push(("g".to_owned(), Of::Or(name.clone()))),
        Some(Field { name, .. }) => fields.push(("g".to_owned(), Of::Field(name.clone()))),
        None => fields.push((from.key.clone(), Of::Field(from.key.clone()))),
    }
    for Field { name, kind, .. } in &from.fields {
        if fields[0].0 == *name || dice.chance(30) {
            continue;
        }
        let is_doubled = *kind != Type::Text && dice.chance(30);
        fields.push((name.clone(), if is_doubled { Of::Twice(name.clone()) } else { Of::Field(name.clone()) }));
    }
    What::Map { key: key.map(|_| "g".to_owned()), fields }
}

fn window(dice: &mut Dice, from: &Known, is_single: bool) -> What {
    let slide = dice.between(1, 6);
    let (size_us, slide_us) = (slide * dice.between(1, 4) * SECOND_US, slide * SECOND_US);
    let offset_us = dice.between(0, slide - 1) * SECOND_US;
    What::Window { by: by(dice, from, is_single), size_us, slide_us, offset_us, measures: measures(dice, from) }
}

fn session(dice: &mut Dice, from: &Known, is_single: bool) -> What {
    let gap_us = dice.between(1, 6) * SECOND_US;
    // They divide a day.
    let longest_us = dice.chance(60).then(|| SECOND_US * *dice.pick(&[10, 20, 30]));
    What::Session { by: by(dice, from, is_single), gap_us, longest_us, measures: measures(dice, from) }
}

/// T12: the column that records are keyed by is among them, unless there is one partition.
fn by(dice: &mut Dice, from: &Known, is_single: bool) -> Vec<String> {
    // What is called like a measure of the stream itself cannot be one of its columns.
    let other = |field: &&Field| {
        field.kind != Type::Float && field.name != from.key && field.name != EVENTS && !field.name.starts_with('m')
    };
    let others: Vec<&Field> = from.fields.iter().filter(other).collect();
    let mut by = vec![from.key.clone()];
    if !others.is_empty() && dice.chance(40) {
        by.insert(dice.below(2), dice.pick(&others).name.clone());
    }
    if is_single && by.len() == 2 && dice.chance(50) {
        by.retain(|column| *column != from.key);
    }
    by
}

fn measures(dice: &mut Dice, from: &Known) -> Vec<Measure> {
    let mut measures = vec![Measure { name: EVENTS.to_owned(), law: Law::Count, of: None }];
    let numbers: Vec<&Field> = from.fields.iter().filter(|field| field.kind != Type::Text).collect();
    for number in 0..dice.between(0, 3) {
        if numbers.is_empty() {
            break;
        }
        let field = dice.pick(&numbers);
        let is_int = field.kind == Type::Int;
        let law = *dice.pick(&[Law::Count, Law::Sum, Law::Sum, Law::Least, Law::Greatest, Law::Mean]);
        let law = if law == Law::Mean && is_int { Law::Sum } else { law };
        measures.push(Measure { name: format!("m{number}"), law, of: Some((field.name.clone(), is_int)) });
    }
    measures
}

fn detect(dice: &mut Dice, from: &Known, is_single: bool) -> What {
    let other = |field: &&Field| field.kind != Type::Float;
    let keys: Vec<&Field> = from.fields.iter().filter(other).collect();
    let key = if is_single && dice.chance(50) { dice.pick(&keys).name.clone() } else { from.key.clone() };
    let history = dice.between(4, 30);
    let rules = (0..dice.between(1, 3)).map(|number| rule(dice, from, number, history)).collect();
    let history_max = if dice.chance(50) { dice.between(2, 6) as usize } else { 10_000 };
    let rejudge_max = if dice.chance(50) { dice.between(0, 3) as usize } else { 100 };
    What::Detect { key, history_us: history * SECOND_US, history_max, rejudge_max, rules }
}

fn rule(dice: &mut Dice, from: &Known, number: i64, history: i64) -> Rule {
    let numbers: Vec<&Field> = from.fields.iter().filter(|field| field.kind != Type::Text).collect();
    let mut look = *dice.pick(&[Look::Previous, Look::Count, Look::Sum, Look::Mean, Look::Least, Look::Greatest]);
    if numbers.is_empty() {
        look = Look::Count;
    }
    let of = (look != Look::Count).then(|| *dice.pick(&numbers));
    let of = of.map(|field| (field.name.clone(), field.kind == Type::Int));
    let span_us = (look != Look::Previous && dice.chance(50)).then(|| dice.between(2, history) * SECOND_US);
    Rule { name: format!("r{number}"), look, of, span_us, than: dice.between(1, 3) }
}

/// The stream as what others can read.
fn output(stream: &Defined, from: &Known) -> Known {
    let of = |name: &str| from.fields.iter().find(|field| field.name == name).expect("it reads its fields").clone();
    let grouped = |by: &[String], measures: &[Measure]| {
        let key = by.iter().find(|column| **column == from.key).or(by.first()).expect("it groups by something");
        (key.clone(), by.iter().map(|column| of(column)).chain(measured(measures)).collect())
    };
    let (key, fields): (String, Vec<Field>) = match &stream.what {
        What::Map { key, fields } => {
            let field = |(name, field): &(String, Of)| match field {
                Of::Field(field) | Of::Twice(field) => Field { name: name.clone(), ..of(field) },
                Of::Or(field) => Field { name: name.clone(), optional: false, ..of(field) },
            };
            (key.clone().unwrap_or_else(|| from.key.clone()), fields.iter().map(field).collect())
        }
        What::Window { by, measures, .. } | What::Session { by, measures, .. } => grouped(by, measures),
        What::Detect { .. } => (from.key.clone(), from.fields.clone()),
    };
    let is_detector = from.is_detector || matches!(stream.what, What::Detect { .. });
    Known { name: stream.name.clone(), key, fields, is_detector }
}

fn measured(measures: &[Measure]) -> Vec<Field> {
    let field = |measure: &Measure| {
        let is_int = measure.law == Law::Count || measure.of.as_ref().is_some_and(|(_, is_int)| *is_int);
        let kind = if is_int { Type::Int } else { Type::Float };
        Field { name: measure.name.clone(), kind, optional: measure.name != EVENTS }
    };
    let ratio = ratio(measures).map(|_| Field { name: RATIO.to_owned(), kind: Type::Float, optional: true });
    measures.iter().map(field).chain(ratio).collect()
}
