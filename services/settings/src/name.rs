//! Names of experts: one word, wherever a person or a machine writes it.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Name of an expert: lower-case words and numbers, joined by hyphens, e.g. `translate-en-de`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpertName(Arc<str>);

/// A name that cannot be an expert's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not words with hyphens.
    #[error("must be lower-case words joined by hyphens, e.g. `translate-en-de`: `{0}`")]
    Syntax(String),
    /// A name becomes the name of a Kubernetes Service, and those end at 63.
    #[error("must be at most {MAX_LEN} characters long: `{0}`")]
    TooLong(String),
    /// The name means something else on the wire.
    #[error("is reserved (as a model name, `auto` asks the classifier): choose another: `{0}`")]
    Reserved(String),
}

const MAX_LEN: usize = 63;
const RESERVED: [&str; 1] = ["auto"];

impl ExpertName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExpertName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !name.split('-').all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(InvalidName::Syntax(name.to_owned()));
        }
        if name.len() > MAX_LEN {
            return Err(InvalidName::TooLong(name.to_owned()));
        }
        if RESERVED.contains(&name) {
            return Err(InvalidName::Reserved(name.to_owned()));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for ExpertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExpertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for ExpertName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ExpertName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ExpertName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for ExpertName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for ExpertName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ExpertName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<(), &str>) {
        let actual = name.parse::<ExpertName>().map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(actual, expected.map_err(str::to_owned));
    }

    #[test]
    fn lower_case_words_with_hyphens_are_names() {
        check("intent", Ok(()));
        check("translate-en-de", Ok(()));
        check("wav2vec-2", Ok(()));
    }

    #[test]
    fn anything_else_is_refused_with_the_rule() {
        let rule = "must be lower-case words joined by hyphens, e.g. `translate-en-de`";
        for name in ["", "Intent", "in tent", "-intent", "intent-", "a--b", "2nd", "a/b", "..", "über", "a_b"]
        {
            check(name, Err(&format!("{rule}: `{name}`")));
        }
        let long = "a".repeat(64);
        check(&long, Err(&format!("must be at most 63 characters long: `{long}`")));
        check(
            "auto",
            Err("is reserved (as a model name, `auto` asks the classifier): choose another: `auto`"),
        );
    }
}
