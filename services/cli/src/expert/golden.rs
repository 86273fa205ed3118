//! What the model answers to a few texts, kept in the package: whoever serves it can see that it still does.

use std::path::Path;

use nanogrid_onnx::{Model, Package, Ranking, RunError, Scored, Tagging, Text, Tokens};
use nanogrid_settings::Task;
use serde_json::{Value, json};

use crate::{check, error::Error};

pub(crate) const FILE: &str = "golden.jsonl";

/// Labels per case, as in the catalog.
const TOP: usize = 3;

/// A package that is loaded, as it would be served.
pub(crate) struct Loaded {
    pub(crate) package: Package,
    pub(crate) text: Text,
    pub(crate) model: Model,
    /// Of a package that answers spans.
    pub(crate) tagging: Option<Tagging>,
}

impl Loaded {
    /// Everything that keeps it from being loaded.
    pub(crate) fn load(package: Package) -> Result<Self, Vec<nanogrid_onnx::Error>> {
        let tagging = (package.task == Task::TokenClassification).then(|| Tagging::new(&package)).transpose();
        match (Text::load(&package), check::load_model(&package), tagging) {
            (Ok(text), Ok(model), Ok(tagging)) => Ok(Self { package, text, model, tagging }),
            (text, model, tagging) => {
                Err(text.err().into_iter().chain(model.err()).chain(tagging.err()).collect())
            }
        }
    }

    /// Reads `texts`, one a line, and writes the model's answers beside it. Returns how many.
    pub(crate) async fn record(&self, texts: &Path) -> Result<usize, Error> {
        let lines = std::fs::read_to_string(texts).map_err(Error::file("cannot read", texts))?;
        let (mut cases, mut n) = (String::new(), 0);
        for (idx, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let case = self.case(line).await.map_err(|error| Error::Data {
                path: texts.to_owned(),
                problem: format!("line {}: the model does not answer: {error}", idx + 1),
            })?;
            cases.push_str(&format!("{case}\n"));
            n += 1;
        }
        let path = self.package.folder.join(FILE);
        std::fs::write(&path, cases).map_err(Error::file("cannot write", path))?;
        Ok(n)
    }

    async fn case(&self, line: &str) -> Result<Value, RunError> {
        let worded = self.text.encode_words(line)?;
        let ids = worded.tokens.ids.clone();
        let logits = self.model.run_text(vec![worded.tokens], None).await?.logits;
        let logits = logits.first().map_or(&[][..], Vec::as_slice);
        let mut case = json!({ "text": line, "tokens": ids });
        let (of_text, ranking) = match &self.tagging {
            None => (logits, Some(Ranking::new(&self.package))),
            Some(tagging) => {
                let spans = tagging.spans(logits, &worded.words).into_iter().map(|span| {
                    json!({"entity": span.entity, "start": span.start, "end": span.end, "score": rounded(span.score)})
                });
                case["spans"] = spans.collect();
                let n_of_tokens = (ids.len() * tagging.n_labels()).min(logits.len());
                let has_second_head = !self.package.text_labels.is_empty();
                (&logits[n_of_tokens..], has_second_head.then(|| Ranking::of_texts(&self.package)))
            }
        };
        if let Some(ranking) = ranking {
            let top: Vec<Scored<'_>> = ranking.top(of_text, TOP);
            case["labels"] = top.iter().map(|scored| scored.label).collect();
            case["scores"] = top.iter().map(|scored| rounded(scored.score)).collect();
        }
        Ok(case)
    }
}

/// Six decimals, as in the catalog: the rest is noise of the machine.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}

/// The model must know every token that the tokenizer can give, and read as many as it says.
pub(crate) async fn probe(Loaded { package, model, .. }: &Loaded) -> Vec<String> {
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
