"""The steps from data to a package of an expert that finds spans. Each reads what the one before left in the run's folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer

from .. import learn, measure, prune, robustness
from ..device import DEVICE, autocast, load
from ..distil import checkpoint_of
from ..package import MANIFEST, file_sums, publish, say, to_toml
from ..steps import FLOAT, N_ERRORS, built, in_order, manifest_of
from . import card
from .loss import Distilled, Says, Tagged, Tags
from .measure import accuracies, by_entity, temperature, worn
from .package import TagPackage
from .recipe import Spans
from .tagger import Tagger

SAYS_BATCH = 64


def _tokenizer(path: Path, plan: Spans, n_pieces: int | None) -> Tokenizer:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        plan.tokenizer(n_pieces).save(str(path), pretty=False)
    # Read again even when it is new: a run that goes on must number the pieces as the checkpoint does.
    return Tokenizer.from_file(str(path))


def _teacher(plan: Spans) -> tuple[Tagger, Tokenizer]:
    tokenizer = _tokenizer(plan.settings.teacher_run / "tokenizer.json", plan, plan.settings.teacher.pieces)
    return plan.model(tokenizer, layers=plan.settings.teacher.layers), tokenizer


def _shown(plan: Spans, title: str, tokenizer: Tokenizer) -> Any:
    """How far training is, on a part of dev: to watch, not to choose by."""
    def report(model: Tagger, epoch: int) -> None:
        folder = plan.settings.run / "watched"
        _write(model.eval(), tokenizer, plan, folder, int8=False)
        package = TagPackage(folder, plan.settings.max_tokens, by_format=plan.settings.formats)
        found = [row for name, rows in plan.dev().items() for row in accuracies(package, name, rows[:400], 1.0)]
        shown = ", ".join(f"{row['data']} {row['metric']} {row['value']:.3f}" for row in found)
        print(f"{title}: after epoch {epoch + 1}: {shown}", flush=True)
    return report


def train(plan: Spans) -> None:
    """Fine-tunes the teachers on the labels, and writes down what they say of every text a student will see."""
    settings = plan.settings
    different = sorted({example.text: example for example in [*plan.labelled(), *plan.unlabelled]}.values(),
                       key=lambda example: len(example.text))
    said = []
    for member in range(settings.teacher.members):
        seed = settings.seed + member
        torch.manual_seed(seed)
        teacher, tokenizer = _teacher(plan)
        teacher.load_base(tokenizer)
        # The rows of the word pieces hold most of the weights and little of the task.
        teacher.words.weight.requires_grad_(False)
        loss = Tags(tokenizer, plan.sets, len(plan.labels), settings.max_tokens)
        title = f"{settings.name}: teacher {member + 1}"
        course = learn.Course(title, teacher, tokenizer, settings.teacher.learning, plan.epoch, loss,
                              settings.teacher_run / checkpoint_of(member), seed, _shown(plan, title, tokenizer))
        learn.train(plan, course)
        said.append(_said(plan, teacher, tokenizer, loss, different))
    counts, tags, whole = zip(*said, strict=True)
    np.savez(settings.teacher_run / "says.npz", texts=np.array([example.text for example in different]), counts=counts[0],
             tags=np.mean(tags, axis=0), whole=np.mean(whole, axis=0))


@torch.no_grad()
def _said(plan: Spans, teacher: Tagger, tokenizer: Tokenizer, loss: Tags,
          examples: list[Tagged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many words each text shows, the logits of them all, and those of the texts."""
    counts, tags, whole = [], [], []
    for start in range(0, len(examples), SAYS_BATCH):
        batch = examples[start: start + SAYS_BATCH]
        encoded = learn.encode(tokenizer, [example.text for example in batch], plan.settings.max_tokens)
        with autocast(plan.settings.teacher.learning.bfloat16):
            logits = teacher(*(part.to(DEVICE) for part in learn.pad(encoded, np.arange(len(batch)))))
        words, n_words = loss.of_words(logits[0], batch, [len(example.tags) for example in batch])
        counts += n_words
        tags.append(words.cpu().numpy())
        whole.append(logits[1].float().cpu().numpy())
    return np.array(counts), np.concatenate(tags), np.concatenate(whole)


def _says(plan: Spans) -> dict[str, Says]:
    said = np.load(plan.settings.teacher_run / "says.npz")
    ends = np.cumsum(said["counts"])[:-1]
    return {text: Says(tags, whole) for text, tags, whole in
            zip(said["texts"].tolist(), np.split(said["tags"], ends), said["whole"], strict=True)}


