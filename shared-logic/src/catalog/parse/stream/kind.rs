//! Which kind of stream a table is, and which keys it has then.

use crate::catalog::parse::document::Table;

/// A kind of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Map,
    Window,
    Session,
    Detect,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Map, Kind::Window, Kind::Session, Kind::Detect];

    fn noun(self) -> &'static str {
        match self {
            Kind::Map => "map",
            Kind::Window => "window",
            Kind::Session => "session",
            Kind::Detect => "detector",
        }
    }

    /// The key that says so. A map is what has none of them.
    fn key(self) -> Option<&'static str> {
        match self {
            Kind::Map => None,
            Kind::Window => Some("window"),
            Kind::Session => Some("session"),
            Kind::Detect => Some("detect"),
        }
    }

    /// The keys that not every stream has.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Map => &["key", "fields", "lookup"],
            Kind::Window => {
                &["by", "window", "slide", "offset", "windows_max", "open_max", "lateness", "measures", "derived"]
            }
            Kind::Session => &["by", "session", "longest", "open_max", "lateness", "measures", "derived"],
            Kind::Detect => &["key", "history", "history_max", "rejudge_max", "lateness", "detect"],
        }
    }
}

/// The kind of a stream. Reports keys of other kinds, and streams that are of several kinds or of none.
pub(super) fn kind(table: &mut Table<'_>) -> Kind {
    let said: Vec<&str> = Kind::ALL.into_iter().filter_map(Kind::key).filter(|key| table.holds(key)).collect();
    let kind = Kind::ALL.into_iter().find(|kind| kind.key() == said.first().copied()).unwrap_or(Kind::Map);
    let is_map = ["key", "fields", "lookup", "where"].iter().any(|key| table.holds(key));
    if let [first, second, ..] = said.as_slice() {
        let what = format!("{} has both `{first}` and `{second}`", table.title);
        let at = table.key_at(second).unwrap_or(table.at);
        table.mistakes.report(at, what, "a stream does one of both: make two streams");
    } else if said.is_empty() && !is_map {
        let what = format!("{} does not say what it does", table.title);
        let fix = "add window = \"5m\", session = \"30m\", or a table `detect` with rules; or `fields`, `key`, `lookup` or `where`, \
                   to write its records one by one";
        table.mistakes.report(table.at, what, fix);
    }
    let is_plain = said.len() == 1 || (said.is_empty() && is_map);
    set_others_aside(table, kind, is_plain);
    kind
}

/// Keys of other kinds are not unknown. They are reported, unless it was already that the kind is not plain.
fn set_others_aside(table: &mut Table<'_>, kind: Kind, is_plain: bool) {
    let mut seen: Vec<&str> = kind.keys().to_vec();
    for key in Kind::ALL.into_iter().flat_map(Kind::keys).copied() {
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let Some(at) = table.set_aside(key).filter(|_| is_plain) else { continue };
        let kinds = Kind::ALL.into_iter().filter(|other| other.keys().contains(&key));
        let (nouns, keys): (Vec<&str>, Vec<Option<&str>>) = kinds.map(|other| (other.noun(), other.key())).unzip();
        let what = format!("`{key}` is for a {}, and {} is a {}", nouns.join(" or a "), table.title, kind.noun());
        let keys: Vec<&str> = keys.into_iter().flatten().collect();
        let fix = match kind {
            Kind::Map if !keys.is_empty() => format!("leave it out, or add `{}`", keys.join("` or `")),
            _ => "leave it out".to_owned(),
        };
        table.mistakes.report(at, what, fix);
    }
}
