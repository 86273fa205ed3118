"""A transformer encoder-decoder (Vaswani et al. 2017), pre-norm, with one table of word pieces for both languages.

The encoder is deep and the decoder shallow (Kasai et al. 2021): the decoder runs once per piece of the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..device import Dropout

HEAD_WIDTH = 64
UNSEEN = -1e9
LONGEST = 256  # pieces that there are positions for
PAD, END, START, UNKNOWN = range(4)
SPECIAL = ("<pad>", "</s>", "<s>", "<unk>")


@dataclass(frozen=True)
class Shape:
    pieces: int
    width: int
    inner: int
    encoder_layers: int
    decoder_layers: int
    dropout: float = 0.1

    @property
    def heads(self) -> int:
        return self.width // HEAD_WIDTH


def sinusoids(width: int) -> Tensor:
    """The positions of the paper, sines before cosines."""
    rates = torch.exp(torch.arange(width // 2) * (-math.log(10_000) / (width // 2 - 1)))
    angles = torch.arange(LONGEST)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Keys and values come apart from the query, so that a decoder can keep them from step to step."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.dropout = Dropout(shape.dropout)
        self.query = nn.Linear(shape.width, shape.width)
        self.key_value = nn.Linear(shape.width, 2 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)

    def split(self, value: Tensor) -> Tensor:
        return value.unflatten(2, (self.heads, HEAD_WIDTH)).transpose(1, 2)

    def keys_values(self, of: Tensor) -> tuple[Tensor, Tensor]:
        key, value = self.key_value(of).chunk(2, dim=-1)
        return self.split(key), self.split(value)

    def forward(self, hidden: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool = False) -> Tensor:
        # Spelled out: for sentences of a dozen pieces the fused kernel takes most of a step on a CPU.
        scores = self.split(self.query(hidden)) @ key.transpose(2, 3) * HEAD_WIDTH**-0.5
        if causal:
            scores = scores + scores.new_full(scores.shape[2:], UNSEEN).triu(1)
        if seen is not None:
            scores = scores.masked_fill(~seen, UNSEEN)
        mixed = self.dropout(scores.float().softmax(dim=-1).type_as(value)) @ value
        return self.out(mixed.transpose(1, 2).flatten(2))


class Inner(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.up = nn.Linear(shape.width, shape.inner)
        self.down = nn.Linear(shape.inner, shape.width)
        self.dropout = Dropout(shape.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down(self.dropout(functional.relu(self.up(hidden))))


class EncoderLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_attention, self.attention = nn.LayerNorm(shape.width), Attention(shape)
        self.norm_inner, self.inner = nn.LayerNorm(shape.width), Inner(shape)
        self.dropout = Dropout(shape.dropout)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        normed = self.norm_attention(hidden)
        hidden = hidden + self.dropout(self.attention(normed, *self.attention.keys_values(normed), seen))
        return hidden + self.dropout(self.inner(self.norm_inner(hidden)))


class DecoderLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_attention, self.attention = nn.LayerNorm(shape.width), Attention(shape)
        self.norm_source, self.source = nn.LayerNorm(shape.width), Attention(shape)
        self.norm_inner, self.inner = nn.LayerNorm(shape.width), Inner(shape)
        self.dropout = Dropout(shape.dropout)

    def forward(self, hidden: Tensor, source: tuple[Tensor, Tensor], seen: Tensor,
                past: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """All positions at once where there is no past, one more position where there is."""
        normed = self.norm_attention(hidden)
        key, value = self.attention.keys_values(normed)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        hidden = hidden + self.dropout(self.attention(normed, key, value, None, causal=past is None))
        hidden = hidden + self.dropout(self.source(self.norm_source(hidden), *source, seen))
        return hidden + self.dropout(self.inner(self.norm_inner(hidden))), (key, value)


class Translator(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.pieces, shape.width)
        nn.init.normal_(self.words.weight, std=shape.width**-0.5)
        self.register_buffer("positions", sinusoids(shape.width), persistent=False)
        self.encoder = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.encoder_norm = nn.LayerNorm(shape.width)
        self.decoder = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.decoder_layers))
        self.decoder_norm = nn.LayerNorm(shape.width)
        self.bias = nn.Parameter(torch.zeros(shape.pieces))
        self.dropout = Dropout(shape.dropout)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and name != "words.weight":
                nn.init.xavier_uniform_(parameter)

    def embedded(self, ids: Tensor, first: int = 0) -> Tensor:
        words = self.words(ids) * self.shape.width**0.5
        return self.dropout(words + self.positions[first: first + ids.shape[1]])

    def encode(self, source: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """For each decoder layer the keys and values of the source, and which of its places hold a piece."""
        seen = (source != PAD)[:, None, None, :]
        hidden = self.embedded(source)
        for layer in self.encoder:
            hidden = layer(hidden, seen)
        hidden = self.encoder_norm(hidden)
        return [layer.source.keys_values(hidden) for layer in self.decoder], seen

    def decode(self, target: Tensor, source: list[tuple[Tensor, Tensor]], seen: Tensor,
               past: list[tuple[Tensor, Tensor]] | None = None) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Logits after every piece of `target`, of which only one is given where there is a past."""
        hidden = self.embedded(target, first=past[0][0].shape[2] if past else 0)
        present = []
        for i, layer in enumerate(self.decoder):
            hidden, kept = layer(hidden, source[i], seen, past[i] if past else None)
            present.append(kept)
        return functional.linear(self.decoder_norm(hidden), self.words.weight, self.bias), present

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, *self.encode(source))[0]
