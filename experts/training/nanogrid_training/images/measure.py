"""What a picture classifier is worth, on the CPU and as it is served, and what it costs."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

from .. import metrics
from ..measure import machine
from ..package import answer, scores_of
from .model import DEVIATION, MEAN
from .pictures import Pictures, as_png, read

COST_RUNS = 200
NOISE = 0.10
GOLDEN = "golden"  # folder of the golden pictures


def normalised(pixels: np.ndarray) -> np.ndarray:
    """Bytes [n, side, side, 3] as what the graph reads."""
    return ((pixels / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION)).transpose(0, 3, 1, 2)


def logits(model: InferenceSession, pixels: np.ndarray) -> np.ndarray:
    batches = np.array_split(pixels, max(1, len(pixels) // 50))
    return np.concatenate([model.run(["logits"], {"pixel_values": normalised(batch)})[0] for batch in batches])


def accuracy(name: str, found: np.ndarray, truth: np.ndarray, suffix: str = "") -> dict[str, Any]:
    return metrics.share(name, "accuracy" + suffix, found.argmax(axis=1) == truth)


def worn(pixels: np.ndarray) -> np.ndarray:
    """Every tenth pixel is any colour."""
    rng = np.random.default_rng(0)
    hit = rng.random(pixels.shape[:3]) < NOISE
    spoilt = pixels.copy()
    spoilt[hit] = rng.integers(0, 256, (int(hit.sum()), 3), dtype=np.uint8)
    return spoilt


def cost(model: InferenceSession, side: int) -> list[dict[str, Any]]:
    """CPU time of one picture in the session: median of some hundred."""
    picture = np.zeros((1, 3, side, side), np.float32)
    spent = []
    for _ in range(COST_RUNS):
        began = time.thread_time()
        model.run(["logits"], {"pixel_values": picture})
        spent.append(time.thread_time() - began)
    return [{"pixels": side * side, "cpu-us": round(1e6 * float(np.median(spent)), 1), "machine": machine()}]


def _odd(file: bytes) -> list[tuple[str, bytes]]:
    """The same picture as other files: larger, grey, with an alpha channel, wide."""
    picture = Image.open(io.BytesIO(file))
    forms = {"larger.png": picture.resize((200, 150), Image.Resampling.BICUBIC), "grey.png": picture.convert("L"),
             "alpha.png": picture.convert("RGBA"), "wide.png": picture.resize((120, 32), Image.Resampling.BICUBIC)}
    return [(name, as_png(form)) for name, form in forms.items()]


def write_golden(folder: Path, plan: Pictures, model: InferenceSession, temperature: float) -> None:
    def scored(file: bytes) -> np.ndarray:
        return scores_of(logits(model, read(file, plan.side)[None])[0], temperature, "softmax")

    pictures = plan.golden()
    # Resizers round some pixels otherwise, by one: that moves a sure answer the least.
    surest = max(pictures, key=lambda picture: scored(picture[1]).max())
    shutil.rmtree(folder / GOLDEN, ignore_errors=True)
    (folder / GOLDEN).mkdir()
    lines = []
    for name, file in [*pictures, *_odd(surest[1])]:
        (folder / GOLDEN / name).write_bytes(file)
        scores = scored(file)
        ranked = answer(scores, plan.labels, None)
        lines.append(json.dumps({"image": f"{GOLDEN}/{name}", "labels": [label for label, _ in ranked],
                                 "scores": [round(score, 6) for _, score in ranked]}))
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
