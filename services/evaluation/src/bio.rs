//! Tokens with a tag each. `B-x` begins a span of `x`, `I-x` goes on with it, `O` is outside. An `I-` that has nothing to go
//! on with begins a span, as the CoNLL script counts it. `S-`, `U-` (a span of one token) and `E-`, `L-` (its last) are read too.

use crate::Span;

/// The tag of a token outside of spans.
pub(crate) const OUTSIDE: &str = "O";

/// The text and its spans. Without a text of its own, a row is its tokens with blanks between them.
pub(crate) fn read(
    text: Option<String>,
    tokens: &[String],
    tags: &[String],
) -> Result<(String, Vec<Span>), String> {
    if tokens.len() != tags.len() {
        return Err(format!("has {} tokens and {} tags: each token needs its tag", tokens.len(), tags.len()));
    }
    let text = text.unwrap_or_else(|| tokens.join(" "));
    let places = places(&text, tokens)?;
    let mut spans: Vec<Span> = Vec::new();
    let mut goes_on = false;
    for (idx, (tag, (start, end))) in tags.iter().zip(places).enumerate() {
        match split(tag) {
            Some(None) => goes_on = false,
            Some(Some((mark, entity))) => {
                let continued = spans.last_mut().filter(|span| goes_on && span.entity == entity);
                match (mark, continued) {
                    ('I' | 'E' | 'L', Some(span)) => span.end = end,
                    (_, _) => spans.push(Span { start, end, entity: entity.to_owned() }),
                }
                goes_on = matches!(mark, 'B' | 'I');
            }
            None => {
                return Err(format!("tag {} must be `O`, or `B-` or `I-` and an entity: `{tag}`", idx + 1));
            }
        }
    }
    Ok((text, spans))
}

/// `None` for what is no tag; inside it `None` for a token outside of spans.
fn split(tag: &str) -> Option<Option<(char, &str)>> {
    if tag == OUTSIDE {
        return Some(None);
    }
    let (mark, entity) = tag.split_once('-')?;
    let mark = mark.chars().next().filter(|_| mark.len() == 1 && "BIESLU".contains(mark))?;
    (!entity.is_empty()).then_some(Some((mark, entity)))
}

/// Where each token is, one behind the other.
fn places(text: &str, tokens: &[String]) -> Result<Vec<(usize, usize)>, String> {
    let mut from = 0;
    let place = |(idx, token): (usize, &String)| {
        if token.is_empty() {
            return Err(format!("token {} is empty", idx + 1));
        }
        let at = text[from..].find(token.as_str());
        let start = from + at.ok_or_else(|| format!("token {} is not in the text: `{token}`", idx + 1))?;
        from = start + token.len();
        Ok((start, from))
    };
    tokens.iter().enumerate().map(place).collect()
}
