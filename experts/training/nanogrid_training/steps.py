"""The steps from data to a package. Each reads what the one before left in the run's folder."""

from __future__ import annotations

import datetime
import json
import random
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer

from . import adjust, card, distil, learn, masking, measure, metrics, picture, robustness, routing
from .device import load
from .package import MANIFEST, Package, answer, file_sums, publish, say, scores_of, to_toml, write_golden
from .recipe import ODD_TEXTS, Model, Recipe
from .rows import Example

if TYPE_CHECKING:
    from .images.pictures import Pictures
    from .spans.recipe import Spans
    from .translation.pairs import Pairs

FLOAT = "float.onnx"
N_ERRORS = 10


def built(plan: Recipe | Spans | Pairs | Pictures) -> Path:
    """Where the package is put together before it is published."""
    return plan.settings.run / "package"


def _tokenizer(plan: Recipe) -> Tokenizer:
    path = plan.settings.run / "tokenizer.json"
    if not path.exists():
        plan.settings.run.mkdir(parents=True, exist_ok=True)
        plan.tokenizer().save(str(path), pretty=False)
    return Tokenizer.from_file(str(path))


def _trained(plan: Recipe) -> Model:
    model = plan.model(_tokenizer(plan))
    model.load_state_dict(load(plan.settings.run / "checkpoint.pt")["model"])
    if plan.settings.adjust:
        with torch.no_grad():
            model.head.bias += torch.from_numpy(_offsets(plan, model)).to(model.head.bias)
    return model.eval()


def _adjustment(plan: Recipe, model: Model) -> tuple[np.ndarray, np.ndarray, adjust.Measure]:
    """What offsets are fitted on: the logits and the truth of the dev sets that scores are fitted on, and what they should improve."""
    softmax = plan.settings.activation == "softmax"
    examples = [example for name in plan.fitted_on() for example in plan.dev()[name]]
    texts = [example.text for example in examples]
    logits = learn.logits_of(model, _tokenizer(plan), texts, plan.settings.max_tokens)
    rule = plan.settings.adjust
    measured_by = (adjust.by_macro_f1(softmax) if rule["by"] == "macro-f1" else
                   adjust.by_accuracy_within(plan.labels.index(rule["label"]), rule["false-alarms"]))
    return logits, metrics.wanted(examples, len(plan.labels)), measured_by


def _offsets(plan: Recipe, model: Model) -> np.ndarray:
    return adjust.offsets(*_adjustment(plan, model))


def _cross_fitted(plan: Recipe) -> list[dict[str, Any]]:
    """The metrics of each dev set that offsets are fitted on, with offsets that its own rows had no say in."""
    if not plan.settings.adjust:
        return []
    model = plan.model(_tokenizer(plan))
    model.load_state_dict(load(plan.settings.run / "checkpoint.pt")["model"])
    logits, truth, measured_by = _adjustment(plan, model.eval())
    answers = adjust.answers_of(adjust.cross_fitted(logits, truth, measured_by), plan.settings.activation == "softmax")
    names = plan.fitted_on()
    ends = np.cumsum([len(plan.dev()[name]) for name in names])[:-1]
    return [metrics.measured(name, metric, *rows, plan.labels)
            for name, *rows in zip(names, np.split(answers, ends), np.split(truth, ends), strict=True)
            for metric in plan.settings.metrics]


def train(plan: Recipe) -> None:
    """Learns from the labels: the teacher where the expert has one, the model itself where not."""
    settings = plan.settings
    if settings.teacher:
        distil.teach(plan)
        return
    tokenizer = _tokenizer(plan)
    torch.manual_seed(settings.seed)
    weighed = plan.labelled() if settings.learning.balance else []
    loss = learn.Labels(weighed, len(plan.labels), settings.activation == "softmax", settings.learning)
    course = learn.Course(settings.name, plan.model(tokenizer), tokenizer, settings.learning, plan.epoch, loss,
                          settings.run / "checkpoint.pt", settings.seed)
    learn.train(plan, course)


def distilled(plan: Recipe) -> None:
    """Learns from the teacher."""
    if plan.settings.teacher:
        distil.distil(plan, _tokenizer(plan))


def export(plan: Recipe) -> None:
    """The fp32 graph: what quantisation is compared with."""
    onnx.save(_trained(plan).to_onnx(int8=False), plan.settings.run / FLOAT)


def quantise(plan: Recipe) -> None:
    """The int8 graph, its tokenizer and its labels: all that a server loads."""
    _write(_trained(plan), _tokenizer(plan), plan.labels, built(plan))


