"""What the router's classifier promises: whom it asks, whom it does not, and how often that is right.

Half of every dev set, told apart by a hash of the text, is fitted on: an offset for the logits of each expert (in training they
come in another mix than here), one for all of them (of many scores that are each right, the highest is too modest), the
temperature and, for every `alpha`, two scores. Everything that is reported is measured on the other half.

A request may be for several experts, so what has to be covered is all of them at once: the conformal score of a request is that
of the least sure expert it is for, as a share of the score of the surest expert. So a request that leaves the model sure goes to
few, and one that leaves it unsure to more; on dev this needs fewer calls than a bar that is the same for all requests. It is 0
when the request would be held back as nobody's, or when one of its experts is not among the best `MOST`: what is promised is
what the router does, gate and limit and all. `threshold` is the conformal quantile of these scores: at most a share `alpha` of
new requests of the same kinds scores lower.

The gate is how likely it is that nobody suits and no expert does: the score of the none label, times what the surest expert
lacks. It may cost `GATE_SHARE` of `alpha`: its threshold is the conformal quantile among requests that are for somebody.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from . import measure, metrics
from .package import Package, file_sums, publish, say, scores_of, to_toml, write_golden, MANIFEST
from .recipe import ODD_TEXTS, Recipe
from .rows import Example, stable_fraction

ALPHAS = (0.005, 0.01, 0.02, 0.05, 0.1)
SHIPPED_ALPHA = 0.02
MOST = 3
GATE_SHARE = 0.25
BINS = 15
RESAMPLES = 1000
OFFSETS = "offsets"
RIDGE = 3e-3
FARTHEST = 5.0
TRIED_OFFSETS = np.arange(-2.0, 3.05, 0.1)


@dataclass(frozen=True)
class Requests:
    """Requests of one kind with what the model makes of them."""

    examples: list[Example]
    logits: np.ndarray
    scores: np.ndarray

    def where(self, wanted: Callable[[str], bool]) -> Requests:
        rows = [i for i, example in enumerate(self.examples) if wanted(example.text)]
        return Requests([self.examples[i] for i in rows], self.logits[rows], self.scores[rows])


def joined(parts: list[Requests]) -> Requests:
    return Requests([example for part in parts for example in part.examples], np.concatenate([part.logits for part in parts]),
                    np.concatenate([part.scores for part in parts]))


def is_fitted_on(text: str) -> bool:
    return stable_fraction("fitted on: " + text) < 0.5


def is_measured_on(text: str) -> bool:
    return not is_fitted_on(text)


def of_experts(scores: np.ndarray, none: int) -> np.ndarray:
    """The scores without that of the none label, which can be nobody's best."""
    found = scores.copy()
    found[..., none] = 0.0
    return found


def top_1(requests: Requests, none: int) -> np.ndarray:
    """Is the surest expert one that the request is for? Whether anybody is asked at all is another question: the gate's."""
    best = of_experts(requests.scores, none).argmax(axis=1)
    return np.array([int(label) in example.labels for label, example in zip(best, requests.examples, strict=True)])


def gate_of(scores: np.ndarray, none: int) -> np.ndarray:
    """How likely a request is for nobody."""
    return scores[..., none] * (1 - of_experts(scores, none).max(axis=-1))


def least_sure(requests: Requests, none: int, gate: float) -> np.ndarray:
    """The score that conformal prediction is about; see above."""
    experts = of_experts(requests.scores, none)
    bars = np.sort(experts, axis=1)[:, -MOST]
    worst = np.array([min(row[label] for label in example.labels) for row, example in zip(experts, requests.examples, strict=True)])
    is_missed = (gate_of(requests.scores, none) > gate) | (worst < bars)
    return np.where(is_missed, 0.0, worst / experts.max(axis=1))


