"""Draws requests out of frames and the words that fill them: what `contrasts.py` and `injections.py` share.

Of every list, each third item is for testing and the others for training: no word and no frame is in both. Append to a list
only, or what was for testing is trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

BENIGN = "benign"
TRAIN, DEV = "train", "dev"
SEEDS = {TRAIN: 1, DEV: 0}

Make = Callable[[random.Random], str]


class Kind(NamedTuple):
    """What makes a harmless request, what makes one that is told apart from it by little, and the label of that one."""

    harmless: Make
    harmful: Make
    label: str
    share: int  # how often it is drawn


def own(pool: Iterable[str], part: str) -> list[str]:
    """The items of a part."""
    return [item for i, item in enumerate(pool) if (i % 3 == 0) == (part == DEV)]


def of(part: str, frames: list[str], *slots: list[str]) -> Make:
    """Fills a frame of this part with words of this part."""
    frames, slots = own(frames, part), tuple(own(slot, part) for slot in slots)
    return lambda rng: rng.choice(frames).format(*map(rng.choice, slots))


def either(*makes: Make) -> Make:
    return lambda rng: rng.choice(makes)(rng)


def drawn(kinds: list[Kind], part: str, n: int) -> list[tuple[str, str]]:
    """Different requests with their labels, as many harmless as not."""
    rng, shares, found = random.Random(SEEDS[part]), [kind.share for kind in kinds], {}
    while len(found) < n:
        kind = rng.choices(kinds, shares)[0]
        is_harmless = len(found) % 2 == 0
        found.setdefault((kind.harmless if is_harmless else kind.harmful)(rng), BENIGN if is_harmless else kind.label)
    return list(found.items())


def write(folder: Path, kinds_of: Callable[[str], list[Kind]], drawn_of: dict[str, int]) -> None:
    """`train.tsv` and `dev.tsv`."""
    folder.mkdir(exist_ok=True)
    for part, n in drawn_of.items():
        rows = [f"{text}\t{label}" for text, label in drawn(kinds_of(part), part, n)]
        (folder / f"{part}.tsv").write_text("\n".join(["text\tlabel", *rows, ""]), "utf-8")
