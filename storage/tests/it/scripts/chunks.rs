//! What a read of some buckets of one group key reads, however many chunks other keys have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use shared_logic::contracts::speed_view::{CHUNK_BUCKETS, ChunkRange, Wanted};
use shared_logic::measure::Value;
use test_kit::{Dice, Redis, first_seed, repetitions};

use super::counters::{Partial, key, kinds, partials};
use super::{StoredShard, catalog, start_redis};

/// Sees every command that a Redis runs, also those of scripts.
struct Monitor {
    lines: BufReader<TcpStream>,
    marks: usize,
}

impl Monitor {
    fn of(server: &Redis) -> Monitor {
        let url = server.url();
        let address = url.strip_prefix("redis://").expect("a URL");
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(b"MONITOR\r\n").expect("sent");
        let mut monitor = Monitor { lines: BufReader::new(stream), marks: 0 };
        assert_eq!(monitor.line().trim_end(), "+OK");
        monitor
    }

    /// How many fields of counters were read since the last call.
    fn fields(&mut self, stored: &mut StoredShard) -> usize {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        stored.command::<String>(&["ECHO", &mark]);
        let mut fields = 0;
        loop {
            let line = self.line();
            if line.contains(&mark) {
                return fields;
            }
            // `+<time> [<database> lua] "HMGET" "<key>" "<field>" …`
            // The apply script looks at and writes them, too.
            let is_applied = ["\"HSTRLEN\"", "\"EXISTS\"", "\"HSET\""].iter().any(|command| line.contains(command));
            if line.contains(" lua] ") && line.contains(":c:") && !is_applied {
                assert!(line.contains("\"HMGET\"") || line.contains("\"HGET\""), "{line}");
                fields += arguments(&line) - 2;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }
}

/// How many quoted texts there are.
fn arguments(line: &str) -> usize {
    let (mut quotes, mut is_escaped) = (0, false);
    for c in line.chars() {
        quotes += usize::from(c == '"' && !is_escaped);
        is_escaped = c == '\\' && !is_escaped;
    }
    quotes / 2
}

#[test]
fn a_read_takes_the_chunks_of_its_key_within_its_range_and_no_others() {
    let (server, catalog) = (start_redis(), catalog());
    let (definition, kinds) = (catalog.definition(&catalog.metrics["m"]), kinds(&catalog));
    let mut monitor = Monitor::of(&server);
    let mut most = 0;
    for seed in (first_seed()..).take(repetitions(20, 200)) {
        let mut dice = Dice::new(seed);
        let mut stored = StoredShard::new(&server, &format!("chunks-{seed}"));
        stored.open(0_i64, std::slice::from_ref(&definition)).expect("opened");
        // Events of one key lie days apart, those of another within some hours, and they come in any order.
        let mut counted: BTreeMap<(&str, i64), i128> = BTreeMap::new();
        for _ in 0..dice.between(1, 6) {
            let mut rows = BTreeSet::new();
            for _ in 0..dice.below(80) {
                let (text, spread) = *dice.pick(&[("busy", 4_000), ("quiet", 200)]);
                rows.insert((text, dice.between(-spread, spread)));
            }
            let batch: Vec<Partial> = rows.iter().map(|(text, minute)| Partial::of(text, *minute, 1, 0.5)).collect();
            stored.add_twice(&catalog, &partials(&catalog, &batch));
            rows.into_iter().for_each(|row| *counted.entry(row).or_default() += 1);
        }
        for _ in 0..8 {
            let (text, first) = (*dice.pick(&["busy", "quiet", "never"]), dice.between(-70, 70));
            let chunks = ChunkRange { first, last: first + dice.between(0, 60) };
            let (instance, group) = (stored.expected().instance, key(text));
            let wanted = Wanted { instance, slice: 0, definition: &definition, kinds: &kinds, key: &group, chunks };
            monitor.fields(&mut stored);
            let mut reading = stored.read(&[wanted]).expect("redis answers").expect("there is a shard");
            let fields = monitor.fields(&mut stored);

            let of_chunk = |minute: i64| minute.div_euclid(CHUNK_BUCKETS);
            let is_wanted = |minute: i64| (chunks.first..=chunks.last).contains(&of_chunk(minute));
            let of_key = counted.iter().filter(|((of, minute), _)| *of == text && is_wanted(*minute));
            let expected: BTreeMap<i64, Value> =
                of_key.map(|((_, minute), count)| (*minute, Value::Int(*count))).collect();
            let counters = reading.counters.remove(0);
            let counts = counters.into_iter().filter(|(_, measure, _)| *measure == 0);
            let counts: BTreeMap<i64, Value> = counts.map(|(minute, _, count)| (minute, count)).collect();
            assert_eq!(counts, expected, "BRAID_SEED={seed}: {text} in {chunks:?}");
            let its_chunks: BTreeSet<i64> = expected.keys().map(|minute| of_chunk(*minute)).collect();
            assert!(
                (1..=1 + its_chunks.len()).contains(&fields),
                "BRAID_SEED={seed}: {fields} fields were read for {its_chunks:?}"
            );
            most = most.max(fields);
        }
    }
    assert!(most > 10, "at most {most} fields were read at once");
}
