//! Random metrics, whose expressions call everything that expressions may hold.

use shared_logic::catalog::Catalog;
use shared_logic::plan::Plan;
use shared_logic::schema::FieldType;

use super::dice::Dice;

/// The fields of the source, as the catalog declares them.
const FIELDS: &str = r#"
[sources.s.fields]
seen_at = "timestamp"
id = "string"
shop = "int"
k = "string?"
t = "string"
n = "int?"
m = "int"
x = "float?"
y = "float"
b = "bool?"
c = "bool"
w = "timestamp?"
"#;
/// What the name of a sum of floats ends with that is there to compare another one.
pub(super) const SCALE: &str = "_scale";
/// How deep expressions are nested, at most.
const DEPTH: usize = 4;
const KINDS: [FieldType; 5] =
    [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp];

/// A catalog of a source `s` and a metric `m`, and its text. Behind a sum of floats stands the sum of the same without signs.
pub(super) fn catalog(dice: &mut Dice) -> (Catalog, String) {
    let event_id = *dice.pick(&["", "event_id = \"id\"", "event_id = [\"id\", \"shop\"]", "event_id = \"shop\""]);
    let source = format!("[sources.s]\nevent_time = \"seen_at\"\n{event_id}{FIELDS}");
    let grain = *dice.pick(&["1m", "15m", "1h", "1d"]);
    let mut by = Vec::new();
    for name in ["k", "t", "n", "b", "w", "shop"] {
        if by.len() < 3 && dice.chance(30) {
            by.push(format!("{name:?}"));
        }
    }
    let head = format!("{source}[metrics.m]\nsource = \"s\"\nby = [{}]\ngrain = \"{grain}\"\n", by.join(", "));
    let condition = if dice.chance(60) {
        let holds = |condition: &str| format!("{head}where = \"{condition}\"\n[metrics.m.measures]\na = \"count()\"\n");
        let condition = accepted(dice, |dice| expression(dice, FieldType::Bool, DEPTH), holds);
        format!("where = \"{condition}\"\n")
    } else {
        String::new()
    };
    let head = format!("{head}{condition}[metrics.m.measures]\n");
    let mut text = head.clone();
    for number in 0..1 + dice.below(4) {
        let named = |measures: &str| format!("{head}{}", measures.replace('#', "a"));
        let measures = accepted(dice, measure, named);
        text.push_str(&measures.replace('#', &format!("m{number}")));
    }
    (Catalog::parse(&text).expect("its parts are valid"), text)
}

/// The first throw of which a catalog can be made, and a query.
fn accepted(dice: &mut Dice, throw: impl Fn(&mut Dice) -> String, catalog: impl Fn(&str) -> String) -> String {
    for _ in 0..1_000 {
        let thrown = throw(dice);
        let parsed = Catalog::parse(&catalog(&thrown));
        let is_fit = |catalog: Catalog| Plan::new(&catalog.sources["s"], &catalog.metrics["m"]).in_sql().is_ok();
        if parsed.is_ok_and(is_fit) {
            return thrown;
        }
    }
    panic!("of 1000 throws, not one is accepted: {}", catalog(&throw(dice)))
}

/// Lines of a measure, whose name is `#`.
fn measure(dice: &mut Dice) -> String {
    let depth = dice.below(DEPTH + 1);
    match dice.below(9) {
        0 => "# = \"count()\"\n".to_owned(),
        1 => {
            let kind = *dice.pick(&KINDS);
            format!("# = \"count({})\"\n", expression(dice, kind, depth))
        }
        // Of many large values, which leave 64 bits.
        2 => "# = \"sum(n)\"\n".to_owned(),
        3 | 4 => format!("# = \"sum({})\"\n", expression(dice, FieldType::Int, depth)),
        5 | 6 => {
            let of = expression(dice, FieldType::Float, depth);
            format!("# = \"sum({of})\"\n#{SCALE} = \"sum(abs({of}))\"\n")
        }
        _ => {
            let (kind, extreme) = (*dice.pick(&[FieldType::Int, FieldType::Float]), *dice.pick(&["min", "max"]));
            format!("# = \"{extreme}({})\"\n", expression(dice, kind, depth))
        }
    }
}

/// An expression of that type.
fn expression(dice: &mut Dice, kind: FieldType, depth: usize) -> String {
    if depth == 0 || dice.chance(10) {
        return leaf(dice, kind);
    }
    let depth = depth - 1;
    match dice.below(12) {
        0 => {
            let branch = |dice: &mut Dice| {
                let condition = expression(dice, FieldType::Bool, depth);
                format!(" WHEN {condition} THEN {}", expression(dice, kind, depth))
            };
            let branches: String = (0..1 + dice.below(2)).map(|_| branch(dice)).collect();
            let otherwise =
                if dice.chance(70) { format!(" ELSE {}", expression(dice, kind, depth)) } else { String::new() };
            format!("(CASE{branches}{otherwise} END)")
        }
        1 => format!("coalesce({}, {})", expression(dice, kind, depth), expression(dice, kind, depth)),
        _ => match kind {
            FieldType::Bool => condition(dice, depth),
            FieldType::Int => int(dice, depth),
            FieldType::Float => float(dice, depth),
            FieldType::String => text(dice, depth),
            FieldType::Timestamp => leaf(dice, kind),
        },
    }
}

