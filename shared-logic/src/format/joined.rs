//! Instants whose date and time of day are fields of their own.

use super::record::{Record, Span, Token};
use super::{FieldValue, Layout, instant};
use crate::schema::{Field, InstantFormat, Place};

/// An instant that is read from the texts of other fields.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// Its position among the source's fields.
    at: usize,
    /// Theirs, in the order of their texts.
    parts: Vec<usize>,
}

impl Joined {
    /// Those among the fields.
    pub(super) fn among(fields: &[Field]) -> Vec<Joined> {
        let position = |name: &String| fields.iter().position(|field| field.name == *name);
        let joined = |(at, field): (usize, &Field)| match &field.place {
            Place::Joined(names) => Some(Joined { at, parts: names.iter().filter_map(position).collect() }),
            Place::Own | Place::Path(_) | Place::Record => None,
        };
        fields.iter().enumerate().filter_map(joined).collect()
    }

    /// Puts the texts together, with blanks between them, as the instant's token. It stays absent if one of them is.
    pub(super) fn join(&self, payload: &[u8], record: &mut Record) {
        let start = record.unescaped.len();
        for (number, part) in self.parts.iter().enumerate() {
            let (Token::Text(span) | Token::Number(span)) = record.tokens[*part] else { return };
            if number > 0 {
                record.unescaped.push(b' ');
            }
            let text = span.start as usize..span.end as usize;
            if span.resolved {
                record.unescaped.extend_from_within(text);
            } else {
                record.unescaped.extend_from_slice(&payload[text]);
            }
        }
        record.tokens[self.at] = Token::Text(Span::resolved(start, &record.unescaped));
    }

    /// The texts of the parts, by their positions, so that their joined text is the instant's; `None` if it is absent.
    pub(super) fn split(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<(usize, Option<String>)> {
        let text = match values[self.at] {
            Some(FieldValue::Instant(us)) => self.text(layout, us),
            Some(value) => value.to_string(),
            None => return self.parts.iter().map(|part| (*part, None)).collect(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let of_part = |(number, part): (usize, &usize)| {
            let end = if number + 1 == self.parts.len() { words.len() } else { number + 1 };
            (*part, Some(words.get(number..end).unwrap_or_default().join(" ")))
        };
        self.parts.iter().enumerate().map(of_part).collect()
    }

    fn text(&self, layout: Layout<'_>, us: i64) -> String {
        let format = &layout.fields[self.at].instants;
        let text = instant::write(format, us, layout.time_zone);
        match format {
            InstantFormat::Usual if self.parts.len() == 2 => text.replace('T', " "),
            InstantFormat::Usual => text.replace('T', " ").replace('Z', " +00:00"),
            InstantFormat::Epoch(_) | InstantFormat::Pattern(_) => text,
        }
    }
}
