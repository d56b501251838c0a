//! Where a lane goes on, by what was published (T7, T13).

use std::collections::BTreeMap;

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::stream::{Begins, Changed, Checked, ProgressKey, ProgressNoted, Published};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Fronts, OutputPosition, StreamPlan};

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Its begin for the deployment, as the archive says.
    pub begin: i64,
    /// That of its first incarnation.
    pub first_begin: i64,
    /// The first offset that the log holds.
    pub start: i64,
    /// The first offset that does not exist yet.
    pub end: i64,
}

/// What the first transaction of a lane notes: where definitions begin and end to decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The changes.
    pub noted: Vec<(ProgressKey, Changed)>,
    /// Streams whose progress is removed, as they are not declared any more. Should one be declared again, it is one that was added: its
    /// old position would draw the whole lane back.
    pub removed: Vec<String>,
}

/// Where a lane goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAt {
    /// The smallest offset of which something is not published.
    pub at: i64,
    /// The fronts there.
    pub fronts: Fronts,
    /// Per stream, the first position that is not.
    pub from: Vec<OutputPosition>,
    /// What is to be noted.
    pub changes: Changes,
    /// T8: where the past of the streams begins.
    pub begins: Begins,
    /// R12: where the log is compared with what was read.
    pub checked: Option<Checked>,
    /// Whether the lane begins with empty state: nothing of this log was published.
    pub is_empty: bool,
}

impl Changes {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.removed.is_empty()
    }
}

impl OpenAt {
    /// T7. What was published of another log, or of another incarnation of the partition, says nothing of this one.
    pub fn of(
        streams: &[StreamPlan],
        rekeyed: bool,
        id: &PartitionId,
        progress: &ProgressNoted,
        bounds: &Bounds,
    ) -> OpenAt {
        let known = Known::of(streams, id, progress);
        let Some(cursor) = known.cursor(streams) else {
            let at = bounds.begin.max(bounds.start);
            let (fronts, from) = (Fronts::new(rekeyed), vec![OutputPosition::before(at); streams.len()]);
            // The check has to know where a definition began to decide.
            let begun = |stream: &StreamPlan| known.change(stream, OutputPosition::before(at), &fronts);
            let noted = streams.iter().map(begun).collect();
            let changes = Changes { noted, removed: known.removed() };
            let begins = known.begins(streams, &changes, bounds);
            return OpenAt { at, fronts, from, changes, begins, checked: None, is_empty: true };
        };
        // Of offsets that the log lost nothing can be decided any more.
        let at = cursor.position.offset.max(bounds.start);
        let mut changes = Changes { noted: known.ends(), removed: known.removed() };
        let from = streams.iter().map(|stream| match known.published.get(stream.name.as_str()) {
            Some(same) if same.definition == stream.definition => same.position.max(OutputPosition::before(at)),
            _ => {
                let position = known.change_at(stream, at);
                changes.noted.push(known.change(stream, position, &cursor.fronts));
                position
            }
        });
        let from: Vec<OutputPosition> = from.collect();
        let at = from.iter().map(|position| position.offset).min().unwrap_or(at);
        let begins = known.begins(streams, &changes, bounds);
        OpenAt { at, fronts: cursor.fronts.clone(), from, changes, begins, checked: cursor.checked, is_empty: false }
    }
}

