"""Writes an expert's README.md from its manifest and the evaluation: no number in a card is typed by hand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from . import picture
from .measure import COST_TOKENS
from .package import MANIFEST
from .settings import Settings

SESSION = "one thread of ONNX Runtime 1.32.0, spinning off"


def table(head: list[str], rows: list[list[Any]], right: int) -> str:
    """A Markdown table whose columns from `right` on are numbers."""
    rule = ["---" if i < right else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in [head, rule, *rows])


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def measured(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a card is written from: the manifest of the published version, and what else its evaluation found."""
    return (tomllib.loads((settings.package / MANIFEST).read_text("utf-8")),
            json.loads((settings.run / "evaluation.json").read_text("utf-8")))


def save(settings: Settings, parts: list[str]) -> Path:
    """Writes the parts that there are."""
    path = settings.home / "README.md"
    path.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")
    return path


def machine_of(manifest: dict[str, Any]) -> str:
    return manifest["cost"][0]["machine"]


def longest_text(manifest: dict[str, Any]) -> list[str]:
    return ["longest input", f"{manifest['max-tokens']} tokens, what is longer is cut"]


def facts(manifest: dict[str, Any], model: str, longest: list[str]) -> str:
    """What every card begins with."""
    return table(["", ""], [
        ["model", manifest["architecture"]],
        ["parameters", f"{manifest['size']['parameters']:,}"],
        [f"size of {model}", f"{manifest['size']['bytes'] / 1e6:.2f} MB"],
        longest,
        ["licence of the weights", manifest["licence"]],
        ["made on", manifest["created"]]], 2)


def accuracy_table(manifest: dict[str, Any], evaluation: dict[str, Any], rows: str) -> str:
    """Every measure of the int8 model, and where it was taken of the fp32 one too, that. Shares are given in per cent."""
    def stated(row: dict[str, Any], key: str = "value") -> str:
        return percent(row[key]) if row["high"] <= 1 else f"{row[key]:.1f}"

    before = {(row["data"], row["metric"]): stated(row) for row in evaluation["float-accuracy"]}
    return table(["dev set", "metric", "value", "95 % interval", rows, "before quantisation"], [
        [row["data"], row["metric"], stated(row), f"{stated(row, 'low')} to {stated(row, 'high')}", row["n"],
         before.get((row["data"], row["metric"]), "")] for row in manifest["accuracy"]], 2)


def data_table(manifest: dict[str, Any], rows: str) -> str:
    return table(["set", "licence", "origin", rows], [
        [row["name"], row["licence"], row["source"], f"{row['rows']:,}"] for row in manifest["training-data"]], 3)


def made_by(settings: Settings) -> list[str]:
    return ["## Made by",
            f"`python -m nanogrid_training all {settings.name} --data DIR` in `experts/training` (`DIR` holds the data sets by the "
            "names above). This page is written by its `card` step."]


