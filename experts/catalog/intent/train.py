"""The intent expert: CLINC150's 150 intents, and texts that belong to none of them.

There is no `oos` class: what lies outside has no shape of its own. Out-of-scope texts are trained towards equal
scores for all intents, and a threshold on the best score, chosen on dev, does the rest.
"""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from nanogrid_training.encoder import Encoder, EncoderShape, pruned_tokenizer
from nanogrid_training.noise import noisy
from nanogrid_training.recipe import Recipe
from nanogrid_training.rows import Example, read
from nanogrid_training.settings import Settings

OUT_OF_SCOPE_REPEATS = 3
OTHER_TEXTS_PER_EPOCH = 600


class Training(Recipe):
    def __init__(self, settings: Settings, data: Path) -> None:
        super().__init__(settings, data)
        rows = list(read(data, "intent/clinc150", "train"))
        self.labels = sorted({row["intent"] for row in rows} - {"oos"})
        index = {label: i for i, label in enumerate(self.labels)}
        self._index = index
        self._requests = [Example(row["text"], (index[row["intent"]],)) for row in rows if row["intent"] != "oos"]
        self._outside = [row["text"] for row in rows if row["intent"] == "oos"]

    @cached_property
    def _tasks(self) -> list[str]:
        """Tasks for a language model, none of which this assistant has."""
        return [row["text"] for row in read(self.data, "router/human_instructions", "train")]

    @cached_property
    def _plain(self) -> list[str]:
        """Sentences that ask for nothing. Short ones are left out, for they may be small talk or a `yes`."""
        return [row["text"] for row in read(self.data, "langid/tatoeba", "train")
                if row["lang"] == "en" and len(row["text"].split()) >= 7]

    def rows(self) -> dict[str, int]:
        return {"intent/clinc150": len(self._requests) + len(self._outside),
                "router/human_instructions": len(self._tasks), "langid/tatoeba": len(self._plain)}

    def tokenizer(self) -> Tokenizer:
        texts = [example.text for example in self._requests] + self._outside
        return pruned_tokenizer(texts, self.settings.model["pieces"])

    def model(self, tokenizer: Tokenizer) -> Encoder:
        model = Encoder(EncoderShape(max_tokens=self.settings.max_tokens, n_labels=len(self.labels),
                                     **self.settings.model))
        model.load_base(tokenizer)
        return model

    def epoch(self, rng: random.Random) -> list[Example]:
        examples = [Example(noisy(example.text, rng), example.labels) for example in self._requests]
        examples += [Example(noisy(text, rng), ()) for text in self._outside * OUT_OF_SCOPE_REPEATS]
        other = rng.sample(self._tasks + self._plain, OTHER_TEXTS_PER_EPOCH)
        return examples + [Example(noisy(text, rng), ()) for text in other]

    def dev(self) -> dict[str, list[Example]]:
        rows = read(self.data, "intent/clinc150", "dev")
        return {"intent/clinc150/dev": [
            Example(row["text"], (self._index[row["intent"]],) if row["intent"] != "oos" else ()) for row in rows]}

    def golden_texts(self) -> list[str]:
        # Every eighth intent by its first dev request, then a few out of scope, then what users are known to type.
        first: dict[tuple[int, ...], str] = {}
        outside = []
        for example in self.dev()["intent/clinc150/dev"]:
            first.setdefault(example.labels, example.text)
            outside += [example.text] if not example.labels else []
        return [*(text for labels, text in sorted(first.items()) if labels and labels[0] % 8 == 0), *outside[:6],
                "i need to move 200 dollars from savings to checking", "whats my ballance", "SET AN ALARM FOR 7AM",
                "how do you say thank you in spanish", "book me a flight to paris next friday"]
