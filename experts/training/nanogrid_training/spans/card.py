"""Writes the README.md of an expert that finds spans: no number in it is typed by hand."""

from __future__ import annotations

from pathlib import Path

from ..card import (SESSION, accuracy_table, data_table, facts, longest_text, machine_of, made_by, measured, percent, robustness, save,
                    table)
from ..settings import Settings


def write(settings: Settings) -> Path:
    manifest, evaluation = measured(settings)
    kinds = table(["dev set", "entity", "F1", "in the data", "answered"], [
        [row["data"], f"`{row['entity']}`", percent(row["f1"]), row["wanted"], row["given"]]
        for row in evaluation["by-entity"]], 2)
    cost = table(["tokens", "CPU microseconds"], [[row["tokens"], row["cpu-us"]] for row in manifest["cost"]], 0)
    errors = table(["text", "should be", "answered"], [
        [error[key].replace("|", "\\|") for key in ("text", "wanted", "answered")] for error in evaluation["errors"]], 3)
    named = {"card-number": "payment card numbers (Luhn)", "iban": "IBANs (ISO 7064)", "ip-address": "IPv4 addresses",
             "email-address": "e-mail addresses"}
    by_format = ", ".join(named[kind] for kind in manifest.get("formats", {}))
    parts = [
        f"# {settings.name}, version {manifest['version']}",
        settings.card["summary"],
        facts(manifest, "model and tokenizer", longest_text(manifest)),
        "The tags of a text's words are the most probable sequence in which no entity begins in its middle. A span's score is "
        f"the mean probability of its words' tags, at a temperature of {manifest['temperature']:g}.",
        f"Found by their format alone, whatever the model says: {by_format}. These have score 1." if by_format else "",
        "## Accuracy",
        accuracy_table(manifest, evaluation, "texts"),
        "A span counts when its entity, its start and its end are all right; intervals are bootstrapped over the texts. "
        "Measured on the int8 model as a server answers, on dev rows, none of which was trained on; the temperature was fitted "
        "on the same rows. Training runs a fixed number of epochs and ships the last one, so no checkpoint was chosen by them.",
        kinds,
        evaluation["extra"],
        *robustness(manifest, evaluation["worn"]),
        "## Cost",
        cost,
        f"CPU time of one request in the session, without tokenising, on {machine_of(manifest)}, {SESSION}.",
        "Weights have 7 bits, and every token's activations their own scale: the scores do not depend on VNNI, on "
        "padding, or on the other requests of a batch.",
        "## Data",
        data_table(manifest, "rows"),
        "## Limits",
        "\n".join(f"- {limit}" for limit in settings.card["limits"]),
        "## Errors",
        "A random sample of dev rows that are not all right:",
        errors,
        *made_by(settings),
    ]
    return save(settings, parts)