def _write(model: Model, tokenizer: Tokenizer, labels: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model.to_onnx(int8=True), folder / "model.onnx")
    # Re-written rather than copied, so that it is what this version of `tokenizers` makes of it.
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"id2label": {str(i): label for i, label in enumerate(labels)},
              "label2id": {label: i for i, label in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")


def evaluate(plan: Recipe) -> None:
    """Calibrates and measures the int8 model, writes golden cases and the manifest, publishes the folder."""
    settings, folder = plan.settings, built(plan)
    package = Package(folder, settings.max_tokens)
    if settings.classifier:
        whole = Package(folder, settings.max_tokens, model=str(settings.run.resolve() / FLOAT))
        routing.evaluate(plan, whole, package, lambda temperature: manifest_of(plan, temperature=temperature, activation=settings.activation), in_order)
        return
    dev = plan.dev()
    logits = {name: package.all_logits([example.text for example in examples]) for name, examples in dev.items()}
    fitted = plan.fitted_on()
    known = [example for name in fitted for example in dev[name]]
    temperature = measure.temperature(np.concatenate([logits[name] for name in fitted]), known, settings.activation)
    manifest = manifest_of(plan, temperature=temperature, activation=settings.activation)
    scores = {name: scores_of(rows, manifest["temperature"], settings.activation) for name, rows in logits.items()}
    if settings.out_of_scope:
        threshold = settings.out_of_scope.get("threshold") or measure.out_of_scope_threshold(
            np.concatenate([scores[name] for name in fitted]), known, settings.out_of_scope["oos-share"])
        manifest["out-of-scope"] = {"label": settings.out_of_scope["label"], "threshold": threshold}
    manifest["accuracy"] = [row for name, examples in dev.items()
                            for row in measure.accuracies(name, scores[name], examples, plan.labels, manifest, settings.metrics)]
    worn = robustness.report(package, dev, manifest, settings.metrics)
    manifest["accuracy"] += robustness.in_manifest(worn)
    manifest["cost"] = measure.cost(package, settings.max_tokens)
    write_golden(package, [*plan.golden_texts(), *ODD_TEXTS], manifest)
    manifest["files"] = file_sums(folder)
    (folder / MANIFEST).write_text(to_toml(in_order(manifest)), "utf-8")
    evaluation = {"float-accuracy": _float_accuracies(plan, manifest), "errors": _errors(plan, scores, manifest),
                  "mixed-up": _mixed_up(plan, scores), "extra": plan.extra(package, manifest), "worn": worn,
                  "cross-fitted": _cross_fitted(plan)}
    (settings.run / "evaluation.json").write_text(json.dumps(evaluation, indent=1, ensure_ascii=False), "utf-8")
    publish(folder, settings.package)
    say(manifest["accuracy"])


def curve(plan: Recipe) -> None:
    """Trains and measures the other sizes, ships those that have a version, and draws them beside the default one."""
    settings = plan.settings
    if not settings.alternatives:
        return
    points = [_point(plan, str(plan.model(_tokenizer(plan)).shape), built(plan))]
    for table in settings.alternatives:
        other = type(plan)(settings.alternative(table["name"]), plan.data)
        distilled(other)
        quantise(other)
        if other.settings.published_as:
            export(other)
            evaluate(other)
        points.append(_point(other, table["name"], built(other)))
    if settings.teacher and distil.has_teacher(plan):
        teacher, tokenizer = distil.taught(plan)
        folder = settings.teacher_run / "package"
        _write(teacher, tokenizer, plan.labels, folder)
        points.append(_point(plan, "the teacher, as int8", folder))
    title = f"{settings.metrics[0]} on {next(iter(plan.dev()))}"
    (settings.home / picture.NAME).write_text(picture.draw(points, title, measure.COST_TOKENS[0]), "utf-8")
    (settings.run / "curve.json").write_text(json.dumps([point.as_dict() for point in points], indent=1), "utf-8")


def _point(plan: Recipe, size: str, folder: Path) -> picture.Point:
    """The first metric on the first dev set, the size and the cost of one size, by the same rules for all of them."""
    settings = plan.settings
    package = Package(folder, settings.max_tokens)
    name, examples = next(iter(plan.dev().items()))
    rules = {"activation": settings.activation, "temperature": 1.0}
    if settings.activation == "sigmoid":
        rules["out-of-scope"] = settings.out_of_scope
    logits = package.all_logits([example.text for example in examples])
    row = measure.accuracies(name, scores_of(logits, 1.0, settings.activation), examples, plan.labels, rules,
                             settings.metrics)[0]
    cost = measure.cost(package, measure.COST_TOKENS[0])[0]["cpu-us"]
    version = None if folder != built(plan) else settings.published_as if settings.size else settings.version
    return picture.Point(size, row["value"], row["low"], row["high"], _bytes(folder) / 1e6, cost, version)


def _bytes(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in ("model.onnx", "tokenizer.json"))


def cost(plan: Recipe) -> None:
    """Measures the CPU time of every published version anew, for a machine that was busy the first time."""
    for folder in sorted(plan.settings.home.glob("[0-9]*")):
        manifest = tomllib.loads((folder / MANIFEST).read_text("utf-8"))
        manifest["cost"] = measure.cost(Package(folder, manifest["max-tokens"]), manifest["max-tokens"])
        (folder / MANIFEST).write_text(to_toml(manifest), "utf-8")
        print(folder, manifest["cost"])


def write_card(plan: Recipe) -> None:
    print(card.write(plan.settings))


def manifest_of(plan: Recipe | Spans | Pairs | Pictures, models: tuple[str, ...] = ("model.onnx",), **rules: object) -> dict[str, Any]:
    """What is known of a package before it is measured. Its tensors are those of the first of its models."""
    settings, folder = plan.settings, built(plan)
    rows = plan.rows()
    graphs = [onnx.load(folder / model).graph for model in models]
    return {
        "version": settings.published,
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "licence": settings.licence,
        "architecture": settings.architecture,
        **({"max-tokens": settings.max_tokens} if settings.max_tokens else {}),
        **rules,
        "inputs": _tensors(graphs[0].input),
        "outputs": _tensors(graphs[0].output),
        "size": {"bytes": sum((folder / name).stat().st_size for name in (*models, "tokenizer.json") if (folder / name).exists()),
                 "parameters": sum(map(_parameters, graphs))},
        "training-data": [{"name": source.name, "licence": source.licence, "rows": rows[source.name],
                           "source": source.source} for source in settings.sources if source.name in rows],
    }


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> list[dict[str, Any]]:
    datatypes = {onnx.TensorProto.INT64: "INT64", onnx.TensorProto.FLOAT: "FP32"}
    return [{"name": value.name, "datatype": datatypes[value.type.tensor_type.elem_type],
             "shape": [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim]} for value in values]


def _parameters(graph: onnx.GraphProto) -> int:
    scales = ("scale_", "ints_", "number_", "constant_", "zero_")
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if not tensor.name.startswith(scales))


