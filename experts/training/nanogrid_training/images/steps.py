"""The steps from pictures to a package. Each reads what the one before left in the run's folder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .. import measure as text_measure
from ..device import load
from ..package import MANIFEST, file_sums, publish, say, session, to_toml
from ..steps import FLOAT, N_ERRORS, built, in_order, manifest_of
from . import card, learn, measure
from .model import DEVIATION, MEAN, Network, Shape
from .pictures import Pictures

CHECKPOINT = "checkpoint.pt"
CALIBRATION = 1000  # training pictures that the ranges of the activations are taken from
BILINEAR = 2  # as Pillow numbers its filters


def _network(plan: Pictures, model: dict[str, Any]) -> Network:
    torch.manual_seed(plan.settings.seed)
    return Network(Shape(plan.side, tuple(model["widths"]), model["blocks"], len(plan.labels)))


def _learnt(plan: Pictures, title: str, network: Network, course: dict[str, Any], folder: Path, teacher: Network | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    learn.train(title, network, learn.Course(**course), plan.train, folder / CHECKPOINT, plan.settings.seed, teacher)
    for name, pictures in plan.dev.items():
        print(f"{title}: before quantisation: {name} accuracy {learn.accuracy(network, pictures):.4f}", flush=True)


def _kept(network: Network, folder: Path) -> Network:
    network.load_state_dict(load(folder / CHECKPOINT)["model"])
    return network.eval()


def _teacher(plan: Pictures) -> tuple[Network, dict[str, Any]]:
    """A larger network, and how it learns: as its student does, but for what is said of it."""
    said = dict(plan.settings.teacher)
    return _network(plan, {key: said.pop(key) for key in ("widths", "blocks")}), said


def train(plan: Pictures) -> None:
    """Learns from the labels: the teacher where the expert has one, the network itself where not."""
    settings = plan.settings
    if settings.teacher:
        teacher, course = _teacher(plan)
        _learnt(plan, f"{settings.name}: teacher", teacher, course, settings.teacher_run)
    else:
        _learnt(plan, settings.name, _network(plan, settings.model), settings.learning, settings.run)


def distilled(plan: Pictures) -> None:
    """Learns from the teacher."""
    settings = plan.settings
    if settings.teacher:
        teacher = _kept(_teacher(plan)[0], settings.teacher_run)
        _learnt(plan, f"{settings.name}: student", _network(plan, settings.model), settings.learning, settings.run, teacher)


def export(plan: Pictures) -> None:
    """The fp32 graph, normalisation of batches folded into the convolutions."""
    onnx.save(_kept(_network(plan, plan.settings.model), plan.settings.run).to_onnx(), plan.settings.run / FLOAT)


class _Calibration(CalibrationDataReader):
    def __init__(self, pixels: np.ndarray) -> None:
        self.batches = iter(np.array_split(pixels, max(1, len(pixels) // 50)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self.batches, None)
        return None if pixels is None else {"pixel_values": measure.normalised(pixels)}


def quantise(plan: Pictures) -> None:
    """The int8 graph, its labels and what is to be done to a picture: all that a server loads.

    Weights have 7 bits, for x86 without VNNI adds pairs of products in 16 bits; see `graph.py`.
    """
    folder = built(plan)
    folder.mkdir(parents=True, exist_ok=True)
    pixels, _ = plan.train
    chosen = np.random.default_rng(plan.settings.seed).choice(len(pixels), min(CALIBRATION, len(pixels)), replace=False)
    nodes = [node.name for node in onnx.load(plan.settings.run / FLOAT).graph.node]
    # The ends stay floats: a hundredth of the work, and a quarter of what rounding changes.
    ends = [node for node in nodes if node.startswith(("Gemm", "GlobalAveragePool"))]
    ends.append(next(node for node in nodes if node.startswith("Conv")))
    quantize_static(plan.settings.run / FLOAT, folder / "model.onnx", _Calibration(pixels[chosen]), nodes_to_exclude=ends,
                    quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    labels = {str(i): label for i, label in enumerate(plan.labels)}
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["ResNetForImageClassification"], "id2label": labels,
        "label2id": {label: int(i) for i, label in labels.items()}}, indent=1) + "\n", "utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "do_resize": True, "size": {"height": plan.side, "width": plan.side}, "resample": BILINEAR,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": list(MEAN), "image_std": list(DEVIATION)}, indent=1) + "\n", "utf-8")


def evaluate(plan: Pictures) -> None:
    """Calibrates and measures the int8 model, writes golden cases and the manifest, publishes the folder."""
    settings, folder = plan.settings, built(plan)
    model, whole = session(folder / "model.onnx"), session(settings.run / FLOAT)
    logits = {name: measure.logits(model, pixels) for name, (pixels, _) in plan.dev.items()}
    every = np.concatenate(list(logits.values()))
    truth = np.concatenate([labels for _, labels in plan.dev.values()])
    temperature = text_measure.temperature_of(every, np.eye(len(plan.labels))[truth], "softmax")
    manifest = manifest_of(plan, temperature=temperature, activation="softmax")
    manifest["accuracy"] = [measure.accuracy(name, logits[name], labels) for name, (_, labels) in plan.dev.items()]
    manifest["accuracy"] += [measure.accuracy(name, measure.logits(model, measure.worn(pixels)), labels, "-noisy-10")
                             for name, (pixels, labels) in plan.dev.items()]
    manifest["cost"] = measure.cost(model, plan.side)
    measure.write_golden(folder, plan, model, temperature)
    manifest["files"] = file_sums(folder)
    (folder / MANIFEST).write_text(to_toml(in_order(manifest)), "utf-8")
    pairs = Counter(tuple(sorted((plan.labels[a], plan.labels[b])))
                    for a, b in zip(every.argmax(axis=1), truth, strict=True) if a != b)
    (settings.run / "evaluation.json").write_text(json.dumps({
        "float-accuracy": [measure.accuracy(name, measure.logits(whole, pixels), labels)
                           for name, (pixels, labels) in plan.dev.items()],
        "by-label": [{"label": label, "wanted": int((truth == i).sum()), "right": int((every[truth == i].argmax(axis=1) == i).sum())}
                     for i, label in enumerate(plan.labels)],
        "mixed-up": [[a, b, n] for (a, b), n in pairs.most_common(N_ERRORS)]}, indent=1), "utf-8")
    publish(folder, settings.package)
    say(manifest["accuracy"])


def write_card(plan: Pictures) -> None:
    print(card.write(plan.settings))
