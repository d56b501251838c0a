//! Streams that were made of the source: which of their outputs go with its events.
//!
//! An output's id names the record that caused it. So whatever a map has made of an erased record is known by the place of that record, which
//! stays in the archive, and goes as well, whatever the map has called its fields. Outputs of windows, sessions and detectors are selected by
//! the same condition, as far as all of its fields were handed on as they were, stream by stream. A map may give a name to something else,
//! and what is erased does not come back. So where that may be, the stream is named, and an operator decides.

use std::sync::Arc;

use shared_logic::catalog::{Catalog, Source, Stream};
use shared_logic::log::OffsetRange;
use storage::Storage;

use super::EraseError;
use super::condition::Condition;
use crate::archive_rows::erased;

/// Which streams an erasure goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// None.
    Left,
    /// Maps, and those whose fields mean the same.
    Reached,
    /// Also those that have fields of these names, whatever they mean.
    ByName,
}

/// A stream that was made of the source.
pub(crate) struct Output<'a> {
    /// As what is read.
    pub(crate) of_stream: &'a Source,
    /// What it reads.
    from: &'a Source,
    /// Whether what caused an output says that it goes.
    pub(crate) is_map: bool,
    /// The condition on its outputs; `None` if these lack its fields, or they may mean something else.
    pub(crate) condition: Option<Condition>,
}

impl Output<'_> {
    /// Whether the erasure goes on with it.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_map || self.condition.is_some()
    }

    /// What of it goes with what a condition selects of the source. Where an earlier erasure has left outputs of a map, they go with this one.
    ///
    /// # Errors
    /// If the archive of what it reads cannot be read.
    pub(crate) async fn selected(&self, of_source: &Condition, storage: &Storage) -> Result<Condition, EraseError> {
        let mut condition = Condition::of_outputs(self.of_stream, of_source, self.condition.as_ref());
        if !self.is_map {
            return Ok(condition);
        }
        if let Some(archive) = storage.archive(&self.from.name).await? {
            let all = |(id, _)| OffsetRange { id, from: i64::MIN, to: i64::MAX };
            let facts = archive.facts();
            let ranges: Vec<OffsetRange> =
                if facts.erased_parts() > 0 { facts.partitions().map(all).collect() } else { Vec::new() };
            condition = condition.or_made_of(self.of_stream, Arc::new(erased::places(&archive, &ranges).await?));
        }
        Ok(condition)
    }
}

/// The streams that were made of a source, each behind the one that it reads.
pub(crate) fn outputs<'a>(
    catalog: &'a Catalog,
    source: &'a Source,
    condition: &Condition,
    streams: Streams,
) -> Vec<Output<'a>> {
    // Of each, whether the fields of the condition mean the same there.
    let mut found: Vec<(Output<'a>, bool)> = read(catalog, source, condition, streams, true);
    let mut at = 0;
    while let Some((output, is_same)) = found.get(at) {
        let further = read(catalog, output.of_stream, condition, streams, *is_same);
        found.extend(further);
        at += 1;
    }
    found.into_iter().map(|(output, _)| output).collect()
}

/// The streams that read that one.
fn read<'a>(
    catalog: &'a Catalog,
    from: &'a Source,
    condition: &Condition,
    streams: Streams,
    is_same: bool,
) -> Vec<(Output<'a>, bool)> {
    let of_streams = catalog.streams_of(&from.name);
    let of_streams = of_streams.filter_map(|stream| Some((stream, catalog.sources.get(&stream.name)?)));
    let output = |(stream, of_stream): (&Stream, &'a Source)| {
        let is_same = is_same && condition.columns().iter().all(|field| stream.hands_on(from, field));
        let is_meant = is_same || streams == Streams::ByName;
        let condition = is_meant.then(|| condition.on(of_stream)).flatten();
        (Output { of_stream, from, is_map: stream.is_map(), condition }, is_same)
    };
    of_streams.map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[sources.payments]
event_id = "id"
event_time = "at"
key = "user"
[sources.payments.fields]
id = "string"
at = "timestamp"
user = "string"
other = "string"
amount = "int"
[streams.large]
from = "payments"
where = "amount > 100"
[streams.swapped]
from = "payments"
key = "user"
[streams.swapped.fields]
user = "other"
amount = "amount"
[streams.of_large]
from = "large"
by = ["user"]
window = "1m"
[streams.of_large.measures]
total = "sum(amount)"
[streams.of_swapped]
from = "swapped"
by = ["user"]
window = "1m"
[streams.of_swapped.measures]
total = "sum(amount)"
"#;

    /// Of each stream, whether the erasure goes on with it, and whether by the condition.
    fn reached(text: &str, streams: Streams) -> Vec<(String, bool, bool)> {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let source = &catalog.sources["payments"];
        let condition = Condition::parse(source, text, None).expect("a condition");
        let outputs = outputs(&catalog, source, &condition, streams);
        outputs.iter().map(|one| (one.of_stream.name.clone(), one.is_reached(), one.condition.is_some())).collect()
    }

    fn expected(of: [(&str, bool, bool); 4]) -> Vec<(String, bool, bool)> {
        of.into_iter().map(|(name, is_reached, by_condition)| (name.to_owned(), is_reached, by_condition)).collect()
    }

    #[test]
    fn a_condition_goes_on_as_far_as_its_fields_mean_the_same_and_maps_lose_what_was_made_of_erased_events() {
        let by_user = "user = 'u-7'";
        let wanted =
            [("large", true, true), ("swapped", true, false), ("of_large", true, true), ("of_swapped", false, false)];
        assert_eq!(reached(by_user, Streams::Reached), expected(wanted));
        let wanted =
            [("large", true, true), ("swapped", true, true), ("of_large", true, true), ("of_swapped", true, true)];
        assert_eq!(reached(by_user, Streams::ByName), expected(wanted));
        let wanted =
            [("large", true, true), ("swapped", true, false), ("of_large", false, false), ("of_swapped", false, false)];
        assert_eq!(reached("user = 'u-7' and other = 'x'", Streams::Reached), expected(wanted));
    }

    #[test]
    fn an_erasure_of_outputs_has_an_id_of_its_own_whether_or_not_they_have_the_fields() {
        let catalog = Catalog::parse(CATALOG).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let (source, large) = (&catalog.sources["payments"], &catalog.sources["large"]);
        let condition = Condition::parse(source, "user = 'u-7'", None).expect("a condition");
        let with = Condition::of_outputs(large, &condition, condition.on(large).as_ref());
        let without = Condition::of_outputs(large, &condition, None);
        assert_eq!(with.id(), without.id());
        assert_ne!(with.id(), condition.id());
        assert_eq!(condition.columns(), ["user".to_owned()]);
    }
}
