//! Which builds of an index have readers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use shared_logic::contracts::index::Build;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The builds that have readers, by their numbers.
///
/// After the server lost its data, numbers begin anew. So a build is known by its number and by what the server calls its index, and a
/// reader of another build of that number begins only once the one before has ended: both would be in one consumer group.
#[derive(Debug, Default)]
pub(super) struct Followed {
    readers: BTreeMap<u64, Reader>,
}

#[derive(Debug)]
struct Reader {
    uuid: String,
    stop: CancellationToken,
}

impl Followed {
    /// Goes towards the builds that are to be followed: stops the readers of others, and gives the builds whose readers begin now, each
    /// with what stops it, which is a child of `stop`.
    pub(super) fn towards(
        &mut self,
        wanted: Vec<(u64, Build)>,
        stop: &CancellationToken,
    ) -> Vec<(u64, Build, CancellationToken)> {
        let stays = |number: u64, reader: &Reader| {
            wanted.iter().any(|(wanted, build)| *wanted == number && build.uuid == reader.uuid)
        };
        for (number, reader) in &self.readers {
            if !stays(*number, reader) && !reader.stop.is_cancelled() {
                info!(build = number, "a build of an index is not followed any more");
                reader.stop.cancel();
            }
        }
        let mut begin = Vec::new();
        for (number, build) in wanted {
            if let Entry::Vacant(place) = self.readers.entry(number) {
                let stop = stop.child_token();
                place.insert(Reader { uuid: build.uuid.clone(), stop: stop.clone() });
                begin.push((number, build, stop));
            }
        }
        begin
    }

    /// Notes that the reader of a build has ended.
    pub(super) fn ended(&mut self, number: u64) {
        self.readers.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::index::{BuildStage, Why};
    use shared_logic::log::Offsets;

    use super::*;

    fn build(uuid: &str) -> Build {
        Build {
            definition: "00000000000000aa".parse().expect("a hash"),
            stage: BuildStage::Following,
            why: Why::None,
            loader: "me".to_owned(),
            uuid: uuid.to_owned(),
            base: Offsets::default(),
            table_version: 1,
            erasures: 0,
            rows: 0,
            loaded: 0,
            beats: 0,
            begun_at_us: 0,
            equal_at_us: None,
        }
    }

    fn numbers(begun: &[(u64, Build, CancellationToken)]) -> Vec<u64> {
        begun.iter().map(|(number, _, _)| *number).collect()
    }

    #[test]
    fn every_followed_build_has_one_reader_as_long_as_it_is_followed() {
        let (mut followed, stop) = (Followed::default(), CancellationToken::new());
        let begun = followed.towards(vec![(1, build("a")), (2, build("b"))], &stop);
        assert_eq!(numbers(&begun), [1, 2]);
        let again = followed.towards(vec![(1, build("a")), (2, build("b"))], &stop);
        assert!(again.is_empty() && begun.iter().all(|(_, _, stop)| !stop.is_cancelled()));
        assert_eq!(numbers(&followed.towards(vec![(2, build("b")), (3, build("c"))], &stop)), [3]);
        assert!(begun[0].2.is_cancelled() && !begun[1].2.is_cancelled());
        stop.cancel();
        assert!(begun[1].2.is_cancelled(), "the worker stops");
    }

    #[test]
    fn another_build_of_a_number_is_read_once_the_reader_of_the_one_before_has_ended() {
        let (mut followed, stop) = (Followed::default(), CancellationToken::new());
        let lost = followed.towards(vec![(1, build("a"))], &stop);
        assert!(followed.towards(vec![(1, build("b"))], &stop).is_empty(), "both would be in one group");
        assert!(lost[0].2.is_cancelled());
        followed.ended(1);
        let begun = followed.towards(vec![(1, build("b"))], &stop);
        assert_eq!((begun.len(), begun[0].1.uuid.as_str()), (1, "b"));
    }

    #[test]
    fn a_reader_that_has_ended_begins_again_if_its_build_is_followed() {
        let (mut followed, stop) = (Followed::default(), CancellationToken::new());
        followed.towards(vec![(1, build("a"))], &stop);
        followed.ended(1);
        assert_eq!(numbers(&followed.towards(vec![(1, build("a"))], &stop)), [1]);
    }
}
