//! Rules over an event and the recent past of its key.
//!
//! An event is judged when it arrives. If an event of its key arrives later and stands before it, it is judged again as long as
//! the watermark has not passed its time: one swap of order hides no fraud. So what a rule may name of an event, its *row*, is
//! kept until then, and the values that rules look at as long as the history is.
//!
//! - `past`: the events of a key, packed;
//! - `look`: what rules ask of them;
//! - `shelves`: rows and texts, which are given back by their times;
//! - `pieces`: how all of it stands in snapshots.

mod look;
mod past;
mod pieces;
mod shelves;

use std::cell::RefCell;
use std::collections::BTreeMap;

use self::look::{LookPlan, View};
use self::past::{Layout, Past};
pub(super) use self::pieces::ranges;
use self::shelves::Shelves;
use super::budget::Budget;
use super::encoding;
use super::keyed::Keyed;
use super::output::Outputs;
use super::rows::{RowPlan, Rows};
use crate::catalog::{Detect, INCOMPLETE, JUDGED_OFFSET, LOOKED_AT, OUTPUT_ID, OUTPUT_TIME, RULE, Source, TRUNCATED};
use crate::expression::{Expression, Scalar};
use crate::schema::FieldType;
use crate::time::{SECOND_US, bucket_start};

/// Keys are looked at for forgetting after a history, and at most this part of it, or a second, later.
const TIMERS: i64 = 16;

/// A detector, compiled.
#[derive(Debug)]
pub(super) struct DetectPlan {
    key: usize,
    history_us: i64,
    history_max: usize,
    rejudge_max: usize,
    lateness_us: i64,
    /// The fields of a row.
    fields: Vec<FieldPlan>,
    /// Which of `fields` alerts are keyed by.
    record_key: Option<usize>,
    /// The columns in [`Rows`] of the values that are kept of each event, and their types.
    kept: Vec<(usize, FieldType)>,
    looks: Vec<LookPlan>,
    rules: Vec<RulePlan>,
}

#[derive(Debug)]
struct FieldPlan {
    name: String,
    kind: FieldType,
    /// The column in [`Rows`].
    column: usize,
    /// Whether alerts carry it. A source that is a stream has fields that alerts have themselves.
    is_written: bool,
}

#[derive(Debug)]
struct RulePlan {
    name: String,
    condition: Expression,
    /// What the condition's columns are.
    columns: Vec<(String, Named)>,
    /// What it looks at, in the order of its text.
    looks: Vec<usize>,
}

/// What a column of a condition is.
#[derive(Debug, Clone, Copy)]
enum Named {
    Field(usize),
    Look(usize),
}

/// What the keys of a partition remember.
#[derive(Debug)]
pub(super) struct Detector {
    keys: Keyed<Past>,
    rows: Shelves,
    texts: Shelves,
    /// Keys by the moment when they may have nothing left to remember. Each key stands here once.
    due: BTreeMap<i64, Vec<u32>>,
    past_bytes: usize,
    /// How many events had to go since the lane began, because a key had too many.
    pub(super) dropped: u64,
}