/// What is known of one log.
struct Known<'a> {
    id: &'a PartitionId,
    progress: &'a ProgressNoted,
    /// How far streams were published of it, those among them that are not declared any more.
    published: BTreeMap<&'a str, &'a Published>,
    /// All streams with progress, of whatever log, that are not declared any more.
    undeclared: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(streams: &[StreamPlan], id: &'a PartitionId, progress: &'a ProgressNoted) -> Known<'a> {
        let all = || progress.published.iter().map(|(name, published)| (name.as_str(), published));
        let is_declared = |name: &str| streams.iter().any(|stream| stream.name == name);
        Known {
            id,
            progress,
            published: all().filter(|(_, published)| published.log == id.log).collect(),
            undeclared: all().map(|(name, _)| name).filter(|name| !is_declared(name)).collect(),
        }
    }

    /// The lane's cursor: the smallest position of its streams. Where all of them are new, it is the greatest position of those that they
    /// replace: they are added there, and what lies before was for the others to write.
    fn cursor(&self, streams: &[StreamPlan]) -> Option<&'a Published> {
        let declared = streams.iter().filter_map(|stream| self.published.get(stream.name.as_str()).copied());
        let least = declared.min_by_key(|published| published.position);
        least.or_else(|| self.published.values().copied().max_by_key(|published| published.position))
    }

    /// T7, T13: where a stream goes on that was added or has another definition. Where outputs of an offset are written in part, the number
    /// of an output means nothing to another definition; so it decides that offset, and writes nothing of it.
    fn change_at(&self, stream: &StreamPlan, at: i64) -> OutputPosition {
        let key = self.key(&stream.name, at);
        let (offset, is_in_part) = match self.published.get(stream.name.as_str()) {
            Some(before) => (before.position.offset, before.position.n > 0),
            // It may have ended there before.
            None => (at, self.progress.changes.get(&key).is_some_and(|ended| ended.part)),
        };
        if is_in_part && offset >= at { OutputPosition::behind(offset) } else { OutputPosition::before(offset.max(at)) }
    }

    /// T13: what says that the definition of a stream decides from that position on.
    fn change(&self, stream: &StreamPlan, from: OutputPosition, fronts: &Fronts) -> (ProgressKey, Changed) {
        let before = self.published.get(stream.name.as_str()).map(|published| published.definition.clone());
        self.changed(&stream.name, from, before, Some(stream.definition.clone()), fronts)
    }

    /// T13: what says that streams end that are not declared any more.
    fn ends(&self) -> Vec<(ProgressKey, Changed)> {
        let ended = self.undeclared.iter().filter_map(|name| {
            let published = self.published.get(name)?;
            Some(self.changed(name, published.position, Some(published.definition.clone()), None, &published.fronts))
        });
        ended.collect()
    }

    fn changed(
        &self,
        stream: &str,
        at: OutputPosition,
        from: Option<DefinitionHash>,
        to: Option<DefinitionHash>,
        fronts: &Fronts,
    ) -> (ProgressKey, Changed) {
        let (offset, part, log, fronts) = (at.offset, at.n > 0, self.id.log.clone(), fronts.clone());
        let key = self.key(stream, offset);
        // It takes the place of one at the same offset, which may say where the stream's past begins.
        let replaced = self.progress.changes.get(&key).filter(|replaced| replaced.to.is_some() && to.is_some());
        let past_from = replaced.and_then(|replaced| replaced.past_from);
        (key, Changed { log, offset, from, to, fronts, part, past_from })
    }

    fn key(&self, stream: &str, offset: i64) -> ProgressKey {
        ProgressKey::Change { stream: stream.to_owned(), log: self.id.log.clone(), offset }
    }

    fn removed(&self) -> Vec<String> {
        self.undeclared.iter().map(|name| (*name).to_owned()).collect()
    }

    /// T8: where the past of each stream begins once the changes are noted.
    fn begins(&self, streams: &[StreamPlan], changes: &Changes, bounds: &Bounds) -> Begins {
        let mut noted = self.progress.clone();
        noted.changes.extend(changes.noted.iter().cloned());
        noted.begins(streams, &self.id.log, bounds.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { begin: 0, first_begin: 0, start: 0, end: 1_000 };

    fn hash(n: u8) -> DefinitionHash {
        format!("{n:016x}").parse().expect("16 digits")
    }

    fn stream(name: &str, definition: u8) -> StreamPlan {
        StreamPlan {
            name: name.to_owned(),
            definition: hash(definition),
            topic: name.to_owned(),
            late_topic: format!("{name}.late"),
            has_side_output: true,
            rekeys: false,
            remembers_all: name == "visits",
            grouped_by: Vec::new(),
            groups_meet: true,
        }
    }

    /// How far streams of a log were published, each with its definition.
    fn progress(log: &str, published: &[(&str, u8, i64, u32)]) -> ProgressNoted {
        let mut noted = ProgressNoted::default();
        for (name, definition, offset, n) in published.iter().copied() {
            let published = Published {
                log: log.to_owned(),
                position: OutputPosition { offset, n },
                fronts: Fronts::at(offset),
                definition: hash(definition),
                checked: None,
                incomplete: false,
                full: None,
                open: 0,
                never_written: 0,
            };
            noted.published.insert(name.to_owned(), published);
        }
        noted
    }

    fn open(streams: &[StreamPlan], progress: &ProgressNoted, bounds: &Bounds) -> OpenAt {
        OpenAt::of(streams, false, &PartitionId::new("log", 3), progress, bounds)
    }

    /// What the next lane reads once the first transaction of this one has taken effect.
    fn after(open: &OpenAt, streams: &[StreamPlan], mut progress: ProgressNoted) -> ProgressNoted {
        open.changes.removed.iter().for_each(|name| drop(progress.published.remove(name)));
        progress.changes.extend(open.changes.noted.iter().cloned());
        for (stream, position) in streams.iter().zip(&open.from) {
            let of = self::progress("log", &[(stream.name.as_str(), 0, position.offset, position.n)]);
            let published = of.published.into_values().map(|published| Published {
                definition: stream.definition.clone(),
                fronts: open.fronts.clone(),
                ..published
            });
            progress.published.extend(published.map(|published| (stream.name.clone(), published)));
        }
        progress
    }

    /// The changes as text: the stream, the offset, whether that was written in part, and whether the stream is decided from there on.
    fn noted(open: &OpenAt) -> Vec<(String, i64, bool, bool)> {
        let change = |(key, changed): &(ProgressKey, Changed)| match key {
            ProgressKey::Change { stream, .. } => (stream.clone(), changed.offset, changed.part, changed.to.is_some()),
            ProgressKey::Stream(stream) => panic!("{stream} is no change"),
        };
        open.changes.noted.iter().map(change).collect()
    }

    #[test]
    fn a_first_start_begins_where_archive_and_log_do() {
        let streams = [stream("alerts", 1), stream("visits", 2)];
        let bounds = Bounds { begin: 10, start: 40, ..BOUNDS };
        let first = open(&streams, &ProgressNoted::default(), &bounds);
        assert_eq!((first.at, first.is_empty, first.fronts.front_us()), (40, true, None));
        let begun = |name: &str| (name.to_owned(), 40, false, true);
        assert_eq!(noted(&first), [begun("alerts"), begun("visits")]);
        assert_eq!(first.begins, Begins { lane: 40, streams: vec![40, 40] }, "nothing is known of before");
        // It is the same past when the lane starts again.
        let progress = after(&first, &streams, ProgressNoted::default());
        let again = open(&streams, &progress, &Bounds { start: 60, ..bounds });
        assert_eq!((again.at, again.is_empty, again.changes.is_empty()), (60, false, true));
        assert_eq!(again.begins, first.begins);
        let other_log = open(&streams, &self::progress("older", &[("alerts", 1, 500, 0)]), &bounds);
        assert_eq!((other_log.at, other_log.is_empty), (40, true));
    }

    #[test]
    fn streams_go_on_behind_what_is_published() {
        let streams = [stream("alerts", 1), stream("spent", 2)];
        let progress = progress("log", &[("alerts", 1, 50, 2), ("spent", 2, 50, 0)]);
        let open = open(&streams, &progress, &BOUNDS);
        assert_eq!(open.from, [OutputPosition { offset: 50, n: 2 }, OutputPosition::before(50)]);
        assert_eq!((open.at, open.fronts.front_us(), open.changes.is_empty()), (50, Some(50), true));
    }

    #[test]
    fn a_stream_that_replaces_the_only_one_is_added_where_that_had_come() {
        let streams = [stream("frauds", 1)];
        let progress = progress("log", &[("alerts", 1, 70, 3), ("ancient", 1, 20, 0)]);
        let open = open(&streams, &progress, &BOUNDS);
        assert_eq!((open.at, open.is_empty, open.fronts.front_us()), (70, false, Some(70)));
        assert_eq!(open.from, [OutputPosition::before(70)]);
        let name = |name: &str| name.to_owned();
        assert_eq!(
            noted(&open),
            [(name("alerts"), 70, true, false), (name("ancient"), 20, false, false), (name("frauds"), 70, false, true)]
        );
        assert_eq!(open.changes.removed, ["alerts", "ancient"]);
    }

    #[test]
    fn a_stream_that_was_away_does_not_draw_the_lane_back() {
        let (both, one) = ([stream("alerts", 1), stream("visits", 2)], [stream("alerts", 1)]);
        let progress = progress("log", &[("alerts", 1, 50, 0), ("visits", 2, 50, 4)]);
        let without = open(&one, &progress, &BOUNDS);
        assert_eq!(without.changes.removed, ["visits"]);
        let mut progress = after(&without, &one, progress);
        assert_eq!(progress.published.keys().collect::<Vec<_>>(), ["alerts"]);
        // Before the lane has moved, a part of offset 50 is written already.
        let at_once = open(&both, &progress, &BOUNDS);
        assert_eq!((at_once.at, at_once.from[1]), (50, OutputPosition::behind(50)));
        assert_eq!(noted(&at_once), [("visits".to_owned(), 50, true, true)]);
        let alerts = progress.published.get_mut("alerts").expect("published");
        alerts.position = OutputPosition::before(90);
        let later = open(&both, &progress, &BOUNDS);
        assert_eq!((later.at, later.from[1]), (90, OutputPosition::before(90)));
        assert_eq!(later.begins.streams[1], 90, "its past begins anew");
    }

    #[test]
    fn another_definition_decides_the_offset_that_is_written_in_part_and_writes_the_next() {
        let progress = progress("log", &[("alerts", 1, 7, 2), ("spent", 2, 7, 0)]);
        let streams = [stream("alerts", 3), stream("spent", 4)];
        let open = open(&streams, &progress, &BOUNDS);
        // The fronts are those before offset 7, so the lane takes them there.
        assert_eq!((open.at, open.fronts.front_us()), (7, Some(7)));
        assert_eq!(open.from, [OutputPosition::behind(7), OutputPosition::before(7)]);
        assert_eq!(noted(&open), [("alerts".to_owned(), 7, true, true), ("spent".to_owned(), 7, false, true)]);
        let again = self::open(&streams, &after(&open, &streams, progress), &BOUNDS);
        assert_eq!((again.at, again.from, again.changes.is_empty()), (7, open.from.clone(), true), "if it dies there");
    }

    #[test]
    fn what_the_log_has_lost_is_passed_over() {
        let progress = progress("log", &[("alerts", 1, 7, 2), ("spent", 2, 7, 0)]);
        let open = open(&[stream("alerts", 3), stream("spent", 2)], &progress, &Bounds { start: 30, ..BOUNDS });
        assert_eq!((open.at, open.from), (30, vec![OutputPosition::before(30); 2]));
    }

    #[test]
    fn sessions_that_are_added_have_a_past_since_then() {
        let both = [stream("alerts", 1), stream("visits", 2)];
        let (one, mut progress) = ([stream("alerts", 1)], ProgressNoted::default());
        progress = after(&open(&one, &progress, &BOUNDS), &one, progress);
        progress.published.get_mut("alerts").expect("published").position = OutputPosition::before(80);
        let added = open(&both, &progress, &BOUNDS);
        assert_eq!(added.begins, Begins { lane: 0, streams: vec![0, 80] });
        assert_eq!(open(&both, &after(&added, &both, progress), &BOUNDS).begins, added.begins);
    }
}
