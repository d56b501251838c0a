//! The terminal that a command prints to: how wide it is, whether it has colours, and what must not reach it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result};

const RESET: &str = "\x1b[0m";

/// What a stream leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// The columns of the terminal; `None` if the stream leads to a file or a pipe, in which lines may have any length.
    pub width: Option<usize>,
    /// Whether text may be coloured.
    pub colours: bool,
}

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Something to look at.
    Bad,
}

impl Screen {
    /// A file or a pipe.
    pub const NONE: Screen = Screen { width: None, colours: false };

    /// What the stream leads to: standard output or standard error.
    pub fn behind(stream: &(impl IsTerminal + AsFd)) -> Screen {
        let Some(width) = platform::terminal::width(stream) else { return Screen::NONE };
        let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        Screen { width: Some(width), colours: has_colours(no_color.as_deref(), term.as_deref()) }
    }

    /// Whether the stream leads to a terminal.
    pub fn is_terminal(self) -> bool {
        self.width.is_some()
    }

    /// The text in its colour, or as it is where there are no colours.
    pub fn paint(self, tint: Option<Tint>, text: &str) -> String {
        match tint {
            Some(tint) if self.colours && !text.is_empty() => format!("{}{text}{RESET}", tint.code()),
            _ => text.to_owned(),
        }
    }
}

impl Tint {
    fn code(self) -> &'static str {
        match self {
            Tint::Heading => "\x1b[1m",
            Tint::Good => "\x1b[32m",
            Tint::Bad => "\x1b[31m",
        }
    }
}

/// Whether a terminal has colours, by the variables `NO_COLOR` (see no-color.org: set and not empty) and `TERM`.
fn has_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// If the text cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    print_to_reader(text).map(drop)
}

/// Prints to standard output; returns whether anybody reads it still.
///
/// # Errors
/// As [`print`].
pub fn print_to_reader(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Text from elsewhere as it may be printed: control characters are written as escapes, since they could move the cursor or
/// hide what was printed before.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_a_dumb_terminal_mean_no_colours() {
        let colours =
            |no_color: Option<&str>, term: Option<&str>| has_colours(no_color.map(OsStr::new), term.map(OsStr::new));
        assert!(colours(None, None) && colours(None, Some("xterm")) && colours(Some(""), Some("xterm")));
        assert!(!colours(Some("1"), Some("xterm")) && !colours(Some("0"), None) && !colours(None, Some("dumb")));
    }

    #[test]
    fn only_a_coloured_screen_paints() {
        let coloured = Screen { width: Some(80), colours: true };
        assert_eq!(coloured.paint(Some(Tint::Bad), "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(coloured.paint(None, "no"), "no");
        assert_eq!(coloured.paint(Some(Tint::Bad), ""), "");
        assert_eq!(Screen { width: Some(80), colours: false }.paint(Some(Tint::Bad), "no"), "no");
        assert_eq!(Screen::NONE.paint(Some(Tint::Bad), "no"), "no");
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(Screen::behind(&file), Screen::NONE);
        assert!(!Screen::NONE.is_terminal());
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("日本 é"), "日本 é");
        assert_eq!(printable("a\x1b[2Jb\n\u{9b}c"), "a\\u{1b}[2Jb\\n\\u{9b}c");
    }
}
