//! `[escalation]`: who gets what the classifier finds nobody for.
//!
//! ```toml
//! [escalation]
//! expert = "big"                            # an expert for text of the grid file; or:
//!
//! [escalation.openai]                       # a server with an OpenAI-compatible HTTP API; url = "" = none
//! url = "https://api.example.com"           # `/v1/chat/completions` is added
//! model = "large-1"
//! api-key-file = "/run/secrets/openai"      # or api-key, best as NANOGRID__ESCALATION__OPENAI__API_KEY
//! name = "openai"                           # as an expert
//! system = "Answer in one sentence."        # the system message; empty = none
//! max-tokens = 256                          # of an answer
//! max-response-bytes = 1048576
//! max-in-flight = 8                         # further requests are refused
//! ```

use std::{
    fmt, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Error, ExpertName, setting};

/// Who gets what the classifier finds nobody for.
#[derive(Clone, Debug, PartialEq)]
pub enum Escalation {
    /// An expert of the grid file.
    Expert(ExpertName),
    /// A model behind an OpenAI-compatible HTTP API.
    OpenAi(OpenAiSettings),
}

/// `[escalation.openai]`
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiSettings {
    /// What it is called as an expert; no expert of the grid file has this name.
    pub name: ExpertName,
    /// With scheme and host, without `/v1` and a slash at the end.
    pub url: String,
    /// As the server calls it; not empty.
    pub model: String,
    /// The system message; may be empty.
    pub system: String,
    /// Of one answer.
    pub max_tokens: NonZeroUsize,
    /// Of one answer, as JSON.
    pub max_response_bytes: NonZeroUsize,
    /// Requests on their way at the same time.
    pub max_in_flight: NonZeroUsize,
    key: Option<KeySource>,
}

/// A secret: whatever prints it prints something else.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

#[derive(Clone, Debug, PartialEq)]
enum KeySource {
    Given(ApiKey),
    File(PathBuf),
}

impl Escalation {
    /// The expert's name.
    pub fn name(&self) -> &ExpertName {
        match self {
            Self::Expert(name) => name,
            Self::OpenAi(openai) => &openai.name,
        }
    }
}

impl OpenAiSettings {
    /// The key as it is now, `None` where the server asks for none. Fails when its file cannot be read, or is empty.
    pub fn api_key(&self) -> Result<Option<ApiKey>, Error> {
        match &self.key {
            None => Ok(None),
            Some(KeySource::Given(key)) => Ok(Some(key.clone())),
            Some(KeySource::File(path)) => read_key(path).map(Some),
        }
    }
}

impl ApiKey {
    /// The secret itself, for the one header that it is made for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

fn read_key(path: &Path) -> Result<ApiKey, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    // Editors and `echo` end a file with a new line, which is no part of a key.
    match text.trim() {
        "" => Err(Error::one(&path.display().to_string(), "must hold the API key, and is empty".to_owned())),
        key => Ok(ApiKey(key.to_owned())),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Raw {
    #[serde(deserialize_with = "setting::expert")]
    expert: Option<ExpertName>,
    #[serde(deserialize_with = "openai")]
    openai: Option<OpenAiSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOpenAi {
    // Neither has a default, and is looked at with the whole table: a wrong one that was taken out would be a missing one as well.
    url: Option<String>,
    #[serde(default)]
    model: String,
    #[serde(default = "default_name")]
    name: ExpertName,
    #[serde(default)]
    api_key: String,
    #[serde(default, deserialize_with = "setting::path")]
    api_key_file: Option<PathBuf>,
    #[serde(default)]
    system: String,
    #[serde(default = "max_tokens", deserialize_with = "setting::at_least_one")]
    max_tokens: NonZeroUsize,
    #[serde(default = "max_response_bytes", deserialize_with = "setting::at_least_one")]
    max_response_bytes: NonZeroUsize,
    #[serde(default = "max_in_flight", deserialize_with = "setting::at_least_one")]
    max_in_flight: NonZeroUsize,
}

fn max_tokens() -> NonZeroUsize {
    setting::limit(256)
}

fn max_response_bytes() -> NonZeroUsize {
    setting::limit(1 << 20)
}

/// What is asked takes seconds there, and each costs money.
fn max_in_flight() -> NonZeroUsize {
    setting::limit(8)
}

/// `[escalation]`, of which there is one at most.
pub(crate) fn escalation<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Escalation>, D::Error> {
    match Raw::deserialize(value)? {
        Raw { expert: Some(_), openai: Some(_) } => {
            Err(D::Error::custom("`expert` and `openai` exclude each other: leave one out"))
        }
        Raw { expert, openai } => Ok(expert.map(Escalation::Expert).or(openai.map(Escalation::OpenAi))),
    }
}

/// `[escalation.openai]`, with the rules between its values. An empty URL switches it off, as deployments do that share a file.
fn openai<'de, D: Deserializer<'de>>(value: D) -> Result<Option<OpenAiSettings>, D::Error> {
    let raw = RawOpenAi::deserialize(value)?;
    let url = match raw.url.as_deref() {
        None => return Err(D::Error::custom("`url` is missing")),
        Some("") => return Ok(None),
        Some(url) => base_url(url).map_err(D::Error::custom)?,
    };
    if raw.model.is_empty() {
        return Err(D::Error::custom("`model` must be the server's name for the model"));
    }
    let key = match (raw.api_key.trim(), raw.api_key_file) {
        ("", file) => file.map(KeySource::File),
        (key, None) => Some(KeySource::Given(ApiKey(key.to_owned()))),
        (_, Some(_)) => {
            return Err(D::Error::custom("`api-key` and `api-key-file` exclude each other: leave one out"));
        }
    };
    Ok(Some(OpenAiSettings {
        name: raw.name,
        url,
        model: raw.model,
        system: raw.system,
        max_tokens: raw.max_tokens,
        max_response_bytes: raw.max_response_bytes,
        max_in_flight: raw.max_in_flight,
        key,
    }))
}

/// The part before `/v1`.
fn base_url(url: &str) -> Result<String, String> {
    let base = url.trim_end_matches('/');
    if !setting::is_http_url(base) {
        return Err(format!("`url` must begin with `http://` or `https://`: `{url}`"));
    }
    if base.ends_with("/v1") {
        return Err(format!(
            "`url` must end before `/v1`, since `/v1/chat/completions` is added to it: `{url}`"
        ));
    }
    Ok(base.to_owned())
}

fn default_name() -> ExpertName {
    "openai".parse().expect("lower-case words with hyphens")
}