def in_order(manifest: dict[str, Any]) -> dict[str, Any]:
    order = ("version", "created", "licence", "architecture", "max-tokens", "temperature", "activation",
             "out-of-scope", "formats", "files", "inputs", "outputs", "size", "cost", "training-data", "accuracy", "classifier")
    return {key: manifest[key] for key in order if key in manifest}


def _float_accuracies(plan: Recipe, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The same measures on the fp32 graph, to say what quantisation costs."""
    folder = built(plan)
    whole = Package(folder, plan.settings.max_tokens, model=str(plan.settings.run.resolve() / FLOAT))
    table = []
    for name, examples in plan.dev().items():
        logits = whole.all_logits([example.text for example in examples])
        table += measure.accuracies(
            name, scores_of(logits, manifest["temperature"], plan.settings.activation), examples, plan.labels, manifest,
            plan.settings.metrics)
    return table


def _mixed_up(plan: Recipe, scores: dict[str, np.ndarray]) -> list[tuple[str, str, int]]:
    """The pairs of labels that are taken for each other most often, on all dev sets together."""
    if plan.settings.activation == "sigmoid" or len(plan.labels) < 3:
        return []
    pairs = Counter(tuple(sorted((example.labels[0], int(row.argmax()))))
                    for name, examples in plan.dev().items()
                    for row, example in zip(scores[name], examples, strict=True)
                    if example.labels and int(row.argmax()) not in example.labels)
    return [(plan.labels[a], plan.labels[b], count) for (a, b), count in pairs.most_common(N_ERRORS)]


def _errors(plan: Recipe, scores: dict[str, np.ndarray], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """A few of the surest mistakes, no two with the same labels."""
    outside = manifest.get("out-of-scope")

    def wanted_of(example: Example) -> str:
        return " + ".join(plan.labels[i] for i in example.labels) or outside["label"]

    def answered(row: np.ndarray) -> tuple[str, float]:
        if plan.settings.activation == "softmax":
            return answer(row, plan.labels, outside)[0]
        none, threshold = outside.values()
        asked = [plan.labels[i] for i in np.flatnonzero(row >= threshold) if plan.labels[i] != none]
        return " + ".join(asked) or none, float(row.max())

    harsh = {plan.labels.index(label) for label in plan.settings.card.get("mask", [])}
    words = masking.telling_words(plan.labelled(), harsh) if harsh else set()
    found = []
    for name, examples in plan.dev().items():
        for row, example in zip(scores[name], examples, strict=True):
            label, score = answered(row)
            if label != wanted_of(example):
                found.append({"text": masking.masked(" ".join(example.text.split())[:160], words), "wanted": wanted_of(example),
                              "answered": label, "score": round(score, 3)})
    random.Random(plan.settings.seed).shuffle(found)
    sample = sorted(found[: 20 * N_ERRORS], key=lambda error: -error["score"])
    different = {(error["wanted"], error["answered"]): error for error in reversed(sample)}
    spread = sorted(different.values(), key=lambda error: -error["score"])
    return (spread + [error for error in sample if error not in spread])[:N_ERRORS]
