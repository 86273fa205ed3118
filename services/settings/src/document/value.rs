//! What a single value of a TOML file must be. Each function gives the value, or what would be right and what is there.

use std::{fmt::Display, num::NonZeroUsize, str::FromStr, time::Duration};

use toml::de::DeValue;

/// `must be EXPECTED: VALUE`
pub(crate) fn must_be(expected: &str, value: &DeValue<'_>) -> String {
    format!("must be {expected}: {}", shown(value))
}

/// The value as a message shows it.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("`{text}`"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Text, maybe empty.
pub(crate) fn any_text(value: &DeValue<'_>) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| must_be("text", value))
}

/// Text that says something.
pub(crate) fn text(value: &DeValue<'_>) -> Result<String, String> {
    any_text(value)
        .ok()
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| must_be("text, not empty", value))
}

/// Whatever `T` reads from text; its error says what would be right, and names the value.
pub(crate) fn parsed<T: FromStr<Err: Display>>(value: &DeValue<'_>) -> Result<T, String> {
    any_text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// An integer that `T` holds.
pub(crate) fn integer<T: TryFrom<i64>>(expected: &str, value: &DeValue<'_>) -> Result<T, String> {
    value
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| must_be(expected, value))
}

/// 0, 1, 2, ...
pub(crate) fn count<T: TryFrom<i64>>(value: &DeValue<'_>) -> Result<T, String> {
    integer("a number of things, 0 or more", value)
}

/// 1, 2, 3, ...: a version.
pub(crate) fn version(value: &DeValue<'_>) -> Result<u32, String> {
    let expected = "a positive integer";
    match integer(expected, value)? {
        0 => Err(must_be(expected, value)),
        version => Ok(version),
    }
}

/// 1, 2, 3, ...: a limit.
pub(crate) fn at_least_one(value: &DeValue<'_>) -> Result<NonZeroUsize, String> {
    let number: i64 = integer("at least 1", value)?;
    usize::try_from(number).ok().and_then(NonZeroUsize::new).ok_or_else(|| must_be("at least 1", value))
}

/// A finite number, integer or not.
pub(crate) fn number(value: &DeValue<'_>) -> Result<f64, String> {
    let text = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return Err(must_be("a number", value)),
    };
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| must_be("a finite number", value))
}

/// 0 or more.
pub(crate) fn not_negative(value: &DeValue<'_>) -> Result<f64, String> {
    Some(number(value)?).filter(|&number| number >= 0.0).ok_or_else(|| must_be("0 or more", value))
}

/// Above 0; `f32` is what scores are computed in.
pub(crate) fn above_zero(value: &DeValue<'_>) -> Result<f32, String> {
    // Compared as f32: what is above 0 only in f64 would still divide by 0.
    let number = number(value)? as f32;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err(must_be("above 0 and finite", value)) }
}

/// From 0 to 1.
pub(crate) fn fraction(value: &DeValue<'_>) -> Result<f32, String> {
    let number = number(value)?;
    if (0.0..=1.0).contains(&number) { Ok(number as f32) } else { Err(must_be("between 0 and 1", value)) }
}

/// Above 0 and below 1.
pub(crate) fn between_0_and_1(value: &DeValue<'_>) -> Result<f32, String> {
    // Compared as f32, as above.
    let number = number(value)? as f32;
    if number > 0.0 && number < 1.0 { Ok(number) } else { Err(must_be("above 0 and below 1", value)) }
}

/// Such as `250ms`, above 0.
pub(crate) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    value
        .as_str()
        .and_then(|text| humantime::parse_duration(text).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| must_be("a time above 0 such as \"250ms\" or \"2s\"", value))
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn sha256(value: &DeValue<'_>) -> Result<String, String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    any_text(value)
        .ok()
        .filter(|text| text.len() == 64 && text.bytes().all(is_digit))
        .ok_or_else(|| must_be("a sha256, 64 lower-case hexadecimal digits", value))
}
