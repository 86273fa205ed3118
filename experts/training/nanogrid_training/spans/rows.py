"""Texts with their spans, whatever form a data set has them in.

    tokens + tags            BIO tags over tokens; joined by blanks where the row has no `text`
    text + spans or slots    characters from `start` to `end`
    text alone               with no spans
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..rows import read


@dataclass(frozen=True)
class Span:
    """In characters, the end exclusive."""

    entity: str
    start: int
    end: int


@dataclass(frozen=True)
class Spanned:
    """A text, its spans in order, and the label of the whole text where there is one."""

    text: str
    spans: tuple[Span, ...]
    label: str | None = None


def spanned(data: Path, data_set: str, part: str, where: dict[str, str], label: str | None, column: str = "text") -> Iterator[Spanned]:
    for row in read(data, data_set, part):
        if all(row[key] == value for key, value in where.items()):
            text, spans = _of_tokens(row) if "tokens" in row else _of_characters(row, column)
            yield Spanned(text, spans, row[label] if label else None)


def _of_characters(row: dict[str, Any], column: str) -> tuple[str, tuple[Span, ...]]:
    found = [Span(span.get("type") or span["slot"], span["start"], span["end"])
             for span in row.get("spans", row.get("slots", []))]
    return row[column], tuple(sorted(found, key=lambda span: span.start))


def _of_tokens(row: dict[str, Any]) -> tuple[str, tuple[Span, ...]]:
    text = row.get("text") or " ".join(row["tokens"])
    found: list[Span] = []
    at, before = 0, "O"
    for token, tag in zip(row["tokens"], row["tags"], strict=True):
        start = text.index(token, at)
        at = start + len(token)
        if tag.startswith("I-") and before[2:] == tag[2:]:
            found[-1] = Span(found[-1].entity, found[-1].start, at)
        elif tag != "O":
            found.append(Span(tag[2:], start, at))
        before = tag
    return text, tuple(found)
