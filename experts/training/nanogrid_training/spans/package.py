"""A version folder of a tagger as a server sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .. import formats
from ..package import Package, scores_of
from . import decode
from .rows import Span
from .words import words_of

DIGITS = 6


class TagPackage(Package):
    def __init__(self, folder: Path, max_tokens: int, model: str = "model.onnx",
                 by_format: dict[str, str] | None = None) -> None:
        super().__init__(folder, max_tokens, model)
        names = json.loads((folder / "config.json").read_text("utf-8")).get("text_id2label", {})
        self.texts = [names[str(i)] for i in range(len(names))]
        self.by_format = by_format or {}
        self._outputs = ["logits", *(["text_logits"] if self.texts else [])]
        self._known: dict[str, tuple[np.ndarray, list[tuple[int, int]], str, np.ndarray]] = {}

    def words(self, text: str) -> tuple[np.ndarray, list[tuple[int, int]], str, np.ndarray]:
        """The logits of its words, where they are, the text itself, and the logits of the whole; remembered."""
        if text not in self._known:
            encoding = self.tokenizer.encode(text)
            ids = np.array([encoding.ids], np.int64)
            given = self.session.run(self._outputs, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
            firsts, places = words_of(encoding)
            self._known[text] = given[0][0][firsts], places, text, given[1][0] if self.texts else np.zeros(0)
        return self._known[text]

    def spans(self, words: tuple[np.ndarray, list[tuple[int, int]], str, np.ndarray],
              temperature: float) -> list[tuple[Span, float]]:
        logits, places, text, _ = words
        return formats.applied(self.by_format, text, decode.spans(logits, places, self.labels, temperature))

    def answer(self, text: str, temperature: float) -> tuple[list[tuple[Span, float]], str | None]:
        words = self.words(text)
        return self.spans(words, temperature), self.texts[int(words[3].argmax())] if self.texts else None

    def golden(self, text: str, temperature: float, activation: str) -> str:
        """One line; offsets in bytes, as on the wire."""
        def at(character: int) -> int:
            return len(text[:character].encode())

        words = self.words(text)
        case: dict[str, object] = {"text": text, "tokens": self.ids(text), "spans": [
            {"entity": span.entity, "start": at(span.start), "end": at(span.end), "score": round(score, DIGITS)}
            for span, score in self.spans(words, temperature)]}
        if self.texts:
            scores = scores_of(words[3], temperature, activation)
            order = np.argsort(-scores, kind="stable")[:3]
            case |= {"labels": [self.texts[i] for i in order], "scores": [round(float(scores[i]), DIGITS) for i in order]}
        return json.dumps(case, ensure_ascii=False)
