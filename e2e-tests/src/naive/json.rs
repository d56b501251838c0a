//! JSON as RFC 8259 words it, character by character.

/// A document or a part of one. Numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    /// Members in the order in which they stand.
    Object(Vec<(String, Json)>),
}

/// One step into a document.
pub(super) enum Step {
    Member(&'static str),
    Element(usize),
}

impl Json {
    /// What stands one step below, if there is something. Of a member that is repeated the last one stands.
    pub(super) fn below(&self, step: &Step) -> Option<&Json> {
        match (self, step) {
            (Json::Object(members), Step::Member(name)) => {
                members.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value)
            }
            (Json::Array(elements), Step::Element(position)) => elements.get(*position),
            _ => None,
        }
    }
}

/// Reads a whole document; nothing if it is no JSON.
pub(super) fn read(text: &str) -> Option<Json> {
    let mut reader = Reader { rest: text };
    reader.space();
    let document = reader.value()?;
    reader.space();
    reader.rest.is_empty().then_some(document)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<Json> {
        match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.array(),
            '"' => self.text().map(Json::Text),
            't' => self.take("true").then_some(Json::Bool(true)),
            'f' => self.take("false").then_some(Json::Bool(false)),
            'n' => self.take("null").then_some(Json::Null),
            _ => self.number().map(Json::Number),
        }
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = Vec::new();
        self.rest = &self.rest[1..];
        self.space();
        if self.take("}") {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.text()?;
            self.space();
            self.take(":").then_some(())?;
            self.space();
            members.push((name, self.value()?));
            self.space();
            if self.take("}") {
                return Some(Json::Object(members));
            }
            self.take(",").then_some(())?;
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut elements = Vec::new();
        self.rest = &self.rest[1..];
        self.space();
        if self.take("]") {
            return Some(Json::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value()?);
            self.space();
            if self.take("]") {
                return Some(Json::Array(elements));
            }
            self.take(",").then_some(())?;
        }
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"").then_some(())?;
        let mut text = String::new();
        loop {
            let next = self.next()?;
            match next {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                control if control < ' ' => return None,
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.next()? {
            plain @ ('"' | '\\' | '/') => Some(plain),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let first = self.unit()?;
                let mut ahead = Reader { rest: self.rest };
                let second = if ahead.take("\\u") { ahead.unit() } else { None };
                if let Some(Ok(pair)) = second.and_then(|second| char::decode_utf16([first, second]).next())
                    && pair > '\u{ffff}'
                {
                    self.rest = ahead.rest;
                    return Some(pair);
                }
                // Half a pair is no character.
                Some(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest.get(..4)?;
        digits.chars().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<String> {
        let before = self.rest;
        let _ = self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        Some(before[..before.len() - self.rest.len()].to_owned())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some.then_some(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }
}
