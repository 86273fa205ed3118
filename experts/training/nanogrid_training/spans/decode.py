"""From the logits of words to spans, by the rules of the server: the best sequence of tags in which no `I-` stands without
its `B-`, with a score for each span."""

from __future__ import annotations

import numpy as np

from .rows import Span

OUTSIDE = "O"


def best_tags(scores: np.ndarray, labels: list[str]) -> np.ndarray:
    """Viterbi over log-scores [word, tag]; of equals the first tag."""
    parts = [label[:2] for label in labels]
    names = [label[2:] for label in labels]
    follows = np.array([[part != "I-" or (before != OUTSIDE and name == other)
                         for part, name in zip(parts, names, strict=True)]
                        for before, other in zip(parts, names, strict=True)])
    starts = np.array([part != "I-" for part in parts])
    best = np.where(starts, scores[0], -np.inf)
    back = np.zeros(scores.shape, np.int64)
    for i in range(1, len(scores)):
        through = np.where(follows, best[:, None], -np.inf)
        back[i] = through.argmax(axis=0)
        best = through.max(axis=0) + scores[i]
    tags = np.zeros(len(scores), np.int64)
    tags[-1] = best.argmax()
    for i in range(len(scores) - 1, 0, -1):
        tags[i - 1] = back[i][tags[i]]
    return tags


def spans(logits: np.ndarray, places: list[tuple[int, int]], labels: list[str],
          temperature: float) -> list[tuple[Span, float]]:
    """`logits` [word, tag]. A span's score is the mean probability of the tags chosen for its words."""
    if not len(logits):
        return []
    scaled = logits.astype(np.float64) / temperature
    scores = scaled - scaled.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    found: list[tuple[Span, list[float]]] = []
    for i, tag in enumerate(best_tags(scores, labels)):
        label, (start, end) = labels[tag], places[i]
        if label == OUTSIDE:
            continue
        if label.startswith("I-"):
            span, parts = found.pop()
            found.append((Span(span.entity, span.start, max(span.end, end)), [*parts, scores[i, tag]]))
        else:
            found.append((Span(label[2:], start, end), [scores[i, tag]]))
    return [(span, float(np.exp(parts).mean())) for span, parts in found]