/// A field, or sometimes a constant.
fn leaf(dice: &mut Dice, kind: FieldType) -> String {
    let is_constant = dice.chance(25);
    let of = |dice: &mut Dice, fields: &[&str]| (*dice.pick(fields)).to_owned();
    match kind {
        _ if is_constant => constant(dice, kind),
        FieldType::Bool => of(dice, &["b", "c"]),
        FieldType::Int => of(dice, &["n", "m", "shop"]),
        FieldType::Float => of(dice, &["x", "y"]),
        FieldType::String => of(dice, &["k", "t", "id"]),
        FieldType::Timestamp => of(dice, &["seen_at", "w"]),
    }
}

fn constant(dice: &mut Dice, kind: FieldType) -> String {
    let all: &[&str] = match kind {
        FieldType::Bool => &["TRUE", "FALSE"],
        FieldType::Int => &["0", "1", "-1", "2", "-3", "7", "60", "9223372036854775807", "(-9223372036854775807 - 1)"],
        FieldType::Float => &["0.0", "-0.0", "0.5", "-1.5", "2.0", "1e15", "1e-9", "1e200"],
        FieldType::String => &["''", "'a'", "'B'", "'ü'", "'Σ'", "'/p'", "'it''s'"],
        FieldType::Timestamp => &[
            "TIMESTAMP '1970-01-01T00:00:00Z'",
            "TIMESTAMP '1969-12-31T23:59:59.999999Z'",
            "TIMESTAMP '0001-01-01T00:00:00Z'",
        ],
    };
    (*dice.pick(all)).to_owned()
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    let of = |dice: &mut Dice, kind| expression(dice, kind, depth);
    match dice.below(12) {
        0 | 1 => {
            let operator = *dice.pick(&["AND", "OR"]);
            format!("({} {operator} {})", of(dice, FieldType::Bool), of(dice, FieldType::Bool))
        }
        2 => format!("(NOT {})", of(dice, FieldType::Bool)),
        3 => {
            let (kind, not) = (*dice.pick(&KINDS), *dice.pick(&["", "NOT "]));
            format!("({} IS {not}NULL)", of(dice, kind))
        }
        4 | 5 => {
            let kind = *dice.pick(&[FieldType::String, FieldType::Int, FieldType::Float, FieldType::Timestamp]);
            let not = *dice.pick(&["", "NOT "]);
            // A list holds literals only.
            let literals: Vec<String> = (0..1 + dice.below(4)).map(|_| constant(dice, kind)).collect();
            format!("({} {not}IN ({}))", of(dice, kind), literals.join(", "))
        }
        6 => {
            let kind = *dice.pick(&[FieldType::String, FieldType::Int, FieldType::Float, FieldType::Timestamp]);
            let not = *dice.pick(&["", "NOT "]);
            format!("({} {not}BETWEEN {} AND {})", of(dice, kind), of(dice, kind), of(dice, kind))
        }
        7 => {
            let function = *dice.pick(&["contains", "starts_with", "ends_with"]);
            format!("{function}({}, {})", of(dice, FieldType::String), of(dice, FieldType::String))
        }
        8 => {
            let operator = *dice.pick(&["=", "<>"]);
            format!("({} {operator} {})", of(dice, FieldType::Bool), of(dice, FieldType::Bool))
        }
        9 => format!("({} {} {})", of(dice, FieldType::Int), comparison(dice), of(dice, FieldType::Float)),
        _ => {
            let kind = *dice.pick(&[FieldType::String, FieldType::Int, FieldType::Float, FieldType::Timestamp]);
            format!("({} {} {})", of(dice, kind), comparison(dice), of(dice, kind))
        }
    }
}

fn comparison(dice: &mut Dice) -> &'static str {
    const ALL: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
    dice.pick::<&str>(&ALL)
}

fn int(dice: &mut Dice, depth: usize) -> String {
    let of = |dice: &mut Dice| expression(dice, FieldType::Int, depth);
    match dice.below(8) {
        0 => format!("(- {})", of(dice)),
        1 => format!("{}({})", *dice.pick(&["abs", "ceil", "floor"]), of(dice)),
        2 => format!("length({})", expression(dice, FieldType::String, depth)),
        _ => {
            let operator = *dice.pick(&["+", "-", "*", "%"]);
            format!("({} {operator} {})", of(dice), of(dice))
        }
    }
}

fn float(dice: &mut Dice, depth: usize) -> String {
    let of = |dice: &mut Dice| expression(dice, FieldType::Float, depth);
    let of_int = |dice: &mut Dice| expression(dice, FieldType::Int, depth);
    match dice.below(10) {
        0 => format!("(- {})", of(dice)),
        1 => format!("{}({})", *dice.pick(&["abs", "ceil", "floor"]), of(dice)),
        2 => format!("CAST({} AS DOUBLE)", of_int(dice)),
        3 => format!("({} / {})", of_int(dice), of_int(dice)),
        4 => format!("distance_km({}, {}, {}, {})", of(dice), of(dice), of(dice), of(dice)),
        5 => {
            let instant = |dice: &mut Dice| expression(dice, FieldType::Timestamp, depth);
            format!("seconds_between({}, {})", instant(dice), instant(dice))
        }
        6 => {
            let operator = *dice.pick(&["+", "-", "*", "/", "%"]);
            format!("({} {operator} {})", of_int(dice), of(dice))
        }
        _ => {
            let operator = *dice.pick(&["+", "-", "*", "/", "%"]);
            format!("({} {operator} {})", of(dice), of(dice))
        }
    }
}

fn text(dice: &mut Dice, depth: usize) -> String {
    let function = *dice.pick(&["lower", "upper", "url_path"]);
    format!("{function}({})", expression(dice, FieldType::String, depth))
}
