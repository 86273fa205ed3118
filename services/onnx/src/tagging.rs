//! From the logits of tokens to spans. Pure, so every rule here is a table in the tests.
//!
//! Labels are those of the BIO scheme, as exports from the Hugging Face ecosystem spell them: `O` is no entity, `B-PER` begins
//! one, `I-PER` goes on with it. What a word is, its first token says. Of all sequences of labels the most probable one is
//! taken in which no `I-` stands without its `B-`: a model that says `O I-PER` word by word then says `O O` or `B-PER I-PER`,
//! whichever it finds likelier.

use crate::{Error, Package, Ranking, Word};

/// How one package turns logits into spans.
#[derive(Debug, Clone)]
pub struct Tagging {
    labels: Vec<Label>,
    entities: Vec<String>,
    ranking: Ranking,
}

/// A span that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'a> {
    /// What it is, without its `B-`.
    pub entity: &'a str,
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
    /// The mean probability of the labels chosen for its words.
    pub score: f32,
}

/// What a label says of a word; entities by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Outside,
    Begin(usize),
    Inside(usize),
}

impl Tagging {
    /// The rules of `package`.
    ///
    /// # Errors
    /// When its labels are not of the BIO scheme.
    pub fn new(package: &Package) -> Result<Self, Error> {
        let path = package.folder.join("config.json");
        let (labels, entities) = read(&package.labels).map_err(|problem| {
            Error::file(
                path,
                format!("id2label: {problem}; spans need `O`, and `B-` and `I-` labels of each entity"),
            )
        })?;
        Ok(Self { labels, entities, ranking: Ranking::new(package) })
    }

    /// How many labels a token has.
    pub fn n_labels(&self) -> usize {
        self.labels.len()
    }

    /// The spans among `words`, in order. `logits` are those of the text's tokens, one token after another.
    pub fn spans(&self, logits: &[f32], words: &[Word]) -> Vec<Found<'_>> {
        let n_labels = self.labels.len();
        let scores: Vec<Vec<f32>> = words
            .iter()
            .map_while(|word| logits.get(word.first * n_labels..(word.first + 1) * n_labels))
            .map(|logits| self.ranking.scores(logits))
            .collect();
        let mut spans: Vec<(Found<'_>, f32)> = Vec::new();
        for ((chosen, scores), word) in self.best(&scores).into_iter().zip(&scores).zip(words) {
            let score = scores[chosen];
            match (self.labels[chosen], spans.last_mut()) {
                (Label::Outside, _) => {}
                (Label::Inside(_), Some((span, n_words))) => {
                    span.end = span.end.max(word.end);
                    span.score += score;
                    *n_words += 1.0;
                }
                (Label::Begin(entity) | Label::Inside(entity), _) => {
                    let entity = &self.entities[entity];
                    spans.push((Found { entity, start: word.start, end: word.end, score }, 1.0));
                }
            }
        }
        spans.into_iter().map(|(span, n_words)| Found { score: span.score / n_words, ..span }).collect()
    }

    /// The most probable sequence of labels that is one (Viterbi's algorithm); of equals the first.
    fn best(&self, scores: &[Vec<f32>]) -> Vec<usize> {
        let n_labels = self.labels.len();
        let starts = |label: &Label| if matches!(label, Label::Inside(_)) { f64::NEG_INFINITY } else { 0.0 };
        // The best sequence so far that ends in each label: how probable it is. Before the first word, nothing.
        let mut so_far: Vec<f64> = self.labels.iter().map(starts).collect();
        let mut back: Vec<Vec<usize>> = Vec::with_capacity(scores.len());
        for (i, scores) in scores.iter().enumerate() {
            let mut came_from = vec![0; n_labels];
            let mut next = vec![f64::NEG_INFINITY; n_labels];
            for (to, label) in self.labels.iter().enumerate() {
                let before = if i == 0 {
                    so_far[to]
                } else {
                    let (from, before) = self.likeliest(&so_far, *label);
                    came_from[to] = from;
                    before
                };
                // Of what is impossible to a float, the least that it knows: the others are still told apart.
                next[to] = before + f64::from(scores[to].max(f32::MIN_POSITIVE)).ln();
            }
            so_far = next;
            back.push(came_from);
        }
        let mut at = first_best(so_far.iter().copied().enumerate()).0;
        let mut chosen = vec![0; scores.len()];
        for i in (0..scores.len()).rev() {
            chosen[i] = at;
            at = back[i][at];
        }
        chosen
    }

    /// Which label a word before one with `label` has.
    fn likeliest(&self, so_far: &[f64], label: Label) -> (usize, f64) {
        let allowed =
            self.labels.iter().zip(so_far).enumerate().filter(|(_, (before, _))| follows(**before, label));
        first_best(allowed.map(|(from, (_, score))| (from, *score)))
    }
}

fn follows(before: Label, label: Label) -> bool {
    match label {
        Label::Outside | Label::Begin(_) => true,
        Label::Inside(entity) => before == Label::Begin(entity) || before == Label::Inside(entity),
    }
}

fn first_best(scores: impl Iterator<Item = (usize, f64)>) -> (usize, f64) {
    scores.fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
}

/// The labels as what they say, and the names of the entities.
fn read(written: &[String]) -> Result<(Vec<Label>, Vec<String>), String> {
    let mut entities: Vec<String> = Vec::new();
    let mut labels = Vec::with_capacity(written.len());
    for label in written {
        let (part, entity) = label.split_once('-').unwrap_or((label, ""));
        let mut index = |entity: &str| {
            entities.iter().position(|known| known == entity).unwrap_or_else(|| {
                entities.push(entity.to_owned());
                entities.len() - 1
            })
        };
        labels.push(match (part, entity) {
            ("O", "") => Label::Outside,
            ("B", entity) if !entity.is_empty() => Label::Begin(index(entity)),
            ("I", entity) if !entity.is_empty() => Label::Inside(index(entity)),
            _ => return Err(format!("`{label}` is neither `O` nor does it begin with `B-` or `I-`")),
        });
    }
    if !labels.contains(&Label::Outside) {
        return Err("there is no `O`".to_owned());
    }
    match (0..entities.len()).find(|entity| !labels.contains(&Label::Begin(*entity))) {
        Some(entity) => Err(format!("`I-{0}` has no `B-{0}`", entities[entity])),
        None => Ok((labels, entities)),
    }
}

#[cfg(test)]
mod tests;
