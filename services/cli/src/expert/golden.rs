//! What the model answers to a few texts or images, kept in the package: whoever serves it can see that it still does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nanogrid_onnx::{
    ImageLimits, ImageProcessor, Model, Package, Ranking, RunError, Scored, Tagging, Text, Tokens,
};
use nanogrid_settings::{InferenceSettings, Task, package::NumBeams};
use serde_json::{Value, json};

use crate::{check, error::Error};

pub(crate) const FILE: &str = "golden.jsonl";
/// Where its images are, beside it.
const IMAGES: &str = "golden";

/// Labels per case, as in the catalog.
const TOP: usize = 3;

/// A package that is loaded, as it would be served.
pub(crate) struct Loaded {
    pub(crate) package: Package,
    pub(crate) model: Model,
    input: Input,
}

/// What turns a request into what the model takes.
enum Input {
    /// With what makes spans of the answer, where it has any. Boxed: a tokeniser is large.
    Text(Box<Text>, Option<Tagging>),
    Image(ImageProcessor),
}

impl Input {
    fn load(package: &Package) -> Result<Self, Vec<nanogrid_onnx::Error>> {
        if let Some(processor) = package.image_processor {
            let InferenceSettings { max_image_bytes, max_image_pixels, .. } = InferenceSettings::default();
            let limits = ImageLimits { max_bytes: max_image_bytes, max_pixels: max_image_pixels };
            return Ok(Self::Image(ImageProcessor::new(processor, limits)));
        }
        let tagging = (package.task == Task::TokenClassification).then(|| Tagging::new(package)).transpose();
        match (Text::load(package), tagging) {
            (Ok(text), Ok(tagging)) => Ok(Self::Text(Box::new(text), tagging)),
            (text, tagging) => Err(text.err().into_iter().chain(tagging.err()).collect()),
        }
    }
}

impl Loaded {
    /// Everything that keeps it from being loaded.
    pub(crate) fn load(package: Package) -> Result<Self, Vec<nanogrid_onnx::Error>> {
        match (Input::load(&package), check::load_model(&package)) {
            (Ok(input), Ok(model)) => Ok(Self { package, model, input }),
            (input, model) => Err(input.err().into_iter().flatten().chain(model.err()).collect()),
        }
    }

    /// Reads `texts`, one a line, and writes the model's answers beside it. Returns how many.
    pub(crate) async fn record_texts(&self, texts: &Path) -> Result<usize, Error> {
        let Input::Text(text, tagging) = &self.input else {
            return Err(wrong(texts, "the model takes images: give a folder of them with --images"));
        };
        let lines = fs::read_to_string(texts).map_err(Error::file("cannot read", texts))?;
        let mut cases = Vec::new();
        for (idx, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let case = self.of_text(line, text, tagging.as_ref()).await;
            let silent =
                |error| wrong(texts, format!("line {}: the model does not answer: {error}", idx + 1));
            cases.push(case.map_err(silent)?);
        }
        self.write(&cases)
    }

    /// Copies the PNG and JPEG files in `folder` into the package, and writes the model's answers beside them. Returns how
    /// many.
    pub(crate) async fn record_images(&self, folder: &Path) -> Result<usize, Error> {
        let Input::Image(processor) = &self.input else {
            return Err(wrong(folder, "the model takes texts: give a file of them with --texts"));
        };
        let copies = self.package.folder.join(IMAGES);
        fs::create_dir_all(&copies).map_err(Error::file("cannot make the folder", &copies))?;
        let mut cases = Vec::new();
        for path in images(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = fs::read(&path).map_err(Error::file("cannot read", &path))?;
            let pixels = processor.process(&file).map_err(|error| wrong(&path, error.to_string()))?;
            let run = self.model.run_images(vec![pixels], None).await;
            let logits =
                run.map_err(|error| wrong(&path, format!("the model does not answer: {error}")))?.logits;
            let mut case = json!({ "image": format!("{IMAGES}/{name}") });
            let logits = logits.first().map_or(&[][..], Vec::as_slice);
            add_labels(&mut case, &Ranking::new(&self.package), logits);
            let copy = copies.join(&name);
            fs::write(&copy, file).map_err(Error::file("cannot write", copy))?;
            cases.push(case);
        }
        self.write(&cases)
    }

