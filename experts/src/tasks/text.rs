//! Texts as they arrive, for every task that reads some. A row stays a slice of the message until the tokeniser reads it.

use bytes::Bytes;
use nanogrid_onnx::{RunError, Text, Tokens};
use nanogrid_proto::tensor::{Data, Tensor};

use crate::error::Error;

/// Name of the input, in every task that reads text.
pub(crate) const INPUT: &str = "text";

/// The tokens of every row. All rows are checked before the first is tokenised: a request that will be refused costs little.
pub(crate) async fn tokens(tokenizer: &Text, input: &Tensor, max_bytes: usize) -> Result<Vec<Tokens>, Error> {
    let encode = |text: &str| tokenizer.encode(text);
    rows(input, max_bytes, encode, |tokens| tokens).await
}

/// What `encode` makes of every row, of which `tokens` are a part.
pub(crate) async fn rows<T>(
    input: &Tensor,
    max_bytes: usize,
    encode: impl Fn(&str) -> Result<T, RunError>,
    tokens: impl Fn(&T) -> &Tokens,
) -> Result<Vec<T>, Error> {
    let texts = texts(input, max_bytes)?;
    let mut rows = Vec::with_capacity(texts.len());
    let mut since_yield = 0;
    for (row, text) in texts.into_iter().enumerate() {
        let encoded = encode(text).map_err(|error| Error::Untokenisable {
            name: input.name.clone(),
            row,
            problem: error.to_string(),
        })?;
        if tokens(&encoded).ids.is_empty() {
            // Nothing was left after normalising: invisible characters only.
            return Err(Error::EmptyText { name: input.name.clone(), row });
        }
        rows.push(encoded);
        since_yield += text.len();
        if since_yield >= YIELD_EVERY {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(rows)
}

/// About a millisecond of tokenising: then the other requests of this thread get their turn.
const YIELD_EVERY: usize = 8 << 10;

fn texts(input: &Tensor, max_bytes: usize) -> Result<Vec<&str>, Error> {
    let Data::Bytes(rows) = &input.data else {
        return Err(Error::Misfit {
            name: input.name.clone(),
            found: input.data.datatype().to_owned(),
            expected: "BYTES".to_owned(),
        });
    };
    rows.iter().enumerate().map(|(row, bytes)| text(&input.name, row, bytes, max_bytes)).collect()
}

fn text<'a>(input: &str, row: usize, bytes: &'a Bytes, max_bytes: usize) -> Result<&'a str, Error> {
    let name = || input.to_owned();
    if bytes.len() > max_bytes {
        return Err(Error::TextTooLong { name: name(), row, bytes: bytes.len(), limit: max_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        name: name(),
        row,
        offset: error.valid_up_to(),
    })?;
    if text.trim().is_empty() { Err(Error::EmptyText { name: name(), row }) } else { Ok(text) }
}
