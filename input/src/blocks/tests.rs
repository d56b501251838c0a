use super::*;

/// A file in memory, which notes what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Held {
    name: String,
    bytes: Vec<u8>,
    /// It sends that many bytes of each range too few.
    lacks: usize,
    asked: Mutex<Vec<Range<u64>>>,
}

impl Held {
    pub(crate) fn named(name: &str, bytes: &[u8]) -> Held {
        Held { name: format!("s3://bucket/{name}"), bytes: bytes.to_vec(), ..Held::default() }
    }

    fn asked(&self) -> Vec<Range<u64>> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Remote for Held {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        assert!(range.start < range.end && range.end <= self.bytes(), "{range:?}");
        self.asked.lock().expect("not poisoned").push(range.clone());
        Ok(self.bytes[range.start as usize..range.end as usize - self.lacks].to_vec())
    }
}

/// The blocks of a file that no byte of which equals its neighbours.
fn blocks(bytes: usize, block_bytes: u64, kept_max: usize) -> (Arc<Held>, Blocks) {
    let bytes: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    let held = Arc::new(Held::named("a", &bytes));
    let remote: Arc<dyn Remote> = held.clone();
    (held, Blocks::new(&remote, block_bytes, kept_max))
}

#[test]
fn whatever_is_read_is_what_the_file_holds_there() {
    let (held, blocks) = blocks(1_000, 64, 3);
    for start in (0..=1_000).step_by(7) {
        for length in [0, 1, 63, 64, 65, 200] {
            let read = blocks.get_bytes(start as u64, length);
            match held.bytes.get(start..start + length) {
                Some(expected) => assert_eq!(read.expect("within it"), expected, "{length} from {start} on"),
                None => assert!(matches!(read, Err(ParquetError::EOF(_))), "{length} from {start} on: {read:?}"),
            }
        }
        let mut rest = Vec::new();
        blocks.get_read(start as u64).expect("begun").read_to_end(&mut rest).expect("read");
        assert_eq!(rest, held.bytes[start..]);
        assert!(blocks.kept.lock().expect("not poisoned").len() <= 3);
    }
    assert!(blocks.get_bytes(u64::MAX, 2).is_err(), "no overflow");
}

#[test]
fn a_file_that_is_read_in_order_is_asked_for_once_and_an_empty_one_not_at_all() {
    let (held, blocks) = blocks(200, 64, 1);
    let mut all = Vec::new();
    blocks.reader(0).read_to_end(&mut all).expect("read");
    assert_eq!(all, held.bytes);
    assert_eq!(held.asked(), [0..64, 64..128, 128..192, 192..200]);
    let (held, blocks) = self::blocks(0, 64, 1);
    assert_eq!(blocks.reader(0).read(&mut [0; 8]).expect("read"), 0);
    assert!(held.asked().is_empty());
}

#[test]
fn columns_that_are_read_in_turn_ask_for_each_of_their_blocks_once() {
    // Columns begin where blocks do. A block that two of them share may be read for each.
    let (held, blocks) = blocks(2_880, 64, 6);
    for step in 0..48 {
        for column in 0..3 {
            blocks.get_bytes(column * 960 + step * 20, 20).expect("read");
        }
    }
    let mut asked: Vec<u64> = held.asked().into_iter().map(|range| range.start).collect();
    let count = asked.len();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), count, "none twice");
}

#[test]
fn what_is_in_memory_is_bounded_however_many_columns_there_are() {
    let remote: Arc<dyn Remote> = Arc::new(Held::default());
    for columns in [1, 2, 7, 63, 1_000, 100_000] {
        let blocks = Blocks::of_columns(&remote, columns);
        assert!(blocks.block_bytes * blocks.kept_max as u64 <= KEPT_BYTES, "{columns}");
        assert!(blocks.kept_max >= 2 * columns || blocks.block_bytes == SMALLEST_BYTES, "{columns}");
    }
}

#[test]
fn a_range_of_which_bytes_are_missing_is_an_error() {
    let remote: Arc<dyn Remote> = Arc::new(Held { lacks: 1, ..Held::named("a", &[7; 100]) });
    let failed = Blocks::in_order(&remote).reader(0).read(&mut [0; 8]).expect_err("too few");
    assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
}
