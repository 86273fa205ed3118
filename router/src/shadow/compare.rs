//! How far two answers to one request differ: pure.
//!
//! Answers of a new model are rarely equal to the last bit, and need not be: what counts is what a client would notice. So each
//! task has a distance, from 0 (equal) to 1 (nothing in common), and a line from where on two answers differ. The lines are
//! constants and not settings: a rollout allows for a share of answers that differ, and two knobs for one wish would hide
//! what was wished.

use std::cmp::Ordering;

use half::{bf16, f16};
use nanogrid_proto::tensor::{Data, Tensor};

use super::answer::{Row, Span};

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    /// 0 for equal answers and only for these, 1 at most.
    pub(super) distance: f64,
    /// Would a client notice?
    pub(super) differs: bool,
}

/// Two texts differ when more than one character in ten must be changed to make one of the other.
const TEXT: f64 = 0.1;

/// Two vectors differ when their cosine is below this: a search with them begins to find other things.
const COSINE: f64 = 0.99;

/// Numbers differ when one does by more than this part of the largest.
const NUMBERS: f64 = 0.05;

/// Sounds differ when one is so much longer. What they sound like is for ears.
const SOUND: f64 = 0.1;

/// What differs in nothing that is measured, such as a score of the last label, is still not equal.
const LEAST: f64 = 1e-9;

/// Labels are compared down to this rank: further down is noise.
const RANKS: usize = 100;

/// Editing takes the square of this many steps; see [`texts`].
const EDITED_CHARS: usize = 1_000;

/// Compares two rows, neither of which holds what is not a number. `None` when they are not of the same kind: then one is no
/// answer to what the other answers.
pub(super) fn compare(one: &Row, other: &Row) -> Option<Comparison> {
    let (distance, differs) = match (one, other) {
        (Row::Labels(one), Row::Labels(other)) => labels(one, other),
        (Row::Spans(one), Row::Spans(other)) => spans(one, other),
        (Row::Text(one), Row::Text(other)) => above(TEXT, texts(one, other)),
        (Row::Vector(one), Row::Vector(other)) => above(1.0 - COSINE, vectors(one, other)),
        (Row::Scores(one), Row::Scores(other)) => above(NUMBERS, numbers(&wide(one), &wide(other))),
        (Row::Sound(one), Row::Sound(other)) => above(SOUND, lengths(one.len(), other.len())),
        (Row::Tensors(one), Row::Tensors(other)) => above(NUMBERS, tensors(one, other)),
        _ => return None,
    };
    let is_equal = one == other;
    let distance = if is_equal { 0.0 } else { distance.clamp(LEAST, 1.0) };
    Some(Comparison { distance, differs: differs && !is_equal })
}

fn above(line: f64, distance: f64) -> (f64, bool) {
    (distance, distance > line)
}

/// The best label is the answer; under the same one it is half of how far the scores lie apart.
fn labels(one: &[(bytes::Bytes, f32)], other: &[(bytes::Bytes, f32)]) -> (f64, bool) {
    let top = |labels: &[(bytes::Bytes, f32)]| labels.first().map(|(label, _)| label.clone());
    if top(one) != top(other) {
        return (1.0, true);
    }
    let (one, other) = (&one[..one.len().min(RANKS)], &other[..other.len().min(RANKS)]);
    let score = |labels: &[(bytes::Bytes, f32)], wanted: &bytes::Bytes| {
        labels.iter().find(|(label, _)| label == wanted).map_or(0.0, |(_, score)| f64::from(*score))
    };
    let apart = one.iter().chain(other).map(|(label, _)| delta(score(one, label), score(other, label)));
    (apart.fold(0.0, f64::max).min(1.0) / 2.0, false)
}

/// 1 - F1 of the spans found: place and entity must be equal.
fn spans(one: &[Span], other: &[Span]) -> (f64, bool) {
    let sorted = |spans: &[Span]| {
        let mut keys: Vec<_> =
            spans.iter().map(|span| (span.row, span.start, span.end, span.entity.clone())).collect();
        keys.sort_unstable();
        keys
    };
    let (one, other) = (sorted(one), sorted(other));
    let (mut i, mut j, mut n_common) = (0, 0, 0_usize);
    while let (Some(here), Some(there)) = (one.get(i), other.get(j)) {
        let order = here.cmp(there);
        n_common += usize::from(order == Ordering::Equal);
        i += usize::from(order != Ordering::Greater);
        j += usize::from(order != Ordering::Less);
    }
    let n_spans = one.len() + other.len();
    let f1 = if n_spans == 0 { 1.0 } else { (2 * n_common) as f64 / n_spans as f64 };
    (1.0 - f1, f1 < 1.0)
}

