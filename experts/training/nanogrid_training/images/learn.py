"""The training loop of a picture classifier, as Jordan (2024) has it. All pictures are on the device as bytes, and are moved
and turned there, a batch at a time."""

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

MARGIN = 2  # pixels that a picture is moved by, at most
WHITENED_FROM = 5000  # pictures
BIAS_FACTOR = 64.0  # the middles of the norms learn so much faster
SHIFTED_EPOCHS = 3  # in which the whitened values still find their zero
LOOK_AHEAD = 5  # steps between two looks: Zhang et al. 2019, with an average that grows longer
LOOK_AHEAD_DECAY = 0.95**LOOK_AHEAD
FIRST_RATE, PEAK, LAST_RATE = 0.2, 0.23, 0.07  # of the highest; the peak is at that part of the course


@dataclass(frozen=True)
class Course:
    """`rate` and `decay` as in the paper, for a sum over 1024 pictures."""

    epochs: int
    batch: int = 1024
    rate: float = 11.5
    decay: float = 0.0153
    momentum: float = 0.85
    label_smoothing: float = 0.2


def normalised(pixels: Tensor) -> Tensor:
    """Bytes [n, side, side, 3] as what the network reads."""
    mean, deviation = (torch.tensor(values, device=pixels.device) * 255 for values in (MEAN, DEVIATION))
    return ((pixels.float() - mean) / deviation).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def moved(pixels: Tensor, turned: Tensor, side: int) -> Tensor:
    """Cuts a window out of pictures that have a margin, and turns those round that shall be."""
    n = len(pixels)
    tops, lefts = torch.randint(0, 2 * MARGIN + 1, (2, n, 1), device=pixels.device)
    rows = tops + torch.arange(side, device=pixels.device)
    columns = lefts + torch.arange(side, device=pixels.device)
    columns = torch.where(turned[:, None], columns.flip(1), columns)
    each = torch.arange(n, device=pixels.device)[:, None, None]
    return pixels[each, rows[:, :, None], columns[:, None, :]]


def rate_at(progress: float) -> float:
    if progress < PEAK:
        return FIRST_RATE + (1 - FIRST_RATE) * progress / PEAK
    return 1 - (1 - LAST_RATE) * (progress - PEAK) / (1 - PEAK)


def _optimiser(network: Network, course: Course) -> torch.optim.SGD:
    scale = 1024 * (1 + 1 / (1 - course.momentum))
    rate, decay = course.rate / scale, course.decay * course.batch / scale
    learnt = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    middles = [parameter for name, parameter in learnt.items() if "norm" in name]
    others = [parameter for name, parameter in learnt.items() if "norm" not in name]
    return torch.optim.SGD([
        {"params": middles, "lr": rate * BIAS_FACTOR, "weight_decay": decay / (rate * BIAS_FACTOR)},
        {"params": others, "lr": rate, "weight_decay": decay / rate}], momentum=course.momentum, nesterov=True)


@torch.no_grad()
def _look_ahead(network: Network, slow: dict[str, Tensor], decay: float) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            slow[name].lerp_(value, 1 - decay)
            value.copy_(slow[name])


def train(title: str, network: Network, course: Course, pictures: tuple[np.ndarray, np.ndarray], checkpoint: Path,
          seed: int) -> Network:
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    side = network.shape.pixels
    network.see(normalised(torch.from_numpy(pictures[0][:WHITENED_FROM])))
    network.to(DEVICE, memory_format=torch.channels_last)
    margin = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    pixels = torch.from_numpy(np.pad(pictures[0], margin, mode="reflect")).to(DEVICE)
    labels = torch.from_numpy(pictures[1]).to(DEVICE)
    torch.manual_seed(seed)
    turned_first = torch.rand(len(labels), device=DEVICE) < 0.5
    optimiser = _optimiser(network, course)
    peaks = [group["lr"] for group in optimiser.param_groups]
    slow = {name: value.clone() for name, value in network.state_dict().items()}
    first = 0
    if checkpoint.exists():
        saved = load(checkpoint)
        network.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        slow = {name: value.to(DEVICE) for name, value in saved["slow"].items()}
        first = saved["epochs"]
    steps = len(labels) // course.batch
    last = course.epochs * steps
    bar = tqdm(range(first * steps, last), desc=title, initial=first * steps, total=last, mininterval=5.0)
    for step in bar:
        epoch, part = divmod(step, steps)
        if part == 0:
            torch.manual_seed(seed * 1000 + epoch)
            order = torch.randperm(len(labels), device=DEVICE)
            network.train()
            network.whiten.bias.requires_grad_(epoch < SHIFTED_EPOCHS)
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * rate_at(step / last)
        chosen = order[part * course.batch: (part + 1) * course.batch]
        # Every picture is turned every other time, rather than by chance twice in a row.
        seen = normalised(moved(pixels[chosen], turned_first[chosen] ^ bool(epoch % 2), side))
        with autocast(True):
            logits = network(seen)
        loss = functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=course.label_smoothing, reduction="sum")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if (step + 1) % LOOK_AHEAD == 0:
            _look_ahead(network, slow, LOOK_AHEAD_DECAY * ((step + 1) / last) ** 3)
        if part == steps - 1:
            bar.set_postfix(loss=f"{loss.item() / course.batch:.3f}", refresh=False)
            if step + 1 == last:
                _look_ahead(network, slow, 1.0)
            learn.save({"model": network.state_dict(), "optimiser": optimiser.state_dict(), "slow": slow, "epochs": epoch + 1}, checkpoint)
    return network.eval()


@torch.no_grad()
def accuracy(network: Network, pictures: tuple[np.ndarray, np.ndarray]) -> float:
    network.to(DEVICE).eval()
    hits = 0
    for pixels, labels in zip(np.array_split(pictures[0], 20), np.array_split(pictures[1], 20), strict=True):
        logits = network(normalised(torch.from_numpy(pixels).to(DEVICE)))
        hits += int((logits.argmax(dim=1).cpu().numpy() == labels).sum())
    return hits / len(pictures[1])
