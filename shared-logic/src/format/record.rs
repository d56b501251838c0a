//! One payload as it is read: tokens, then typed cells.

#[cfg(feature = "registry")]
use crate::rejection::Reason;

/// The tokens and cells of one payload. It is used again for the next payload, so that reading does not allocate.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// One token per declared field.
    pub(super) tokens: Vec<Token>,
    /// One cell per declared field.
    pub(crate) cells: Vec<Cell>,
    /// Texts whose escapes were resolved.
    pub(crate) unescaped: Vec<u8>,
    /// Room for the brackets that are open while a value is passed over.
    pub(super) open: Vec<u8>,
}

/// What stands where a field's value is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token {
    Absent,
    Text(Span),
    Number(Span),
    Bool(bool),
    /// An object or an array.
    Nested,
    /// A value that is no text and whose type the payload's schema tells: the field's cell, or why it can have none.
    #[cfg(feature = "registry")]
    Typed(Result<Cell, Reason>),
}

/// A typed value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(Span),
    /// Integers, and instants in microseconds.
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// A stretch of bytes in the payload or, where `resolved` is true, among the resolved texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(super) resolved: bool,
}

impl Record {
    /// An empty record of so many fields.
    pub(crate) fn new(fields: usize) -> Record {
        Record {
            tokens: vec![Token::Absent; fields],
            cells: vec![Cell::Null; fields],
            unescaped: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Forgets the payload before. Cells are overwritten.
    pub(super) fn clear(&mut self) {
        self.tokens.fill(Token::Absent);
        self.unescaped.clear();
    }
}

impl Span {
    /// A stretch of the payload.
    pub(super) fn plain(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32, resolved: false }
    }

    /// What was appended to the resolved texts since they were `start` bytes long.
    pub(super) fn resolved(start: usize, unescaped: &[u8]) -> Span {
        Span { start: start as u32, end: unescaped.len() as u32, resolved: true }
    }

    /// The bytes it stands for.
    pub(crate) fn of<'a>(self, payload: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        let text = if self.resolved { unescaped } else { payload };
        &text[self.start as usize..self.end as usize]
    }
}
