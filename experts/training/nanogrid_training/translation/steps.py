"""The steps from sentence pairs to a package. Each reads what the one before left in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import torch
from tokenizers import Tokenizer

from ..device import load
from ..package import MANIFEST, file_sums, publish, say, to_toml
from ..settings import Settings
from ..steps import built, in_order, manifest_of
from . import card, measure, onnx_graphs, pieces
from .learn import Course
from .learn import train as learn_course
from .model import END, LONGEST, PAD, START, Shape, Translator
from .pairs import Pair, Pairs
from .speak import DECODER, ENCODER, Served, translated

SAYS = "says.json"  # what the teacher makes of the unpaired sources
SAYS_BEAMS, SAYS_BATCH = 3, 1024


def _tokenizer(plan: Pairs) -> Tokenizer:
    """One for the teacher and its student."""
    path = plan.settings.run / "tokenizer.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = [text for pair in plan.pairs for text in (pair.source, pair.target)]
        pieces.learnt(texts, plan.settings.model["pieces"]).save(str(path), pretty=False)
    return Tokenizer.from_file(str(path))


def _fresh(table: dict[str, Any], tokenizer: Tokenizer, seed: int) -> Translator:
    torch.manual_seed(seed)
    shape = {key: value for key, value in table.items() if key in Shape.__dataclass_fields__}
    return Translator(Shape(**{**shape, "pieces": tokenizer.get_vocab_size()}))


def _course(settings: Settings, who: str, table: dict[str, Any]) -> Course:
    return Course(f"{settings.name}: {who}",
                  **{key: value for key, value in table.items() if key in Course.__dataclass_fields__})


def _show(plan: Pairs, who: str, model: Translator, tokenizer: Tokenizer) -> None:
    for name, rows in plan.dev.items():
        answers = translated(model, tokenizer, [row.source for row in rows], 1, 1.0, SAYS_BATCH)
        bleu, chrf = measure.scores(answers, [row.references for row in rows])
        print(f"{plan.settings.name}: {who}, greedy, before quantisation: {name} BLEU {bleu:.1f} chrF {chrf:.1f}", flush=True)


def _learnt(plan: Pairs, who: str, shape: dict[str, Any], course: dict[str, Any], pairs: list[Pair], folder: Path) -> Translator:
    """A model that has learnt the pairs; its checkpoint is in the folder."""
    settings, tokenizer = plan.settings, _tokenizer(plan)
    folder.mkdir(parents=True, exist_ok=True)
    model = learn_course(_fresh(shape, tokenizer, settings.seed), _course(settings, who, course), pairs, tokenizer,
                         folder / "checkpoint.pt", settings.seed)
    _show(plan, who, model, tokenizer)
    return model


def train(plan: Pairs) -> None:
    """A larger model learns the pairs, and translates the sources that have no translation; without one, the model itself learns."""
    settings, folder = plan.settings, plan.settings.teacher_run
    if not settings.teacher:
        _learnt(plan, "model", settings.model, settings.learning, plan.pairs, settings.run)
        return
    tokenizer = _tokenizer(plan)
    teacher = _learnt(plan, "teacher", settings.teacher, settings.teacher, plan.pairs, folder)
    texts = [*dict.fromkeys(pair.source for pair in plan.pairs), *plan.unpaired]
    said = translated(teacher, tokenizer, texts, SAYS_BEAMS, 1.0, SAYS_BATCH)
    (folder / SAYS).write_text(json.dumps(list(zip(texts, said, strict=True)), ensure_ascii=False), "utf-8")


def distilled(plan: Pairs) -> None:
    """The small model learns the pairs and what the teacher made of all sources (Kim and Rush 2016)."""
    settings = plan.settings
    if not settings.teacher:
        return
    says = json.loads((settings.teacher_run / SAYS).read_text("utf-8"))
    pairs = [*plan.pairs, *(Pair(source, target) for source, target in says if target)]
    _learnt(plan, "student", settings.model, settings.learning, pairs, settings.run)


def _trained(plan: Pairs) -> tuple[Translator, Tokenizer]:
    tokenizer = _tokenizer(plan)
    model = _fresh(plan.settings.model, tokenizer, plan.settings.seed)
    model.load_state_dict(load(plan.settings.run / "checkpoint.pt")["model"])
    return model.cpu().eval(), tokenizer


def _write(plan: Pairs, folder: Path, int8: bool) -> None:
    model, tokenizer = _trained(plan)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(onnx_graphs.encoder(model, int8), folder / ENCODER)
    onnx.save(onnx_graphs.decoder(model, int8), folder / DECODER)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    rules = plan.settings.generation
    (folder / "generation_config.json").write_text(json.dumps({
        "decoder_start_token_id": START, "eos_token_id": END, "pad_token_id": PAD, "max_length": LONGEST,
        "num_beams": rules["beams"], "length_penalty": rules["length-penalty"]}, indent=1) + "\n", "utf-8")


def export(plan: Pairs) -> None:
    """The fp32 graphs: what quantisation is compared with."""
    _write(plan, plan.settings.run / "float", int8=False)


def quantise(plan: Pairs) -> None:
    """The int8 graphs, the tokenizer and the rules of generation: all that a server loads."""
    _write(plan, built(plan), int8=True)


def evaluate(plan: Pairs) -> None:
    """Measures the int8 model, writes golden cases and the manifest, publishes the folder."""
    settings, folder = plan.settings, built(plan)
    beams, penalty = settings.generation["beams"], settings.generation["length-penalty"]
    served = Served(folder, settings.max_tokens, penalty)
    whole = Served(settings.run / "float", settings.max_tokens, penalty)
    manifest = manifest_of(plan, (ENCODER, DECODER), temperature=1.0, activation="softmax")
    (name, rows), *_ = plan.dev.items()
    manifest["accuracy"], answers = measure.accuracies(served, name, rows, beams)
    manifest["accuracy"] += measure.accuracies(served, name, rows, 1)[0] if beams > 1 else []
    manifest["accuracy"] += measure.worn(served, plan.dev, beams)
    costs = measure.cost(served, beams)
    manifest["cost"] = [row for row in costs if row["beams"] == beams]
    measure.write_golden(served, plan.golden_texts(), beams)
    manifest["files"] = file_sums(folder)
    (folder / MANIFEST).write_text(to_toml(in_order(manifest)), "utf-8")
    evaluation = {"float-accuracy": measure.accuracies(whole, name, rows, beams)[0],
                  "cost": costs, "examples": measure.examples(rows, answers, settings.seed)}
    (settings.run / "evaluation.json").write_text(json.dumps(evaluation, indent=1, ensure_ascii=False), "utf-8")
    publish(folder, settings.package)
    say(manifest["accuracy"])


def write_card(plan: Pairs) -> None:
    print(card.write(plan.settings))
