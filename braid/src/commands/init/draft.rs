//! A sample → a catalog that is checked: it has no mistakes, and what it says of the sample is known.

use anyhow::{Context, Result, anyhow, bail, ensure};
use input::rows::{Line, RowArgs};
use shared_logic::catalog::Catalog;

use super::catalog_text::{About, catalog_text};
use super::columns;
use super::guess::guess;
use super::instants::Instants;
use super::layout::Layout;
use super::profile::{Profile, of_documents};
use super::sample::Sample;
use crate::verdicts::Verdicts;

/// What the guess is told.
pub(super) struct Told<'a> {
    /// The name of the source.
    pub(super) name: &'a str,
    /// Its topic.
    pub(super) topic: &'a str,
    /// How its records are written; guessed unless it is told.
    pub(super) layout: Option<Layout>,
    /// What is no record of the sample.
    pub(super) rows: &'a RowArgs,
}

/// A catalog for the records of a sample.
pub(super) struct Draft {
    /// Its text.
    pub(super) text: String,
    /// What the text says.
    pub(super) catalog: Catalog,
    /// How many records the sample has.
    pub(super) records: usize,
    /// What the catalog says of them.
    pub(super) verdicts: Verdicts,
    /// A column that the metric counts by, and its most frequent value.
    pub(super) example: Option<(String, String)>,
}

impl Draft {
    /// Guesses a catalog.
    ///
    /// # Errors
    /// If the records are written in no known way, nothing says when the events happened, or no guess accepts them.
    pub(super) fn of(sample: &Sample, told: &Told<'_>) -> Result<Draft> {
        let of = &sample.of;
        let layout = match told.layout {
            Some(layout) => layout,
            None => Layout::of(&sample.text(told.rows)).with_context(|| format!("cannot tell how {of} is written"))?,
        };
        // Whether the first row is a header is told by the rows, since no column is declared yet.
        let without_header = RowArgs { header: false, comment: told.rows.comment.clone() };
        let records = sample.records(&layout.source()?, &without_header)?;
        let profile = profile(layout, &records, told.rows.header).with_context(|| format!("cannot use {of}"))?;
        ensure!(profile.records() > 0, "cannot use {of}: no record of it is {}", layout.name());
        let title = sample.title(profile.records());
        let guess =
            guess(profile, layout, told.name, &mut Instants::new()).with_context(|| format!("cannot use {of}"))?;

        let about = About { sample: &title, name: told.name, topic: told.topic, layout };
        let text = catalog_text(&about, &guess);
        let catalog = Catalog::parse(&text).map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow!(
                "the guess is no valid catalog, which is a fault of `braid init`:\n{}\n\n{text}",
                mistakes.join("\n")
            )
        })?;
        let source = catalog.source(told.name)?;
        let mut verdicts = Verdicts::of(source, sample.noun);
        let records = sample.records(source, told.rows)?;
        records.iter().for_each(|(record, sent_us)| verdicts.judge(record, *sent_us));
        if verdicts.rejected() >= records.len() as u64 {
            bail!("cannot use {of}: the guess accepts no record of it; {}", verdicts.summary());
        }
        let example = guess.groups.by.first().cloned().zip(guess.groups.example);
        Ok(Draft { text, records: records.len(), verdicts, example, catalog })
    }
}

fn profile(layout: Layout, records: &[(Line, i64)], has_header: bool) -> Result<Profile> {
    if layout.has_columns() {
        return columns::profile(layout, records, has_header);
    }
    Ok(of_documents(records.iter().map(|(record, sent_us)| (record.text.as_slice(), *sent_us))))
}
