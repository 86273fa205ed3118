//! Texts to tokens, cut to what the model can see. Padding is not done here: how far a row is padded depends on the batch
//! it ends up in.

use std::{
    fs,
    num::NonZeroUsize,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use serde::Deserialize;
use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationParams};

use crate::{Error, Package, RunError};

/// The tokenizer of one package. Any number of threads may use it at once.
#[derive(Debug)]
pub struct Text {
    tokenizer: Tokenizer,
    max_tokens: usize,
}

/// The tokens of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether the text was longer than the model can see.
    pub truncated: bool,
}

/// A text as a token classifier sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worded {
    /// Its tokens.
    pub tokens: Tokens,
    /// Its words, in order; those that were cut off are not among them.
    pub words: Vec<Word>,
}

/// A word: what the tokenizer's pre-tokenizer takes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Position of its first token.
    pub first: usize,
    /// Where it begins in the text as it was given, in bytes.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
}

impl Text {
    /// Loads `tokenizer.json` of `package` and sets its truncation to the package's limit.
    ///
    /// # Errors
    /// When the file is no tokenizer, leaves no room for a text, or cannot encode one.
    pub fn load(package: &Package) -> Result<Self, Error> {
        let path = package.folder.join(FILE);
        let bytes = read(&path)?;
        // A file that deserialises may still describe nonsense; whatever the crate does about it stays here.
        let text = guarded(|| Self::parse(&bytes, package.max_tokens))
            .map_err(|problem| Error::file(&path, problem))?;
        for probe in ["", "a", "The quick brown fox \u{1f98a}: 42!", "\u{0}\u{301}"] {
            text.encode(probe)
                .map_err(|error| Error::file(&path, format!("cannot encode {probe:?}: {error}")))?;
        }
        Ok(text)
    }

    fn parse(bytes: &[u8], max_tokens: NonZeroUsize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
            format!("is no tokenizer file of the Hugging Face `tokenizers` library: {error}")
        })?;
        let special = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        // The crate subtracts one from the other unchecked.
        if max_tokens.get() <= special {
            return Err(format!(
                "adds {special} special tokens, which leaves no room for text: expected max-tokens above {special}, found {max_tokens}"
            ));
        }
        // The crate stops looking at a text after so many tokens and does not say whether there was more; special tokens
        // that then push one out give it away. Where there are none, one token more than needed does.
        let max_length = if special == 0 { max_tokens.saturating_add(1) } else { max_tokens }.get();
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, max_tokens: max_tokens.get() })
    }

    /// The tokens of `text`. May be none for an empty text.
    ///
    /// # Errors
    /// [`RunError::Failed`] when the tokenizer cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Tokens, RunError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true).map_err(|error| error.to_string()));
        Ok(self.tokens(&encoding.map_err(failed)?))
    }

    /// The tokens of `text`, and where its words are in it: in the text as given, whatever normalising makes of it.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub fn encode_words(&self, text: &str) -> Result<Worded, RunError> {
        let encoding = guarded(|| self.tokenizer.encode(text, true).map_err(|error| error.to_string()));
        let encoding = encoding.map_err(failed)?;
        let tokens = self.tokens(&encoding);
        let mut words: Vec<Word> = Vec::new();
        let mut before = None;
        let places = encoding.get_word_ids().iter().zip(encoding.get_offsets()).take(tokens.ids.len());
        for (position, (word, &(start, end))) in places.enumerate() {
            // Special tokens belong to no word.
            let Some(word) = word else { continue };
            match words.last_mut().filter(|_| before == Some(word)) {
                Some(last) => (last.start, last.end) = (last.start.min(start), last.end.max(end)),
                None => words.push(Word { first: position, start, end }),
            }
            before = Some(word);
        }
        words.retain_mut(|word| word.fit(text));
        Ok(Worded { tokens, words })
    }

    /// The text that tokens of a model stand for; special tokens among them are left out.
    ///
    /// # Errors
    /// [`RunError::Failed`] when they stand for none.
    pub fn decode(&self, ids: &[u32]) -> Result<String, RunError> {
        guarded(|| self.tokenizer.decode(ids, true).map_err(|error| error.to_string())).map_err(failed)
    }

    fn tokens(&self, encoding: &Encoding) -> Tokens {
        let ids = encoding.get_ids();
        let truncated = ids.len() > self.max_tokens || !encoding.get_overflowing().is_empty();
        Tokens { ids: ids[..ids.len().min(self.max_tokens)].to_vec(), truncated }
    }
}

impl Word {
    /// Brings its ends to where characters end and white space does not: some tokenizers count the blank before a word as
    /// its first character, and some cut characters in two. `false` = nothing is left.
    fn fit(&mut self, text: &str) -> bool {
        let start = (0..=self.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (self.end.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at));
        let Some(part) = text.get(start..end.unwrap_or(text.len())) else { return false };
        self.start = start + (part.len() - part.trim_start().len());
        self.end = self.start + part.trim().len();
        self.start < self.end
    }
}

fn failed(problem: String) -> RunError {
    RunError::Failed(format!("tokenizer: {problem}"))
}

/// The token that rows of `package` are padded with: what its tokenizer says, else 0.
pub(crate) fn padding(package: &Package) -> Result<i64, Error> {
    #[derive(Deserialize)]
    struct File {
        padding: Option<Padding>,
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    #[derive(Deserialize)]
    struct Padding {
        pad_id: u32,
    }
    #[derive(Deserialize)]
    struct Added {
        id: u32,
        content: String,
    }
    let path = package.folder.join(FILE);
    let file: File =
        serde_json::from_slice(&read(&path)?).map_err(|error| Error::file(&path, error.to_string()))?;
    let added = || file.added_tokens.iter().find(|token| ["[PAD]", "<pad>"].contains(&&*token.content));
    Ok(file
        .padding
        .map(|padding| padding.pad_id)
        .or_else(|| added().map(|token| token.id))
        .unwrap_or(0)
        .into())
}

pub(crate) const FILE: &str = "tokenizer.json";

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the tokenizer panicked".into()))
}
