//! Text of bounded size, for lists that people read and that must not grow with what others send.

use std::fmt;

/// Two lines of a terminal.
pub(super) const LONGEST: usize = 256;

/// Takes text until it is full, and then no more: whoever formats into it can stop.
#[derive(Debug, Default)]
pub(super) struct Shortened(String);

const CUT: &str = "...";

impl fmt::Write for Shortened {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = LONGEST - self.0.len();
        if text.len() <= left {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(left)]);
        let end = self.0.floor_char_boundary(LONGEST - CUT.len());
        self.0.truncate(end);
        self.0.push_str(CUT);
        Err(fmt::Error)
    }
}

impl From<Shortened> for Box<str> {
    fn from(Shortened(text): Shortened) -> Self {
        // Control characters would let an answer write to the terminal of whoever lists it.
        text.trim_end().replace(char::is_control, " ").into()
    }
}

/// The beginning of `text`.
pub(super) fn shortened(text: &str) -> Box<str> {
    let mut short = Shortened::default();
    // Refuses what is too long, and keeps the beginning.
    let _ = fmt::Write::write_str(&mut short, text);
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(&*shortened("hi"), "hi");
        assert_eq!(shortened(&"x".repeat(LONGEST)).len(), LONGEST);
        let cut = shortened(&"\u{1f600}".repeat(LONGEST));
        assert!(cut.len() <= LONGEST && cut.ends_with("\u{1f600}..."), "{cut}");
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(&*shortened("red: \u{1b}[31m\n"), "red:  [31m");
    }
}
