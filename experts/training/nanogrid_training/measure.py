"""What a version is worth and what it costs: calibration, accuracy on dev, CPU time."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import metrics
from .package import Package, scores_of
from .rows import Example

COST_TOKENS = (32, 128)  # the curve of an expert shows the first
COST_BLOCKS = 80
COST_BLOCK_SECONDS = 0.03


def temperature(logits: np.ndarray, examples: list[Example], activation: str) -> float:
    """The divisor of the logits that makes the scores most truthful on dev (least log-loss), by golden section."""
    known = [i for i, example in enumerate(examples) if example.labels or activation == "sigmoid"]
    wanted = np.zeros((len(known), logits.shape[1]))
    for row, i in enumerate(known):
        wanted[row, list(examples[i].labels)] = 1
    return temperature_of(logits[known], wanted, activation)


def temperature_of(logits: np.ndarray, wanted: np.ndarray, activation: str) -> float:
    """The same for rows that are all known; `wanted` has a one for each label of a row."""
    def log_loss(log_t: float) -> float:
        scores = scores_of(logits, float(np.exp(log_t)), activation).clip(1e-9, 1 - 1e-9)
        loss = wanted * np.log(scores)
        if activation == "sigmoid":
            loss = loss + (1 - wanted) * np.log(1 - scores)
        return float(-loss.sum(axis=1).mean())

    return least(log_loss)


def machine() -> str:
    """What the CPU time is measured on, as Linux tells it: model, number of CPUs, and what speeds integers up."""
    told = Path("/proc/cpuinfo")
    lines = dict(re.findall(r"^(model name|flags)\s*: (.*)$", told.read_text("utf-8"), re.MULTILINE)) if told.exists() else {}
    name = lines.get("model name", platform.processor() or platform.machine())
    fast = [shown for flag, shown in (("avx512_vnni", "AVX-512 VNNI"), ("avx_vnni", "AVX-VNNI"), ("amx_int8", "AMX"))
            if flag in lines.get("flags", "").split()]
    return f"{os.cpu_count()} vCPU {name}" + (f" ({', '.join(fast)})" if fast else "")


def least(loss: Callable[[float], float]) -> float:
    """The temperature whose logarithm makes `loss` least, by golden section."""
    low, high, ratio = np.log(0.1), np.log(10.0), (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 4)


def out_of_scope_threshold(scores: np.ndarray, examples: list[Example], share: float) -> float:
    """The threshold with the best accuracy if `share` of the requests were out of scope."""
    best = scores.max(axis=1)
    right = np.array([bool(example.labels) and int(row.argmax()) in example.labels
                      for row, example in zip(scores, examples, strict=True)])
    inside = np.array([bool(example.labels) for example in examples])
    grid = np.arange(0.02, 0.98, 0.005)
    gains = [(1 - share) * (right & (best >= t))[inside].mean() + share * (best < t)[~inside].mean() for t in grid]
    return round(float(grid[int(np.argmax(gains))]), 4)


def accuracies(name: str, scores: np.ndarray, examples: list[Example], labels: list[str], manifest: dict[str, Any],
               wanted_metrics: list[str]) -> list[dict[str, Any]]:
    """The rows of the manifest's accuracy table for one dev set."""
    best = scores.argmax(axis=1)
    right = np.array([int(label) in example.labels for label, example in zip(best, examples, strict=True)])
    outside = manifest.get("out-of-scope")
    if outside is None or manifest["activation"] == "sigmoid":
        answers, truth = metrics.given(scores, manifest), metrics.wanted(examples, len(labels))
        return [metrics.measured(name, metric, answers, truth, labels) for metric in wanted_metrics]
    inside = np.array([bool(example.labels) for example in examples])
    refused = scores.max(axis=1) < outside["threshold"]
    rows = [("in-scope-accuracy", (right & ~refused)[inside]), ("oos-recall", refused[~inside]),
            ("in-scope-accuracy-without-threshold", right[inside])]
    return [metrics.share(name, metric, hits) for metric, hits in rows if len(hits)]


def cost(package: Package, max_tokens: int) -> list[dict[str, Any]]:
    """CPU time of one request in the session, without tokenising: the lowest tenth over short blocks of runs.

    CPU time and not wall time, and not its mean: what other processes do to the caches and to the other half of a core
    of a busy machine is not the model's doing.
    """
    rng = np.random.default_rng(0)
    known = package.tokenizer.get_vocab_size()
    table = []
    for tokens in sorted({min(tokens, max_tokens) for tokens in COST_TOKENS}):
        ids = rng.integers(2, known, (1, tokens))
        mask = np.ones_like(ids)
        for _ in range(20):
            package.run(ids, mask)
        blocks = []
        for _ in range(COST_BLOCKS):
            n_runs, started, wall = 0, time.process_time(), time.perf_counter()
            while time.perf_counter() - wall < COST_BLOCK_SECONDS:
                package.run(ids, mask)
                n_runs += 1
            blocks.append((time.process_time() - started) / n_runs * 1e6)
        table.append({"tokens": tokens, "cpu-us": round(float(np.quantile(blocks, 0.1)), 1), "machine": machine()})
    return table