def promise(requests: Requests, none: int, alpha: float) -> dict[str, float] | None:
    """The two scores for `alpha`, from requests that are for somebody; none when `MOST` experts are too few to keep it."""
    n = len(requests.examples)
    outside = np.sort(gate_of(requests.scores, none))
    rank = math.ceil((1 - GATE_SHARE * alpha) * (n + 1))
    # Rounded as it is written down, towards asking more.
    gate = min(1.0, math.ceil(1e4 * outside[rank - 1]) / 1e4) if rank <= n else 1.0
    worst = np.sort(least_sure(requests, none, gate))
    rank = math.floor(alpha * (n + 1))
    if rank < 1 or worst[rank - 1] == 0:
        return None
    return {"alpha": alpha, "threshold": math.floor(1e4 * worst[rank - 1]) / 1e4, "out-of-scope": gate}


def asked(requests: Requests, none: int, rule: dict[str, float]) -> list[set[int]]:
    """Whom the router asks."""
    sets = []
    held_back = gate_of(requests.scores, none) > rule["out-of-scope"]
    for row, is_held_back in zip(of_experts(requests.scores, none), held_back, strict=True):
        bar = rule["threshold"] * row.max()
        order = [int(i) for i in np.argsort(-row, kind="stable") if i != none and row[i] >= bar]
        sets.append(set() if is_held_back else set(order[:MOST]))
    return sets


def covered(requests: Requests, sets: list[set[int]]) -> np.ndarray:
    return np.array([set(example.labels) <= found for example, found in zip(requests.examples, sets, strict=True)])


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Of the first choice, over bins that hold equally many requests."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, BINS)
    return float(sum(len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts if len(part)) / len(order))


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """How often a request for nobody scores higher than one for somebody."""
    both = np.concatenate([inside, outside])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n_outside = len(outside)
    return float((ranks[len(inside):].sum() - n_outside * (n_outside + 1) / 2) / (len(inside) * n_outside))


def out_of_scope_scores(requests: Requests, none: int) -> dict[str, np.ndarray]:
    """What may tell a request for nobody: the more, the surer."""
    experts = np.delete(requests.logits, none, axis=1).astype(np.float64)
    highest = experts.max(axis=1)
    energy = highest + np.log(np.exp(experts - highest[:, None]).sum(axis=1))
    return {"score of `none` times what the best expert lacks": gate_of(requests.scores, none),
            "score of `none`": requests.scores[:, none], "highest logit of an expert": -highest, "energy": -energy}


