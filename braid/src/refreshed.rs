//! A page that is printed again and again, in place of the one before.

use anyhow::Result;

use crate::terminal::{Screen, print_to_reader};

/// A page on standard output. On a terminal a page takes the place of the one before; elsewhere one follows on the other.
#[derive(Debug)]
pub struct Refreshed {
    screen: Screen,
    /// How many lines of the terminal the last page took.
    lines: usize,
}

impl Refreshed {
    /// Nothing is printed yet.
    pub fn new(screen: Screen) -> Refreshed {
        Refreshed { screen, lines: 0 }
    }

    /// Prints a page of whole lines; returns whether anybody reads it still.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn show(&mut self, page: &str) -> Result<bool> {
        print_to_reader(&self.text(page))
    }

    /// The next page stands below the last one, which stays.
    pub fn keep(&mut self) {
        self.lines = 0;
    }

    /// The page, and before it what removes the last one.
    fn text(&mut self, page: &str) -> String {
        let Some(width) = self.screen.width else { return page.to_owned() };
        let removed = match self.lines {
            0 => String::new(),
            // Up to the first line of the last page; everything from there on is removed.
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        };
        self.lines = page.lines().map(|line| shown_width(line).div_ceil(width.max(1)).max(1)).sum();
        removed + page
    }
}

/// How many columns a line takes: colours take none.
fn shown_width(line: &str) -> usize {
    let mut width = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            // The last character of such a sequence is its only letter.
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            width += 1;
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(width: usize) -> Refreshed {
        Refreshed::new(Screen { width: Some(width), colours: true })
    }

    #[test]
    fn a_page_takes_the_place_of_the_one_before() {
        let mut refreshed = terminal(80);
        assert_eq!(refreshed.text("a\nb\n"), "a\nb\n");
        assert_eq!(refreshed.text("c\n"), "\x1b[2A\r\x1b[Jc\n");
        assert_eq!(refreshed.text("d\n"), "\x1b[1A\r\x1b[Jd\n");
        refreshed.keep();
        assert_eq!(refreshed.text("e\n"), "e\n");
    }

    #[test]
    fn a_line_that_the_terminal_breaks_is_several() {
        let mut refreshed = terminal(4);
        refreshed.text("12345\n\n\x1b[1m1234\x1b[0m\n");
        assert_eq!(refreshed.text(""), "\x1b[4A\r\x1b[J");
    }

    #[test]
    fn in_a_file_pages_follow_on_each_other() {
        let mut refreshed = Refreshed::new(Screen::NONE);
        assert_eq!((refreshed.text("a\n"), refreshed.text("b\n")), ("a\n".to_owned(), "b\n".to_owned()));
    }
}
