"""What stands in an expert's `train.toml`, and where its files lie."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

TRAINING_ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = TRAINING_ROOT.parents[1]
CATALOG = REPOSITORY / "experts" / "catalog"
ROUTER = "router"
OWN_LOOP = ("text-to-text", "image-classification")


@dataclass(frozen=True)
class Source:
    """A data set: how the manifest and the card cite it, and how rows of it are read (see `classification.py`)."""

    name: str
    licence: str
    source: str
    text: str = "text"  # column of the texts
    label: str | None = None  # column of the labels
    rename: dict[str, str] = field(default_factory=dict)  # labels of the set that are called otherwise here
    where: dict[str, str] = field(default_factory=dict)  # only rows that have these values
    always: str | None = None  # the one label of all of its rows, for sets that have no such column
    unmarked: bool = False  # of a set of spans: only a teacher says what is in its texts
    own: bool = False  # whether it lies in the expert's own folder
    train: bool = True  # whether it is learnt from
    dev: bool = True  # whether its dev part is measured on
    calibrate: bool = True  # and scores are fitted on it; a set of hard cases would make all of them cautious
    rows: int | None = None  # only so many, picked at random
    entities: dict[str, str] = field(default_factory=dict)  # of a set of spans: see `spans/recipe.py`
    outside: list[str] = field(default_factory=list)
    repeats: int = 1


@dataclass(frozen=True)
class Learning:
    epochs: int
    batch_tokens: int
    rate: float
    head_rate: float
    warm_up: float = 0.05
    label_smoothing: float = 0.0
    balance: float = 0.0  # 0: every row counts alike; 1: every label does
    bfloat16: bool = False


@dataclass(frozen=True)
class Teacher:
    """The whole base model, fine-tuned: what a small model is distilled from."""

    pieces: int
    learning: Learning
    layers: int = 6
    members: int = 1  # so many teachers, which learn in other orders; a student is told their mean
    temperature: float = 2.0
    share: float = 0.7  # of the loss that is learnt from the teacher; the rest from the labels
    variations: int = 0  # varied texts per training text, which only the teacher labels
    unlabelled: float = 0.5  # texts that only the teacher labels per labelled one, in every epoch


@dataclass(frozen=True)
class Settings:
    name: str
    version: int
    seed: int
    licence: str
    architecture: str
    learning: Learning | dict[str, Any]  # the table itself, for tasks whose loop is their own
    model: dict[str, Any]
    card: dict[str, Any]
    sources: list[Source]
    home: Path
    runs: Path
    size: str = ""  # which of the alternatives; empty for the expert's default version
    published_as: int | None = None  # the version that an alternative is shipped as, if it is
    activation: str = "softmax"
    max_tokens: int = 0  # of tasks that read text
    teacher: Teacher | dict[str, Any] | None = None
    alternatives: list[dict[str, Any]] = field(default_factory=list)  # other sizes, for the curve in the card
    metrics: list[str] = field(default_factory=lambda: ["accuracy"])
    golden: list[str] = field(default_factory=list)
    adjust: dict[str, Any] | None = None
    out_of_scope: dict[str, Any] | None = None
    classifier: dict[str, Any] | None = None
    task: str = "text-classification"
    generation: dict[str, Any] = field(default_factory=dict)  # of text-to-text: `beams`, `length-penalty`
    formats: dict[str, str] = field(default_factory=dict)  # entities that are told by their format alone: see `formats.py`

    @property
    def run(self) -> Path:
        """Where the checkpoints and intermediate files of this version, or of an alternative to it, go."""
        version = self.runs / f"{self.name}-{self.version}"
        return version / "alternatives" / self.size if self.size else version

    @property
    def teacher_run(self) -> Path:
        return self.runs / f"{self.name}-{self.version}" / "teacher"

    @property
    def aside(self) -> list[str]:
        """Dev sets that are measured on, and that no score is fitted on."""
        return [f"{source.name}/dev" for source in self.sources if not source.calibrate]

    @property
    def published(self) -> int:
        return self.published_as or self.version

    @property
    def finds_spans(self) -> bool:
        return self.task == "token-classification"

    @property
    def package(self) -> Path:
        return self.home / str(self.published)

    def alternative(self, size: str) -> Settings:
        """The same expert in one of the other sizes of its `train.toml`, which may also learn otherwise."""
        for table in self.alternatives:
            if table["name"] == size:
                model = {key: value for key, value in table.items() if key not in ("name", "version", "architecture")}
                said = {key: model.pop(key) for key in list(model) if key in Learning.__dataclass_fields__}
                return replace(self, size=size, model=model, learning=replace(self.learning, **said),
                               published_as=table.get("version"), architecture=table.get("architecture", ""))
        raise ValueError(f"no [[alternative]] of {self.name} has that name: {size}")


def names() -> list[str]:
    """Everything that has a `train.toml`."""
    return [*sorted(path.parent.name for path in CATALOG.glob("*/train.toml")), ROUTER]


def home_of(name: str) -> Path:
    return REPOSITORY / "router" / "model" if name == ROUTER else CATALOG / name


def _snake(table: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in table.items()}


def load(name: str, runs: Path) -> Settings:
    home = home_of(name)
    table = _snake(tomllib.loads((home / "train.toml").read_text("utf-8")))
    learning = _snake(table.pop("learning"))
    if table.get("task") in OWN_LOOP:
        if "teacher" in table:
            table["teacher"] = {**learning, **_snake(table["teacher"])}
    elif teacher := table.pop("teacher", None):
        # A teacher learns as its student does, but for what is said of it.
        own = _snake(teacher)
        said = {key: own.pop(key) for key in list(own) if key in Learning.__dataclass_fields__}
        table["teacher"] = Teacher(learning=Learning(**{**learning, **said}), **own)
    if table.get("task") not in OWN_LOOP:
        learning = Learning(**learning)
    sources = [Source(**source) for source in table.pop("data")]
    model = _snake(table.pop("model"))
    alternatives = [_snake(size) for size in table.pop("alternative", [])]
    return Settings(name=name, home=home, runs=runs, learning=learning, sources=sources, model=model,
                    alternatives=alternatives, **table)
