//! An operator rolls a view back to an older version: rows, cut and definition in one commit (R1). No reconcile changes it then, until
//! the operator resumes it.

use std::rc::Rc;

use shared_logic::catalog::RulesHash;
use shared_logic::complete::own_view;
use shared_logic::contracts::batch_view::{Asked, Note, Pause};

use super::world::{View, World};

impl World {
    /// The operator resumes a view that is paused, or may roll one back.
    pub(super) fn operator(&mut self) {
        let metric = self.dice.below(self.views.len());
        if self.is_paused(metric) {
            return self.resume(metric);
        }
        if self.views[metric].is_empty() || self.dice.chance(50) {
            return;
        }
        let at = self.dice.below(self.views[metric].len());
        let older = Rc::clone(&self.views[metric][at]);
        let (definition, rules) = (&older.note.definition, RulesHash::from("rules"));
        // A version that lacks what was archived again since is no view of anything.
        if own_view(Some(&older.note), definition, &rules, Some(&self.archive.facts)).is_none() {
            return;
        }
        self.tell(|| format!("the view of metric {metric} is rolled back to version {at}, cut {:?}", older.note.cut));
        let asked = Asked { rebuild: None, pause: Some(Pause { rolled_back_to: at as u64, since_us: 0 }) };
        let note = Note { asked, ..older.note.clone() };
        self.views[metric].push(Rc::new(View { note, rows: older.rows.clone() }));
    }

    /// Whether no reconcile changes a metric's view.
    pub(super) fn is_paused(&self, metric: usize) -> bool {
        self.views[metric].last().is_some_and(|newest| newest.note.asked.pause.is_some())
    }

    /// Every view goes on.
    pub(super) fn resume_all(&mut self) {
        for metric in 0..self.views.len() {
            if self.is_paused(metric) {
                self.resume(metric);
            }
        }
    }

    fn resume(&mut self, metric: usize) {
        let Some(newest) = self.views[metric].last().cloned() else { return };
        self.tell(|| format!("the view of metric {metric} is resumed"));
        let note = Note { asked: Asked::default(), ..newest.note.clone() };
        self.views[metric].push(Rc::new(View { note, rows: newest.rows.clone() }));
    }
}