impl DetectPlan {
    /// Compiles a detector of a checked catalog, over that source. `key` names the field that alerts are keyed by.
    pub(super) fn new(
        rows: &mut RowPlan,
        detect: &Detect,
        source: &Source,
        key: Option<&str>,
        lateness_us: i64,
    ) -> DetectPlan {
        let own = [OUTPUT_ID, OUTPUT_TIME, INCOMPLETE];
        let mut fields = Vec::with_capacity(source.fields.len());
        for field in &source.fields {
            let column = rows.column(Expression::column(&field.name, field.kind));
            let is_written = !(source.is_stream && own.contains(&field.name.as_str()));
            fields.push(FieldPlan { name: field.name.clone(), kind: field.kind, column, is_written });
        }
        let (mut kept, mut looks) = (Vec::new(), Vec::<LookPlan>::new());
        let mut rules = Vec::with_capacity(detect.rules.len());
        for rule in &detect.rules {
            let mut looks_of_rule = Vec::with_capacity(rule.looks.len());
            for look in &rule.looks {
                let known = looks.iter().position(|known| known.column == look.column);
                looks_of_rule.push(known.unwrap_or_else(|| {
                    let keep = |of: &Expression| keep(&mut kept, (rows.column(of.clone()), of.kind()));
                    looks.push(LookPlan::new(look, detect.history_us, &source.event_time, keep));
                    looks.len() - 1
                }));
            }
            let named = |column: &str| {
                let look = looks.iter().position(|look| look.column == column).map(Named::Look);
                look.or_else(|| fields.iter().position(|field| field.name == column).map(Named::Field))
            };
            let columns = rule.condition.columns();
            let columns = columns.into_iter().filter_map(|column| Some((column.to_owned(), named(column)?))).collect();
            let (name, condition) = (rule.name.clone(), rule.condition.clone());
            rules.push(RulePlan { name, condition, columns, looks: looks_of_rule });
        }
        let key_field = source.fields.iter().filter(|field| field.name == detect.key);
        DetectPlan {
            key: rows.key(key_field.map(|field| Expression::column(&field.name, field.kind))),
            history_us: detect.history_us,
            history_max: detect.history_max,
            rejudge_max: detect.rejudge_max,
            lateness_us,
            record_key: fields.iter().position(|field| Some(field.name.as_str()) == key),
            fields,
            kept,
            looks,
            rules,
        }
    }

    /// T8: the earliest event that a later one can look at.
    pub(super) fn horizon_us(&self, watermark_us: i64) -> i64 {
        watermark_us.saturating_sub(self.history_us)
    }

    fn layout(&self) -> Layout {
        Layout::new(self.rules.len(), self.kept.len())
    }
}

/// The place of a column among the values that are kept.
fn keep(kept: &mut Vec<(usize, FieldType)>, column: (usize, FieldType)) -> usize {
    kept.iter().position(|known| *known == column).unwrap_or_else(|| {
        kept.push(column);
        kept.len() - 1
    })
}

impl Detector {
    pub(super) fn new(plan: &DetectPlan) -> Detector {
        Detector {
            keys: Keyed::new(),
            rows: Shelves::new(plan.lateness_us),
            texts: Shelves::new(plan.history_us),
            due: BTreeMap::new(),
            past_bytes: 0,
            dropped: 0,
        }
    }

    /// Judges the event in a row, and then those again that stand behind it, in their order. Says whether the event came too late:
    /// then it is not judged, and not remembered (T9).
    pub(super) fn event(
        &mut self,
        plan: &DetectPlan,
        rows: &Rows,
        row: usize,
        watermark_us: i64,
        budget: &mut Budget,
        outputs: &mut Outputs<'_>,
    ) -> bool {
        let (time_us, layout) = (rows.times_us[row], plan.layout());
        if time_us < watermark_us {
            return true;
        }
        let id = self.key_of(plan, rows.key(plan.key, row), time_us);
        self.forget_of(plan, id, watermark_us);
        let at = self.remember(plan, id, rows, row);
        let behind =
            self.keys.state(id).map_or(0, |past| past.up_to(layout, time_us.saturating_add(plan.history_us) - 1));
        let again = (at + 1).max(behind.saturating_sub(plan.rejudge_max))..behind;
        for judged in std::iter::once(at).chain(again) {
            budget.look();
            self.judge(plan, id, judged, outputs);
        }
        self.drop_excess(plan, id);
        false
    }

    /// The number of the key, which waits for its end if it is new.
    fn key_of(&mut self, plan: &DetectPlan, (key, hash): (&[u8], u64), time_us: i64) -> u32 {
        let mut is_new = false;
        let id = self.keys.place(key, hash, || {
            is_new = true;
            Past::new()
        });
        if is_new {
            self.wait(plan, id, time_us);
        }
        id
    }

