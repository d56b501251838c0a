//! Which module of a crate imports which, read from the text of its files.
//!
//! This is no compiler: it looks for `use` items and for paths that begin with `crate`, `super` or `self`. That is enough,
//! since a module of the same crate is named in no other way. A name that a file passes on with `pub use` leads to where
//! it comes from, so that nothing hides behind a re-export.

use std::collections::{BTreeMap, BTreeSet};

/// The names of a module's path; the crate's root has none.
pub(super) type Module = Vec<String>;

/// Pairs of modules of one crate, of which the first imports the second.
pub(super) type Imports = BTreeSet<(Module, Module)>;

/// Reads the imports of a crate's modules, given with their texts.
pub(super) fn read(texts: &BTreeMap<Module, String>) -> Imports {
    let modules: BTreeSet<Module> = texts.keys().cloned().collect();
    let named = texts.iter().map(|(module, text)| (module.clone(), paths(text, module, &modules))).collect();
    let files = Files { modules, named };
    let of_file = |(module, named): (&Module, &Vec<Named>)| -> Vec<(Module, Module)> {
        let targets = named.iter().map(|named| files.holder(&named.path, &mut BTreeSet::new()));
        targets.filter(|target| target != module).map(|target| (module.clone(), target)).collect()
    };
    files.named.iter().flat_map(of_file).collect()
}

/// A path as seen from the crate's root, and the name by which a `use` makes it known.
struct Named {
    path: Vec<String>,
    name: Option<String>,
}

struct Files {
    modules: BTreeSet<Module>,
    named: BTreeMap<Module, Vec<Named>>,
}

impl Files {
    /// The module whose file defines what the path names. `seen` keeps names that refer to each other from looping.
    fn holder(&self, path: &[String], seen: &mut BTreeSet<Vec<String>>) -> Module {
        let length = (0..=path.len()).rev().find(|length| self.modules.contains(&path[..*length])).unwrap_or_default();
        let (module, rest) = path.split_at(length);
        let named = self.named.get(module).into_iter().flatten();
        let passed_on =
            rest.first().and_then(|first| named.into_iter().find(|named| named.name.as_ref() == Some(first)));
        match passed_on {
            Some(named) if seen.insert(path.to_owned()) => {
                let path: Vec<String> = named.path.iter().chain(&rest[1..]).cloned().collect();
                self.holder(&path, seen)
            }
            _ => module.to_owned(),
        }
    }
}

/// Every path of the text that leads into the crate.
fn paths(text: &str, module: &Module, modules: &BTreeSet<Module>) -> Vec<Named> {
    let words = words(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at] == "use" {
            at = tree(&words, at + 1, &[], &mut found);
        } else if is_local(words[at]) && words.get(at + 1) == Some(&"::") {
            let mut path = vec![words[at].to_owned()];
            while words.get(at + 1) == Some(&"::") && words.get(at + 2).is_some_and(|word| is_name(word)) {
                path.push(words[at + 2].to_owned());
                at += 2;
            }
            found.push(Named { path, name: None });
        }
        at += 1;
    }
    let inside = |named: Named| Some(Named { path: from_root(&named.path, module, modules)?, ..named });
    found.into_iter().filter_map(inside).collect()
}

/// Reads the tree of a `use` from `at` on, below `prefix`; gives where it ends.
fn tree(words: &[&str], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(word) = words.get(at) {
        match *word {
            "::" => {}
            "{" => {
                while words.get(at).is_some_and(|word| *word != "}") {
                    at = tree(words, at + 1, &path, found);
                }
                return at + 1;
            }
            "as" => {
                let name = words.get(at + 1).map(|name| (*name).to_owned());
                found.push(Named { path, name });
                return at + 2;
            }
            word if is_name(word) => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    if path.len() > prefix.len() || words.get(at.saturating_sub(1)) == Some(&"self") {
        let name = path.last().cloned();
        found.push(Named { path, name });
    }
    at
}

/// The path as seen from the crate's root; `None` if it leads out of the crate.
fn from_root(path: &[String], module: &Module, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let first = path.first()?;
    let base = match first.as_str() {
        "crate" => &[],
        "super" => module.get(..module.len().checked_sub(ups)?)?,
        "self" => module.as_slice(),
        _ => {
            let child: Module = module.iter().chain([first]).cloned().collect();
            let leads_to_child = modules.contains(&child);
            return leads_to_child.then(|| module.iter().chain(path).cloned().collect());
        }
    };
    Some(base.iter().chain(&path[ups.max(1)..]).cloned().collect())
}

fn is_local(word: &str) -> bool {
    matches!(word, "crate" | "super" | "self")
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The text as names and signs (`::` is one), without comments, literals of text, and unit tests.
fn words(text: &str) -> Vec<&str> {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw_text(rest) {
            raw
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            letter(rest)
        } else if name > 0 {
            words.push(&rest[..name]);
            name
        } else if rest.starts_with("::") {
            words.push("::");
            2
        } else {
            if !first.is_whitespace() {
                words.push(&rest[..first.len_utf8()]);
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// The length of a literal that the quote ends, unless a backslash stands before it.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The length of a letter in quotes, or of the quote alone where a lifetime begins.
fn letter(text: &str) -> usize {
    let mut letters = text.chars().skip(1);
    let (first, second) = (letters.next(), letters.next());
    if first == Some('\\') || second == Some('\'') { quoted(text, '\'') } else { 1 }
}

/// The length of a raw string such as `r#"…"#`, if one begins here.
fn raw_text(text: &str) -> Option<usize> {
    let marks = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    let body = marks[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&end)? + end.len())
}
