"""The sentiment expert: negative or positive, from review sentences, phrases, and windows of long reviews."""

from __future__ import annotations

import random
import re
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from nanogrid_training.encoder import Encoder, EncoderShape, pruned_tokenizer
from nanogrid_training.noise import noisy
from nanogrid_training.recipe import Recipe
from nanogrid_training.rows import Example, read
from nanogrid_training.settings import Settings

SETS = ("cr", "uci_sentences", "imdb", "sst2")
PHRASES_PER_EPOCH = 14_000
WINDOWS_PER_EPOCH = 5_000
LONG_WINDOWS_PER_EPOCH = 1_000
VOCABULARY_REVIEWS = 8_000


class Training(Recipe):
    labels = ["negative", "positive"]

    def __init__(self, settings: Settings, data: Path) -> None:
        super().__init__(settings, data)
        self._rows = {name: [Example(row["text"], (int(row["label"]),))
                             for row in read(data, f"sentiment/{name}", "train")] for name in SETS}

    def rows(self) -> dict[str, int]:
        return {f"sentiment/{name}": len(rows) for name, rows in self._rows.items()}

    def tokenizer(self) -> Tokenizer:
        rng = random.Random(self.settings.seed)
        texts = [example.text for name in ("cr", "uci_sentences", "sst2") for example in self._rows[name]]
        reviews = rng.sample(self._rows["imdb"], VOCABULARY_REVIEWS)
        return pruned_tokenizer(texts + [example.text for example in reviews], self.settings.model["pieces"])

    def model(self, tokenizer: Tokenizer) -> Encoder:
        model = Encoder(EncoderShape(max_tokens=self.settings.max_tokens, n_labels=len(self.labels),
                                     **self.settings.model))
        model.load_base(tokenizer)
        return model

    @staticmethod
    def _window(example: Example, longest: int, rng: random.Random) -> Example:
        """A few sentences of a review, every third time its last ones: that is where the verdict mostly stands."""
        sentences = re.split(r"(?<=[.!?])\s+", example.text)
        first = rng.randrange(len(sentences))
        picked: list[str] = []
        for sentence in reversed(sentences) if rng.random() < 0.33 else sentences[first:]:
            if picked and sum(len(part.split()) for part in [*picked, sentence]) > longest:
                break
            picked.append(sentence)
        text = " ".join(picked if picked[0] == sentences[first] else reversed(picked))
        return Example(" ".join(text.split()[:longest]), example.labels)

    def epoch(self, rng: random.Random) -> list[Example]:
        reviews = self._rows["imdb"]
        examples = [*self._rows["cr"], *self._rows["uci_sentences"], *rng.sample(self._rows["sst2"], PHRASES_PER_EPOCH)]
        examples += [self._window(review, rng.randint(10, 60), rng) for review in rng.sample(reviews, WINDOWS_PER_EPOCH)]
        examples += [self._window(review, 180, rng) for review in rng.sample(reviews, LONG_WINDOWS_PER_EPOCH)]
        return [Example(noisy(example.text, rng), example.labels) for example in examples]

    def dev(self) -> dict[str, list[Example]]:
        return self._dev

    @cached_property
    def _dev(self) -> dict[str, list[Example]]:
        return {f"sentiment/{name}/dev": [Example(row["text"], (int(row["label"]),))
                                          for row in read(self.data, f"sentiment/{name}", "dev")] for name in SETS}

    def golden_texts(self) -> list[str]:
        texts = [example.text for name, examples in self.dev().items()
                 for example in examples[: 4 if "imdb" in name else 8]]
        return [*texts, "the battery dies after an hour and the screen is awful, waste of money",
                "I LOVED it!!!", "not bad at all", "not good", "Worst. Purchase. Ever. 😡"]
