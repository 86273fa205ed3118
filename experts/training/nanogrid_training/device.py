"""Where models are trained: on a GPU where there is one, on the CPU where not. Packages are measured on the CPU always."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, wherever it was written."""
    return torch.load(path, map_location="cpu")


def autocast(bfloat16: bool) -> torch.autocast:
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16)
