"""What an expert's `train.py` provides: its data and its model. Everything else is the same for all of them."""

from __future__ import annotations

import importlib.util
import random
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from .bag import Bag
from .encoder import Encoder
from .noise import worn
from .package import Package
from .rows import Example
from .settings import Settings

if TYPE_CHECKING:
    from .images.pictures import Pictures
    from .spans.recipe import Spans
    from .translation.pairs import Pairs

Model = Bag | Encoder

# Texts every expert must survive: nothing, spaces, symbols, other scripts, compatibility forms, one very long line.
ODD_TEXTS = (
    "", " ", "?", "...", "a", "🙂", "👩‍👩‍👧‍👦 ❤️", "1234567890", "ﬁne ｆｕｌｌ－ｗｉｄｔｈ ①", "zero\u200bwidth\u200d text\ufeff",
    "MiXeD CaSe AnD   spaces\t\n", "Γειά σου Κόσμε", "こんにちは世界", "สวัสดีชาวโลก", "مرحبا بالعالم", "Привет, мир!",
    "e\u0301cole nai\u0308ve cafe\u0301", "[CLS] [SEP] [PAD] [UNK]", "x" * 300, "long text " * 200,
)


class Recipe(ABC):
    labels: list[str]

    def __init__(self, settings: Settings, data: Path) -> None:
        self.settings = settings
        self.data = data

    @abstractmethod
    def rows(self) -> dict[str, int]:
        """Training rows read per data set, for the manifest."""

    @abstractmethod
    def tokenizer(self) -> Tokenizer: ...

    def labelled(self) -> list[Example]:
        """The training texts as they are, with their labels: what a teacher is taught on, and labels are weighed by."""
        return [example for example in self.epoch(random.Random(self.settings.seed)) if example.labels is not None]

    def unlabelled(self) -> list[str]:
        """Texts that only a teacher labels."""
        return []

    @abstractmethod
    def model(self, tokenizer: Tokenizer) -> Model:
        """A fresh model, with pre-trained weights if it starts from any."""

    @abstractmethod
    def epoch(self, rng: random.Random) -> list[Example]:
        """One epoch of training texts: sampled, cut and made noisy anew."""

    def lessons(self, unlabelled: list[str], rng: random.Random) -> list[Example]:
        """One epoch of a student's texts. Its teacher was asked about what they were before noise was added, and about `unlabelled`."""
        known = [Example(worn(example.text, rng), example.labels, example.text) for example in self.labelled()]
        n_chosen = min(len(unlabelled), round(self.settings.teacher.unlabelled * len(known)))
        return known + [Example(worn(text, rng), None, text) for text in rng.sample(unlabelled, n_chosen)]

    @abstractmethod
    def dev(self) -> dict[str, list[Example]]:
        """Held-out rows by name; none of them was trained on."""

    def fitted_on(self) -> list[str]:
        """The dev sets that the temperature and the out-of-scope threshold are fitted on."""
        return [name for name in self.dev() if name not in self.settings.aside]

    @abstractmethod
    def golden_texts(self) -> list[str]:
        """The expert's own golden cases; the odd texts above are added to them."""

    def sample(self) -> list[tuple[str, Example]]:
        """Of the router's classifier: requests that may be passed on, with their kind; none of them was fitted on."""
        return []

    def extra(self, package: Package, manifest: dict[str, Any]) -> str:
        """A paragraph of the card that only this expert has."""
        return ""


def module_at(path: Path) -> ModuleType:
    """Imports a file of an expert's folder, which is no Python package."""
    name = f"{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load(settings: Settings, data: Path) -> Recipe | Spans | Pairs | Pictures:
    """The expert's own `train.py`, or what `train.toml` alone describes."""
    own = settings.home / "train.py"
    if own.exists():
        return module_at(own).Training(settings, data)
    if settings.finds_spans:
        from .spans.recipe import Spans

        return Spans(settings, data)
    if settings.task == "text-to-text":
        from .translation.pairs import Pairs

        return Pairs(settings, data)
    if settings.task == "image-classification":
        from .images.pictures import Pictures

        return Pictures(settings, data)
    from .classification import Classification

    return Classification(settings, data)
