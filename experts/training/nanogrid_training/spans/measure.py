"""How good spans are: F1 of exact finds (entity, start and end), with bootstrapped intervals over the texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import metrics
from ..robustness import DRAWS, KINDS
from .package import TagPackage
from .rows import Span, Spanned
from .words import worn_apart

Found = list[tuple[Span, float]]


def counts(found: list[Found], rows: list[Spanned], entity: str | None = None) -> np.ndarray:
    """True and false positives and false negatives of every text."""
    table = np.zeros((len(rows), 3), np.int64)
    for cells, spans, row in zip(table, found, rows, strict=True):
        given = {span for span, _ in spans if entity in (None, span.entity)}
        wanted = {span for span in row.spans if entity in (None, span.entity)}
        cells[:] = len(given & wanted), len(given - wanted), len(wanted - given)
    return table


def span_f1(data: str, metric: str, cells: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    drawn = [float(metrics.f1(cells[rng.integers(0, len(cells), len(cells))].sum(axis=0)))
             for _ in range(metrics.RESAMPLES)]
    return metrics.row(data, metric, float(metrics.f1(cells.sum(axis=0))), *np.quantile(drawn, [0.025, 0.975]), len(cells))


def accuracies(package: TagPackage, name: str, rows: list[Spanned], temperature: float) -> list[dict[str, Any]]:
    answers = [package.answer(row.text, temperature) for row in rows]
    table = [span_f1(name, "span-f1", counts([spans for spans, _ in answers], rows))]
    if package.texts and rows[0].label is not None:
        hits = np.array([label == row.label for (_, label), row in zip(answers, rows, strict=True)])
        table.append(metrics.share(name, "accuracy", hits))
    return table


def by_entity(package: TagPackage, name: str, rows: list[Spanned], temperature: float) -> list[dict[str, Any]]:
    found = [package.answer(row.text, temperature)[0] for row in rows]
    wanted = Counter(span.entity for row in rows for span in row.spans)
    given = Counter(span.entity for spans in found for span, _ in spans)
    return [{"data": name, "entity": entity, "wanted": wanted[entity], "given": given[entity],
             "f1": float(metrics.f1(counts(found, rows, entity).sum(axis=0)))}
            for entity in sorted(wanted.keys() | given.keys())]


def worn(package: TagPackage, dev: dict[str, list[Spanned]], temperature: float) -> list[dict[str, Any]]:
    """What wear costs. Each word is worn by itself, so that the spans stay where they are."""
    found = []
    for name, rows in dev.items():
        for kind, wear in KINDS.items():
            rng = random.Random(0)

            def by_word(word: str, wear: Callable[[str, random.Random], str] = wear, rng: random.Random = rng) -> str:
                return wear(word, rng)

            draws = []
            for _ in range(DRAWS if "%" in kind else 1):
                worn_rows = [Spanned(*worn_apart(row.text, row.spans, by_word), row.label) for row in rows]
                draws.append(accuracies(package, name, worn_rows, temperature)[0])
            mean = {key: float(np.mean([draw[key] for draw in draws])) for key in ("value", "low", "high")}
            found.append({"kind": kind, **metrics.row(name, "span-f1", **mean, n=len(rows))})
    return found


def temperature(package: TagPackage, dev: dict[str, list[Spanned]]) -> float:
    """The divisor of the logits that makes the scores of spans most truthful: least log-loss of `this span is right`."""
    def loss(log_t: float) -> float:
        losses = []
        for rows in dev.values():
            for row, logits in zip(rows, [package.words(row.text) for row in rows], strict=True):
                for span, score in package.spans(logits, float(np.exp(log_t))):
                    score = min(max(score, 1e-6), 1 - 1e-6)
                    losses.append(-np.log(score if span in row.spans else 1 - score))
        return float(np.mean(losses)) if losses else 0.0

    grid = np.log([0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 3.0])
    return round(float(np.exp(grid[int(np.argmin([loss(t) for t in grid]))])), 4)
