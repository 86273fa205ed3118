"""What a translator is worth (sacreBLEU: Post 2018; chrF: Popović 2015) and what it costs."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from ..measure import machine
from ..metrics import row as metric_row
from ..noise import scrambled
from .pairs import Tested
from .speak import Served

DRAWS = 1000  # of the bootstrap
COST_TEXTS = 40
TOP_ERRORS = 12
NOISE = 0.10


METRICS = {"bleu": BLEU, "chrf": CHRF}


def _columns(references: list[tuple[str, ...]]) -> list[list[str | None]]:
    """sacreBLEU wants as many columns as the longest list has; a missing reference is None."""
    return [[row[i] if i < len(row) else None for row in references] for i in range(max(map(len, references)))]


def scores(answers: list[str], references: list[tuple[str, ...]]) -> tuple[float, float]:
    """BLEU and chrF of the whole set, from 0 to 100, as `sacrebleu` reports them."""
    bleu, chrf = (metric().corpus_score(answers, _columns(references)).score for metric in METRICS.values())
    return bleu, chrf


def _with_interval(name: str, suffix: str, answers: list[str], rows: list[Tested]) -> list[dict[str, Any]]:
    columns = _columns([row.references for row in rows])
    found = []
    for metric, of in METRICS.items():
        score = of().corpus_score(answers, columns, n_bootstrap=DRAWS)
        low, high = score._mean - score._ci, score._mean + score._ci  # where sacreBLEU leaves them
        found.append(metric_row(name, metric + suffix, score.score, low, high, len(rows)))
    return found


def accuracies(served: Served, name: str, rows: list[Tested], beams: int) -> tuple[list[dict[str, Any]], list[str]]:
    answers = [served.answer(row.source, beams)[0] for row in rows]
    suffix = "" if beams > 1 else "-greedy"
    return _with_interval(name, suffix, answers, rows), answers


def worn(served: Served, dev: dict[str, list[Tested]], beams: int) -> list[dict[str, Any]]:
    """The same with every tenth character of the sources hit."""
    found = []
    for name, rows in dev.items():
        rng = random.Random(0)
        answers = [served.answer(scrambled(row.source, NOISE, rng), beams)[0] for row in rows]
        found += _with_interval(name, "-noisy-10", answers, rows)
    return found


def cost(served: Served, beams: int) -> list[dict[str, Any]]:
    """CPU time of a whole translation, by the length of what is translated: median over texts."""
    words = "The man who lives next door to us has two dogs and a cat that sleeps all day long .".split()
    found = []
    for n_words in (6, 18):
        text = " ".join([*words[: n_words - 1], "."])
        for n_beams in dict.fromkeys((1, beams)):
            spent = []
            for _ in range(COST_TEXTS):
                began = time.thread_time()
                served.answer(text, n_beams)
                spent.append(time.thread_time() - began)
            found.append({"tokens": len(served.ids(text)), "beams": n_beams, "cpu-us": round(1e6 * float(np.median(spent)), 1),
                          "machine": machine()})
    return found


def write_golden(served: Served, texts: list[str], beams: int) -> None:
    lines = []
    for text in texts:
        said, score = served.answer(text, beams)
        lines.append(json.dumps({"text": text, "tokens": served.ids(text), "output": {"text": said, "score": round(score, 6)}},
                                ensure_ascii=False))
    (served.folder / "golden.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def examples(rows: list[Tested], answers: list[str], seed: int) -> list[dict[str, str]]:
    """A random sample of what is not word for word one of the references."""
    wrong = [{"text": row.source, "wanted": row.references[0], "answered": answer}
             for row, answer in zip(rows, answers, strict=True) if answer not in row.references]
    return random.Random(seed).sample(wrong, min(TOP_ERRORS, len(wrong)))
