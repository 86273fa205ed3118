"""Hashed n-gram bags: embeddings of token n-grams, pooled, and one small dense layer.

The tokenizer yields single tokens (characters or word pieces). The n-grams are made inside the graph by integer
arithmetic, so the package stays a plain `model.onnx` + `tokenizer.json` that any server can run, and the whole
model costs about as much as looking its rows up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Regex
from torch import Tensor, nn
from torch.nn import functional

from .graph import TABLE_LIMIT, Graph, text_inputs
from .normaliser import straight_quotes, visible

# A rolling polynomial hash modulo a prime below 2^31: with a multiplier of the same size every product stays within
# 63 bits, so torch and ONNX Runtime compute the same numbers.
PRIME = 2_147_483_647
MULTIPLIER = 1_664_525_017

PAD, UNKNOWN, EDGE = "[PAD]", "[UNK]", "▁"


@dataclass(frozen=True)
class BagShape:
    tokens: int  # rows of single tokens, which are never hashed
    buckets: int  # rows shared by all longer n-grams
    longest: int  # n-grams of 1 to `longest` tokens
    width: int
    n_labels: int
    heads: int = 0  # 0: sum over the square root of the count; otherwise that many learnt weighted means
    inner: int = 0  # width of a hidden layer, 0 for none
    dropout: float = 0.0
    lose: float = 0.0  # share of the n-grams hidden from each training text, so that no single one is relied upon

    @property
    def columns(self) -> int:
        """Of a table row: with heads, the last ones also say how much the row weighs, one per head."""
        return self.width + self.heads

    @property
    def pooled(self) -> int:
        return self.columns * max(1, self.heads)


def character_tokenizer(counts: dict[str, int], least: int) -> Tokenizer:
    """Letters and marks in lower case, everything between them one edge; a character is a token.

    Byte-pair encoding without a single merge is exactly that, and needs no regex per character.
    """
    letters = sorted((letter for letter, count in counts.items() if count >= least), key=lambda letter: -counts[letter])
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([PAD, UNKNOWN, EDGE, *letters]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(letters_only())
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{EDGE} $A {EDGE}", special_tokens=[(EDGE, vocabulary[EDGE])])
    return tokenizer


def letters_only() -> list[normalizers.Normalizer]:
    return [*visible(), normalizers.Lowercase(), normalizers.Replace(Regex(r"[^\p{L}\p{M}]+"), " "),
            normalizers.Strip(), normalizers.Replace(" ", EDGE)]


def piece_tokenizer(texts: list[str], n_pieces: int, alphabet: int) -> Tokenizer:
    """Word pieces over words and punctuation, trained on `texts`."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=64))
    tokenizer.normalizer = normalizers.Sequence([*visible(), *straight_quotes(), normalizers.Lowercase()])
    # Digits one by one: amounts and dates must not use up the vocabulary.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)])
    # The special tokens are only names for ids here: added tokens would be found inside of users' text.
    trainer = trainers.WordPieceTrainer(vocab_size=n_pieces, special_tokens=[PAD, UNKNOWN, EDGE],
                                        limit_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    bare = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=64))
    bare.normalizer, bare.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    bare.post_processor = processors.TemplateProcessing(
        single=f"{EDGE} $A {EDGE}", special_tokens=[(EDGE, vocabulary[EDGE])])
    return bare


def ngram_rows(ids: Tensor, shape: BagShape) -> Tensor:
    """The table rows of all n-grams of `ids` [batch, tokens], n by n. The graph below does the same sums."""
    rows = [ids]
    rolled = ids
    for n in range(2, shape.longest + 1):
        rolled = (rolled[:, :-1] * MULTIPLIER + ids[:, n - 1:]) % PRIME
        rows.append(rolled % shape.buckets + shape.tokens)
    return torch.cat(rows, dim=1)


def ngram_mask(mask: Tensor, shape: BagShape) -> Tensor:
    """Rows are padded on the right, so an n-gram is real if its last token is."""
    return torch.cat([mask[:, n - 1:] for n in range(1, shape.longest + 1)], dim=1)


