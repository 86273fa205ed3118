"""Translates many texts: with the model as it is trained, or with the package as it is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from .. import learn
from ..device import DEVICE, autocast
from ..package import session
from .model import END, HEAD_WIDTH, LONGEST, START, Translator
from .search import Stepper, search

ENCODER, DECODER = "encoder_model.onnx", "decoder_with_past_model.onnx"


def longest_for(source_pieces: int) -> int:
    """The server's limit on the pieces of an answer, its end included."""
    return min(LONGEST - 1, 3 * source_pieces + 16)


class Trained(Stepper):
    device = DEVICE

    def __init__(self, model: Translator, ids: Tensor, beams: int) -> None:
        self.model = model
        source, self.seen = model.encode(ids.to(DEVICE).repeat_interleave(beams, dim=0))
        self.source = source
        self.past: list[tuple[Tensor, Tensor]] | None = None

    def step(self, pieces: Tensor) -> Tensor:
        with autocast(DEVICE.type == "cuda"):
            if self.past is None:
                logits, self.past = self.model.decode(pieces[:, None], self.source, self.seen)
            else:
                logits, self.past = self.model.decode(pieces[:, None], self.source, self.seen, self.past)
        return logits[:, -1].float().log_softmax(dim=-1)

    def reorder(self, rows: Tensor) -> None:
        self.past = [(key[rows], value[rows]) for key, value in self.past]


@torch.no_grad()
def translated(model: Translator, tokenizer: Tokenizer, texts: list[str], beams: int, penalty: float,
               batch: int) -> list[str]:
    """In batches of texts of about the same length."""
    model.to(DEVICE).eval()
    encoded = learn.encode(tokenizer, texts, 128)
    order = np.argsort(encoded.lengths(), kind="stable")
    answers = [""] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start: start + batch]
        ids, _ = learn.pad(encoded, chosen)
        said, _ = search(Trained(model, ids, beams), len(chosen), beams, longest_for(ids.shape[1]), penalty)
        for i, text in zip(chosen, tokenizer.decode_batch(said), strict=True):
            answers[i] = text
    return answers


class Served:
    """The two graphs, the tokenizer and the rules of a folder."""

    def __init__(self, folder: Path, max_tokens: int, penalty: float) -> None:
        self.folder, self.penalty = folder, penalty
        self.encoder, self.decoder = session(folder / ENCODER), session(folder / DECODER)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def answer(self, text: str, beams: int) -> tuple[str, float]:
        """The translation, and the mean log-probability of its pieces and its end."""
        ids = np.array([self.ids(text)], np.int64)
        said, _ = search(_Serving(self, ids, beams), 1, beams, longest_for(ids.shape[1]), self.penalty)
        return self.tokenizer.decode(said[0]), self.score(ids, said[0])

    @torch.no_grad()
    def score(self, ids: np.ndarray, said: list[int]) -> float:
        stepper, total = _Serving(self, ids, 1), 0.0
        # What was cut at the longest has no end.
        pieces = said if len(said) == longest_for(ids.shape[1]) else [*said, END]
        for before, piece in zip([START, *pieces], pieces, strict=False):
            total += float(stepper.step(torch.tensor([before]))[0, piece])
        return total / len(pieces)


class _Serving(Stepper):
    def __init__(self, served: Served, ids: np.ndarray, beams: int) -> None:
        self.decoder = served.decoder
        mask = np.ones_like(ids)
        names = [output.name for output in served.encoder.get_outputs()]
        given = served.encoder.run(names, {"input_ids": ids, "attention_mask": mask})
        self.fixed = {f"past_key_values.{name.removeprefix('present.')}": value.repeat(beams, axis=0)
                      for name, value in zip(names, given, strict=True)}
        self.fixed["encoder_attention_mask"] = mask.repeat(beams, axis=0)
        heads = given[0].shape[1]
        self.names = [output.name for output in self.decoder.get_outputs()]
        self.past = [np.zeros((beams, heads, 0, HEAD_WIDTH), np.float32) for _ in self.names[1:]]

    def step(self, pieces: Tensor) -> Tensor:
        past = {f"past_key_values.{name.removeprefix('present.')}": value
                for name, value in zip(self.names[1:], self.past, strict=True)}
        logits, *self.past = self.decoder.run(
            self.names, {"input_ids": pieces.numpy()[:, None], **past, **self.fixed})
        return torch.from_numpy(logits[:, 0]).log_softmax(dim=-1)

    def reorder(self, rows: Tensor) -> None:
        self.past = [value[rows.numpy()] for value in self.past]
