//! What the model answers to a few texts, kept in the package: whoever serves it can see that it still does.

use std::path::Path;

use nanogrid_onnx::{Model, Package, Ranking, Text, Tokens};
use serde_json::json;

use crate::error::Error;

pub(crate) const FILE: &str = "golden.jsonl";

/// Labels per case, as in the catalog.
const TOP: usize = 3;

/// Reads `texts`, one a line, and writes the answers of `model` into its folder. Returns how many.
pub(crate) async fn record(
    texts: &Path,
    package: &Package,
    model: &Model,
    text: &Text,
) -> Result<usize, Error> {
    let lines = std::fs::read_to_string(texts).map_err(Error::file("cannot read", texts))?;
    let ranking = Ranking::new(package);
    let (mut cases, mut n) = (String::new(), 0);
    for (idx, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let failed = |error: nanogrid_onnx::RunError| Error::Data {
            path: texts.to_owned(),
            problem: format!("line {}: the model does not answer: {error}", idx + 1),
        };
        let tokens = text.encode(line).map_err(failed)?;
        let ids = tokens.ids.clone();
        let logits = model.run_text(vec![tokens], None).await.map_err(failed)?.logits;
        let top = ranking.top(logits.first().map_or(&[][..], Vec::as_slice), TOP);
        let case = json!({
            "text": line,
            "tokens": ids,
            "labels": top.iter().map(|scored| scored.label).collect::<Vec<_>>(),
            // Six decimals, as in the catalog: the rest is noise of the machine.
            "scores": top.iter().map(|scored| (f64::from(scored.score) * 1e6).round() / 1e6).collect::<Vec<_>>(),
        });
        cases.push_str(&format!("{case}\n"));
        n += 1;
    }
    let path = package.folder.join(FILE);
    std::fs::write(&path, cases).map_err(Error::file("cannot write", path))?;
    Ok(n)
}

/// The model must know every token that the tokenizer can give, and read as many as it says.
pub(crate) async fn probe(package: &Package, model: &Model) -> Vec<String> {
    let mut problems = Vec::new();
    let path = package.folder.join(super::export::TOKENIZER);
    let run = async |ids: Vec<u32>| model.run_text(vec![Tokens { ids, truncated: false }], None).await;
    if let Some(last) = last_token(&path)
        && let Err(error) = run(vec![last]).await
    {
        problems.push(format!(
            "tokenizer.json: its last token is number {last}, which the model does not know: they belong to different \
             models ({error})"
        ));
    }
    let most = package.max_tokens.get();
    if let Err(error) = run(vec![0; most]).await {
        problems.push(format!(
            "model.onnx: cannot read {most} tokens, as config.json and tokenizer_config.json say: say less with --max-tokens \
             ({error})"
        ));
    }
    problems
}

/// The highest number that the tokenizer gives a token.
fn last_token(path: &Path) -> Option<u32> {
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let vocabulary = &file["model"]["vocab"];
    let of_names = vocabulary.as_object().into_iter().flatten().filter_map(|(_, id)| id.as_u64());
    // Unigram models list their tokens; the place is the number.
    let of_list = vocabulary.as_array().and_then(|list| (list.len() as u64).checked_sub(1));
    let added =
        file["added_tokens"].as_array().into_iter().flatten().filter_map(|token| token["id"].as_u64());
    u32::try_from(of_names.chain(of_list).chain(added).max()?).ok()
}
