//! Any bytes as lines of an access log: what every decoder promises, and the form of a line that splitting at its marks finds.

use std::sync::LazyLock;

use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;

use crate::decoder;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("combined"));

/// Decodes a batch of lines and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn combined(batch: &[u8]) {
    for (payload, said) in decoder::judged(&SOURCE, batch) {
        let reason = said.as_ref().err().map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(payload) else { continue };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.is_empty() {
            continue;
        }
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        assert_eq!(reason != Some(Reason::WrongColumns), is_line(line).is_some(), "{text:?}");
        for at in 0..SOURCE.fields.len() {
            if let Some(text) = SOURCE.field_text(payload, at) {
                assert!(std::str::from_utf8(&text).is_ok(), "{}: {}", SOURCE.fields[at].name, text.escape_ascii());
            }
        }
    }
}

/// Whether this is a line of the common or the combined form, part by part.
fn is_line(line: &str) -> Option<()> {
    let (client, request) = line.split_once("] \"")?;
    let (client, _time) = client.rsplit_once(" [")?;
    let parts: Vec<&str> = client.splitn(3, ' ').collect();
    let [host, ident, user] = parts[..] else { return None };
    let one_user = !user.contains(' ') || ident == "-";
    (!line.contains('\n') && one_user && [host, ident, user].iter().all(|part| !part.is_empty())).then_some(())?;

    let (status, rest) = behind_quote(request)?.strip_prefix(' ')?.split_once(' ')?;
    let (bytes, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    (!status.is_empty() && !bytes.is_empty()).then_some(())?;
    if rest.is_empty() {
        return Some(());
    }
    let rest = behind_quote(rest.strip_prefix(" \"")?)?;
    let rest = behind_quote(rest.strip_prefix(" \"")?)?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(())
}

/// What follows the quote that ends a text. One that stands behind a backslash belongs to the text.
fn behind_quote(text: &str) -> Option<&str> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if character == '"' && !is_escaped {
            return Some(&text[at + 1..]);
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    None
}
