"""The sentence pairs of an expert that translates, and what is done to the source in training."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..noise import typo
from ..recipe import ODD_TEXTS
from ..rows import read
from ..settings import Settings, Source

REFERENCES = " ||| "  # between the translations of a dev row
CLEAN, SPOILT = 0.80, 0.10  # shares of sources left as they are, and with slips of the keyboard; the rest in another dress
JOINED = 0.10  # share of pairs that are followed by another one, for texts of several sentences
GOLDEN_ROWS = 30


@dataclass(frozen=True)
class Pair:
    source: str
    target: str


@dataclass(frozen=True)
class Tested:
    source: str
    references: tuple[str, ...]


class Pairs:
    """What `train.toml` describes: sets with a `label` column are pairs, those without are sources that a teacher translates."""

    def __init__(self, settings: Settings, data: Path) -> None:
        self.settings, self.data = settings, data

    def _rows(self, source: Source, part: str) -> list[dict[str, str]]:
        return [row for row in read(self.data, source.name, part)
                if all(row[column] == value for column, value in source.where.items())]

    @cached_property
    def _read(self) -> dict[str, list[dict[str, str]]]:
        return {source.name: self._rows(source, "train") for source in self.settings.sources}

    def rows(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self._read.items()}

    @cached_property
    def pairs(self) -> list[Pair]:
        return [Pair(row[source.text], row[source.label]) for source in self.settings.sources if source.label
                for row in self._read[source.name]]

    @cached_property
    def unpaired(self) -> list[str]:
        """Sources that nobody translated, each once, none of them of dev."""
        known = {pair.source for pair in self.pairs} | {row.source for rows in self.dev.values() for row in rows}
        texts = (row[source.text] for source in self.settings.sources if not source.label
                 for row in self._read[source.name])
        return [text for text in dict.fromkeys(texts) if text not in known]

    @cached_property
    def dev(self) -> dict[str, list[Tested]]:
        return {f"{source.name}/dev": [Tested(row[source.text], tuple(row[source.label].split(REFERENCES)))
                                       for row in self._rows(source, "dev")]
                for source in self.settings.sources if source.label}

    def golden_texts(self) -> list[str]:
        texts = [row.source for rows in self.dev.values() for row in rows[:GOLDEN_ROWS]]
        # A server refuses a text of which nothing is left.
        odd = [text for text in ODD_TEXTS if text.strip() and len(text) <= 300]
        return list(dict.fromkeys([*texts, *self.settings.golden, *odd]))


def spoilt(text: str, rng: random.Random) -> str:
    """What thumbs make of a sentence; its translation stays the same."""
    draw = rng.random()
    if draw < CLEAN:
        return text
    if draw < CLEAN + SPOILT:
        for _ in range(1 + len(text) // 40):
            text = typo(text, rng)
        return text
    return rng.choice((str.lower, str.lower, str.upper, lambda text: text.rstrip(".!?")))(text) or text


def epoch(pairs: list[Pair], rng: random.Random) -> list[Pair]:
    """Every pair once, in a random order."""
    order = rng.sample(pairs, len(pairs))
    made = []
    for i, pair in enumerate(order):
        if rng.random() < JOINED:
            other = order[i - 1]
            pair = Pair(f"{pair.source} {other.source}", f"{pair.target} {other.target}")
        made.append(Pair(spoilt(pair.source, rng), pair.target))
    return made
