//! Lines of a file, with their numbers, and none longer than is sensible: a file that has no lines must not fill the memory.

use std::io::{self, BufRead, Read};

/// More than any expert takes as one text.
const LONGEST: usize = 4 << 20;

pub(crate) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    number: u64,
}

/// A line, or why it is none.
pub(crate) type Line<'a> = Result<&'a str, String>;

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), number: 0 }
    }

    /// Of the line last read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end; `None` behind the last one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let limit = LONGEST as u64 + 1;
        if self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.buffer.len() as u64 == limit && self.buffer.last() != Some(&b'\n') {
            self.source.skip_until(b'\n')?;
            return Ok(Some(Err(format!("is longer than {LONGEST} bytes"))));
        }
        let mut line = self.buffer.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        Ok(Some(
            std::str::from_utf8(line)
                .map_err(|error| format!("is not UTF-8 text (byte {} of the line)", error.valid_up_to() + 1)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_a_byte_order_mark_are_not_text() {
        let mut lines = Lines::new("\u{feff}a\r\nb\n\nc".as_bytes());
        let mut next = || lines.next().expect("memory").map(|line| line.expect("text").to_owned());
        assert_eq!(
            [next(), next(), next(), next(), next()].map(|line| line.unwrap_or("end".into())),
            ["a", "b", "", "c", "end"]
        );
    }

    #[test]
    fn a_line_without_end_is_passed_over_and_the_next_one_read() {
        let text = format!("{}\nb\n", "a".repeat(LONGEST + 1));
        let mut lines = Lines::new(text.as_bytes());
        assert!(lines.next().expect("memory").expect("a line").is_err());
        assert!(lines.buffer.capacity() < 3 * LONGEST, "bounded");
        assert_eq!(lines.next().expect("memory"), Some(Ok("b")));
        assert_eq!(lines.number(), 2);
    }

    #[test]
    fn the_longest_line_is_a_line() {
        let text = format!("{}\nb", "a".repeat(LONGEST));
        let mut lines = Lines::new(text.as_bytes());
        assert_eq!(lines.next().expect("memory").expect("a line").map(str::len), Ok(LONGEST));
    }

    #[test]
    fn what_is_no_text_is_said_with_its_place() {
        let mut lines = Lines::new(&b"ab\xff\nc"[..]);
        assert!(lines.next().expect("memory").expect("a line").expect_err("no text").contains("byte 3"));
        assert_eq!(lines.next().expect("memory"), Some(Ok("c")));
    }
}
