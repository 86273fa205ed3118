"""Where models are trained: on a GPU where there is one, on the CPU where not. Packages are measured on the CPU always."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_memory() -> None:
    """What is freed stays with the process: on a CPU, to give a step's buffers back and fault them in again takes a third of it."""
    if platform.libc_ver()[0] == "glibc":
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
            ctypes.CDLL(None).mallopt(parameter, value)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, wherever it was written."""
    return torch.load(path, map_location="cpu")


def _has_bfloat16() -> bool:
    """Whether the device computes in it: a CPU that has to emulate it takes a hundred times as long as with `float32`."""
    return DEVICE.type != "cpu" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def autocast(bfloat16: bool) -> torch.autocast:
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16 and _has_bfloat16())


class Dropout(nn.Dropout):
    """`nn.Dropout`, whose mask takes a third of a step on a CPU: here one random byte decides, so `p` is a multiple of 1/256."""

    def forward(self, hidden: Tensor) -> Tensor:
        dropped = round(self.p * 256)
        if not self.training or not dropped or hidden.is_cuda:
            return functional.dropout(hidden, self.p, self.training)
        drawn = torch.empty(-(-hidden.numel() // 8), dtype=torch.int64).random_(-2**63, None).view(torch.uint8)
        kept = (drawn[: hidden.numel()] >= dropped).view(hidden.shape)
        return hidden * kept.to(hidden.dtype).mul_(256 / (256 - dropped))
