//! What answers say that list keys, besides the keys.

use serde::Serialize;
use shared_logic::catalog::Metric;

use super::all_keys::GatheredKeys;
use super::bound_text;
use super::csv::Csv;
use crate::gap_text::{GapText, as_json};
use crate::written::{Form, Written};

/// Range and completeness of such an answer.
pub(super) struct Listing {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) gaps: Vec<GapText>,
    /// Whether the speed view has none of the keys.
    pub(super) is_batch_alone: bool,
    pub(super) as_of_us: Option<i64>,
}

impl Listing {
    /// What was gathered says this.
    pub(super) fn of(gathered: &GatheredKeys, metric: &Metric) -> Listing {
        let (from, to) = (gathered.bounds.0.map(bound_text), gathered.bounds.1.map(bound_text));
        let gaps = gathered.gaps().map(|gap| GapText::new(gap, &metric.source, &from, &to)).collect();
        Listing { from, to, gaps, is_batch_alone: !gathered.has_speed(), as_of_us: gathered.as_of_us() }
    }

    /// The answer with this body, or as the table that `csv` makes of it. `undated` is all that makes it another answer.
    pub(super) fn written<B: Serialize>(
        self,
        form: Form,
        body: &B,
        undated: &[u8],
        csv: impl FnOnce(&B) -> Csv,
    ) -> Written {
        let gaps = as_json(&self.gaps);
        match form {
            Form::Json => {
                let text = serde_json::to_vec(body).expect("an answer is plain data");
                Written::new(form, text, &[undated], gaps, self.as_of_us)
            }
            Form::Csv => csv(body).written(gaps, self.as_of_us),
        }
    }
}
