//! Distinct texts as numbers.

use xxhash_rust::xxh3::xxh3_64;

use super::HashIndex;

/// Distinct texts, one behind the other, and where each ends. The first one has the number 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
    index: HashIndex,
}

impl Texts {
    /// With room for so many texts.
    pub(crate) fn with_room(texts: usize) -> Texts {
        Texts { text: String::new(), ends: Vec::with_capacity(texts), index: HashIndex::with_room(texts) }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of a text, which is added if it is new.
    pub(crate) fn number(&mut self, value: &str) -> u32 {
        let hash = xxh3_64(value.as_bytes()) as u32;
        self.index.get(hash, |number| self.get(number) == value).unwrap_or_else(|| {
            let number = self.ends.len() as u32;
            self.text.push_str(value);
            self.ends.push(self.text.len());
            self.index.insert(hash, number);
            number
        })
    }

    /// The text with that number.
    pub(crate) fn get(&self, number: u32) -> &str {
        let at = number as usize;
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[at]]
    }

    /// All of them, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.text[begin..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number_and_others_have_others() {
        let mut texts = Texts::default();
        let distinct: Vec<String> = (0..1_000).map(|n: u32| "x".repeat((n % 7) as usize) + &n.to_string()).collect();
        for _ in 0..2 {
            for (n, text) in (0..).zip(["", "ü"].into_iter().chain(distinct.iter().map(String::as_str))) {
                assert_eq!(texts.number(text), n);
                assert_eq!(texts.get(n), text);
            }
        }
        assert_eq!(texts.iter().count(), 1_002);
        assert!(texts.iter().skip(2).eq(distinct.iter().map(String::as_str)));
    }
}
