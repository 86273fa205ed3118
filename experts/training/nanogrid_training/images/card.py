"""Writes the README.md of an expert for pictures: no number in it is typed by hand."""

from __future__ import annotations

from pathlib import Path

from ..card import SESSION, accuracy_table, data_table, facts, machine_of, made_by, measured, save, table
from ..settings import Settings


def write(settings: Settings) -> Path:
    manifest, evaluation = measured(settings)
    side = settings.model["pixels"]
    by_label = table(["label", "in dev", "right"], [
        [f"`{row['label']}`", row["wanted"], f"{100 * row['right'] / row['wanted']:.1f} %"] for row in evaluation["by-label"]], 1)
    parts = [
        f"# {settings.name}, version {manifest['version']}",
        settings.card["summary"],
        facts(manifest, "model", ["what it sees", f"{side} x {side} pixels, RGB; other sizes are made to fit, bilinear with antialiasing"]),
        f"Scores are the softmax of the logits over a temperature of {manifest['temperature']:g}.",
        "## Accuracy",
        accuracy_table(manifest, evaluation, "pictures"),
        "Measured on the int8 model, on dev pictures, none of which was trained on; the temperature was fitted on the same "
        "pictures. `noisy-10` has every tenth pixel in any colour. Training runs a fixed number of epochs and ships the last "
        "one, so no checkpoint was chosen by them.",
        by_label,
        "Most often taken for each other on dev: " + ", ".join(
            f"`{one}` and `{other}` ({count})" for one, other, count in evaluation["mixed-up"]) + ".",
        "## Cost",
        table(["pixels", "CPU microseconds"], [[row["pixels"], row["cpu-us"]] for row in manifest["cost"]], 0),
        f"CPU time of one picture in the session, without reading the file, on {machine_of(manifest)}, {SESSION}.",
        "Weights have 7 bits, so that sums are exact also without VNNI. The range of the activations is fixed, so a picture's "
        "scores do not depend on the others of its batch.",
        "## Data",
        data_table(manifest, "pictures"),
        "## Limits",
        "\n".join(f"- {limit}" for limit in settings.card["limits"]),
        *made_by(settings),
    ]
    return save(settings, parts)
