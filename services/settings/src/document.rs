//! Reads a TOML file so that everything wrong with it is found in one go, each with its line.
//!
//! `serde` stops at the first value that does not fit; whoever mends a grid file in the night wants the whole list.
//! So a file is walked: each table is asked for its keys, a value that does not fit is noted and passed over, and a key
//! that nobody asked for is noted as unknown.

use std::cell::RefCell;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::{Problem, Problems};

pub(crate) mod value;

/// Checks `text` with `check`, which gives `None` for what it could not read. `source` is what problems call the file.
pub(crate) fn read<T>(
    source: &str,
    text: &str,
    check: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Result<T, Problems> {
    let root = syntax(source, text)?;
    let notes = Notes::new(source, text);
    let checked = Table::new(&notes, &root, 0, String::new()).checked(check);
    let problems = notes.into_problems();
    checked.filter(|_| problems.0.is_empty()).ok_or(problems)
}

/// The tables of `text`, as far as TOML is concerned.
pub(crate) fn syntax<'a>(source: &str, text: &'a str) -> Result<DeTable<'a>, Problems> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(root.into_inner());
    }
    // These alone: what a half-read file seems to lack is no news.
    let notes = Notes::new(source, text);
    for error in &errors {
        notes.add(error.span().map_or(0, |span| span.start), "", error.message().replace('\n', ", "));
    }
    Err(notes.into_problems())
}

/// What was found so far.
struct Notes<'a> {
    source: &'a str,
    text: &'a str,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Notes<'a> {
    fn new(source: &'a str, text: &'a str) -> Self {
        Self { source, text, problems: RefCell::default() }
    }

    fn add(&self, offset: usize, key: &str, message: String) {
        let line = line_of(self.text, offset);
        let place = format!("{}:{line}", self.source);
        self.problems.borrow_mut().push((line, Problem { place, key: key.to_owned(), message }));
    }

    /// In the order of the file, so that a person can mend it from top to bottom.
    fn into_problems(self) -> Problems {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|&(line, _)| line);
        // A list may be walked twice.
        problems.dedup();
        Problems(problems.into_iter().map(|(_, problem)| problem).collect())
    }
}

/// The line, from 1, of a byte in `text`.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
}

