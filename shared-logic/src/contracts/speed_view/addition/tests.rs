//! Which fields are read and written, and what they hold then.

use std::collections::BTreeMap;

use polars::prelude::*;
use test_kit::Dice;

use super::super::instance::Instance;
use super::super::shard::Expected;
use super::*;
use crate::catalog::Catalog;
use crate::contracts::arguments::FIELDS_PER_ARGUMENT;
use crate::partial::BUCKET;

fn addition(keys: &[&str], minutes: &[i64]) -> Addition {
    let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
    let (source, metric) = (&catalog.sources["s"], &catalog.metrics["m"]);
    let buckets: Vec<i64> = minutes.iter().map(|minute| minute * 60_000_000).collect();
    let frame = df!("k" => keys, BUCKET => buckets, "n" => vec![1_i64; keys.len()]).expect("three columns");
    let partials = Partials::of_frame(source, metric, &frame, |_| true).expect("their types");
    Addition::new(catalog.definition(metric), metric, &partials)
}

/// The fields of a hash.
type Hash = BTreeMap<String, Vec<u8>>;

/// Adds to a hash as worker and script do; returns how many fields were read and written.
fn add(hash: &mut Hash, addition: &Addition) -> (usize, usize) {
    let (read, merged) = merged(hash, addition, &mut KnownFields::default());
    let written = fields(&merged);
    let counts = (read, written.len());
    hash.extend(written);
    counts
}

/// How many fields of a hash are read, and what is to be written into it then.
fn merged(hash: &Hash, addition: &Addition, known: &mut KnownFields) -> (usize, Vec<Vec<u8>>) {
    let own: Vec<Option<Vec<u8>>> = addition.unknown(known).map(|key| hash.get(key).cloned()).collect();
    let further = addition.further(known, &own).expect("of the form that workers write");
    let read = own.len() + further.len();
    let further = further.iter().map(|name| hash.get(name).cloned()).collect();
    let held = Held { own, further };
    (read, addition.merged(known, &held).expect("of the form that workers write"))
}

/// The fields that the script would write.
fn fields(merged: &[Vec<u8>]) -> Hash {
    let mut hash = Hash::new();
    for argument in merged {
        let mut rest = argument.as_slice();
        while !rest.is_empty() {
            hash.insert(String::from_utf8(text(&mut rest)).expect("a name"), text(&mut rest));
        }
    }
    hash
}

/// The next MessagePack text.
fn text(rest: &mut &[u8]) -> Vec<u8> {
    let length = rmp::decode::read_str_len(rest).expect("a text") as usize;
    let (text, others) = rest.split_at(length);
    *rest = others;
    text.to_vec()
}

/// A key's own field, as text; each bucket is its place and one number.
fn own(hash: &Hash, key: &str) -> (String, Vec<u8>) {
    let (chunks, values) = own_field(&hash[key]).expect("of the form that workers write");
    (chunks.to_string(), values.to_vec())
}

#[test]
fn a_key_with_one_chunk_has_one_field() {
    let mut hash = Hash::new();
    assert_eq!(add(&mut hash, &addition(&["a", "b", "a", "a"], &[3, 3, 1, 3])), (2, 2));
    assert_eq!(own(&hash, "[\"a\"]"), ("0".to_owned(), vec![1, 1, 3, 2]), "a bucket is merged once");
    assert_eq!(own(&hash, "[\"b\"]"), ("0".to_owned(), vec![3, 1]));
    assert_eq!(add(&mut hash, &addition(&["a"], &[2])), (1, 1));
    assert_eq!(own(&hash, "[\"a\"]"), ("0".to_owned(), vec![1, 1, 2, 1, 3, 2]));
}

#[test]
fn other_chunks_have_fields_that_the_own_one_lists() {
    let mut hash = Hash::new();
    let key = "[\"a\"]";
    assert_eq!(add(&mut hash, &addition(&["a"], &[700])), (1, 1));
    assert_eq!(add(&mut hash, &addition(&["a", "a"], &[-1, 65])), (1, 3), "new chunks are not read");
    assert_eq!(own(&hash, key), ("10,-1,1".to_owned(), vec![60, 1]));
    assert_eq!(hash["-1:[\"a\"]"], [63, 1]);
    assert_eq!(add(&mut hash, &addition(&["a"], &[65])), (2, 1), "the list is written only where it grows");
    assert_eq!(hash["1:[\"a\"]"], [1, 2]);
    assert_eq!(add(&mut hash, &addition(&["a", "a", "a"], &[0, 65, 701])), (2, 3));
    assert_eq!(own(&hash, key), ("10,-1+2".to_owned(), vec![60, 1, 61, 1]));
    assert_eq!(add(&mut hash, &addition(&["b"], &[65])), (1, 1), "chunks of one key are none of another");
}

