//! What events say. Their id is the client's positions behind them.

use axum::response::sse::Event;
use shared_logic::complete::{Gap, Why};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::OffsetRange;

use super::Watcher;
use super::catch_up::Break;
use crate::gap_text::GapText;

impl Watcher {
    /// An output.
    pub(super) fn tell_output(&mut self, partition: i32, offset: i64, json: &str) {
        self.advance(partition, offset + 1);
        let event = self.identified().data(json);
        self.pending.push_back(event);
    }

    /// The positions alone: no event, but a client that connects again says them.
    pub(super) fn tell_positions(&mut self) {
        let event = self.identified();
        self.pending.push_back(event);
    }

    /// Why the client hears nothing, in a comment.
    pub(super) fn tell_nothing(&mut self, why: &str) {
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.pending.push_back(Event::default().comment(why));
    }

    /// What keeps the client from going on where it was.
    pub(super) fn tell_break(&mut self, of: &Break) {
        match of {
            Break::Replaced => self.tell_gap(&GapText::log_replaced(&self.reader.source.name)),
            Break::Missing(gap) => self.tell_missing(gap),
        }
    }

    /// Offsets that neither the log nor the archive holds. The client has passed them then.
    pub(super) fn tell_lost(&mut self, range: &OffsetRange) {
        self.advance(range.id.partition, range.to);
        let why = Why::Lost { from: range.from, to: range.to };
        self.tell_missing(&Gap { partition: Some(range.id.clone()), why });
    }

    /// What the archive lacks of offsets that it has passed.
    pub(super) fn tell_not_archived(&mut self, range: &OffsetRange, facts: &Facts) {
        let Some(known) = facts.partition(&range.id) else { return };
        for lost in known.lost.iter().filter(|lost| lost.from < range.to && range.from < lost.to) {
            let why = Why::Lost { from: lost.from.max(range.from), to: lost.to.min(range.to) };
            self.tell_missing(&Gap { partition: Some(range.id.clone()), why });
        }
        let retired = facts.retired_before.filter(|_| facts.may_be_retired(&range.id, range.from));
        if let Some(before) = retired.filter(|before| self.told_retired != Some(*before)) {
            self.told_retired = Some(before);
            self.tell_missing(&Gap { partition: None, why: Why::Retired { before } });
        }
    }

    /// Any other event.
    pub(super) fn tell(&mut self, kind: &str, text: &str) {
        let event = self.identified().event(kind).data(text);
        self.pending.push_back(event);
    }

    fn tell_missing(&mut self, gap: &Gap) {
        self.tell_gap(&GapText::new(gap, &self.reader.source.name, &None, &None));
    }

    fn tell_gap(&mut self, gap: &GapText) {
        let text = serde_json::to_string(gap).expect("a gap is plain data");
        self.tell("gap", &text);
    }

    fn identified(&self) -> Event {
        self.at.as_ref().map_or_else(Event::default, |at| Event::default().id(at.to_string()))
    }
}
