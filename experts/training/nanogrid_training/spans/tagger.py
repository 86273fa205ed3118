"""The encoder with one answer per token, with case, and with a second head for what the whole text wants.

The base model is uncased, and names are told by their capitals. So a word piece is kept in three spellings (`paris`,
`Paris`, `PARIS`) which share the one row that the base model knows, and a learnt vector says which spelling it was.
Ids and graph stay ordinary: any reader of a tokenizer.json can use the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto
from tokenizers import Tokenizer
from torch import Tensor, nn

from ..encoder import BASE, HIDDEN, Encoder, EncoderShape, array, pruned_tokenizer
from ..graph import Graph, text_inputs

LOWER, CAPITAL, UPPER = range(3)


@dataclass(frozen=True)
class TaggerShape(EncoderShape):
    n_texts: int = 0  # labels of the whole text, 0 for none
    spellings: int = 0  # entries of the vocabulary: pieces in all of their spellings

    __str__ = EncoderShape.__str__


def cased_tokenizer(texts: Iterable[str], n_pieces: int) -> Tokenizer:
    """The pieces that `texts` use most, each in its spellings. The first `n_pieces` ids are the lower-case ones."""
    spec = json.loads(pruned_tokenizer(texts, n_pieces).to_str())
    ids = spec["model"]["vocab"]
    for piece in sorted(ids, key=ids.get):
        for spelling in _spellings(piece):
            ids.setdefault(spelling, len(ids))
    bert = spec["normalizer"]["normalizers"][-1]
    bert["lowercase"], bert["strip_accents"] = False, True
    return Tokenizer.from_str(json.dumps(spec))


def _spellings(piece: str) -> list[str]:
    if piece.startswith("["):
        return []
    letters = piece.removeprefix("##")
    upper = letters.upper()
    # A few letters have no way back from their capitals: a Greek sigma at the end of a word is another letter.
    if upper == letters or upper.lower() != letters:
        return []
    return [f"##{upper}"] if piece.startswith("##") else [letters[0].upper() + letters[1:], upper]


def n_pieces_of(tokenizer: Tokenizer) -> int:
    """How many of its entries are pieces of the base model."""
    return sum(_case(piece) == LOWER for piece in tokenizer.get_vocab())


def _case(piece: str) -> int:
    letters = piece.removeprefix("##")
    if piece.startswith("[") or letters == letters.lower():
        return LOWER
    return UPPER if letters == letters.upper() and (len(letters) > 1 or piece.startswith("##")) else CAPITAL


def _lowered(piece: str) -> str:
    return piece if piece.startswith("[") else piece.lower()


class Tagger(Encoder):
    """`read` must be called, or a state loaded, before it knows which spelling is which piece."""

    shape: TaggerShape

    def __init__(self, shape: TaggerShape) -> None:
        super().__init__(shape)
        self.cases = nn.Embedding(3, HIDDEN)
        nn.init.zeros_(self.cases.weight)
        self.text_head = nn.Linear(HIDDEN, max(1, shape.n_texts))
        self.register_buffer("piece_of", torch.zeros(shape.spellings, dtype=torch.long))
        self.register_buffer("case_of", torch.zeros(shape.spellings, dtype=torch.long))

    def read(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        for piece, i in vocabulary.items():
            self.piece_of[i] = vocabulary[_lowered(piece)]
            self.case_of[i] = _case(piece)

    def parts(self) -> list[str]:
        return ["head", "text_head", "cases"]

    def rows(self, ids: Tensor) -> Tensor:
        return self.piece_of[ids]

    def embedded(self, ids: Tensor) -> Tensor:
        return super().embedded(ids) + self.cases(self.case_of[ids])

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the tags of every token, and of the labels of the whole text."""
        hidden = self.states(ids, mask)
        return self.head(self.dropout(hidden)), self.text_head(self.dropout(self.pooled(hidden, mask)))

    def rows_onnx(self, graph: Graph, ids: str) -> str:
        return graph.op("Gather", graph.constant(self.piece_of.cpu().numpy().astype(np.int32), "ints"), ids)

    def embedded_onnx(self, graph: Graph, ids: str, sizes: str, int8: bool) -> str:
        words = super().embedded_onnx(graph, ids, sizes, int8)
        picked = graph.op("Gather", graph.constant(self.case_of.cpu().numpy().astype(np.int8), "ints"), ids)
        case = graph.op("Cast", picked, to=TensorProto.INT32)
        return graph.op("Add", words, graph.op("Gather", graph.constant(array(self.cases.weight), "constant"), case))

    def to_onnx(self, int8: bool) -> onnx.ModelProto:
        graph = Graph(f"{BASE}, first {self.shape.layers} layers, per token")
        ids, mask = text_inputs(graph)
        hidden = self.states_onnx(graph, ids, mask, int8)
        tags = graph.linear(hidden, array(self.head.weight), array(self.head.bias), int8)
        by_row = graph.op("Concat", graph.op("Shape", ids), graph.ints(self.shape.n_labels), axis=0)
        outputs: dict[str, tuple[str, list[str | int]]] = {
            "logits": (graph.op("Reshape", tags, by_row), ["batch", "tokens", self.shape.n_labels])}
        if self.shape.n_texts:
            pooled = self.pooled_onnx(graph, hidden, ids, mask)
            whole = graph.linear(pooled, array(self.text_head.weight), array(self.text_head.bias), int8)
            outputs["text_logits"] = (whole, ["batch", self.shape.n_texts])
        return graph.finish_with(outputs)
