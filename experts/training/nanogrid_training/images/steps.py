"""The steps from pictures to a package. Each reads what the one before left in the run's folder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

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

CALIBRATION = 1000  # training pictures that the ranges of the activations are taken from
BILINEAR = 2  # as Pillow numbers its filters


def _network(plan: Pictures) -> Network:
    torch.manual_seed(plan.settings.seed)
    model = plan.settings.model
    return Network(Shape(model["pixels"], tuple(model["widths"]), len(plan.labels)))


def train(plan: Pictures) -> None:
    settings = plan.settings
    settings.run.mkdir(parents=True, exist_ok=True)
    network = learn.train(settings.name, _network(plan), learn.Course(**settings.learning), plan.train,
                          settings.run / "checkpoint.pt", settings.seed)
    for name, pictures in plan.dev.items():
        print(f"{settings.name}: before quantisation: {name} accuracy {learn.accuracy(network, pictures):.4f}", flush=True)


def export(plan: Pictures) -> None:
    """The fp32 graph, normalisation of batches folded into the convolutions."""
    network = _network(plan)
    network.load_state_dict(load(plan.settings.run / "checkpoint.pt")["model"])
    onnx.save(network.eval().to_onnx(), plan.settings.run / FLOAT)


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
    quantize_static(plan.settings.run / FLOAT, folder / "model.onnx", _Calibration(pixels[chosen]),
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
        "machine": text_measure.machine(),
        "float-accuracy": [measure.accuracy(name, measure.logits(whole, pixels), labels)
                           for name, (pixels, labels) in plan.dev.items()],
        "by-label": [{"label": label, "wanted": int((truth == i).sum()), "right": int((every[truth == i].argmax(axis=1) == i).sum())}
                     for i, label in enumerate(plan.labels)],
        "mixed-up": [[a, b, n] for (a, b), n in pairs.most_common(N_ERRORS)]}, indent=1), "utf-8")
    publish(folder, settings.package)
    say(manifest["accuracy"])


def write_card(plan: Pictures) -> None:
    print(card.write(plan.settings))
