"""Makes error examples of a card printable: an expert for insults should not have its page read like one."""

from __future__ import annotations

import re
from collections import Counter

from .rows import Example

WORD = re.compile(r"\w+", re.UNICODE)
LEAST = 4  # occurrences, below which a word tells nothing
SHARE = 0.85  # of a word's texts that have one of the labels


def telling_words(examples: list[Example], labels: set[int]) -> set[str]:
    """Words that mostly occur in texts of `labels`."""
    everywhere: Counter[str] = Counter()
    among: Counter[str] = Counter()
    for example in examples:
        words = set(WORD.findall(example.text.lower()))
        everywhere.update(words)
        if labels & set(example.labels or ()):
            among.update(words)
    return {word for word, count in among.items() if count >= LEAST and count >= SHARE * everywhere[word]}


def masked(text: str, words: set[str]) -> str:
    """Of those words only the first letter is left."""
    def mask(found: re.Match[str]) -> str:
        word = found[0]
        # An ellipsis, for asterisks mean emphasis in a card.
        return word[0] + "\u2026" if word.lower() in words and not word.isdigit() else word

    return WORD.sub(mask, text)