    fn write(&self, cases: &[Value]) -> Result<usize, Error> {
        let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
        let path = self.package.folder.join(FILE);
        fs::write(&path, lines).map_err(Error::file("cannot write", path))?;
        Ok(cases.len())
    }

    async fn of_text(&self, line: &str, text: &Text, tagging: Option<&Tagging>) -> Result<Value, RunError> {
        if let Some(generation) = self.package.generation {
            return self.of_generated(line, text, generation.num_beams).await;
        }
        let worded = text.encode_words(line)?;
        let ids = worded.tokens.ids.clone();
        let logits = self.model.run_text(vec![worded.tokens], None).await?.logits;
        let logits = logits.first().map_or(&[][..], Vec::as_slice);
        let mut case = json!({ "text": line, "tokens": ids });
        let Some(tagging) = tagging else {
            add_labels(&mut case, &Ranking::new(&self.package), logits);
            return Ok(case);
        };
        let spans = tagging.spans(logits, &worded.words).into_iter().map(|span| {
            json!({"entity": span.entity, "start": span.start, "end": span.end, "score": rounded(span.score)})
        });
        case["spans"] = spans.collect();
        if !self.package.text_labels.is_empty() {
            let n_of_tokens = (ids.len() * tagging.n_labels()).min(logits.len());
            add_labels(&mut case, &Ranking::of_texts(&self.package), &logits[n_of_tokens..]);
        }
        Ok(case)
    }
}

impl Loaded {
    async fn of_generated(&self, line: &str, text: &Text, num_beams: NumBeams) -> Result<Value, RunError> {
        let tokens = text.encode(line)?;
        let ids = tokens.ids.clone();
        let generated = self.model.generate(vec![tokens], num_beams, None).await?.texts;
        let generated = generated.into_iter().next().unwrap_or_default();
        let output = json!({ "text": text.decode(&generated.ids)?, "score": rounded(generated.score) });
        Ok(json!({ "text": line, "tokens": ids, "output": output }))
    }
}

fn add_labels(case: &mut Value, ranking: &Ranking, logits: &[f32]) {
    let top: Vec<Scored<'_>> = ranking.top(logits, TOP);
    case["labels"] = top.iter().map(|scored| scored.label).collect();
    case["scores"] = top.iter().map(|scored| rounded(scored.score)).collect();
}

/// By name, so that the same folder gives the same cases.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_image = |path: &PathBuf| {
        let end = path.extension().map(|end| end.to_ascii_lowercase());
        end.is_some_and(|end| ["png", "jpg", "jpeg"].iter().any(|known| end == *known))
    };
    let entries = folder.read_dir().map_err(Error::file("cannot read", folder))?;
    let mut images: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_image).collect();
    images.sort();
    if images.is_empty() {
        return Err(wrong(folder, "holds no .png, .jpg or .jpeg file"));
    }
    Ok(images)
}

fn wrong(path: &Path, problem: impl Into<String>) -> Error {
    Error::Data { path: path.to_owned(), problem: problem.into() }
}

/// Six decimals, as in the catalog: the rest is noise of the machine.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e6).round() / 1e6
}

/// The model must know every token that the tokenizer can give, and read as many as it says.
pub(crate) async fn probe(Loaded { package, model, input }: &Loaded) -> Vec<String> {
    let mut problems = Vec::new();
    if let Input::Image(_) = input {
        // Whatever an image is, the model sees one size, and has seen it.
        return problems;
    }
    let path = package.folder.join(super::export::TOKENIZER);
    let run = async |ids: Vec<u32>| {
        let rows = vec![Tokens { ids, truncated: false }];
        match package.generation {
            Some(_) => model.generate(rows, NumBeams::GREEDY, None).await.map(drop),
            None => model.run_text(rows, None).await.map(drop),
        }
    };
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
            "the model cannot read {most} tokens, as config.json and tokenizer_config.json say: say less with --max-tokens \
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
