"""The sentiment expert: of long reviews it reads a part, and its teacher reads their sentences one by one as well."""

from __future__ import annotations

import random
import re

from nanogrid_training.classification import Classification
from nanogrid_training.settings import Source

REVIEWS = "sentiment/imdb"
SHORT, LONG = (10, 60), (120, 180)  # words of a part
SENTENCES = 60_000
SENTENCE = (4, 40)  # words


class Training(Classification):
    def _pairs(self, source: Source, part: str) -> list[tuple[str, list[str] | None]]:
        pairs = super()._pairs(source, part)
        if source.name != REVIEWS or part != "train":
            return pairs
        rng = random.Random(self.settings.seed)
        self._reviews = [_sentences(text) for text, _ in pairs]
        return [(_part_of(sentences, rng.randint(*rng.choice((SHORT, LONG))), rng), labels)
                for sentences, (_, labels) in zip(self._reviews, pairs, strict=True)]

    def unlabelled(self) -> list[str]:
        """A review's label says little about each of its sentences; a teacher that knows phrases and reviews says more."""
        few, many = SENTENCE
        found = sorted({sentence for review in self._reviews for sentence in review if few <= len(sentence.split()) <= many})
        return random.Random(self.settings.seed).sample(found, SENTENCES)


def _sentences(review: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", review)


def _part_of(sentences: list[str], longest: int, rng: random.Random) -> str:
    """A few sentences of a review, every third time its last ones: that is where the verdict mostly stands."""
    at_end = rng.random() < 0.33
    picked: list[str] = []
    for sentence in reversed(sentences) if at_end else sentences[rng.randrange(len(sentences)):]:
        if picked and sum(len(part.split()) for part in [*picked, sentence]) > longest:
            break
        picked.append(sentence)
    words = " ".join(reversed(picked) if at_end else picked).split()
    return " ".join(words[-longest:] if at_end else words[:longest])
