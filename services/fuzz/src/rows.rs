use nanogrid_evaluation::{Format, Layout, Offsets, Reader, Truth, Wanted};

/// A file of labelled rows, read in every way that there is.
///
/// # Panics
/// When a row has no text, or a span that is no part of its text.
pub fn rows(bytes: &[u8]) {
    for (format, wanted) in [
        (Format::Tsv, Wanted::Labels),
        (Format::JsonLines, Wanted::Labels),
        (Format::JsonLines, Wanted::Spans),
    ] {
        for (offsets, separator) in [(Offsets::Characters, None), (Offsets::Bytes, Some(","))] {
            let separator = separator.map(str::to_owned);
            read(bytes, Layout { offsets, separator, ..Layout::new(format, wanted) });
        }
    }
}

fn read(bytes: &[u8], layout: Layout) {
    for row in Reader::new(bytes, layout).flatten() {
        assert!(!row.input.trim().is_empty(), "{row:?}");
        if let Truth::Spans(spans) = &row.truth {
            let inside = |start, end| row.input.get(start..end).is_some_and(|part| !part.is_empty());
            assert!(spans.iter().all(|span| inside(span.start, span.end)), "{row:?}");
        }
    }
}
