"""The entities expert: tweets are read as WNUT-17 has them, and rows come back with other names in them.

Names are endless, and the hand-annotated sets are small. So a row that is repeated gets names of its kinds from all sets:
what tells a person from a place should be the sentence and the look of a name, not having seen it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cached_property

from nanogrid_training.settings import Source
from nanogrid_training.spans.recipe import Spans
from nanogrid_training.spans.rows import Span, Spanned

TWEETS = "ner/btc"
SILVER = "ner/wikiann_en_de_fr_nl"
SWAPPED = 0.5  # of the names of a repeated row


class Training(Spans):
    def rows_of(self, source: Source, part: str) -> Iterable[Spanned]:
        rows = super().rows_of(source, part)
        return map(_with_mentions, rows) if source.name == TWEETS else rows

    @cached_property
    def _names_of(self) -> dict[str, list[str]]:
        """Names by kind; those of silver labels are left out where they are doubtful."""
        found: dict[str, set[str]] = {}
        for source in self.settings.sources:
            for row in self.read.get(source.name, []):
                for span in row.spans:
                    kinds = self._names(source, span)
                    text = row.text[span.start:span.end]
                    if len(kinds) == 1 and (source.name != SILVER or len(text.split()) > 1):
                        found.setdefault(kinds[0], set()).add(text)
        return {kind: sorted(names) for kind, names in found.items()}

    def varied(self, rng: random.Random, source: Source, row: Spanned) -> Spanned:
        parts, spans, at, length = [], [], 0, 0
        for span in row.spans:
            name = row.text[span.start:span.end]
            kinds = self._names(source, span)
            if rng.random() < SWAPPED:
                name = _in_the_case_of(name, rng.choice(self._names_of[kinds[0]]))
            before = row.text[at:span.start]
            parts += [before, name]
            start = length + len(before)
            length = start + len(name)
            spans.append(Span(span.entity, start, length))
            at = span.end
        return Spanned("".join([*parts, row.text[at:]]), tuple(spans), row.label)


def _in_the_case_of(old: str, new: str) -> str:
    return new.lower() if old.islower() else new.upper() if old.isupper() and len(old) > 4 else new


def _with_mentions(row: Spanned) -> Spanned:
    """`@ name`, which the set marks as an entity in two parts, is one word as it was typed, and none."""
    text, spans = row.text, list(row.spans)
    while (at := text.find("@ ")) >= 0:
        text = text[:at + 1] + text[at + 2:]
        spans = [Span(span.entity, span.start - (span.start > at), span.end - (span.end > at + 1))
                 for span in spans if span.end <= at or span.start > at + 2]
    return Spanned(text, tuple(spans), row.label)