/// One table of the file.
pub(crate) struct Table<'a> {
    notes: &'a Notes<'a>,
    entries: &'a DeTable<'a>,
    offset: usize,
    /// e.g. ``expert `intent`: version 1``; empty for the file itself.
    path: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    fn new(notes: &'a Notes<'a>, entries: &'a DeTable<'a>, offset: usize, path: String) -> Self {
        Self { notes, entries, offset, path, asked: RefCell::default() }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.note(key, "missing");
            return None;
        }
        self.optional(key, parse)
    }

    /// The value of a key that may be left out. A value that does not fit is noted, and then as good as left out.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        parse(value.get_ref()).map_err(|message| self.add(value.span().start, key, message)).ok()
    }

    /// The values of a list, which may be left out.
    pub(crate) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let parse =
            |value: &Spanned<DeValue<'_>>| (value.span().start, key.to_owned(), parse(value.get_ref()));
        self.all(self.elements(key)?.iter().map(parse))
    }

    /// One table inside this one, which may be left out.
    pub(crate) fn table<T>(
        &self,
        key: &'static str,
        check: impl FnOnce(&Table<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        self.inner(key, value, self.path_to(key))?.checked(check)
    }

    /// The tables of `[[key]]`; messages call each by its value of `name`. As many as could be read.
    pub(crate) fn tables<T>(
        &self,
        key: &'static str,
        name: &str,
        mut check: impl FnMut(&Table<'_>) -> Option<T>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for (i, value) in self.elements(key).unwrap_or_default().iter().enumerate() {
            let called = match value.get_ref().get(name) {
                Some(name) => value::shown(name.get_ref()),
                None => format!("#{}", i + 1),
            };
            let path = format!("{} {called}", self.path_to(key));
            all.extend(self.inner(key, value, path).and_then(|table| table.checked(&mut check)));
        }
        all
    }

    /// How many elements the list `key` has.
    pub(crate) fn count(&self, key: &'static str) -> usize {
        self.entries.get(key).and_then(|value| value.get_ref().as_array()).map_or(0, |array| array.len())
    }

    /// Is it written here?
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key where it is text, right or wrong.
    pub(crate) fn peek_text(&self, key: &str) -> Option<&str> {
        self.entries.get(key)?.get_ref().as_str()
    }

    /// The integers under `inner` in the tables of `[[key]]`, where they are any.
    pub(crate) fn peek_integers(&self, key: &str, inner: &str) -> Vec<i64> {
        let tables = self.entries.get(key).and_then(|value| value.get_ref().as_array());
        let integers = tables
            .into_iter()
            .flatten()
            .filter_map(|table| value::integer("", table.get_ref().get(inner)?.get_ref()).ok());
        integers.collect()
    }

    /// The keys that are written here: for tables whose keys are names.
    pub(crate) fn each<T>(
        &self,
        mut parse: impl FnMut(&str, &DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let parse = |(key, value): (&Spanned<_>, &Spanned<_>)| {
            let key: &DeString<'_> = key.get_ref();
            (value.span().start, format!("`{key}`"), parse(key, value.get_ref()))
        };
        self.all(self.entries.iter().map(parse))
    }

    /// Notes a problem with `key`, in its own line where it has one; an empty key means the table.
    pub(crate) fn note(&self, key: &str, message: impl Into<String>) {
        let offset = self.entries.get(key).map_or(self.offset, |value| value.span().start);
        self.add(offset, key, message.into());
    }

    /// The line in which the table begins.
    pub(crate) fn line(&self) -> usize {
        line_of(self.notes.text, self.offset)
    }

    fn checked<T>(self, check: impl FnOnce(&Table<'_>) -> Option<T>) -> Option<T> {
        let checked = check(&self);
        let asked = self.asked.borrow();
        // Empty: the keys are names, and `each` saw them all.
        if !asked.is_empty() {
            for key in self.entries.keys().filter(|key| !asked.iter().any(|asked| asked == key.get_ref())) {
                let known: Vec<_> = asked.iter().map(|key| format!("`{key}`")).collect();
                let message = format!("unknown key, expected one of {}", known.join(", "));
                self.add(key.span().start, key.get_ref(), message);
            }
        }
        checked
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        self.entries.get(key)
    }

    fn elements(&self, key: &'static str) -> Option<&'a [Spanned<DeValue<'a>>]> {
        let value = self.get(key)?;
        match value.get_ref().as_array() {
            Some(array) => Some(array),
            None => {
                self.add(value.span().start, key, value::must_be("a list", value.get_ref()));
                None
            }
        }
    }

    fn inner(&self, key: &str, value: &'a Spanned<DeValue<'a>>, path: String) -> Option<Table<'a>> {
        match value.get_ref().as_table() {
            Some(entries) => Some(Table::new(self.notes, entries, value.span().start, path)),
            None => {
                self.add(value.span().start, key, value::must_be("a table", value.get_ref()));
                None
            }
        }
    }

    /// All values, or `None` when one of them was wrong; each that is wrong is noted at its offset and key.
    fn all<T>(&self, values: impl Iterator<Item = (usize, String, Result<T, String>)>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        let mut all_right = true;
        for (offset, key, value) in values {
            match value {
                Ok(value) => all.push(value),
                Err(message) => {
                    all_right = false;
                    self.add(offset, &key, message);
                }
            }
        }
        all_right.then_some(all)
    }

    fn path_to(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}: {key}", self.path),
        }
    }

    fn add(&self, offset: usize, key: &str, message: String) {
        self.notes.add(offset, &self.path_to(key), message);
    }
}
