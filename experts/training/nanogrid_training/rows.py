"""Reads the data sets: TSV with a header or JSON lines, xz-compressed."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A text and the indices of its labels; none at all means: out of scope."""

    text: str
    labels: tuple[int, ...]


def read(data: Path, data_set: str, part: str) -> Iterator[dict[str, str]]:
    """The rows of e.g. `intent/clinc150`, `train`."""
    folder = data / data_set
    tsv, jsonl = folder / f"{part}.tsv.xz", folder / f"{part}.jsonl.xz"
    if tsv.exists():
        with lzma.open(tsv, "rt", encoding="utf-8", newline="\n") as lines:
            header = next(lines).rstrip("\n").split("\t")
            for line in lines:
                yield dict(zip(header, line.rstrip("\n").split("\t"), strict=False))
    elif jsonl.exists():
        with lzma.open(jsonl, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    else:
        raise FileNotFoundError(f"no {part} part of {data_set} in: {data}")


def stable_fraction(text: str) -> float:
    """A number in [0, 1) that only depends on the text: splits by it survive any change of order or code."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32