#[test]
fn an_argument_holds_as_many_fields_as_lua_can_take() {
    let keys: Vec<String> = (0..2 * FIELDS_PER_ARGUMENT + 1).map(|n| n.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let addition = addition(&keys, &vec![0; keys.len()]);
    let held = Held { own: vec![None; keys.len()], further: Vec::new() };
    let merged = addition.merged(&mut KnownFields::default(), &held).expect("of the form that workers write");
    let counts: Vec<usize> = merged.iter().map(|argument| fields(std::slice::from_ref(argument)).len()).collect();
    assert_eq!(counts, [FIELDS_PER_ARGUMENT, FIELDS_PER_ARGUMENT, 1]);
    assert_eq!(fields(&merged).len(), keys.len());
}

#[test]
fn what_was_held_by_other_fields_is_refused() {
    let addition = addition(&["a"], &[0]);
    let held = |own: &[Option<&[u8]>], further: usize| Held {
        own: own.iter().map(|field| field.map(<[u8]>::to_vec)).collect(),
        further: vec![None; further],
    };
    let merged = |held: &Held| addition.merged(&mut KnownFields::default(), held);
    assert!(merged(&held(&[None], 0)).is_ok());
    let other: [(&[Option<&[u8]>], usize); 5] =
        [(&[], 0), (&[None, None], 0), (&[None], 1), (&[Some(b"5,0;")], 0), (&[Some(b"x;")], 0)];
    for (own, further) in other {
        assert!(merged(&held(own, further)).is_err(), "{own:?} and {further}");
    }
    let listing = [Some(b"5,0;".to_vec())];
    assert!(addition.further(&KnownFields::default(), &listing).is_ok());
    let strange = [Some(b"5,x;".to_vec())];
    assert!(addition.further(&KnownFields::default(), &strange).is_err());
}

/// Whatever a worker knows, it writes what one writes that reads everything; and what it knows it does not read.
#[test]
fn what_is_known_need_not_be_read() {
    let (mut most, mut least) = (0, 0);
    for seed in 1..150 {
        let mut dice = Dice::new(seed);
        let mut known = KnownFields::new(*dice.pick(&[0, 4_000, 1_000_000, 1_000_000]));
        let (mut hash, mut cursor, mut slice) = (Hash::new(), 10, *dice.pick(&[0, 10]));
        for _ in 0..25 {
            if dice.chance(10) {
                (hash, slice) = (Hash::new(), cursor);
            }
            let spread = *dice.pick(&[10, 300]);
            let rows = (0..dice.between(1, 30)).map(|_| (dice.below(40).to_string(), dice.between(0, spread)));
            let rows: Vec<(String, i64)> = rows.collect();
            let keys: Vec<&str> = rows.iter().map(|(key, _)| key.as_str()).collect();
            let minutes: Vec<i64> = rows.iter().map(|(_, minute)| *minute).collect();
            let addition = addition(&keys, &minutes);
            let expected =
                Expected { cursor, slice, definitions: BTreeMap::new(), instance: Instance::new(1), witness: None };
            let mut lent = known.lend(&expected);
            let (read, to_write) = merged(&hash, &addition, &mut lent);
            let (read_by_others, written_by_others) = merged(&hash, &addition, &mut KnownFields::default());
            assert_eq!(to_write, written_by_others, "seed {seed}");
            (most, least) = (most + read_by_others, least + read);
            // The script may be refused, or its reply lost.
            let is_done = dice.chance(90);
            if is_done || dice.chance(50) {
                hash.extend(fields(&to_write));
                cursor += 1;
            }
            if is_done {
                known = lent;
            }
        }
    }
    assert!(least > 1_000 && least < most * 3 / 4, "{least} of {most} fields were read");
}
