"""The training loop of a translator: so many steps, however long an epoch is. Stopped, it goes on after the last save."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .. import learn
from ..device import DEVICE, autocast, load
from .model import END, PAD, START, Translator
from .pairs import Pair, epoch
from .pieces import loosened, written

SAVE_EVERY = 2000
WIDTH_STEP = 4
BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class Course:
    """`batch_tokens` counts padded pieces of the longer side. `agreement` weighs R-Drop (Wu et al. 2021): every pair is read
    twice, under two dropouts, and the two answers should be one. 0 reads it once."""

    title: str
    steps: int
    batch_tokens: int
    rate: float
    minutes: float = math.inf  # it ends by then, with the rate fallen to nothing, also when steps are left
    warm_up: float = 0.04
    label_smoothing: float = 0.1
    agreement: float = 5.0
    piece_dropout: float = 0.1


class Sheet:
    """The batches of one epoch."""

    def __init__(self, pairs: list[Pair], read: Tokenizer, write: Tokenizer, batch_tokens: int, seed: int) -> None:
        made = epoch(pairs, random.Random(seed))
        longest = 128
        self.source = learn.encode(read, [pair.source for pair in made], longest)
        self.target = learn.encode(write, [pair.target for pair in made], longest)
        lengths = np.maximum(self.source.lengths(), self.target.lengths())
        longer = learn.Encoded(np.empty(0, np.int32), np.concatenate([[0], np.cumsum(lengths)]))
        self.plan = learn.batches(longer, batch_tokens, np.random.default_rng(seed))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in self.plan:
            yield _wide(self.source, chosen), _wide(self.target, chosen)


def _wide(encoded: learn.Encoded, chosen: np.ndarray) -> Tensor:
    """A few widths instead of many: a GPU prepares itself for every new one."""
    ids, _ = learn.pad(encoded, chosen)
    return functional.pad(ids, (0, -ids.shape[1] % WIDTH_STEP), value=PAD)


def _batches(course: Course, pairs: list[Pair], tokenizer: Tokenizer, seed: int, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Without end; the next epoch is prepared while this one is learnt."""
    read = loosened(tokenizer, course.piece_dropout)
    write = written(tokenizer)

    def sheet(number: int) -> Sheet:
        return Sheet(pairs, read, write, course.batch_tokens, seed * 1000 + number)

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(sheet, first)
        for number in itertools.count(first + 1):
            current, following = following.result(), pool.submit(sheet, number)
            yield from current


def _loss(model: Translator, source: Tensor, target: Tensor, course: Course) -> Tensor:
    given = torch.cat([torch.full_like(target[:, :1], START), target[:, :-1]], dim=1)
    given = given.masked_fill(given == END, PAD)
    twice = 2 if course.agreement else 1
    with autocast(True):
        logits = model(source.repeat(twice, 1), given.repeat(twice, 1))
    loss = functional.cross_entropy(logits.flatten(0, 1).float(), target.repeat(twice, 1).flatten(), ignore_index=PAD,
                                    label_smoothing=course.label_smoothing)
    if course.agreement:
        one, other = (part[target != PAD].float().log_softmax(dim=-1) for part in logits.chunk(twice))
        apart = ((one.exp() - other.exp()) * (one - other)).sum(dim=-1).mean()  # the sum of both divergences
        loss = loss + course.agreement / 4 * apart
    return loss


def train(model: Translator, course: Course, pairs: list[Pair], tokenizer: Tokenizer, checkpoint: Path,
          seed: int) -> Translator:
    """Trains the model, or goes on with it; leaves its checkpoint."""
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # the moments of rare pieces fade into numbers that a CPU is slow with
    model.to(DEVICE).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=course.rate, betas=BETAS, weight_decay=0.01, fused=True)
    step = 0
    if checkpoint.exists():
        saved = load(checkpoint)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["steps"]

    def keep() -> None:
        learn.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "steps": step}, checkpoint)

    began = time.monotonic()
    bar = tqdm(total=course.steps, initial=step, desc=course.title, mininterval=5.0)
    for source, target in _batches(course, pairs, tokenizer, seed, step):
        spent = (time.monotonic() - began) / 60
        if step >= course.steps or spent >= course.minutes:
            break
        for group in optimiser.param_groups:
            group["lr"] = course.rate * learn.rate_at(max(step / course.steps, spent / course.minutes), course.warm_up)
        loss = _loss(model, source.to(DEVICE), target.to(DEVICE), course)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        bar.update()
        if step % learn.SHOWN_EVERY == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % SAVE_EVERY == 0:
            keep()
    bar.close()
    keep()
    return model.eval()
