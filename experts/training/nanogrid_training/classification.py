"""A recipe for what needs no code of its own: texts with labels, from sets that `train.toml` describes.

    [[data]]
    name = "safety/vicomtech_hate"
    label = "label"                  # the column; a set without one is read by the teacher only
    rename = { noHate = "neither" }  # labels that are called otherwise here
    where = { lang = "en" }          # only rows that have these values
    repeats = 3                      # how often each row is seen in an epoch
    calibrate = false                # hard cases: measured on, and no score is fitted on them
"""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from . import prune
from .bag import Bag, BagShape, piece_tokenizer
from .encoder import Encoder, EncoderShape, pruned_tokenizer
from .noise import worn
from .recipe import Model, Recipe
from .rows import Example, read
from .settings import Settings, Source

GOLDEN_ROWS = 30
BAG_ALPHABET = 100


class Classification(Recipe):
    def __init__(self, settings: Settings, data: Path) -> None:
        super().__init__(settings, data)
        self._read = {source.name: self._pairs(source, "train") for source in settings.sources if source.train}
        found = {label for pairs in self._read.values() for _, labels in pairs for label in labels or ()}
        self.labels = sorted(found)
        self._index = {label: i for i, label in enumerate(self.labels)}

    def _pairs(self, source: Source, part: str) -> list[tuple[str, list[str] | None]]:
        """Texts with the names of their labels, none of them for a text that is out of scope."""
        outside = self.settings.out_of_scope["label"] if self.settings.out_of_scope else None
        several = self.settings.activation == "sigmoid"
        pairs = []
        for row in read(self.settings.home if source.own else self.data, source.name, part):
            if any(row[column] != value for column, value in source.where.items()):
                continue
            written = source.always or (row[source.label] if source.label else None)
            if written is None:
                pairs.append((row[source.text], None))
                continue
            labels = [source.rename.get(label, label) for label in (written.split(",") if several else [written])]
            pairs.append((row[source.text], [label for label in labels if label != outside]))
        if source.rows is not None and part == "train":
            pairs = random.Random(self.settings.seed).sample(pairs, source.rows)
        return pairs

    def _example(self, text: str, labels: list[str]) -> Example:
        return Example(text, tuple(sorted(self._index[label] for label in labels)))

    def rows(self) -> dict[str, int]:
        return {name: len(pairs) for name, pairs in self._read.items()}

    @cached_property
    def _labelled(self) -> list[Example]:
        return [self._example(text, labels) for source in self.settings.sources
                for text, labels in self._read.get(source.name, []) * source.repeats if labels is not None]

    def labelled(self) -> list[Example]:
        return self._labelled

    def unlabelled(self) -> list[str]:
        return [text for pairs in self._read.values() for text, labels in pairs if labels is None]

    @property
    def _is_bag(self) -> bool:
        return "buckets" in self.settings.model

    def tokenizer(self, n_pieces: int | None = None) -> Tokenizer:
        """`n_pieces` is the teacher's number; its pieces include those of every student."""
        texts = [example.text for example in self._labelled]
        if self._is_bag and n_pieces is None:
            return piece_tokenizer(texts, self.settings.model["pieces"], BAG_ALPHABET)
        return pruned_tokenizer(texts, n_pieces or self.settings.model["pieces"])

    def model(self, tokenizer: Tokenizer) -> Model:
        model = dict(self.settings.model)
        if self._is_bag:
            model["tokens"] = tokenizer.get_vocab_size()
            del model["pieces"]
            return Bag(BagShape(n_labels=len(self.labels), **model))
        shape = EncoderShape(max_tokens=self.settings.max_tokens, n_labels=len(self.labels), **model)
        if self.settings.teacher:
            return Encoder(shape)  # which is cut out of the teacher
        texts = [example.text for example in self._labelled]
        random.Random(self.settings.seed).shuffle(texts)
        return prune.cut_from_base(shape, tokenizer, texts)

    def epoch(self, rng: random.Random) -> list[Example]:
        return [Example(worn(example.text, rng), example.labels, example.text) for example in self._labelled]

    def dev(self) -> dict[str, list[Example]]:
        return self._dev

    @cached_property
    def _dev(self) -> dict[str, list[Example]]:
        return {f"{source.name}/dev": [self._example(text, labels) for text, labels in self._pairs(source, "dev")]
                for source in self.settings.sources if source.dev and (source.label or source.always)}

    def golden_texts(self) -> list[str]:
        """Dev rows that take turns between the labels, and those of `train.toml`."""
        by_labels: dict[tuple[int, ...], list[str]] = {}
        for examples in self.dev().values():
            for example in examples:
                by_labels.setdefault(example.labels, []).append(example.text)
        # With more labels than cases, every so manyth label has one.
        kinds = sorted(by_labels)[:: max(1, len(by_labels) // GOLDEN_ROWS)]
        turns = [by_labels[kind][i] for i in range(GOLDEN_ROWS) for kind in kinds if i < len(by_labels[kind])]
        return [*turns[:GOLDEN_ROWS], *self.settings.golden]