def _cross_fitted(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    several = len({row["data"] for row in rows}) > 1
    shown = ", ".join(f"{row['metric']} {percent(row['value'])}" + f" ({row['data']})" * several for row in rows)
    return [f"With the offsets of each half of dev fitted on the other half: {shown}. Expect that on new texts."]


def robustness(manifest: dict[str, Any], worn: list[dict[str, Any]]) -> list[str]:
    """What each kind of wear leaves of the first metric of each dev set."""
    if not worn:
        return []
    clean = {(row["data"], row["metric"]): row["value"] for row in manifest["accuracy"]}
    rows = []
    for entry in worn:
        lost = 100 * (clean[entry["data"], entry["metric"]] - entry["value"])
        rows.append([entry["data"], entry["kind"], entry["metric"], percent(entry["value"]), f"{lost:.1f}"])
    return ["## Under wear", table(["dev set", "what was done to it", "metric", "value", "points lost"], rows, 3),
            "A noisy character is swapped with the next one, left out, doubled, replaced by the key beside it, or by any "
            "letter. Random kinds are drawn three times."]


def _curve(settings: Settings) -> list[str]:
    path = settings.run / "curve.json"
    if not path.exists():
        return []
    points = sorted((picture.Point(**point) for point in json.loads(path.read_text("utf-8"))),
                    key=lambda point: point.cpu_us)
    return ["## Sizes tried", f"![Accuracy, size and CPU time of the sizes tried]({picture.NAME})", table(
        ["size", settings.metrics[0], "95 % interval", "MB", f"CPU microseconds at {COST_TOKENS[0]} tokens"], [
            [point.title(), percent(point.value), f"{percent(point.low)} to {percent(point.high)}",
             f"{point.megabytes:.1f}", f"{point.cpu_us:.0f}"] for point in points], 1)]


def write(settings: Settings) -> Path:
    manifest, evaluation = measured(settings)
    cost = table(["tokens", "CPU microseconds"], [[row["tokens"], row["cpu-us"]] for row in manifest["cost"]], 0)
    errors = table(["text", "should be", "answered", "score"], [
        [error["text"].replace("|", "\\|"), error["wanted"], error["answered"], f"{error['score']:.2f}"]
        for error in evaluation["errors"]], 3)
    tuned = ["the temperature"]
    tuned += ["the out-of-scope threshold"] if "oos-share" in (settings.out_of_scope or {}) else []
    tuned += ["one offset per label"] if settings.adjust else []
    but_those = f" but those of {' and '.join(settings.aside)}" if settings.aside else ""
    rules = [f"Scores are the {manifest['activation']} of the logits over a temperature of {manifest['temperature']:g}."]
    if outside := manifest.get("out-of-scope"):
        rules.append(f"When the best score is below {outside['threshold']:g}, the answer is `{outside['label']}` first.")
    if classifier := manifest.get("classifier"):
        rules.append(f"`{classifier['none-label']}` means that none of the experts fits.")
    parts = [
        f"# {settings.name}, version {manifest['version']}",
        settings.card["summary"],
        facts(manifest, "model and tokenizer", longest_text(manifest)),
        " ".join(rules),
        "## Accuracy",
        accuracy_table(manifest, evaluation, "rows"),
        "Measured on the int8 model, on one half of the dev rows, none of which was trained on; temperature, offset and thresholds were "
        "fitted on the other half. Training runs a fixed number of epochs and ships the last one." if classifier else
        f"Measured on the int8 model, on dev rows, none of which was trained on; {' and '.join(tuned)} "
        f"{'was' if len(tuned) == 1 else 'were'} fitted on the same rows{but_those}. Training runs a fixed number of epochs "
        "and ships the last one, so no checkpoint was chosen by them.",
        *_cross_fitted(evaluation.get("cross-fitted", [])),
        evaluation.get("extra", ""),
        *robustness(manifest, evaluation.get("worn", [])),
        "## Cost",
        cost,
        f"CPU time of one request in the session, without tokenising, on {machine_of(manifest)}, {SESSION}.",
        "Weights have 7 bits, and every token's activations their own scale: the scores do not depend on VNNI, on "
        "padding, or on the other requests of a batch." if "MiniLM" in manifest["architecture"] else
        "Only the embedding table is int8; it is looked up, not multiplied as integers. So the scores depend neither "
        "on VNNI nor on padding, nor on the other requests of a batch.",
        *_curve(settings),
        "## Data",
        data_table(manifest, "rows"),
        "## Limits",
        "\n".join(f"- {limit}" for limit in settings.card["limits"]),
        "## Errors",
        "Most often taken for each other on dev: " + ", ".join(
            f"`{one}` and `{other}` ({count})" for one, other, count in evaluation["mixed-up"]) + "."
        if evaluation["mixed-up"] else "",
        "Dev rows that it gets wrong, with the highest scores among a sample"
        + (" (words that mostly occur in such texts are cut to their first letter):" if settings.card.get("mask") else ":"),
        errors,
        *made_by(settings),
    ]
    return save(settings, parts)
