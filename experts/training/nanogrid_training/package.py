"""A version folder as a server sees it: loads it, scores texts by its rules, writes its manifest."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MANIFEST = "version.toml"
TOP = 3


def session(path: Path) -> onnxruntime.InferenceSession:
    """One thread that does not spin: what an expert gets on a small board, and what the cost is measured on."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Package:
    """`model.onnx`, `tokenizer.json` and `config.json` of a folder, with the rules of its manifest."""

    def __init__(self, folder: Path, max_tokens: int, model: str = "model.onnx") -> None:
        self.folder = folder
        self.session = session(folder / model)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)
        id2label = json.loads((folder / "config.json").read_text("utf-8"))["id2label"]
        self.labels = [id2label[str(i)] for i in range(len(id2label))]

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def logits(self, text: str) -> np.ndarray:
        return self.run(np.array([self.ids(text)], np.int64))[0]

    def run(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        mask = np.ones_like(ids) if mask is None else mask
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    def all_logits(self, texts: list[str]) -> np.ndarray:
        # One by one: no row's result depends on a batch, and short rows need no padding.
        return np.stack([self.logits(text) for text in texts])


def scores_of(logits: np.ndarray, temperature: float, activation: str) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-scaled))
    exponents = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def answer(scores: np.ndarray, labels: list[str], outside: dict[str, Any] | None) -> list[tuple[str, float]]:
    """Labels and scores, best first. A best score under the threshold puts the out-of-scope label in front."""
    order = np.argsort(-scores, kind="stable")
    ranked = [(labels[i], float(scores[i])) for i in order[:TOP]]
    if outside and ranked[0][1] < outside["threshold"]:
        ranked = [(outside["label"], 1 - ranked[0][1]), *ranked]
    return ranked[:TOP]


def write_golden(package: Package, texts: list[str], manifest: dict[str, Any]) -> None:
    lines = []
    for text in dict.fromkeys(texts):
        scores = scores_of(package.logits(text), manifest["temperature"], manifest["activation"])
        ranked = answer(scores, package.labels, manifest.get("out-of-scope"))
        lines.append(json.dumps({"text": text, "tokens": package.ids(text), "labels": [label for label, _ in ranked],
                                 "scores": [round(score, 6) for _, score in ranked]}, ensure_ascii=False))
    (package.folder / "golden.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())
            if path.is_file() and path.name != MANIFEST}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)


def to_toml(manifest: dict[str, Any], inline: tuple[str, ...] = ("out-of-scope",)) -> str:
    """The few forms of TOML that a manifest has: plain values first, then tables, then lists of tables."""
    plain, tables = [], []
    for key, value in manifest.items():
        if isinstance(value, dict) and key not in inline:
            name = [f"\n[{key}]", *(f"{_key(inner)} = {_value(item)}" for inner, item in value.items())]
            tables.append("\n".join(name))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                tables.append("\n".join([f"\n[[{key}]]", *(f"{_key(k)} = {_value(v)}" for k, v in entry.items())]))
        else:
            plain.append(f"{_key(key)} = {_value(value)}")
    return "\n".join([*plain, *tables]) + "\n"


def _key(key: str) -> str:
    return key if key.replace("-", "").isalnum() else json.dumps(key)


def publish(built: Path, package: Path) -> None:
    """Puts a built folder in its place in one step, so that a reader sees the old version or the new one."""
    package.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = package.with_name(f".{package.name}.new"), package.with_name(f".{package.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(built, fresh)
    if package.exists():
        package.rename(old)
    fresh.rename(package)
    shutil.rmtree(old, ignore_errors=True)


def say(measures: list[dict[str, Any]]) -> None:
    """Prints what a version is worth."""
    for row in measures:
        print(f"{row['data']} {row['metric']}: {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}] n={row['n']}")


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion, which unlike the usual one holds near 0 and 1 too."""
    z = 1.959964
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half
