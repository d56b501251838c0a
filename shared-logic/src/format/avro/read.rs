//! A datum → the record's tokens, in one pass. Only where paths lead through a map, its entries are passed over first.
//!
//! `None` means that the datum is not of its schema.

use super::plan::{AvroPlan, Node, Shape};
use crate::format::record::{Record, Span};
use crate::format::registered::Plan;
use crate::format::registered::value::Value;
use crate::rejection::Reason;

/// Records, arrays and maps that nest deeper are rejected: a type may hold itself, and the stack is finite.
const LEVELS_MAX: usize = 200;

impl Plan for AvroPlan {
    fn tokenize(&self, payload: &[u8], at: usize, record: &mut Record) -> Result<(), Reason> {
        let mut reading = Reading { plan: self, payload, at, levels: 0, record, text: String::new() };
        let read = reading.value(self.root);
        // The datum ends where the payload ends.
        read.filter(|()| reading.at == payload.len()).ok_or(Reason::NotAvro)
    }
}

struct Reading<'a> {
    plan: &'a AvroPlan,
    payload: &'a [u8],
    at: usize,
    /// How many records, arrays and maps are open.
    levels: usize,
    record: &'a mut Record,
    /// Room for a text that the datum holds in another form.
    text: String,
}

impl<'a> Reading<'a> {
    fn value(&mut self, at: usize) -> Option<()> {
        let plan = self.plan;
        let node = &plan.nodes[at];
        let value = match &node.shape {
            Shape::Null => return Some(()),
            Shape::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok()?;
                return self.value(*branches.get(branch)?);
            }
            Shape::Bool => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Shape::Int => node.meaning.of_integer(i32::try_from(self.long()?).ok()?.into()),
            Shape::Long => node.meaning.of_integer(self.long()?),
            Shape::Float => Value::Float(f32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            Shape::Double => Value::Float(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            Shape::Text => Value::Text(self.text()?),
            Shape::Enum(symbols) => Value::Word(symbols.get(usize::try_from(self.long()?).ok()?)?),
            Shape::Bytes => {
                let length = self.length()?;
                return self.bytes(node, length);
            }
            Shape::Fixed(length) => return self.bytes(node, *length),
            Shape::Record(fields) => {
                self.open()?;
                fields.iter().try_for_each(|field| self.value(*field))?;
                self.close()
            }
            Shape::Array(items, chosen) => {
                self.open()?;
                self.array(*items, chosen)?;
                self.close()
            }
            Shape::Map(values, chosen) => {
                self.open()?;
                self.map(*values, chosen)?;
                self.close()
            }
        };
        self.hold(node, value);
        Some(())
    }

    fn bytes(&mut self, node: &Node, length: usize) -> Option<()> {
        let bytes = self.take(length)?;
        if !node.held_by.is_empty() {
            let mut text = std::mem::take(&mut self.text);
            let value = node.meaning.of_bytes(bytes, &mut text);
            self.hold(node, value);
            self.text = text;
        }
        Some(())
    }

    fn array(&mut self, items: usize, chosen: &[(usize, usize)]) -> Option<()> {
        let mut position = 0;
        while let Some(count) = self.block()? {
            for _ in 0..count {
                let chosen = chosen.iter().find(|(chosen, _)| *chosen == position);
                let before = self.at;
                self.value(chosen.map_or(items, |(_, node)| *node))?;
                position += 1;
                if self.at == before {
                    // Items without bytes: there may be any number of them, and none holds anything.
                    break;
                }
            }
        }
        Some(())
    }

    /// Entries that paths lead to are read at the end: of a key that is repeated, the last one stands, with all that is inside of it.
    fn map(&mut self, values: usize, chosen: &[(String, usize)]) -> Option<()> {
        let mut last = vec![None; chosen.len()];
        while let Some(count) = self.block()? {
            for _ in 0..count {
                let key = self.text()?.of(self.payload, &[]);
                if let Some((_, last)) = chosen.iter().zip(&mut last).find(|((chosen, _), _)| chosen.as_bytes() == key)
                {
                    *last = Some(self.at);
                }
                self.value(values)?;
            }
        }
        let end = self.at;
        for ((_, node), at) in chosen.iter().zip(last) {
            if let Some(at) = at {
                self.at = at;
                self.value(*node)?;
            }
        }
        self.at = end;
        Some(())
    }

    /// The number of items in the next block of an array or a map; `Some(None)` at its end.
    fn block(&mut self) -> Option<Option<u64>> {
        let count = self.long()?;
        if count < 0 {
            // Such a block says how many bytes it has, for readers that pass over it.
            self.length()?;
        }
        Some((count != 0).then_some(count.unsigned_abs()))
    }

    fn text(&mut self) -> Option<Span> {
        let length = self.length()?;
        let text = self.take(length)?;
        simdutf8::basic::from_utf8(text).ok()?;
        Some(Span::plain(self.at - length, self.at))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.payload.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// An integer in at most ten bytes of seven bits each, the lowest first; the lowest bit is the sign.
    fn long(&mut self) -> Option<i64> {
        let mut bits = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.payload.get(self.at)?;
            self.at += 1;
            let seven = u64::from(byte & 0x7f);
            if shift == 63 && seven > 1 {
                return None;
            }
            bits |= seven << shift;
            if byte < 0x80 {
                return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        None
    }

    fn open(&mut self) -> Option<()> {
        self.levels += 1;
        (self.levels <= LEVELS_MAX).then_some(())
    }

    /// What a record, an array or a map is to a field.
    fn close(&mut self) -> Value<'static> {
        self.levels -= 1;
        Value::Other
    }

    fn hold(&mut self, node: &Node, value: Value<'_>) {
        let Record { tokens, unescaped, .. } = &mut *self.record;
        for field in &node.held_by {
            tokens[*field] = value.token(&self.plan.fields[*field], unescaped);
        }
    }
}
