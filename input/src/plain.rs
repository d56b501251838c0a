//! Bytes of a file or a pipe → bytes of lines: gzip and zstd are unpacked, and a byte-order mark is skipped.
//!
//! What the input is, its first bytes tell, not its name. Neither a compressed input nor a byte-order mark begins like a valid
//! record: the first bytes of both formats are not UTF-8, and no format's records begin with the mark.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 1 << 20;

/// RFC 1952. Several members may follow each other, as `cat a.gz b.gz` writes them.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// RFC 8878. Several frames may follow each other.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// U+FEFF in UTF-8. Some editors and spreadsheets begin a text with it.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// The bytes of the input's lines, unpacked as they are read.
///
/// # Errors
/// If the first bytes cannot be read. Errors further on are those of the returned reader; an input that ends within a
/// compressed member is one.
pub fn plain<'a>(input: impl Read + Send + 'a) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let begin = first_bytes(&mut input, &[GZIP, ZSTD])?;
    let (is_gzip, is_zstd) = (begin == GZIP, begin == ZSTD);
    let packed = Cursor::new(begin).chain(input);
    let mut unpacked: Box<dyn BufRead + Send + 'a> = if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(packed)))
    } else if is_zstd {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::with_buffer(packed)?))
    } else {
        Box::new(packed)
    };
    let mut begin = first_bytes(&mut unpacked, &[BYTE_ORDER_MARK])?;
    if begin == BYTE_ORDER_MARK {
        begin.clear();
    }
    Ok(Box::new(Cursor::new(begin).chain(unpacked)))
}

/// Reads no further than it takes to tell whether the input begins with one of the marks: a pipe may have no more bytes for
/// now, and the lines that it has must not wait for others.
fn first_bytes(input: &mut impl BufRead, marks: &[&[u8]]) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    let is_open = |begin: &[u8]| marks.iter().any(|mark| mark.len() > begin.len() && mark.starts_with(begin));
    while is_open(&begin) {
        match input.by_ref().bytes().next().transpose()? {
            Some(byte) => begin.push(byte),
            None => break,
        }
    }
    Ok(begin)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// One byte at a time, as a slow pipe gives them.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn all(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        plain(input)?.read_to_end(&mut bytes)?;
        let mut slowly = Vec::new();
        plain(Slow(input))?.read_to_end(&mut slowly)?;
        assert_eq!(bytes, slowly);
        Ok(bytes)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("finished")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).expect("packed")
    }

    #[test]
    fn compressed_input_gives_what_was_compressed() {
        let long: Vec<u8> = (0..200_000_u32).flat_map(|n| format!("{{\"n\":{n}}}\n").into_bytes()).collect();
        for text in [b"".as_slice(), b"x", b"one\ntwo", &long] {
            assert!(all(text).expect("plain") == text);
            assert!(all(&gzip(text)).expect("gzip") == text);
            assert!(all(&zstd(text)).expect("zstd") == text);
        }
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let twice = |pack: fn(&[u8]) -> Vec<u8>| all(&[pack(b"one\n"), pack(b""), pack(b"two\n")].concat());
        assert_eq!(twice(gzip).expect("gzip"), b"one\ntwo\n");
        assert_eq!(twice(zstd).expect("zstd"), b"one\ntwo\n");
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once_and_only_at_the_start() {
        let marked = [BYTE_ORDER_MARK, b"a\n", BYTE_ORDER_MARK, b"b"].concat();
        let expected = [b"a\n".as_slice(), BYTE_ORDER_MARK, b"b"].concat();
        assert_eq!(all(&marked).expect("plain"), expected);
        assert_eq!(all(&gzip(&marked)).expect("gzip"), expected);
        assert_eq!(all(&zstd(&marked)).expect("zstd"), expected);
        assert_eq!(all(&[BYTE_ORDER_MARK, BYTE_ORDER_MARK].concat()).expect("plain"), BYTE_ORDER_MARK);
    }

    #[test]
    fn the_begin_of_a_mark_is_no_mark() {
        for mark in [GZIP, ZSTD, BYTE_ORDER_MARK] {
            for length in 0..mark.len() {
                assert_eq!(all(&mark[..length]).expect("plain"), &mark[..length]);
                let line = [&mark[..length], b"{}\n"].concat();
                assert_eq!(all(&line).expect("plain"), line);
            }
        }
    }

    #[test]
    fn a_short_line_does_not_wait_for_more() {
        struct Silent;
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("the pipe is silent, so this would wait")
            }
        }
        let mut line = Vec::new();
        let mut input = plain(b"{}\n".as_slice().chain(Silent)).expect("begun");
        input.read_until(b'\n', &mut line).expect("a line");
        assert_eq!(line, b"{}\n");
    }

    #[test]
    fn a_cut_off_input_is_an_error() {
        let text = b"some text that takes more than a few bytes, even packed";
        for packed in [gzip(text), zstd(text)] {
            let error = all(&packed[..packed.len() - 5]).expect_err("cut off");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
    }
}
