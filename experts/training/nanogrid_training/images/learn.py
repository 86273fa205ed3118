"""The training loop of a picture classifier. All pictures are on the device as bytes, and are moved, turned and mixed there, a
batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from .. import learn
from ..device import DEVICE, autocast, load
from .model import DEVIATION, MEAN, Network

MARGIN = 4  # pixels that a picture is moved by, at most
MOMENTUM = 0.9


@dataclass(frozen=True)
class Course:
    epochs: int
    batch: int = 512
    rate: float = 0.4
    decay: float = 5e-4
    warm_up: float = 0.1
    mixed: float = 0.5  # share of the batches in which pictures have a part of another one
    temperature: float = 3.0  # of a student's lessons
    share: float = 0.9  # of the loss that is learnt from the teacher; the rest from the labels


def normalised(pixels: Tensor) -> Tensor:
    """Bytes [n, side, side, 3] as what the network reads."""
    mean, deviation = (torch.tensor(values, device=pixels.device) * 255 for values in (MEAN, DEVIATION))
    return ((pixels.float() - mean) / deviation).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def moved(pixels: Tensor, side: int) -> Tensor:
    """Cuts a window out of pictures that have a margin, and turns half of them round."""
    n = len(pixels)
    tops, lefts = torch.randint(0, 2 * MARGIN + 1, (2, n, 1), device=pixels.device)
    turned = torch.rand(n, 1, device=pixels.device) < 0.5
    rows = tops + torch.arange(side, device=pixels.device)
    columns = lefts + torch.arange(side, device=pixels.device)
    columns = torch.where(turned, columns.flip(1), columns)
    each = torch.arange(n, device=pixels.device)[:, None, None]
    return pixels[each, rows[:, :, None], columns[:, None, :]]


def mixed(pixels: Tensor, truth: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Every picture gets a window of another one, and its share of that one's label: CutMix, Yun et al. 2019."""
    side = pixels.shape[1]
    middle, half = rng.random(2) * side, side * np.sqrt(1 - rng.random()) / 2
    (top, left), (bottom, right) = (np.clip(np.rint(edge), 0, side).astype(int) for edge in (middle - half, middle + half))
    other = torch.randperm(len(pixels), device=pixels.device)
    pixels = pixels.clone()
    pixels[:, top:bottom, left:right] = pixels[other, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / side**2
    return pixels, kept * truth + (1 - kept) * truth[other]


def rate_at(progress: float, warm_up: float) -> float:
    """Rises in a line, and falls as half a cosine: Loshchilov and Hutter 2017."""
    return progress / warm_up if progress < warm_up else float(np.cos((progress - warm_up) / (1 - warm_up) * np.pi) + 1) / 2


def _optimiser(network: Network, course: Course) -> torch.optim.SGD:
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    return torch.optim.SGD([{"params": kernels, "weight_decay": course.decay}, {"params": others}], lr=course.rate,
                           momentum=MOMENTUM, nesterov=True)


def _loss(logits: Tensor, truth: Tensor, seen: Tensor, teacher: Network | None, course: Course) -> Tensor:
    """A teacher sees the same moved and mixed pictures as its student (Beyer et al. 2022), and them both ways round, for that knows more."""
    known = functional.cross_entropy(logits, truth)
    if teacher is None:
        return known
    with torch.no_grad(), autocast(True):
        taught = (teacher(seen).float() + teacher(seen.flip(3)).float()) / 2
    towards = functional.cross_entropy(logits / course.temperature, (taught / course.temperature).softmax(dim=1))
    return course.share * course.temperature**2 * towards + (1 - course.share) * known


def train(title: str, network: Network, course: Course, pictures: tuple[np.ndarray, np.ndarray], checkpoint: Path,
          seed: int, teacher: Network | None = None) -> Network:
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    for one in (network, teacher):
        if one is not None:
            one.to(DEVICE, memory_format=torch.channels_last)
    margin = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    pixels = torch.from_numpy(np.pad(pictures[0], margin, mode="reflect")).to(DEVICE)
    truth = functional.one_hot(torch.from_numpy(pictures[1]), network.shape.n_labels).float().to(DEVICE)
    optimiser = _optimiser(network, course)
    first = 0
    if checkpoint.exists():
        saved = load(checkpoint)
        network.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["epochs"]
    steps = len(truth) // course.batch
    last = course.epochs * steps
    network.train()
    bar = tqdm(range(first * steps, last), desc=title, initial=first * steps, total=last, mininterval=5.0)
    for step in bar:
        epoch, part = divmod(step, steps)
        if part == 0:
            torch.manual_seed(seed * 1000 + epoch)
            rng = np.random.default_rng(seed * 1000 + epoch)
            order = torch.randperm(len(truth), device=DEVICE)
        for group in optimiser.param_groups:
            group["lr"] = course.rate * rate_at((step + 0.5) / last, course.warm_up)
        chosen = order[part * course.batch: (part + 1) * course.batch]
        bytes_seen, wanted = moved(pixels[chosen], network.shape.pixels), truth[chosen]
        if rng.random() < course.mixed:
            bytes_seen, wanted = mixed(bytes_seen, wanted, rng)
        seen = normalised(bytes_seen)
        with autocast(True):
            logits = network(seen)
        loss = _loss(logits.float(), wanted, seen, teacher, course)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if part == steps - 1 and learn.is_kept(epoch, course.epochs):
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            learn.save({"model": network.state_dict(), "optimiser": optimiser.state_dict(), "epochs": epoch + 1}, checkpoint)
    return network.eval()


@torch.no_grad()
def accuracy(network: Network, pictures: tuple[np.ndarray, np.ndarray]) -> float:
    network.to(DEVICE).eval()
    hits = 0
    for pixels, labels in zip(np.array_split(pictures[0], 20), np.array_split(pictures[1], 20), strict=True):
        logits = network(normalised(torch.from_numpy(pixels).to(DEVICE)))
        hits += int((logits.argmax(dim=1).cpu().numpy() == labels).sum())
    return hits / len(pictures[1])
