//! Items that keep their place while others come and go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Items by their places. A new item takes the first free place, and free places at the end are given back (T11): memory follows
/// the items that there are.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<Option<T>>,
    /// Free places; some of them may be taken again, or behind the end by now.
    free: BinaryHeap<Reverse<u32>>,
    live: usize,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { items: Vec::new(), free: BinaryHeap::new(), live: 0 }
    }

    /// Adds an item; gives its place.
    pub(super) fn insert(&mut self, item: T) -> u32 {
        self.live += 1;
        while let Some(Reverse(place)) = self.free.pop() {
            if let Some(room) = self.items.get_mut(place as usize).filter(|room| room.is_none()) {
                *room = Some(item);
                return place;
            }
        }
        self.items.push(Some(item));
        (self.items.len() - 1) as u32
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let item = self.items.get_mut(place as usize)?.take()?;
        self.live -= 1;
        self.free.push(Reverse(place));
        while let Some(None) = self.items.last() {
            self.items.pop();
        }
        let places = self.items.len();
        if self.items.capacity() > 64 && places < self.items.capacity() / 4 {
            self.items.shrink_to(places * 2);
            self.free.retain(|Reverse(place)| (*place as usize) < places);
            self.free.shrink_to_fit();
        }
        Some(item)
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.items.get(place as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.items.get_mut(place as usize)?.as_mut()
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// How many places there are, up to the last one that is taken.
    pub(super) fn places(&self) -> usize {
        self.items.len()
    }

    /// Every item with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.items).filter_map(|(place, item)| Some((place, item.as_ref()?)))
    }

    /// The memory of the places, without what items point to.
    pub(super) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Option<T>>() + self.free.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0..30_u32), 0..400)) {
            let (mut slab, mut expected) = (Slab::new(), BTreeMap::new());
            for (at, (adds, place)) in steps.into_iter().enumerate() {
                if adds {
                    let place = slab.insert(at);
                    prop_assert_eq!(expected.insert(place, at), None, "the place was free");
                } else {
                    prop_assert_eq!(slab.remove(place), expected.remove(&place));
                }
                prop_assert_eq!(slab.len(), expected.len());
                let last = expected.last_key_value().map_or(0, |(place, _)| *place as usize + 1);
                prop_assert_eq!(slab.places(), last, "free places at the end are given back");
                let all: BTreeMap<u32, usize> = slab.iter().map(|(place, item)| (place, *item)).collect();
                prop_assert_eq!(&all, &expected);
            }
        }
    }

    #[test]
    fn memory_follows_what_is_there() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..100_000_u64).map(|item| slab.insert(item)).collect();
        let most = slab.bytes();
        for place in places {
            slab.remove(place);
        }
        assert_eq!(slab.len(), 0);
        assert!(slab.bytes() < most / 100, "{} of {most} bytes are left", slab.bytes());
    }
}