def distilled(plan: Spans) -> None:
    """Cuts the student out of the teacher, and trains it on noisy copies of the texts."""
    settings = plan.settings
    torch.manual_seed(settings.seed)
    tokenizer = _tokenizer(settings.run / "tokenizer.json", plan, None)
    teacher, known = _teacher(plan)
    teacher.load_state_dict(load(settings.teacher_run / checkpoint_of(0))["model"])
    texts = [example.text for example in [*plan.labelled(), *plan.unlabelled]]
    random.Random(settings.seed).shuffle(texts)
    student = plan.model(tokenizer)
    cut = prune.cut(teacher.eval(), known, student.shape, tokenizer, texts, student)
    tags = Tags(tokenizer, plan.sets, len(plan.labels), settings.max_tokens)
    loss = Distilled(tags, _says(plan), settings.teacher.temperature, settings.teacher.share)
    title = f"{settings.name}: student"
    course = learn.Course(title, cut, tokenizer, settings.learning, plan.lessons, loss, settings.run / "checkpoint.pt",
                          settings.seed, _shown(plan, title, tokenizer))
    learn.train(plan, course)


def _trained(plan: Spans) -> tuple[Tagger, Tokenizer]:
    tokenizer = _tokenizer(plan.settings.run / "tokenizer.json", plan, None)
    model = plan.model(tokenizer)
    model.load_state_dict(load(plan.settings.run / "checkpoint.pt")["model"])
    return model.eval(), tokenizer


def export(plan: Spans) -> None:
    """The fp32 graph: what quantisation is compared with."""
    onnx.save(_trained(plan)[0].to_onnx(int8=False), plan.settings.run / FLOAT)


def quantise(plan: Spans) -> None:
    """The int8 graph, its tokenizer and its labels: all that a server loads."""
    _write(*_trained(plan), plan, built(plan), int8=True)


def _write(model: Tagger, tokenizer: Tokenizer, plan: Spans, folder: Path, int8: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model.to_onnx(int8), folder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config: dict[str, Any] = {"id2label": {str(i): label for i, label in enumerate(plan.labels)}}
    if plan.texts:
        config["text_id2label"] = {str(i): label for i, label in enumerate(plan.texts)}
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")


def evaluate(plan: Spans) -> None:
    """Calibrates and measures the int8 model, writes golden cases and the manifest, publishes the folder."""
    settings, folder, dev = plan.settings, built(plan), plan.dev()
    package = TagPackage(folder, settings.max_tokens, by_format=settings.formats)
    manifest = manifest_of(plan, temperature=temperature(package, plan.dev_of_kind()), activation=plan.settings.activation)
    divisor = manifest["temperature"]
    if settings.formats:
        manifest["formats"] = dict(settings.formats)
    manifest["accuracy"] = [row for name, rows in dev.items() for row in accuracies(package, name, rows, divisor)]
    wear = worn(package, plan.dev_of_kind(), divisor)
    manifest["accuracy"] += robustness.in_manifest(wear)
    manifest["cost"] = measure.cost(package, settings.max_tokens)
    lines = [package.golden(text, divisor, "softmax") for text in dict.fromkeys(plan.golden_texts())]
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    manifest["files"] = file_sums(folder)
    (folder / MANIFEST).write_text(to_toml(in_order(manifest)), "utf-8")
    whole = TagPackage(folder, settings.max_tokens, str(settings.run.resolve() / FLOAT), settings.formats)
    evaluation = {
        "float-accuracy": [row for name, rows in dev.items() for row in accuracies(whole, name, rows, divisor)],
        "by-entity": [row for name, rows in dev.items() for row in by_entity(package, name, rows, divisor)],
        "errors": _errors(plan, package, divisor), "worn": wear, "extra": plan.extra(package, manifest)}
    (settings.run / "evaluation.json").write_text(json.dumps(evaluation, indent=1, ensure_ascii=False), "utf-8")
    publish(folder, settings.package)
    say(manifest["accuracy"])


def _errors(plan: Spans, package: TagPackage, divisor: float) -> list[dict[str, Any]]:
    """A few texts whose spans are not all right."""
    def written(text: str, spans: list[tuple[str, int, int]]) -> str:
        return "; ".join(f"{entity}: {' '.join(text[start:end].split())}" for entity, start, end in spans) or "nothing"

    found = []
    for rows in plan.dev_of_kind().values():
        for row in rows:
            spans, label = package.answer(row.text, divisor)
            given = [(span.entity, span.start, span.end) for span, _ in spans]
            wanted = [(span.entity, span.start, span.end) for span in row.spans]
            if given != wanted and len(row.text) < 160:
                found.append({"text": " ".join(row.text.split()), "wanted": written(row.text, wanted),
                              "answered": written(row.text, given)})
    random.Random(plan.settings.seed).shuffle(found)
    return found[:N_ERRORS]


def write_card(plan: Spans) -> None:
    print(card.write(plan.settings))
