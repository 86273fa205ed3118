"""The language expert: sentences in 75 languages, and the words and word pairs cut from them.

Every language gets the same number of texts per epoch, whatever the data sets hold, for a server's users do not come
in the proportions of a corpus. Half of the texts are words and pairs: these are what language identification is bad at.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer, normalizers

from nanogrid_training.bag import Bag, BagShape, character_tokenizer, letters_only
from nanogrid_training.noise import typo
from nanogrid_training.recipe import Recipe
from nanogrid_training.rows import Example, read
from nanogrid_training.settings import Settings

SETS = ("langid/web75", "langid/tatoeba", "langid/commonvoice_more", "langid/open_text_more")
NON_COMMERCIAL = "masakhaner2"
TEXTS_PER_LANGUAGE = 6000
# Scripts written without spaces: a "word" is a few letters next to each other.
UNSPACED = {"ja", "zh", "th"}
LEAST_WORD = 4
EMPTY_TEXTS = ("", "?", "123", "...", "🙂", "100 %")


def words_of(text: str, language: str, rng: random.Random) -> list[str]:
    """The words of a text that are long enough to have a language."""
    if language in UNSPACED:
        letters = "".join(letter for letter in text if letter.isalpha() or not letter.isascii())
        start = rng.randrange(max(1, len(letters) - 3))
        return [letters[start: start + rng.randint(2, 5)]]
    words = (word.strip(".,;:!?\"'()[]«»„“”‚‘’—–-¿¡।…*/") for word in text.split())
    least = 2 if language == "ko" else LEAST_WORD
    return [word for word in words if len(word) >= least and word[0].isalpha()]


class Training(Recipe):
    def __init__(self, settings: Settings, data: Path) -> None:
        super().__init__(settings, data)
        self.labels = sorted({row["lang"] for row in read(data, "langid/web75", "dev")})
        self._index = {label: i for i, label in enumerate(self.labels)}

    @cached_property
    def _sets(self) -> dict[str, list[tuple[str, str]]]:
        return {name: [(row["text"], row["lang"]) for row in read(self.data, name, "train")
                       if row["lang"] in self._index and not row.get("source", "").startswith(NON_COMMERCIAL)]
                for name in SETS}

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {label: [] for label in self.labels}
        for rows in self._sets.values():
            for text, language in rows:
                texts[language].append(text)
        return texts

    def rows(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self._sets.items()}

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        """Each language's different words, so that rare ones are seen as often as common ones."""
        rng = random.Random(self.settings.seed)
        return {language: sorted({word for text in texts for word in words_of(text, language, rng)})
                for language, texts in self._texts.items()}

    def tokenizer(self) -> Tokenizer:
        normalise = normalizers.Sequence(letters_only())
        counts: Counter[str] = Counter()
        for texts in self._texts.values():
            counts.update(normalise.normalize_str(" ".join(texts)))
        return character_tokenizer(counts, self.settings.model["least_count"])

    def model(self, tokenizer: Tokenizer) -> Bag:
        model = {key: value for key, value in self.settings.model.items() if key != "least_count"}
        return Bag(BagShape(tokens=tokenizer.get_vocab_size(), n_labels=len(self.labels), **model))

    def _cut(self, language: str, rng: random.Random) -> str:
        """A sentence, a part of one, a word pair or a word."""
        draw = rng.random()
        if draw < 0.25:
            return rng.choice(self._words[language])
        text = rng.choice(self._texts[language])
        if draw < 0.60:
            words = words_of(text, language, rng)
            if draw < 0.42:
                return rng.choice(words or [text])
            start = rng.randrange(max(1, len(words) - 1))
            return " ".join(words[start: start + 2]) or text
        if draw < 0.70:
            start = rng.randrange(max(1, len(text) // 2))
            return text[start: start + 60]
        return text

    def epoch(self, rng: random.Random) -> list[Example]:
        examples = []
        for language, i in self._index.items():
            for _ in range(TEXTS_PER_LANGUAGE):
                text = self._cut(language, rng)
                examples.append(Example(typo(text, rng) if rng.random() < 0.04 else text, (i,)))
            # No letters, no language: given every label in turn, such texts end with even scores.
            examples += [Example(rng.choice(EMPTY_TEXTS), (i,)) for _ in range(10)]
        return examples

    def dev(self) -> dict[str, list[Example]]:
        return self._dev

    @cached_property
    def _dev(self) -> dict[str, list[Example]]:
        """The dev sentences as they are, and one pair and one word cut from each web75 dev sentence."""
        def examples(name: str) -> list[Example]:
            return [Example(row["text"], (self._index[row["lang"]],)) for row in read(self.data, name, "dev")
                    if row["lang"] in self._index and not row.get("source", "").startswith(NON_COMMERCIAL)]

        sentences = examples("langid/web75")
        parts: dict[str, list[Example]] = {"pairs": [], "words": []}
        rng = random.Random(self.settings.seed)
        for example in sentences:
            words = words_of(example.text, self.labels[example.labels[0]], rng)
            if words:
                start = rng.randrange(max(1, len(words) - 1))
                parts["pairs"].append(Example(" ".join(words[start: start + 2]), example.labels))
                parts["words"].append(Example(rng.choice(words), example.labels))
        return {"langid/web75/dev sentences": sentences, "langid/web75/dev word pairs": parts["pairs"],
                "langid/web75/dev words": parts["words"], "langid/tatoeba/dev sentences": examples("langid/tatoeba")}

    def golden_texts(self) -> list[str]:
        first: dict[tuple[int, ...], str] = {}
        for example in self.dev()["langid/web75/dev sentences"]:
            first.setdefault(example.labels, example.text)
        return [*(first[labels] for labels in sorted(first)[::2]), "Das Wetter ist heute wunderbar", "bonjour",
                "ОЧЕНЬ хорошо", "ｆｕｌｌｗｉｄｔｈ ｅｎｇｌｉｓｈ ｔｅｘｔ", "the the the", "l'été", "नमस्ते"]
