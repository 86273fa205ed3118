"""Moves the logits of a trained model to where its answers are best by the measure that the expert is for.

Training weighs every row alike; macro-F1 and false alarms do not. One number per label, added to the bias of
the last layer, makes up for that at no cost. The numbers are fitted on dev, so the measure is also taken on
halves of dev, each with the numbers of the other: that is what the card may promise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import metrics

STEPS = np.arange(-4.0, 4.01, 0.1)
ROUNDS = 4

Measure = Callable[[np.ndarray, np.ndarray], float]  # of logits and truth, more is better


def answers_of(logits: np.ndarray, softmax: bool) -> np.ndarray:
    return logits == logits.max(axis=1, keepdims=True) if softmax else logits >= 0


def by_macro_f1(softmax: bool) -> Measure:
    def measure(logits: np.ndarray, truth: np.ndarray) -> float:
        answers = answers_of(logits, softmax)
        cells = np.stack([answers & truth, answers & ~truth, ~answers & truth], axis=2).sum(axis=0)
        return float(metrics.f1(cells).mean())
    return measure


def by_accuracy_within(label: int, most: float) -> Measure:
    """Accuracy, as long as at most that share of the rows of `label` is answered otherwise."""
    def measure(logits: np.ndarray, truth: np.ndarray) -> float:
        answers = answers_of(logits, softmax=True)
        alarms = float((~answers[truth[:, label], label]).mean())
        return float((answers == truth).all(axis=1).mean()) - 10 * max(0.0, alarms - most)
    return measure


def offsets(logits: np.ndarray, truth: np.ndarray, measure: Measure) -> np.ndarray:
    """Label by label, the offset that is best given the others; of equally good ones the one in the middle."""
    found = np.zeros(logits.shape[1])
    for _ in range(ROUNDS):
        for label in range(len(found)):
            gains = []
            for step in STEPS:
                tried = found.copy()
                tried[label] = step
                gains.append(measure(logits + tried, truth))
            best = np.flatnonzero(np.isclose(gains, max(gains)))
            found[label] = STEPS[best[len(best) // 2]]
    return found.round(2)


def cross_fitted(logits: np.ndarray, truth: np.ndarray, measure: Measure) -> np.ndarray:
    """The logits with the offsets that were fitted on the other half."""
    even = np.arange(len(logits)) % 2 == 0
    moved = logits.copy()
    for half in (even, ~even):
        moved[half] += offsets(logits[~half], truth[~half], measure)
    return moved
