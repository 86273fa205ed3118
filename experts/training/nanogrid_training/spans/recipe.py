"""A recipe for experts that find spans: from sets that `train.toml` describes.

    [[data]]
    name = "ner/btc"
    entities = { PER = "person", ORG = "organisation|group", MISC = "O|group" }  # `a|b`: one of them, and the set does
                                     # not say which; `O`: it may be none
    outside = ["product", "misc"]    # entities that the set leaves unmarked
    label = "intent"                 # the column of the whole text's label, for experts that have one
    repeats = 2                      # how often each row is seen in an epoch
    unmarked = true                  # texts whose entities nobody marked: the student learns what the teacher says of them

Entities that are not renamed keep their names.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..recipe import ODD_TEXTS
from ..settings import Settings, Source
from .loss import Tagged
from .package import TagPackage
from .rows import Span, Spanned, spanned
from .tagger import Tagger, TaggerShape, cased_tokenizer, n_pieces_of
from .words import begins, words_of, worn

GOLDEN_ROWS = 30
OUTSIDE = "O"


class Spans:
    def __init__(self, settings: Settings, data: Path) -> None:
        self.settings, self.data = settings, data
        self.read = {source.name: list(self.rows_of(source, "train")) for source in settings.sources if source.train}
        found = {name for source in settings.sources if source.train and not source.unmarked for row in self.read[source.name]
                 for span in row.spans for name in self._names(source, span)}
        found |= {name for source in settings.sources for name in source.outside}
        self.entities = sorted(found - {OUTSIDE})
        self.labels = [OUTSIDE, *(f"{part}-{entity}" for entity in self.entities for part in "BI")]
        self.texts = sorted({row.label for rows in self.read.values() for row in rows if row.label is not None})
        self._sets: dict[frozenset[int], int] = {}

    def rows_of(self, source: Source, part: str) -> Iterable[Spanned]:
        rows = list(spanned(self.data, source.name, part, source.where, source.label, source.text))
        if source.rows is not None and part == "train":
            rows = random.Random(self.settings.seed).sample(rows, source.rows)
        return rows

    def _names(self, source: Source, span: Span) -> list[str]:
        return source.entities.get(span.entity, span.entity).split("|")

    def rows(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.read.items()}

    def varied(self, rng: random.Random, source: Source, row: Spanned) -> Spanned:
        """What a row becomes when it is repeated: itself, unless an expert knows better."""
        return row

    def tokenizer(self, n_pieces: int | None = None) -> Tokenizer:
        """`n_pieces` is the teacher's number; its pieces include those of every student."""
        return cased_tokenizer((row.text for rows in self.read.values() for row in rows),
                               n_pieces or self.settings.model["pieces"])

    def model(self, tokenizer: Tokenizer, **teacher: int) -> Tagger:
        """Of the student's shape, or with what is said of a teacher's."""
        model = {**(teacher or self.settings.model), "pieces": n_pieces_of(tokenizer)}
        tagger = Tagger(TaggerShape(max_tokens=self.settings.max_tokens, n_labels=len(self.labels),
                                    n_texts=len(self.texts), spellings=tokenizer.get_vocab_size(), **model))
        tagger.read(tokenizer)
        return tagger

    @cached_property
    def _words(self) -> Tokenizer:
        """Tells words apart as every tokenizer of this kind does."""
        return cased_tokenizer((), 1000)

    def places(self, text: str) -> list[tuple[int, int]]:
        return words_of(self._words.encode(text))[1]

    def _set(self, tags: Iterable[int]) -> int:
        return self._sets.setdefault(frozenset(tags), len(self._sets))

    @property
    def sets(self) -> list[frozenset[int]]:
        """Complete once `labelled` and `unlabelled` were called."""
        return list(self._sets)

    def _tag(self, part: str, entity: str) -> int:
        return 0 if entity == OUTSIDE else 1 + 2 * self.entities.index(entity) + "BI".index(part)

    def _tagged(self, source: Source, row: Spanned) -> Tagged:
        unmarked = [self._tag(part, entity) for entity in source.outside for part in "BI"]
        outside = self._set([0, *unmarked])
        tags = []
        for of_word in begins(self.places(row.text), row.spans):
            names = self._names(source, of_word[0]) if of_word else []
            part = "B" if of_word and of_word[1] else "I"
            tags.append(self._set(self._tag(part, name) for name in names) if names else outside)
        return Tagged(row.text, tuple(tags), None if row.label is None else self.texts.index(row.label))

    def labelled(self) -> list[Tagged]:
        return self._labelled

    @cached_property
    def unlabelled(self) -> list[Tagged]:
        """Texts that only a teacher labels: any tag may be right."""
        anything = self._set(range(len(self.labels)))
        texts = [row.text for source in self.settings.sources if source.unmarked for row in self.read[source.name]]
        return [Tagged(text, (anything,) * n) for text in texts if (n := len(self.places(text)))]

    @cached_property
    def _labelled(self) -> list[Tagged]:
        rng = random.Random(self.settings.seed)
        found = []
        for source in self.settings.sources:
            for row in () if source.unmarked else self.read.get(source.name, ()):
                found.append(self._tagged(source, row))
                found += [self._tagged(source, self.varied(rng, source, row)) for _ in range(source.repeats - 1)]
        return [tagged for tagged in found if tagged.tags]

    def epoch(self, rng: random.Random) -> list[Tagged]:
        return self._worn(self.labelled(), rng)

    def lessons(self, rng: random.Random) -> list[Tagged]:
        """An epoch of a student: as many texts that only the teacher knows as others, at most."""
        chosen = rng.sample(self.unlabelled, min(len(self.unlabelled), len(self.labelled())))
        return self._worn([*self.labelled(), *chosen], rng)

    def _worn(self, examples: list[Tagged], rng: random.Random) -> list[Tagged]:
        return [Tagged(worn(tagged.text, self.places(tagged.text), rng), tagged.tags, tagged.label, tagged.text)
                for tagged in examples]

    def dev(self) -> dict[str, list[Spanned]]:
        return self._dev

    @cached_property
    def _dev(self) -> dict[str, list[Spanned]]:
        """With the expert's own names; of a doubtful one the first."""
        found = {}
        for source in self.settings.sources:
            if source.dev:
                found[f"{source.name}/dev"] = [
                    Spanned(row.text, tuple(Span(name, span.start, span.end) for span in row.spans
                                            if (name := self._names(source, span)[0]) != OUTSIDE), row.label)
                    for row in self.rows_of(source, "dev")]
        return found

    def dev_of_kind(self) -> dict[str, list[Spanned]]:
        """Those of the sets that were learnt from; others are checks only, and nothing is fitted on them."""
        return {f"{source.name}/dev": self._dev[f"{source.name}/dev"]
                for source in self.settings.sources if source.dev and source.train}

    def golden_texts(self) -> list[str]:
        """Dev rows in which every entity has its turn, and those of `train.toml`."""
        seen: dict[str, list[str]] = {}
        for rows in self.dev_of_kind().values():
            for row in rows:
                for kind in sorted({span.entity for span in row.spans}) or [OUTSIDE]:
                    seen.setdefault(kind, []).append(row.text)
        turns = [seen[kind][i] for i in range(GOLDEN_ROWS) for kind in sorted(seen) if i < len(seen[kind])]
        return [*list(dict.fromkeys(turns))[:GOLDEN_ROWS], *self.settings.golden, *ODD_TEXTS]

    def extra(self, package: TagPackage, manifest: dict[str, Any]) -> str:
        """A paragraph of the card that only this expert has."""
        return ""
