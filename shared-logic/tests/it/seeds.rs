//! The checks of `fuzz-checks` hold for the seeds of the fuzz targets and for random mutations of them.
//!
//! This is the part of `make fuzz` that needs no fuzzer, so every test run includes it. Mutations insert words from the
//! fuzzer's dictionaries.

use std::fs;
use std::path::PathBuf;

use test_kit::{Dice, first_seed, repetitions};

/// A check takes some 100 µs: it decodes each record twice.
const RECORD_MUTANTS: [u64; 2] = [20_000, 1_000_000];
/// A check takes some 200 µs.
const CATALOG_MUTANTS: [u64; 2] = [10_000, 200_000];
/// As `fuzz/run` tells libFuzzer.
const MAX_BYTES: usize = 4_096;

#[test]
fn json_records() {
    every_input("json", RECORD_MUTANTS, fuzz_checks::json);
}

#[test]
fn tsv_records() {
    every_input("tsv", RECORD_MUTANTS, fuzz_checks::tsv);
}

#[test]
fn csv_records() {
    every_input("csv", RECORD_MUTANTS, fuzz_checks::csv);
}

#[test]
fn lines_of_access_logs() {
    every_input("combined", RECORD_MUTANTS, fuzz_checks::combined);
}

#[test]
fn avro_records() {
    every_input("avro", RECORD_MUTANTS, fuzz_checks::avro);
}

#[test]
fn protobuf_records() {
    every_input("protobuf", RECORD_MUTANTS, fuzz_checks::protobuf);
}

#[test]
fn changes_of_debezium() {
    every_input("debezium", RECORD_MUTANTS, fuzz_checks::debezium);
}

#[test]
fn catalogs() {
    every_input("catalog", CATALOG_MUTANTS, |text| fuzz_checks::catalog(&String::from_utf8_lossy(text)));
}

/// Checks each seed of a target, then so many mutants: usually, and in a long run.
fn every_input(target: &str, [usual, long]: [u64; 2], check: fn(&[u8])) {
    let mutants = repetitions(usual, long);
    let (seeds, words) = (seeds(target), words(target));
    for seed in &seeds {
        checked(seed, 0, check);
    }
    let first = first_seed();
    for seed in first..first + mutants {
        let mut dice = Dice::new(seed);
        let mut mutant = dice.pick(&seeds).clone();
        for _ in 0..dice.between(1, 4) {
            mutate(&mut dice, &mut mutant, &seeds, &words);
        }
        mutant.truncate(MAX_BYTES);
        checked(&mutant, seed, check);
    }
}

fn checked(input: &[u8], seed: u64, check: fn(&[u8])) {
    /// Prints the input if the check panics.
    struct Shown<'a>(&'a [u8], u64);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("BRAID_SEED={}: b\"{}\"", self.1, self.0.escape_ascii());
            }
        }
    }
    let _shown = Shown(input, seed);
    check(input);
}

/// Changes one place of an input.
fn mutate(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[Vec<u8>]) {
    let start = dice.below(input.len() + 1);
    let end = (start + dice.below(16)).min(input.len());
    match dice.below(8) {
        0 if start < input.len() => input[start] ^= 1 << dice.below(8),
        1 if start < input.len() => input[start] = dice.below(256) as u8,
        2 => drop(input.drain(start..end)),
        3 => {
            let again = input[start..end].to_vec();
            let at = dice.below(input.len() + 1);
            drop(input.splice(at..at, again));
        }
        4 | 5 => drop(input.splice(start..start, dice.pick(words).iter().copied())),
        6 => drop(input.splice(start..end, dice.pick(words).iter().copied())),
        _ => {
            let other = dice.pick(seeds);
            let from = dice.below(other.len());
            input.truncate(start);
            input.extend_from_slice(&other[from..]);
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = fuzz().join("seeds").join(target);
    let entries = fs::read_dir(&folder).expect("a folder of seeds");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    // A folder has no order, and a test run must be repeatable.
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// The words of libFuzzer's dictionary: one a line, quoted, with `\xNN`, `\"` and `\\` for some bytes.
fn words(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz().join(format!("{target}.dict"))).expect("a dictionary");
    let quoted = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    quoted.map(|line| unquoted(line).unwrap_or_else(|| panic!("{line} is no word"))).collect()
}

fn unquoted(line: &str) -> Option<Vec<u8>> {
    let mut bytes = line.strip_prefix('"')?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { Some(bytes.next()?) } else { None };
        word.push(match escaped {
            None => byte,
            Some(b'x') => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            Some(escaped) => escaped,
        });
    }
    Some(word)
}

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"))
}
