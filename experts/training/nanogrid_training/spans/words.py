"""Words: what is tagged. A word's tag is what the model says at its first piece, as BERT's authors had it.

Which words a text has does not depend on the word pieces that a tokenizer keeps, so a teacher and its students agree on
them, and so does the same text with typing noise inside of its words.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from tokenizers import Encoding

from ..noise import INVISIBLE, scrambled
from .rows import Span

LETTERS = frozenset(string.ascii_letters)


def words_of(encoding: Encoding) -> tuple[list[int], list[tuple[int, int]]]:
    """For every word, the position of its first piece and the characters that it covers."""
    firsts: list[int] = []
    places: list[tuple[int, int]] = []
    before = None
    for position, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        if word is None:
            continue
        if word == before:
            places[-1] = (min(places[-1][0], start), max(places[-1][1], end))
        else:
            firsts.append(position)
            places.append((start, end))
        before = word
    return firsts, places


def begins(places: list[tuple[int, int]], spans: tuple[Span, ...]) -> list[tuple[Span, bool] | None]:
    """For every word, the span that it is part of, and whether it is its first word."""
    of_word: list[tuple[Span, bool] | None] = [None] * len(places)
    for span in spans:
        inside = [i for i, (start, end) in enumerate(places) if start < span.end and end > span.start]
        for i in inside:
            of_word[i] = (span, i == inside[0])
    return of_word


def worn(text: str, places: list[tuple[int, int]], rng: random.Random) -> str:
    """The text with typing noise that changes no word's neighbours, or in another case; mostly the text itself."""
    draw = rng.random()
    if draw < 0.65:
        return text
    if draw < 0.75:
        return _each(text, places, str.lower)
    if draw < 0.80:
        return _each(text, places, rng.choice([str.upper, str.title]))
    share = rng.uniform(0.02, 0.14)
    return _each(text, places, lambda word: scrambled(word, share, rng))


def _each(text: str, places: list[tuple[int, int]], change: Callable[[str], str]) -> str:
    """Changes words of ASCII letters only: whatever becomes of one of them, it is still one word."""
    parts, at = [], 0
    for start, end in places:
        word = text[start:end]
        if start < at or not LETTERS.issuperset(word):
            continue
        parts += [text[at:start], change(word) or word]
        at = end
    return "".join([*parts, text[at:]])


def worn_apart(text: str, spans: tuple[Span, ...], wear: Callable[[str], str]) -> tuple[str, tuple[Span, ...]]:
    """Wears every word between blanks or the ends of a span by itself, and says where the spans have moved to.

    What nobody sees at the end of a span is not part of it: no answer could tell whether it is.
    """
    cuts = {0, len(text), *(at for span in spans for at in (span.start, span.end))}
    cuts |= {i + side for i, letter in enumerate(text) if letter.isspace() for side in (0, 1)}
    ends = sorted(cuts)
    moved = {0: 0}
    parts: list[str] = []
    length = 0
    for start, end in zip(ends, ends[1:], strict=False):
        part = text[start:end]
        part = part if part.isspace() else wear(part) or part
        parts.append(part)
        length += len(part)
        moved[end] = length
    whole = "".join(parts)
    ends_at = {span: moved[span.start] + len(whole[moved[span.start]: moved[span.end]].rstrip(INVISIBLE)) for span in spans}
    return whole, tuple(Span(span.entity, moved[span.start], ends_at[span]) for span in spans)
