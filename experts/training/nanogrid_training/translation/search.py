"""Greedy and beam search, as the server does it (`services/onnx`): scores are divided by length to the power of a penalty."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from .model import END, PAD, START


class Stepper(ABC):
    """A decoder that remembers what it has written, for rows that lie one beam after another."""

    device: torch.device | str = "cpu"

    @abstractmethod
    def step(self, pieces: Tensor) -> Tensor:
        """Log-probabilities [rows, pieces] after one more piece in every row."""

    @abstractmethod
    def reorder(self, rows: Tensor) -> None:
        """From now on row i goes on with what row `rows[i]` has written."""


def search(stepper: Stepper, n: int, beams: int, longest: int, penalty: float) -> tuple[list[list[int]], list[float]]:
    """For each of `n` texts the best pieces without the end, and their score. One beam is greedy search."""
    device = stepper.device
    first = torch.arange(n, device=device)[:, None] * beams
    scores = torch.full((n, beams), -torch.inf, device=device)
    scores[:, 0] = 0.0
    written = torch.full((n, beams, 1), START, device=device)
    best = torch.full((n,), -torch.inf, device=device)
    kept = torch.full((n, longest + 1), PAD, device=device)
    values = torch.full((n, beams), -torch.inf, device=device)  # of the best that are finished
    done = torch.zeros(n, dtype=torch.bool, device=device)

    def keep(value: Tensor, pieces: Tensor) -> None:
        better = (value > best) & ~done
        best[better] = value[better]
        kept[better] = PAD
        kept[better, : pieces.shape[1]] = pieces[better]

    for step in range(1, longest + 1):
        candidates = scores[:, :, None] + stepper.step(written[:, :, -1].flatten()).view(n, beams, -1)
        n_pieces = candidates.shape[2]
        top, at = candidates.flatten(1).topk(2 * beams)
        beam, piece = at // n_pieces, at % n_pieces
        ends = piece == END
        # Only what is among the best `beams` may end: a bad ending is no answer because the rest of its beam is worse.
        finished = (top / step**penalty).masked_fill(~ends, -torch.inf)[:, :beams]
        value, which = finished.max(dim=1)
        keep(value, written.gather(1, beam.gather(1, which[:, None])[:, :, None].expand(-1, -1, step))[:, 0])
        values = torch.cat([values, finished], dim=1).topk(beams).values
        scores, live = top.masked_fill(ends, -torch.inf).topk(beams)
        beam, piece = beam.gather(1, live), piece.gather(1, live)
        written = torch.cat([written.gather(1, beam[:, :, None].expand(-1, -1, step)), piece[:, :, None]], dim=2)
        done |= values[:, -1] >= scores[:, 0] / step**penalty
        if bool(done.all()):
            break
        stepper.reorder((first + beam).flatten())
    else:
        keep(scores[:, 0] / longest**penalty, written[:, 0])  # what has no end, as it is
    return [[piece for piece in row[1:] if piece != PAD] for row in kept.tolist()], best.tolist()
