//! How single process settings are read. They all arrive as text: the environment has nothing else.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::ExpertName;

/// A limit that is a default here in the code; 0 would be a mistake, and becomes 1.
pub(crate) const fn limit(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}

/// 1, 2, 3, ...
pub(crate) fn at_least_one<'de, D: Deserializer<'de>>(value: D) -> Result<NonZeroUsize, D::Error> {
    NonZeroUsize::new(usize::deserialize(value)?).ok_or_else(|| D::Error::custom("must be at least 1"))
}

/// 1, 2, 3, ..., when it is written at all.
pub(crate) fn at_least_one_or_none<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    at_least_one(value).map(Some)
}

/// From 0 to 1.
pub(crate) fn fraction<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(value)?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(D::Error::custom("must be between 0 and 1")) }
}

/// A time such as `250ms`, which may be 0.
pub(crate) fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    humantime::parse_duration(&String::deserialize(value)?)
        .map_err(|_| D::Error::custom("must be a time such as \"250ms\" or \"2s\""))
}

/// A time such as `250ms`, above 0.
pub(crate) fn duration_above_zero<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    humantime::parse_duration(&String::deserialize(value)?)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| D::Error::custom("must be a time above 0 such as \"250ms\" or \"2s\""))
}

/// A URL; empty, as a deployment writes it to switch something off, counts as absent.
pub(crate) fn http_url<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(value)?;
    match url.as_str() {
        "" => Ok(None),
        _ if is_http_url(&url) => Ok(Some(url)),
        _ => Err(D::Error::custom("must begin with `http://` or `https://`")),
    }
}

/// Does it look like one?
pub(crate) fn is_http_url(url: &str) -> bool {
    let has_host = |scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
    has_host("http://") || has_host("https://")
}

/// A path; empty counts as absent.
pub(crate) fn path<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(value)?;
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

/// Above 0 and below 1.
pub(crate) fn between_0_and_1<'de, D: Deserializer<'de>>(value: D) -> Result<f32, D::Error> {
    let value = f64::deserialize(value)? as f32;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(D::Error::custom("must be above 0 and below 1")) }
}

/// The name of an expert; empty counts as absent.
pub(crate) fn expert<'de, D: Deserializer<'de>>(value: D) -> Result<Option<ExpertName>, D::Error> {
    let name = String::deserialize(value)?;
    if name.is_empty() { Ok(None) } else { name.parse().map(Some).map_err(D::Error::custom) }
}

/// A list of names of experts, or one text with commas.
pub(crate) fn experts<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<ExpertName>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Text(String),
    }
    let names = match Names::deserialize(value) {
        Ok(Names::List(names)) => names,
        Ok(Names::Text(text)) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Err(_) => return Err(D::Error::custom("must be a list of names of experts")),
    };
    names.iter().filter(|name| !name.is_empty()).map(|name| name.parse().map_err(D::Error::custom)).collect()
}

/// A list of paths, or one text with commas.
pub(crate) fn paths<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Paths {
        List(Vec<PathBuf>),
        Text(String),
    }
    match Paths::deserialize(value) {
        Ok(Paths::List(paths)) => Ok(paths),
        Ok(Paths::Text(text)) => {
            Ok(text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect())
        }
        Err(_) => Err(D::Error::custom("must be a list of paths")),
    }
}
