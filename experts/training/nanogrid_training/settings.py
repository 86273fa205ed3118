"""What stands in an expert's `train.toml`, and where its files lie."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAINING_ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = TRAINING_ROOT.parents[1]
NAMES = ("language", "intent", "sentiment", "router")


@dataclass(frozen=True)
class Source:
    """A data set as it is cited in the manifest and the card."""

    name: str
    licence: str
    source: str


@dataclass(frozen=True)
class Learning:
    epochs: int
    batch_tokens: int
    rate: float
    head_rate: float
    warm_up: float = 0.05
    label_smoothing: float = 0.0
    bfloat16: bool = False


@dataclass(frozen=True)
class Settings:
    name: str
    version: int
    seed: int
    licence: str
    architecture: str
    activation: str
    max_tokens: int
    learning: Learning
    model: dict[str, Any]
    card: dict[str, Any]
    sources: list[Source]
    home: Path
    runs: Path
    out_of_scope: dict[str, Any] | None = None
    classifier: dict[str, Any] | None = None

    @property
    def run(self) -> Path:
        """Where this version's checkpoints and intermediate files go."""
        return self.runs / f"{self.name}-{self.version}"

    @property
    def package(self) -> Path:
        return self.home / str(self.version)


def home_of(name: str) -> Path:
    return REPOSITORY / "router" / "model" if name == "router" else REPOSITORY / "experts" / "catalog" / name


def _snake(table: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in table.items()}


def load(name: str, runs: Path) -> Settings:
    home = home_of(name)
    table = _snake(tomllib.loads((home / "train.toml").read_text("utf-8")))
    learning = Learning(**_snake(table.pop("learning")))
    sources = [Source(**source) for source in table.pop("data")]
    model = _snake(table.pop("model"))
    return Settings(name=name, home=home, runs=runs, learning=learning, sources=sources, model=model, **table)
