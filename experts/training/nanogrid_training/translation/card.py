"""Writes the README.md of an expert that translates: no number in it is typed by hand."""

from __future__ import annotations

from pathlib import Path

from ..card import SESSION, accuracy_table, data_table, facts, longest_text, machine_of, made_by, measured, save, table
from ..settings import Settings


def write(settings: Settings) -> Path:
    manifest, evaluation = measured(settings)
    examples = table(["text", "a translation", "answered"], [
        [row[key].replace("|", "\\|") for key in ("text", "wanted", "answered")] for row in evaluation["examples"]], 3)
    cost = table(["word pieces read", "beams", "CPU microseconds"],
                 [[row["tokens"], row["beams"], row["cpu-us"]] for row in evaluation["cost"]], 0)
    parts = [
        f"# {settings.name}, version {manifest['version']}",
        settings.card["summary"],
        facts(manifest, "models", longest_text(manifest)),
        f"Beam search over {settings.generation['beams']} hypotheses unless the request says otherwise (`num_beams`, 1 is greedy "
        "search). The score is the mean log-probability of the word pieces written.",
        "## Accuracy",
        accuracy_table(manifest, evaluation, "texts"),
        "BLEU and chrF as sacreBLEU computes them, against all translations that the dev set knows, from 0 to 100; intervals are "
        "bootstrapped over the texts. Measured on the int8 models, on dev rows, none of which was trained on. `noisy-10` has every "
        "tenth character of the sources spoilt. Training runs a fixed course and ships its end, so no checkpoint was chosen by them.",
        "## Cost",
        cost,
        f"CPU time of one whole translation, searching in Python included, on {machine_of(manifest)}, {SESSION}.",
        "Weights have 7 bits, and every token's activations their own scale: an answer does not depend on VNNI, on padding, or on "
        "the other requests of a batch.",
        "## Data",
        data_table(manifest, "rows"),
        "## Limits",
        "\n".join(f"- {limit}" for limit in settings.card["limits"]),
        "## Errors",
        "A random sample of dev rows whose answer is none of the known translations, word for word:",
        examples,
        *made_by(settings),
    ]
    return save(settings, parts)
