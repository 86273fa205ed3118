"""The training loop: one for all models. Stopped at any time, it goes on after the last epoch that was saved."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .device import DEVICE, autocast, load
from .recipe import Model, Recipe
from .rows import Example
from .settings import Learning

ENCODE_CHUNK = 20_000
POOL_BATCHES = 64
SHOWN_EVERY = 25
SAID_AT_ONCE = 256
KEPT = 20  # times in a course that it is saved and looked at, at most


@dataclass(frozen=True)
class Encoded:
    """Token ids of many texts in one flat array: a list of lists would take ten times the memory."""

    ids: np.ndarray
    ends: np.ndarray

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.ends[i]: self.ends[i + 1]]

    def lengths(self) -> np.ndarray:
        return np.diff(self.ends)


def encode(tokenizer: Tokenizer, texts: list[str], max_tokens: int) -> Encoded:
    tokenizer.enable_truncation(max_tokens)
    flat, lengths = [], []
    for start in range(0, len(texts), ENCODE_CHUNK):
        found = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts[start: start + ENCODE_CHUNK])]
        lengths += map(len, found)
        flat.append(np.fromiter((i for ids in found for i in ids), np.int32))
    tokenizer.no_truncation()
    return Encoded(np.concatenate(flat), np.concatenate([[0], np.cumsum(lengths)]))


def pad(encoded: Encoded, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Ids and mask of the chosen rows, on the CPU."""
    rows = [encoded[i] for i in chosen]
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def batches(encoded: Encoded, batch_tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of similar length, of about `batch_tokens` padded tokens, in random order.

    Sorting happens within pools of some dozens of batches, so that a batch is not all of one kind.
    """
    lengths = encoded.lengths()
    order = rng.permutation(len(lengths))
    pool = max(1, int(POOL_BATCHES * batch_tokens / max(1.0, lengths.mean())))
    cut = []
    for start in range(0, len(order), pool):
        part = order[start: start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        first = 0
        for i in range(1, len(part) + 1):
            if i == len(part) or lengths[part[i]] * (i + 1 - first) > batch_tokens:
                cut.append(part[first:i])
                first = i
    return [cut[i] for i in rng.permutation(len(cut))]


class Labels:
    """How far logits are from the labels."""

    def __init__(self, examples: list[Example], n_labels: int, softmax: bool, learning: Learning) -> None:
        self.n_labels, self.softmax, self.smoothing = n_labels, softmax, learning.label_smoothing
        counts = torch.ones(n_labels)
        for example in examples:
            counts[list(example.labels or ())] += 1
        # Weights that average to one over the rows, so that balancing does not change the learning rate.
        weights = (counts.sum() / counts) ** learning.balance
        self.weights = weights * counts.sum() / (weights * counts).sum()

    def targets(self, examples: list[Example]) -> Tensor:
        """Soft targets. A softmax model should spread its score over all labels when a text is out of scope."""
        wanted = torch.zeros(len(examples), self.n_labels)
        for i, example in enumerate(examples):
            wanted[i, list(example.labels or ())] = 1.0
            if self.softmax and not example.labels:
                wanted[i] = 1.0 / self.n_labels
        return wanted * (1 - self.smoothing) + self.smoothing * (1.0 / self.n_labels if self.softmax else 0.5)

    def losses(self, logits: Tensor, examples: list[Example]) -> Tensor:
        """One per example."""
        wanted = self.targets(examples).to(logits.device)
        if self.softmax:
            weights = torch.tensor([float(self.weights[example.labels[0]]) if example.labels else 1.0
                                    for example in examples], device=logits.device)
            return functional.cross_entropy(logits, wanted, reduction="none") * weights
        losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none",
                                                             pos_weight=self.weights.to(logits.device))
        return losses.sum(dim=1)

    def __call__(self, logits: Tensor, examples: list[Example]) -> Tensor:
        return self.losses(logits.float(), examples).mean()


@dataclass(frozen=True)
class Course:
    """Who learns from what, and where it is kept."""

    title: str
    model: Model
    tokenizer: Tokenizer
    learning: Learning
    epoch: Callable[[random.Random], list[Example]]
    loss: Callable[[Tensor, list[Example]], Tensor]
    checkpoint: Path
    seed: int
    report: Callable[[Model, int], None] | None = None  # instead of accuracy


def rate_at(progress: float, warm_up: float) -> float:
    return progress / warm_up if progress < warm_up else (1 - progress) / (1 - warm_up)


def is_kept(epoch: int, epochs: int) -> bool:
    """Whether a course of so many epochs is saved after this one: `KEPT` times at most, the last time at its end."""
    return (epoch + 1) % -(-epochs // KEPT) == 0 or epoch + 1 == epochs


def train(recipe: Recipe, course: Course) -> Model:
    """Trains the model of `course`, or goes on with it; leaves its checkpoint."""
    settings, learning, model = recipe.settings, course.learning, course.model
    model.to(DEVICE)
    optimiser = torch.optim.AdamW(model.parameter_groups(learning.rate, learning.head_rate), fused=True)
    peak = [group["lr"] for group in optimiser.param_groups]
    first = 0
    if course.checkpoint.exists():
        saved = load(course.checkpoint)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["epochs"]
    for epoch in range(first, learning.epochs):
        seed = course.seed * 1000 + epoch
        torch.manual_seed(seed)
        examples = course.epoch(random.Random(seed))
        encoded = encode(course.tokenizer, [example.text for example in examples], settings.max_tokens)
        plan = batches(encoded, learning.batch_tokens, np.random.default_rng(seed))
        model.train()
        bar = tqdm(plan, desc=f"{course.title}: epoch {epoch + 1} of {learning.epochs}", mininterval=2.0)
        mean_loss = torch.zeros((), device=DEVICE)
        for i, chosen in enumerate(bar):
            factor = rate_at((epoch + (i + 0.5) / len(plan)) / learning.epochs, learning.warm_up)
            for group, rate in zip(optimiser.param_groups, peak, strict=True):
                group["lr"] = rate * factor
            ids, mask = (part.to(DEVICE) for part in pad(encoded, chosen))
            with autocast(learning.bfloat16):
                logits = model(ids, mask)
            loss = course.loss(logits, [examples[j] for j in chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            mean_loss += (loss.detach() - mean_loss) / min(i + 1, 100)
            if i % SHOWN_EVERY == 0:  # to read it is to wait for the GPU
                bar.set_postfix(loss=f"{mean_loss.item():.4f}", refresh=False)
        if not is_kept(epoch, learning.epochs):
            continue
        save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epochs": epoch + 1}, course.checkpoint)
        if course.report:
            course.report(model, epoch)
        else:
            report(recipe, course, epoch)
    return model.eval()


def save(state: dict[str, object], path: Path) -> None:
    """Atomically, for a run that is killed while saving must still be able to go on."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


@torch.no_grad()
def logits_of(model: Model, tokenizer: Tokenizer, texts: list[str], max_tokens: int,
              bfloat16: bool = False) -> np.ndarray:
    model.to(DEVICE).eval()
    encoded = encode(tokenizer, texts, max_tokens)
    order = np.argsort(encoded.lengths(), kind="stable")
    out = np.zeros((len(texts), model.shape.n_labels), np.float32)
    for chosen in _portions(order, SAID_AT_ONCE):
        with autocast(bfloat16):
            logits = model(*(part.to(DEVICE) for part in pad(encoded, chosen)))
        out[chosen] = logits.float().cpu().numpy()
    return out


def _portions(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(order), size):
        yield order[start: start + size]


def report(recipe: Recipe, course: Course, epoch: int) -> None:
    """How far training is, on a few hundred dev rows: to watch, not to choose by."""
    shown = []
    for name, examples in recipe.dev().items():
        sample = [example for example in examples if example.labels][:: max(1, len(examples) // 400)]
        if not sample:  # all of it is out of scope
            continue
        texts = [example.text for example in sample]
        best = logits_of(course.model, course.tokenizer, texts, recipe.settings.max_tokens).argmax(1)
        hits = sum(int(label) in example.labels for label, example in zip(best, sample, strict=True))
        shown.append(f"{name} {hits / len(sample):.3f}")
    print(f"{course.title}: after epoch {epoch + 1}: {', '.join(shown)}", flush=True)