    /// Has a key wait until its event of that time, the last one, is not needed any more.
    fn wait(&mut self, plan: &DetectPlan, id: u32, time_us: i64) {
        let width = (plan.history_us / TIMERS).max(SECOND_US);
        let due_us = bucket_start(time_us.saturating_add(plan.history_us), width).saturating_add(width);
        self.due.entry(due_us).or_default().push(id);
    }

    /// T11: forgets the events of a key that no event can look at that is not late.
    fn forget_of(&mut self, plan: &DetectPlan, id: u32, watermark_us: i64) {
        let layout = plan.layout();
        let Some(past) = self.keys.state_mut(id) else { return };
        let bytes = past.bytes();
        past.forget(layout, past.up_to(layout, plan.horizon_us(watermark_us)));
        self.past_bytes = self.past_bytes + past.bytes() - bytes;
    }

    /// Remembers the event in a row; gives its place among those of its key.
    fn remember(&mut self, plan: &DetectPlan, id: u32, rows: &Rows, row: usize) -> usize {
        let (time_us, offset) = (rows.times_us[row], rows.offsets[row]);
        let mut bytes = Vec::with_capacity(16 * plan.fields.len());
        for field in &plan.fields {
            encoding::push(&mut bytes, &rows.column(field.column).get(row));
        }
        let place = self.rows.put(time_us, &bytes);
        let texts = &mut self.texts;
        let values = plan.kept.iter().map(|(column, _)| look::word(&rows.column(*column).get(row), texts, time_us));
        let values: Vec<Option<u64>> = values.collect();
        self.insert(plan, id, (time_us, offset), place, &values)
    }

    fn insert(&mut self, plan: &DetectPlan, id: u32, event: (i64, i64), row: u32, values: &[Option<u64>]) -> usize {
        let Some(past) = self.keys.state_mut(id) else { return 0 };
        let bytes = past.bytes();
        let at = past.insert(plan.layout(), event, row, values);
        self.past_bytes = self.past_bytes + past.bytes() - bytes;
        at
    }

    /// Judges an event by the rules that have not alerted of it.
    fn judge(&mut self, plan: &DetectPlan, id: u32, at: usize, outputs: &mut Outputs<'_>) {
        let alerts = self.alerts(plan, id, at, outputs);
        if let Some(past) = self.keys.state_mut(id) {
            alerts.into_iter().for_each(|rule| past.set_alerted(plan.layout(), at, rule));
        }
    }

    /// Writes the alerts of an event; gives the rules that alert now.
    fn alerts(&self, plan: &DetectPlan, id: u32, at: usize, outputs: &mut Outputs<'_>) -> Vec<usize> {
        let layout = plan.layout();
        let Some(past) = self.keys.state(id) else { return Vec::new() };
        let open = (0..plan.rules.len()).filter(|rule| !past.has_alerted(layout, at, *rule));
        let mut rules: Vec<usize> = open.collect();
        if !rules.is_empty() {
            let time_us = past.time(layout, at);
            let mut row = self.rows.get(time_us, past.row(layout, at));
            let fields = plan.fields.iter().map(|field| encoding::read(&mut row, field.kind).unwrap_or(Scalar::Null));
            let view = View { layout, past, texts: &self.texts, at, time_us };
            let seen = RefCell::new(vec![None; plan.looks.len()]);
            let judged = Judged { plan, fields: fields.collect(), view, seen };
            rules.retain(|rule| judged.holds(*rule));
            rules.iter().for_each(|rule| judged.alert(*rule, outputs));
        }
        rules
    }

    /// Has the oldest events of a key go if it has too many.
    fn drop_excess(&mut self, plan: &DetectPlan, id: u32) {
        let layout = plan.layout();
        let Some(past) = self.keys.state_mut(id) else { return };
        let excess = past.len(layout).saturating_sub(plan.history_max);
        if let Some(last) = excess.checked_sub(1) {
            past.dropped = past.dropped.max((past.time(layout, last), past.offset(layout, last)));
            let bytes = past.bytes();
            past.forget(layout, excess);
            self.past_bytes = self.past_bytes + past.bytes() - bytes;
            self.dropped += excess as u64;
        }
    }

