"""What wear costs: the same dev rows with noisy characters, in another case, with look-alikes, with hidden characters.

Requests are typed by thumbs and, for a guard or a spam filter, by those who want to get past it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from . import measure, metrics
from .noise import scrambled, with_invisible, with_look_alikes
from .package import Package, scores_of
from .rows import Example

DRAWS = 3  # of the random kinds, so that one draw's luck does not decide
NOISE = "10 % of the characters noisy"
KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "upper case": lambda text, _: text.upper(),
    "Each Word Capital": lambda text, _: text.title(),
    "5 % of the characters noisy": lambda text, rng: scrambled(text, 0.05, rng),
    NOISE: lambda text, rng: scrambled(text, 0.10, rng),
    "30 % of the letters look-alikes": lambda text, rng: with_look_alikes(text, 0.30, rng),
    "20 % more characters, invisible": lambda text, rng: with_invisible(text, 0.20, rng),
}


def report(package: Package, dev: dict[str, list[Example]], manifest: dict[str, Any],
           wanted_metrics: list[str]) -> list[dict[str, Any]]:
    """One entry per dev set and kind, of the first metric that the set is measured by."""
    found = []
    for name, examples in dev.items():
        for kind, wear in KINDS.items():
            rng = random.Random(0)
            draws = []
            for _ in range(DRAWS if "%" in kind else 1):
                logits = package.all_logits([wear(example.text, rng) for example in examples])
                scores = scores_of(logits, manifest["temperature"], manifest["activation"])
                draws.append(measure.accuracies(name, scores, examples, package.labels, manifest, wanted_metrics)[0])
            mean = {key: float(np.mean([draw[key] for draw in draws])) for key in ("value", "low", "high")}
            found.append({"kind": kind, **metrics.row(name, draws[0]["metric"], **mean, n=len(examples))})
    return found


def in_manifest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that every version is compared by."""
    return [{**{key: value for key, value in entry.items() if key != "kind"}, "metric": f"{entry['metric']}-noisy-10"}
            for entry in entries if entry["kind"] == NOISE]