def interval(of: Callable[[np.random.Generator], float]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    low, high = np.quantile([of(rng) for _ in range(RESAMPLES)], [0.025, 0.975])
    return float(low), float(high)


def mean_row(data: str, metric: str, values: np.ndarray) -> dict[str, Any]:
    low, high = interval(lambda rng: float(values[rng.integers(0, len(values), len(values))].mean()))
    mean = float(values.mean())
    return metrics.row(data, metric, mean, min(low, mean), max(high, mean), len(values))


class Report:
    """Everything that is said of a model, on the half that nothing was fitted on."""

    def __init__(self, plan: Recipe, parts: dict[str, Requests]) -> None:
        rules = plan.settings.classifier
        self.none = plan.labels.index(rules["none-label"])
        self.parts = parts
        self.known = joined([parts[name].where(is_measured_on) for name in rules["known"]])
        self.outside = {name: parts[name].where(is_measured_on) for name in rules["outside"]}

    def rows(self, promises: list[dict[str, float]]) -> list[dict[str, Any]]:
        """For the manifest: shares only."""
        right = top_1(self.known, self.none)
        rows = [metrics.share("all known kinds", "top-1", right), self._calibration_error(right),
                self._auroc("all requests for nobody", joined(list(self.outside.values())))]
        rows += [self._auroc(name, requests) for name, requests in self.outside.items()]
        for rule in promises:
            hits = covered(self.known, asked(self.known, self.none, rule))
            rows.append(metrics.share("all known kinds", f"covered at alpha {rule['alpha']:g}", hits))
        shipped = next(rule for rule in promises if rule["alpha"] == SHIPPED_ALPHA)
        for name, requests in self.parts.items():
            held = requests.where(is_measured_on)
            sets = asked(held, self.none, shipped)
            for_nobody = all(example.labels == (self.none,) for example in held.examples)
            if for_nobody:
                rows.append(metrics.share(name, "nobody asked", np.array([not found for found in sets])))
            else:
                rows.append(metrics.share(name, "top-1", top_1(held, self.none)))
                rows.append(metrics.share(name, "covered", covered(held, sets)))
        return rows

    def set_sizes(self, rule: dict[str, float]) -> list[dict[str, Any]]:
        """How many experts are asked."""
        one = np.array([len(example.labels) == 1 for example in self.known.examples])
        sizes = np.array([len(found) for found in asked(self.known, self.none, rule)], float)
        return [mean_row("for one expert", f"experts asked at alpha {rule['alpha']:g}", sizes[one]),
                mean_row("for several", f"experts asked at alpha {rule['alpha']:g}", sizes[~one]),
                mean_row("all known kinds", f"experts asked at alpha {rule['alpha']:g}", sizes)]

    def _calibration_error(self, right: np.ndarray) -> dict[str, Any]:
        confidence = of_experts(self.known.scores, self.none).max(axis=1)

        def again(rng: np.random.Generator) -> float:
            rows = rng.integers(0, len(right), len(right))
            return calibration_error(confidence[rows], right[rows])

        value = calibration_error(confidence, right)
        low, high = interval(again)
        return metrics.row("all known kinds", "calibration-error", value, min(low, value), max(high, value), len(right))

    def _auroc(self, name: str, outside: Requests) -> dict[str, Any]:
        inside, others = (gate_of(requests.scores, self.none) for requests in (self.known, outside))

        def again(rng: np.random.Generator) -> float:
            return auroc(inside[rng.integers(0, len(inside), len(inside))], others[rng.integers(0, len(others), len(others))])

        return metrics.row(name, "out-of-scope-auroc", auroc(inside, others), *interval(again), len(others))


def read(plan: Recipe, package: Package, temperature: float) -> dict[str, Requests]:
    """All dev sets as `package` sees them."""
    found = {}
    for name, examples in plan.dev().items():
        logits = package.all_logits([example.text for example in examples])
        found[name] = Requests(examples, logits, scores_of(logits, temperature, plan.settings.activation))
    return found


def scaled(parts: dict[str, Requests], temperature: float, activation: str) -> dict[str, Requests]:
    return {name: Requests(part.examples, part.logits, scores_of(part.logits, temperature, activation))
            for name, part in parts.items()}


def temperature(fitted: Requests, none: int, activation: str) -> float:
    """What makes the confidence in the surest expert most truthful: it is what clients see, and what sets are made by."""
    right = top_1(fitted, none)

    def log_loss(log_t: float) -> float:
        scores = scores_of(fitted.logits, float(np.exp(log_t)), activation)
        confidence = of_experts(scores, none).max(axis=1).clip(1e-9, 1 - 1e-9)
        return float(-np.where(right, np.log(confidence), np.log(1 - confidence)).mean())

    return measure.least(log_loss)


def fitted_offsets(fitted: Requests, none: int) -> np.ndarray:
    """What makes each expert's scores add up to how many requests are for it, the none label's left alone: Platt scaling (1999)
    without the slope, held back a little, so that an expert with few requests is moved less."""
    offsets = np.zeros(fitted.logits.shape[1], np.float32)
    for label in range(len(offsets)):
        if label != none:
            is_for = np.array([label in example.labels for example in fitted.examples])
            offsets[label] = _offset(fitted.logits[:, label].astype(np.float64), is_for)
    return offsets.round(3)


def _offset(logits: np.ndarray, is_for: np.ndarray) -> float:
    """By bisection: the slope of the loss rises."""
    low, high = -FARTHEST, FARTHEST
    while high - low > 1e-4:
        offset = (low + high) / 2
        slope = (1 / (1 + np.exp(-(logits + offset))) - is_for).mean() + RIDGE * offset
        low, high = (low, offset) if slope > 0 else (offset, high)
    return (low + high) / 2


def common_offset(fitted: Requests, none: int, activation: str) -> float:
    """What is added to every expert's logits so that, at its own temperature, the confidence in the surest one is most truthful."""
    right = top_1(fitted, none)

    def log_loss(offset: float) -> float:
        moved = moved_by(fitted, every_expert(offset, fitted.logits.shape[1], none))
        scores = scores_of(moved.logits, temperature(moved, none, activation), activation)
        confidence = of_experts(scores, none).max(axis=1).clip(1e-9, 1 - 1e-9)
        return float(-np.where(right, np.log(confidence), np.log(1 - confidence)).mean())

    return round(float(min(TRIED_OFFSETS, key=log_loss)), 1)


def every_expert(offset: float, n_labels: int, none: int) -> np.ndarray:
    offsets = np.full(n_labels, offset, np.float32)
    offsets[none] = 0.0
    return offsets


def moved_by(requests: Requests, offsets: np.ndarray) -> Requests:
    return Requests(requests.examples, requests.logits + offsets, requests.scores)


def write_offsets(model: Path, offsets: np.ndarray) -> None:
    """Adds `offsets` to the logits, in the graph itself: whoever runs it gets what was measured."""
    graph_of = onnx.load(model)
    graph = graph_of.graph
    known = next((tensor for tensor in graph.initializer if tensor.name == OFFSETS), None)
    if known is None:
        for node in graph.node:
            node.output[:] = ["unmoved" if name == "logits" else name for name in node.output]
        graph.node.append(onnx.helper.make_node("Add", ["unmoved", OFFSETS], ["logits"]))
        known = graph.initializer.add()
    known.CopyFrom(onnx.numpy_helper.from_array(offsets, OFFSETS))
    onnx.save(graph_of, model)


def which_score(report: Report, plan: Recipe) -> list[tuple[str, float]]:
    """How well each candidate tells requests for nobody, on the half that is fitted on."""
    rules = plan.settings.classifier
    inside = out_of_scope_scores(joined([report.parts[name].where(is_fitted_on) for name in rules["known"]]), report.none)
    outside = out_of_scope_scores(joined([report.parts[name].where(is_fitted_on) for name in rules["outside"]]), report.none)
    return [(name, auroc(inside[name], outside[name])) for name in inside]


def data_sha256(plan: Recipe) -> str:
    """Of everything that was learnt from and fitted on."""
    files = [path for source in plan.settings.sources for path in sorted((plan.data / source.name).glob("*"))]
    digest = hashlib.sha256()
    for path in sorted([*files, *plan.settings.home.glob("*.py")]):
        digest.update(f"{path.parent.name}/{path.name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def evaluate(plan: Recipe, whole: Package, package: Package,
             manifest_of: Callable[[float], dict[str, Any]], in_order: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Fits and measures the int8 model, writes what the router reads and what the card says, publishes the folder."""
    settings = plan.settings
    rules = settings.classifier
    none = plan.labels.index(rules["none-label"])

    def moved(offsets: np.ndarray) -> Package:
        write_offsets(package.folder / "model.onnx", offsets)
        return Package(package.folder, settings.max_tokens)

    parts = read(plan, moved(np.zeros(len(plan.labels), np.float32)), 1.0)
    known = joined([parts[name].where(is_fitted_on) for name in rules["known"]])
    offsets = fitted_offsets(known, none)
    offsets += every_expert(common_offset(moved_by(known, offsets), none, settings.activation), len(offsets), none)
    package = moved(offsets)
    manifest = manifest_of(temperature(moved_by(known, offsets), none, settings.activation))
    parts = scaled({name: moved_by(part, offsets) for name, part in parts.items()}, manifest["temperature"], settings.activation)
    report = Report(plan, parts)
    known = joined([parts[name].where(is_fitted_on) for name in rules["known"]])
    promises = [found for alpha in ALPHAS if (found := promise(known, report.none, alpha))]
    manifest["classifier"] = {
        "none-label": rules["none-label"],
        "labels-sha256": hashlib.sha256("\n".join(plan.labels).encode()).hexdigest(),
        "data-sha256": data_sha256(plan),
        "promise": promises,
    }
    manifest["accuracy"] = report.rows(promises)
    manifest["cost"] = measure.cost(package, settings.max_tokens)
    write_golden(package, [*plan.golden_texts(), *ODD_TEXTS], manifest)
    manifest["files"] = file_sums(package.folder)
    (package.folder / MANIFEST).write_text(to_toml(in_order(manifest)), "utf-8")
    unquantised = {name: moved_by(part, offsets) for name, part in read(plan, whole, 1.0).items()}
    before = Report(plan, scaled(unquantised, manifest["temperature"], settings.activation)).rows(promises)
    shipped = next(rule for rule in promises if rule["alpha"] == SHIPPED_ALPHA)
    evaluation = {"float-accuracy": before, "errors": errors(plan, parts, report.none, shipped), "mixed-up": [], "worn": [],
                  "extra": "\n\n".join([*paragraphs(report, plan, promises), plan.extra(package, manifest)])}
    (settings.run / "evaluation.json").write_text(json.dumps(evaluation, indent=1, ensure_ascii=False), "utf-8")
    publish(package.folder, settings.package)
    write_sample(plan, settings.home / "sample.jsonl")
    say([*manifest["accuracy"], *report.set_sizes(shipped)])


def write_sample(plan: Recipe, path: Path) -> None:
    """What the router's own test measures again: a part of the half that nothing was fitted on."""
    rows = [{"kind": kind, "text": example.text, "experts": [plan.labels[label] for label in example.labels]}
            for kind, example in plan.sample()]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def paragraphs(report: Report, plan: Recipe, promises: list[dict[str, float]]) -> list[str]:
    """What the card says of the sets and of the gate."""
    lines = ["| alpha | an expert is asked from, of the best score | nobody is asked above | experts asked for one | for several | for all known kinds |",
             "|---:|---:|---:|---:|---:|---:|"]
    for rule in promises:
        sizes = " | ".join(f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for row in report.set_sizes(rule))
        lines.append(f"| {rule['alpha']:g} | {rule['threshold']:g} | {rule['out-of-scope']:g} | {sizes} |")
    told = ", ".join(f"{name} {value:.3f}" for name, value in which_score(report, plan))
    return ["\n".join(lines), "What tells a request for nobody was chosen on the half that is fitted on, by the area under its ROC "
            f"curve there: {told}. The first one is used."]


def errors(plan: Recipe, parts: dict[str, Requests], none: int, rule: dict[str, float]) -> list[dict[str, Any]]:
    """A few of the surest mistakes, no two alike."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for requests in parts.values():
        held = requests.where(is_measured_on)
        for example, row, sets in zip(held.examples, held.scores, asked(held, none, rule), strict=True):
            wanted = " + ".join(plan.labels[label] for label in example.labels)
            answered = " + ".join(plan.labels[label] for label in sorted(sets)) or plan.labels[none]
            if set(example.labels) - {none} <= sets and (sets or none in example.labels):
                continue
            error = {"text": " ".join(example.text.split())[:160], "wanted": wanted, "answered": answered,
                     "score": round(float(row.max()), 3)}
            kept = found.setdefault((wanted, answered), error)
            if error["score"] > kept["score"]:
                found[wanted, answered] = error
    return sorted(found.values(), key=lambda error: -error["score"])[:12]