    /// T11: forgets keys that have nothing left to remember, as far as the budget goes, and gives back rows and texts. Says whether
    /// all is done.
    pub(super) fn forget(&mut self, plan: &DetectPlan, watermark_us: i64, budget: &mut Budget) -> bool {
        self.rows.forget_before(watermark_us);
        self.texts.forget_before(plan.horizon_us(watermark_us));
        while let Some(mut due) = self.due.first_entry()
            && *due.key() <= watermark_us
        {
            if budget.is_spent() {
                return false;
            }
            budget.look();
            let Some(id) = due.get_mut().pop() else {
                due.remove();
                continue;
            };
            let layout = plan.layout();
            let Some(past) = self.keys.state(id) else { continue };
            let (last, bytes) = (past.len(layout).checked_sub(1).map(|last| past.time(layout, last)), past.bytes());
            match last.filter(|last| *last > plan.horizon_us(watermark_us)) {
                Some(last) => self.wait(plan, id, last),
                None => {
                    self.past_bytes -= bytes;
                    self.keys.remove(id);
                }
            }
        }
        true
    }

    /// The memory that it takes, estimated.
    pub(super) fn bytes(&self) -> usize {
        let timers = self.keys.len() * size_of::<u32>() * 2;
        self.keys.bytes() + self.past_bytes + self.rows.bytes() + self.texts.bytes() + timers
    }

    /// How many keys remember something.
    pub(super) fn open(&self) -> usize {
        self.keys.len()
    }
}

/// An event that is judged.
struct Judged<'a> {
    plan: &'a DetectPlan,
    /// The event's row.
    fields: Vec<Scalar<'a>>,
    view: View<'a>,
    /// What was looked at so far.
    seen: RefCell<Vec<Option<Scalar<'a>>>>,
}

impl<'a> Judged<'a> {
    /// Whether a rule's condition is true.
    fn holds(&self, rule: usize) -> bool {
        let rule = &self.plan.rules[rule];
        let value_of = |name: &str| match rule.columns.iter().find(|(column, _)| column == name) {
            Some((_, Named::Field(field))) => self.fields[*field].clone(),
            Some((_, Named::Look(look))) => self.look(*look),
            None => Scalar::Null,
        };
        rule.condition.evaluate_row(&value_of) == Scalar::Bool(true)
    }

    /// What a look sees. It looks once for all rules.
    fn look(&self, look: usize) -> Scalar<'a> {
        let seen = self.seen.borrow()[look].clone();
        seen.unwrap_or_else(|| {
            let value = self.plan.looks[look].value(self.view);
            self.seen.borrow_mut()[look] = Some(value.clone());
            value
        })
    }

    /// Writes the alert of a rule.
    fn alert(&self, rule: usize, outputs: &mut Outputs<'_>) {
        let (rule, view) = (&self.plan.rules[rule], self.view);
        let key = self.plan.record_key.and_then(|field| encoding::record_key(&self.fields[field]));
        outputs.output(view.time_us, key, |object| {
            object.field(RULE, &Scalar::String(rule.name.as_str().into()));
            object.field(JUDGED_OFFSET, &Scalar::Int(view.past.offset(view.layout, view.at).into()));
            let looks = rule.looks.iter();
            object.object(LOOKED_AT, looks.map(|look| (self.plan.looks[*look].column.as_str(), self.look(*look))));
            object.flag(TRUNCATED, rule.looks.iter().any(|look| self.plan.looks[*look].is_truncated(view)));
            for (field, value) in self.plan.fields.iter().zip(&self.fields).filter(|(field, _)| field.is_written) {
                object.field(&field.name, value);
            }
        });
    }
}
