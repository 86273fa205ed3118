"""How far a tagger is from the truth, or from its teacher.

Data sets do not name the same things: tweets marked with persons, places and organisations still hold products, unmarked.
So what is known of a word is a set of tags, one of which is right; its loss is that of the set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from .words import words_of

FORBIDDEN = -1e4


@dataclass(frozen=True)
class Tagged:
    """A text, for each of its words the number of the set of tags that one of is right, and the label of the text."""

    text: str
    tags: tuple[int, ...]
    label: int | None = None
    clean: str | None = None  # the text before noise was added

    @property
    def origin(self) -> str:
        return self.text if self.clean is None else self.clean


@dataclass(frozen=True)
class Says:
    """What a teacher says of a text: logits per word, and of the whole text."""

    tags: np.ndarray
    whole: np.ndarray


class Tags:
    """Towards the labels."""

    def __init__(self, tokenizer: Tokenizer, sets: list[frozenset[int]], n_tags: int, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.allowed = torch.full((len(sets), n_tags), FORBIDDEN)
        for i, tags in enumerate(sets):
            self.allowed[i, sorted(tags)] = 0.0

    def of_words(self, logits: Tensor, examples: list[Tagged], most: list[int]) -> tuple[Tensor, list[int]]:
        """The logits at the first piece of every word, and how many words of each text those are, of at most so many."""
        rows, positions, counts = [], [], []
        self.tokenizer.enable_truncation(self.max_tokens)
        for row, encoding in enumerate(self.tokenizer.encode_batch([example.text for example in examples])):
            firsts, _ = words_of(encoding)
            firsts = firsts[: most[row]]
            rows += [row] * len(firsts)
            positions += firsts
            counts.append(len(firsts))
        self.tokenizer.no_truncation()
        return logits[torch.tensor(rows), torch.tensor(positions)].float(), counts

    def towards(self, words: Tensor, counts: list[int], examples: list[Tagged]) -> Tensor:
        """One loss per word."""
        sets = torch.tensor([tag for example, n in zip(examples, counts, strict=True) for tag in example.tags[:n]])
        return -(words.log_softmax(dim=1) + self.allowed[sets].to(words.device)).logsumexp(dim=1)

    @staticmethod
    def of_texts(whole: Tensor, examples: list[Tagged]) -> Tensor:
        """The sum over the texts whose label is known, times the length of a usual sentence: both heads count alike."""
        known = [i for i, example in enumerate(examples) if example.label is not None]
        if not known:
            return whole.sum() * 0.0
        labels = torch.tensor([examples[i].label for i in known], device=whole.device)
        return 3.0 * functional.cross_entropy(whole[known].float(), labels, reduction="sum")

    def __call__(self, logits: tuple[Tensor, Tensor], examples: list[Tagged]) -> Tensor:
        words, counts = self.of_words(logits[0], examples, [len(example.tags) for example in examples])
        losses = self.towards(words, counts, examples)
        return (losses.sum() + self.of_texts(logits[1], examples)) / max(1, len(losses))


class Distilled:
    """Partly towards what the teacher says of the clean text, partly towards the labels."""

    def __init__(self, tags: Tags, says: dict[str, Says], temperature: float, share: float) -> None:
        self.tags, self.says, self.temperature, self.share = tags, says, temperature, share

    def __call__(self, logits: tuple[Tensor, Tensor], examples: list[Tagged]) -> Tensor:
        said = [self.says[example.origin] for example in examples]
        # A text near the limit may show one of the two a word more than the other.
        words, counts = self.tags.of_words(logits[0], examples, [len(one.tags) for one in said])
        taught = torch.from_numpy(np.concatenate([one.tags[:n] for one, n in zip(said, counts, strict=True)])).to(words)
        whole = torch.from_numpy(np.stack([one.whole for one in said])).to(words)
        known = self.tags.towards(words, counts, examples).sum() + self.tags.of_texts(logits[1], examples)
        heads = self._soft(words, taught).sum()
        if any(example.label is not None for example in examples):
            heads = heads + 3.0 * self._soft(logits[1].float(), whole).sum()
        return (self.share * heads + (1 - self.share) * known) / max(1, len(words))

    def _soft(self, logits: Tensor, taught: Tensor) -> Tensor:
        soft = (taught / self.temperature).softmax(dim=1)
        return functional.cross_entropy(logits / self.temperature, soft, reduction="none") * self.temperature**2