/// Characters to change, as a part of the longer text. Of what lies between a common beginning and a common end the first
/// thousand characters stand for all: a book is not to be compared letter by letter between two requests.
fn texts(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let longer = one.len().max(other.len());
    let n_before = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[n_before..], &other[n_before..]);
    let n_after = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[..one.len() - n_after], &other[..other.len() - n_after]);
    let n_changed = one.len().max(other.len());
    let cut = |chars: &[char]| chars[..chars.len().min(EDITED_CHARS)].to_vec();
    let (one, other) = (cut(one), cut(other));
    let n_looked_at = one.len().max(other.len());
    if n_looked_at == 0 {
        return 0.0;
    }
    let edits = strsim::generic_levenshtein(&one, &other) as f64;
    edits * (n_changed as f64 / n_looked_at as f64) / longer as f64
}

/// 1 - cosine.
fn vectors(one: &[f32], other: &[f32]) -> f64 {
    let (one, other) = (wide(one), wide(other));
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    // The product of the roots and not the root of the product, which is too large for large vectors.
    let cosine = dot(&one, &other) / (dot(&one, &one).sqrt() * dot(&other, &other).sqrt());
    // Without a direction, or of another length: nothing in common.
    if one.len() != other.len() || !cosine.is_finite() {
        return 1.0;
    }
    (1.0 - cosine).clamp(0.0, 1.0)
}

/// The largest difference, as a part of the largest number.
fn numbers(one: &[f64], other: &[f64]) -> f64 {
    if one.len() != other.len() {
        return 1.0;
    }
    let largest = one.iter().chain(other).filter(|value| value.is_finite()).map(|value| value.abs());
    let apart = one.iter().zip(other).map(|(one, other)| delta(*one, *other)).fold(0.0, f64::max);
    let largest = largest.fold(0.0, f64::max);
    // 0 / 0: where all is 0, so is what lies between.
    if apart == 0.0 { 0.0 } else { (apart / largest).min(1.0) }
}

/// Equal infinities are equal.
fn delta(one: f64, other: f64) -> f64 {
    if one == other { 0.0 } else { (one - other).abs() }
}

fn lengths(one: usize, other: usize) -> f64 {
    let longer = one.max(other);
    if longer == 0 { 0.0 } else { one.abs_diff(other) as f64 / longer as f64 }
}

/// The tensor that differs most; all must be there, in any order.
fn tensors(one: &[Tensor], other: &[Tensor]) -> f64 {
    if one.len() != other.len() {
        return 1.0;
    }
    let apart = one.iter().map(|tensor| {
        let same = other.iter().find(|same| same.name == tensor.name && same.shape == tensor.shape);
        same.map_or(1.0, |same| elements(&tensor.data, &same.data))
    });
    apart.fold(0.0, f64::max)
}

/// Numbers by how far they lie apart; of all else, such as texts and ids, the part that is not equal.
fn elements(one: &Data, other: &Data) -> f64 {
    match (one, other) {
        (Data::F32(one), Data::F32(other)) => numbers(&wide(one), &wide(other)),
        (Data::F64(one), Data::F64(other)) => numbers(one, other),
        (Data::F16(one), Data::F16(other)) => {
            let wide =
                |values: &[u16]| values.iter().map(|bits| f16::from_bits(*bits).to_f64()).collect::<Vec<_>>();
            numbers(&wide(one), &wide(other))
        }
        (Data::Bf16(one), Data::Bf16(other)) => {
            let wide = |values: &[u16]| {
                values.iter().map(|bits| bf16::from_bits(*bits).to_f64()).collect::<Vec<_>>()
            };
            numbers(&wide(one), &wide(other))
        }
        (Data::Bool(one), Data::Bool(other)) => unequal(one, other),
        (Data::U8(one), Data::U8(other)) => unequal(one, other),
        (Data::U16(one), Data::U16(other)) => unequal(one, other),
        (Data::U32(one), Data::U32(other)) => unequal(one, other),
        (Data::U64(one), Data::U64(other)) => unequal(one, other),
        (Data::I8(one), Data::I8(other)) => unequal(one, other),
        (Data::I16(one), Data::I16(other)) => unequal(one, other),
        (Data::I32(one), Data::I32(other)) => unequal(one, other),
        (Data::I64(one), Data::I64(other)) => unequal(one, other),
        (Data::Bytes(one), Data::Bytes(other)) => unequal(one, other),
        _ => 1.0,
    }
}

fn unequal<T: PartialEq>(one: &[T], other: &[T]) -> f64 {
    let n = one.len().max(other.len());
    let n_equal = one.iter().zip(other).filter(|(one, other)| one == other).count();
    if n == 0 { 0.0 } else { (n - n_equal) as f64 / n as f64 }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[cfg(test)]
mod tests;
