//! Totals that were asked for before, as their parameters were read. Many requests ask in the same words, and to look these up takes less than to
//! read them again.
//!
//! Kept is only what the same words ask at any time: no range, since `-1h` is another one each time. And only for what is hosted while it is
//! read (K1): when the pointer changes, all of it is forgotten, because the same words may mean another version, and a metric with other columns.
//!
//! No answer is kept. Each request takes its look (R10).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::answer::Selection;

/// How many totals are kept.
const MOST: usize = 4_096;
/// The longest path with parameters by which one is kept, in bytes. With [`MOST`] and one key each, all of them take some megabytes at most.
const LONGEST: usize = 256;

/// What a request for a total says.
#[derive(Debug)]
pub(crate) struct KnownTotal {
    /// The version that it names; `None`: the one that is active.
    pub(crate) version: Option<String>,
    /// The metric that its path names.
    pub(crate) metric: String,
    pub(crate) selection: Selection,
    /// Whether an incomplete answer is refused.
    pub(crate) require_complete: bool,
}

/// Totals that were asked for before, of what an `H` hosts.
pub(crate) struct Known<H> {
    kept: Mutex<Kept<H>>,
}

struct Kept<H> {
    /// What was hosted when they were read. It may be gone, and nothing else has its address as long as this is kept.
    hosted: Weak<H>,
    /// By path and parameters, as they were sent.
    totals: HashMap<Box<str>, Arc<KnownTotal>>,
}

impl KnownTotal {
    fn may_be_kept(&self, words: &str) -> bool {
        let is_of_any_time = self.selection.from_us.is_none() && self.selection.to_us.is_none();
        is_of_any_time && self.selection.keys.len() == 1 && words.len() <= LONGEST
    }
}

impl<H> Default for Known<H> {
    fn default() -> Known<H> {
        Known { kept: Mutex::new(Kept { hosted: Weak::new(), totals: HashMap::new() }) }
    }
}

impl<H> Known<H> {
    /// What these words ask of what is hosted, if somebody has asked it in them before.
    pub(crate) fn get(&self, hosted: &Arc<H>, words: &str) -> Option<Arc<KnownTotal>> {
        let kept = self.lock();
        if !kept.is_of(hosted) {
            return None;
        }
        kept.totals.get(words).cloned()
    }

    /// Keeps what was read of these words, if they ask the same at any time. Where there is no room, all others are forgotten: who asks for them
    /// again has them read again.
    pub(crate) fn keep(&self, hosted: &Arc<H>, words: &str, total: KnownTotal) -> Arc<KnownTotal> {
        let may_be_kept = total.may_be_kept(words);
        let total = Arc::new(total);
        if may_be_kept {
            let mut kept = self.lock();
            if !kept.is_of(hosted) || kept.totals.len() >= MOST {
                *kept = Kept { hosted: Arc::downgrade(hosted), totals: HashMap::new() };
            }
            kept.totals.insert(words.into(), Arc::clone(&total));
        }
        total
    }

    fn lock(&self) -> MutexGuard<'_, Kept<H>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> Kept<H> {
    fn is_of(&self, hosted: &Arc<H>) -> bool {
        std::ptr::eq(self.hosted.as_ptr(), Arc::as_ptr(hosted))
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::group_key::{KeyPart, KeyValue};

    use super::*;
    use crate::answer::AskedKey;

    fn total(metric: &str) -> KnownTotal {
        let selection = Selection { keys: vec![AskedKey::new(Vec::new())], from_us: None, to_us: None };
        KnownTotal { version: None, metric: metric.to_owned(), selection, require_complete: false }
    }

    /// The metric that words ask for, if they are known.
    fn metric(known: &Known<u32>, hosted: &Arc<u32>, words: &str) -> Option<String> {
        known.get(hosted, words).map(|total| total.metric.clone())
    }

    #[test]
    fn what_was_asked_in_the_same_words_is_known() {
        let (known, hosted) = (Known::default(), Arc::new(1_u32));
        assert_eq!(metric(&known, &hosted, "/a"), None);
        assert_eq!(known.keep(&hosted, "/a", total("a")).metric, "a");
        assert_eq!(known.keep(&hosted, "/b", total("b")).metric, "b");
        assert_eq!(metric(&known, &hosted, "/a").as_deref(), Some("a"));
        assert_eq!(metric(&known, &hosted, "/b").as_deref(), Some("b"));
        assert_eq!(metric(&known, &hosted, "/a?"), None, "other words");
    }

    #[test]
    fn what_is_hosted_now_is_asked_for_in_words_of_its_own() {
        let (known, before) = (Known::default(), Arc::new(1_u32));
        known.keep(&before, "/a", total("a"));
        let now = Arc::new(2_u32);
        assert_eq!(metric(&known, &now, "/a"), None, "it was read for another version");
        known.keep(&now, "/a", total("b"));
        assert_eq!(metric(&known, &now, "/a").as_deref(), Some("b"));
        assert_eq!(metric(&known, &before, "/a"), None, "a request that has begun before reads it for itself");
        drop(now);
        assert_eq!(metric(&known, &Arc::new(3_u32), "/a"), None, "whatever address that has");
    }

    #[test]
    fn a_range_is_read_each_time() {
        let (known, hosted) = (Known::default(), Arc::new(1_u32));
        for (from_us, to_us) in [(Some(0), None), (None, Some(0)), (Some(0), Some(1))] {
            let total = total("a");
            let selection = Selection { from_us, to_us, ..total.selection.clone() };
            let read = known.keep(&hosted, "/a?from=-1h", KnownTotal { selection, ..total });
            assert_eq!((read.selection.from_us, read.selection.to_us), (from_us, to_us), "it is answered");
            assert_eq!(metric(&known, &hosted, "/a?from=-1h"), None);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (known, hosted) = (Known::default(), Arc::new(1_u32));
        let key = |text: &str| AskedKey::new(vec![KeyPart::Value(KeyValue::Text(text.to_owned()))]);
        let selection = Selection { keys: vec![key("a"), key("b")], from_us: None, to_us: None };
        known.keep(&hosted, "/several", KnownTotal { selection, ..total("a") });
        assert_eq!(metric(&known, &hosted, "/several"), None, "of few words there may be many keys");
        for (length, is_kept) in [(LONGEST, true), (LONGEST + 1, false)] {
            let words = "w".repeat(length);
            known.keep(&hosted, &words, total("a"));
            assert_eq!(metric(&known, &hosted, &words).is_some(), is_kept, "{length}");
        }
        for n in 0..=MOST {
            let words = format!("/{n}");
            known.keep(&hosted, &words, total("a"));
            assert!(metric(&known, &hosted, &words).is_some(), "the newest has room");
            assert!(known.lock().totals.len() <= MOST);
        }
    }
}
