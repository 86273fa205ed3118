"""How good answers are: shares with Wilson intervals, F1 with bootstrapped ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .package import wilson
from .rows import Example

RESAMPLES = 1000


def wanted(examples: list[Example], n_labels: int) -> np.ndarray:
    """The labels of every example, as booleans [example, label]."""
    table = np.zeros((len(examples), n_labels), bool)
    for row, example in zip(table, examples, strict=True):
        row[list(example.labels)] = True
    return table


def given(scores: np.ndarray, manifest: dict[str, Any]) -> np.ndarray:
    """The labels that are answered: of a softmax the best one, of a sigmoid all that reach the threshold."""
    outside = manifest.get("out-of-scope")
    if manifest["activation"] == "sigmoid":
        return scores >= outside["threshold"]
    table = scores == scores.max(axis=1, keepdims=True)
    return table if outside is None else table & (scores >= outside["threshold"])


def f1(counts: np.ndarray) -> np.ndarray:
    """From true and false positives and false negatives [..., 3]."""
    right, wrong, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)


def row(data: str, metric: str, value: float, low: float, high: float, n: int) -> dict[str, Any]:
    """One entry of the manifest's accuracy table."""
    rounded = {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return {"data": data, "metric": metric, **rounded, "n": n}


def share(data: str, metric: str, hits: np.ndarray) -> dict[str, Any]:
    return row(data, metric, hits.mean(), *wilson(int(hits.sum()), len(hits)), len(hits))


def measured(data: str, metric: str, answers: np.ndarray, truth: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """`accuracy`, `macro-f1`, `f1 of LABEL`, or `false-alarms on LABEL`."""
    kind, _, label = metric.replace(" on ", " of ").partition(" of ")
    if kind == "accuracy":
        return share(data, metric, (answers == truth).all(axis=1))
    if kind == "false-alarms":
        at = labels.index(label)
        return share(data, metric, ~answers[truth[:, at], at])
    # A label that a dev set does not have says nothing about the model.
    columns = [labels.index(label)] if label else np.flatnonzero(truth.any(axis=0))
    answers, truth = answers[:, columns], truth[:, columns]
    cells = np.stack([answers & truth, answers & ~truth, ~answers & truth], axis=2).astype(np.int64)
    rng = np.random.default_rng(0)
    drawn = [f1(cells[rng.integers(0, len(cells), len(cells))].sum(axis=0)).mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return row(data, metric, f1(cells.sum(axis=0)).mean(), low, high, len(cells))
