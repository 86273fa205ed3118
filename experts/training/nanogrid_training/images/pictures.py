"""The pictures of an expert: a tar of JPEGs per part, each in the folder of its label."""

from __future__ import annotations

import io
import tarfile
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ..settings import Settings

GOLDEN_PER_LABEL = 4


class Pictures:
    """What `train.toml` describes; `[model] pixels` is the side of the square that a model sees."""

    def __init__(self, settings: Settings, data: Path) -> None:
        self.settings, self.data = settings, data
        self.side = settings.model["pixels"]

    def files(self, name: str, part: str) -> list[tuple[str, bytes]]:
        """Label and JPEG of every picture, sorted by name."""
        found = []
        with tarfile.open(self.data / name / f"{part}.tar.xz") as archive:
            for member in archive:
                if member.isfile():
                    found.append((member.name, archive.extractfile(member).read()))
        return [(Path(name).parts[-2], jpeg) for name, jpeg in sorted(found)]

    @cached_property
    def labels(self) -> list[str]:
        return sorted({label for label, _ in self._train_files})

    @cached_property
    def _train_files(self) -> list[tuple[str, bytes]]:
        return [file for source in self.settings.sources for file in self.files(source.name, "train")]

    def arrays(self, files: list[tuple[str, bytes]]) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [n, side, side, 3] as bytes, and the indices of the labels."""
        return (np.stack([read(jpeg, self.side) for _, jpeg in files]),
                np.array([self.labels.index(label) for label, _ in files]))

    @cached_property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        return self.arrays(self._train_files)

    @cached_property
    def dev_files(self) -> dict[str, list[tuple[str, bytes]]]:
        return {f"{source.name}/dev": self.files(source.name, "dev") for source in self.settings.sources}

    @cached_property
    def dev(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {name: self.arrays(files) for name, files in self.dev_files.items()}

    def rows(self) -> dict[str, int]:
        return {source.name: len(self.files(source.name, "train")) for source in self.settings.sources}

    def golden(self) -> list[tuple[str, bytes]]:
        """The first dev pictures of every label, as PNG: what a JPEG's pixels are, decoders do not quite agree on."""
        taken: dict[str, int] = {}
        chosen = []
        for files in self.dev_files.values():
            for label, jpeg in files:
                if taken.setdefault(label, 0) < GOLDEN_PER_LABEL:
                    taken[label] += 1
                    chosen.append((f"{label}-{taken[label]}.png", as_png(Image.open(io.BytesIO(jpeg)).convert("RGB"))))
        return chosen


def as_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def read(file: bytes, side: int) -> np.ndarray:
    """A picture as the server reads it: RGB, and bilinear with antialiasing where it has another size."""
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture)