class Bag(nn.Module):
    def __init__(self, shape: BagShape) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.Parameter(torch.empty(shape.tokens + shape.buckets, shape.columns))
        nn.init.normal_(self.table, std=0.1 / math.sqrt(shape.width))
        nn.init.zeros_(self.table[:, shape.width:])
        self.hidden = nn.Linear(shape.pooled, shape.inner) if shape.inner else None
        self.head = nn.Linear(shape.inner or shape.pooled, shape.n_labels)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        rows, real = ngram_rows(ids, self.shape), ngram_mask(mask, self.shape).to(self.table.dtype)
        if self.training and self.shape.lose:
            real = real * (torch.rand_like(real) >= self.shape.lose)
        if self.shape.heads:
            pooled = self._weighted(functional.embedding(rows, self.table), real)
        else:
            weights = real / real.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
            pooled = functional.embedding_bag(rows, self.table, mode="sum", per_sample_weights=weights)
        pooled = self.dropout(pooled)
        if self.hidden is not None:
            pooled = functional.relu(self.hidden(pooled))
        return self.head(pooled)

    def _weighted(self, found: Tensor, real: Tensor) -> Tensor:
        """One weighted mean per head, so that a few telling n-grams (an instruction) can outvote many (its text)."""
        gates = found[:, :, self.shape.width:] + (real.unsqueeze(2) - 1) * 1e9
        return torch.einsum("bnh,bnc->bhc", gates.softmax(dim=1), found).flatten(1)

    def parameter_groups(self, rate: float, head_rate: float) -> list[dict[str, object]]:
        dense = [parameter for name, parameter in self.named_parameters() if name != "table"]
        return [{"params": [self.table], "lr": rate, "weight_decay": 0.0},
                {"params": dense, "lr": head_rate, "weight_decay": 0.0}]

    def to_onnx(self, int8: bool) -> onnx.ModelProto:
        shape = self.shape
        graph = Graph(f"hashed bag of 1 to {shape.longest}-grams")
        ids, mask = text_inputs(graph)
        last = np.iinfo(np.int64).max
        prime, multiplier = (graph.constant(np.array(number, np.int64)) for number in (PRIME, MULTIPLIER))
        buckets, offset = (graph.constant(np.array(number, np.int64)) for number in (shape.buckets, shape.tokens))
        rows, masks, rolled = [ids], [mask], ids
        for n in range(2, shape.longest + 1):
            shifted = graph.op("Mul", graph.slice(rolled, 0, -1, axis=1), multiplier)
            rolled = graph.op("Mod", graph.op("Add", shifted, graph.slice(ids, n - 1, last, axis=1)), prime)
            rows.append(graph.op("Add", graph.op("Mod", rolled, buckets), offset))
            masks.append(graph.slice(mask, n - 1, last, axis=1))
        all_rows = graph.op("Concat", *rows, axis=1)
        real = graph.op("Cast", graph.op("Concat", *masks, axis=1), to=TensorProto.FLOAT)

        table = self.table.detach().float().cpu().numpy()
        # One scale per column costs nothing at run time: it moves behind the pooling, into the next weights.
        scale = np.maximum(np.abs(table).max(axis=0), 1e-12) / TABLE_LIMIT if int8 else np.ones(table.shape[1])
        stored = np.rint(table / scale).astype(np.int8) if int8 else table
        found = graph.op("Gather", graph.constant(stored, "table"), all_rows)
        found = graph.op("Cast", found, to=TensorProto.FLOAT) if int8 else found
        if shape.heads:
            pooled = self._weighted_onnx(graph, found, real, scale[shape.width:])
        else:
            count = graph.op("Max", graph.op("ReduceSum", real, graph.ints(1), keepdims=1), graph.number(1.0))
            weights = graph.op("Unsqueeze", graph.op("Div", real, graph.op("Sqrt", count)), graph.ints(1))
            pooled = graph.op("Squeeze", graph.op("MatMul", weights, found), graph.ints(1))
        return graph.finish(self._dense_onnx(graph, pooled, np.tile(scale, max(1, shape.heads))), shape.n_labels)

    def _weighted_onnx(self, graph: Graph, found: str, real: str, gate_scale: np.ndarray) -> str:
        shape = self.shape
        gates = graph.op("Mul", graph.slice(found, shape.width, shape.columns, axis=2),
                         graph.constant(gate_scale.astype(np.float32), "scale"))
        hide = graph.op("Mul", graph.op("Sub", real, graph.number(1.0)), graph.number(1e9))
        gates = graph.op("Add", graph.op("Transpose", gates, perm=[0, 2, 1]), graph.op("Unsqueeze", hide, graph.ints(1)))
        pooled = graph.op("MatMul", graph.op("Softmax", gates, axis=-1), found)
        return graph.op("Reshape", pooled, graph.ints(0, shape.pooled))

    def _dense_onnx(self, graph: Graph, pooled: str, scale: np.ndarray) -> str:
        """The dense layers stay fp32: they are small, and integer arithmetic would gain nothing on one row."""
        layers = [layer for layer in (self.hidden, self.head) if layer is not None]
        for i, layer in enumerate(layers):
            weight = layer.weight.detach().cpu().numpy() * (scale if i == 0 else 1.0)
            pooled = graph.linear(pooled, weight, layer.bias.detach().cpu().numpy(), int8=False)
            if i + 1 < len(layers):
                pooled = graph.op("Relu", pooled)
        return pooled
