"""Reads the data sets: TSV with a header or JSON lines, xz-compressed; a kit's own small ones as plain TSV."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Example:
    """A text and the indices of its labels; none at all means: out of scope, and `None`: only a teacher can say."""

    text: str
    labels: tuple[int, ...] | None
    clean: str | None = None  # the text before noise was added

    @property
    def origin(self) -> str:
        return self.text if self.clean is None else self.clean


def read(data: Path, data_set: str, part: str) -> Iterator[dict[str, str]]:
    """The rows of e.g. `intent/clinc150`, `train`."""
    folder = data / data_set
    plain, tsv, jsonl = (folder / f"{part}.{ending}" for ending in ("tsv", "tsv.xz", "jsonl.xz"))
    if plain.exists() or tsv.exists():
        with _text(plain if plain.exists() else tsv) as lines:
            header = next(lines).rstrip("\n").split("\t")
            for line in lines:
                yield dict(zip(header, line.rstrip("\n").split("\t"), strict=False))
    elif jsonl.exists():
        with lzma.open(jsonl, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    else:
        raise FileNotFoundError(f"no {part} part of {data_set} in: {data}")


def _text(path: Path) -> TextIO:
    opened = lzma.open if path.suffix == ".xz" else open
    return opened(path, "rt", encoding="utf-8", newline="\n")


def stable_fraction(text: str) -> float:
    """A number in [0, 1) that only depends on the text: splits by it survive any change of order or code."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32
