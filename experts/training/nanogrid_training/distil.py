"""Teacher and student: the whole base model is fine-tuned to a task, and a small model learns from its logits.

The teacher reads clean texts only, and the student the same texts after typing noise: so it learns what a text means
from what little is left of it. Texts that nobody labelled, varied from the training texts, make a small set larger.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from . import learn, prune
from .device import load
from .encoder import Encoder, EncoderShape
from .noise import varied
from .recipe import Model, Recipe
from .rows import Example

SAYS = "says.npz"  # what the teacher says of each text


def _teacher(plan: Recipe, tokenizer: Tokenizer) -> Encoder:
    shape = EncoderShape(layers=plan.settings.teacher.layers, pieces=tokenizer.get_vocab_size(),
                         max_tokens=plan.settings.max_tokens, n_labels=len(plan.labels))
    return Encoder(shape)


def _folder(plan: Recipe) -> Path:
    return plan.settings.teacher_run


def teach(plan: Recipe) -> None:
    """Fine-tunes the teachers on the labels, and writes down what they say of every text a student will see."""
    settings, folder = plan.settings, _folder(plan)
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / "tokenizer.json"
    if not saved.exists():
        plan.tokenizer(settings.teacher.pieces).save(str(saved), pretty=False)
    # Read again even when it is new: a run that goes on must number the pieces as the checkpoint does.
    tokenizer = Tokenizer.from_file(str(saved))
    learning = settings.teacher.learning
    loss = learn.Labels(plan.labelled(), len(plan.labels), settings.activation == "softmax", learning)

    def epoch(rng: random.Random) -> list[Example]:
        return plan.labelled()

    texts = sorted({example.text for example in plan.labelled()} | set(_unlabelled(plan)))
    told = np.zeros((len(texts), len(plan.labels)), np.float32)
    for member in range(settings.teacher.members):
        seed = settings.seed + member
        torch.manual_seed(seed)
        teacher = _teacher(plan, tokenizer)
        teacher.load_base(tokenizer)
        # The rows of the word pieces hold most of the weights and little of the task.
        teacher.words.weight.requires_grad_(False)
        course = learn.Course(f"{settings.name}: teacher {member + 1}", teacher, tokenizer, learning, epoch, loss,
                              folder / checkpoint_of(member), seed)
        learn.train(plan, course)
        told += learn.logits_of(teacher, tokenizer, texts, settings.max_tokens, learning.bfloat16) / settings.teacher.members
    # As JSON: an array of texts gives each of them the room of the longest.
    np.savez(folder / SAYS, texts=np.frombuffer(json.dumps(texts).encode(), np.uint8), logits=told)


def checkpoint_of(member: int) -> str:
    """The students are cut out of the first of the teachers."""
    return f"checkpoint-{member}.pt"


def _says(plan: Recipe) -> dict[str, np.ndarray]:
    """The teacher's logits by text."""
    said = np.load(_folder(plan) / SAYS)
    return dict(zip(json.loads(said["texts"].tobytes()), said["logits"], strict=True))


def _unlabelled(plan: Recipe) -> list[str]:
    """Texts for the teacher to label: those of unlabelled sets, and variations of the training texts."""
    rng = random.Random(plan.settings.seed)
    texts = [example.text for example in plan.labelled()]
    variations = [varied(text, rng.choice(texts), rng) for text in texts * plan.settings.teacher.variations]
    return [*plan.unlabelled(), *variations]


class Distilled:
    """The loss of a student: partly towards its teacher's logits, partly towards the labels; where there is only one of them,
    all of it towards that one."""

    def __init__(self, labels: learn.Labels, says: dict[str, np.ndarray], temperature: float, share: float) -> None:
        self.labels, self.says, self.temperature, self.share = labels, says, temperature, share

    def _said(self, example: Example, n_labels: int) -> tuple[np.ndarray, float]:
        """What the teacher says of a text, and the share of the loss that is towards it."""
        if example.labels is None:
            return self.says[example.origin], 1.0
        said = self.says.get(example.origin)
        return (np.zeros(n_labels, np.float32), 0.0) if said is None else (said, self.share)

    def __call__(self, logits: Tensor, examples: list[Example]) -> Tensor:
        said, shares = zip(*(self._said(example, logits.shape[1]) for example in examples), strict=True)
        share = torch.tensor(shares, device=logits.device)
        taught = torch.from_numpy(np.stack(said)).to(logits.device)
        taught = taught / self.temperature
        logits = logits.float()
        softened = logits / self.temperature
        if self.labels.softmax:
            towards = functional.cross_entropy(softened, taught.softmax(dim=1), reduction="none")
        else:
            towards = functional.binary_cross_entropy_with_logits(softened, taught.sigmoid(), reduction="none").sum(1)
        # Softened logits have smaller gradients; the square brings them back to the size of the others.
        towards = towards * self.temperature**2
        return (share * towards + (1 - share) * self.labels.losses(logits, examples)).mean()


def distil(plan: Recipe, tokenizer: Tokenizer) -> Model:
    """Trains the student of this size, or goes on with it."""
    settings = plan.settings
    torch.manual_seed(settings.seed)
    unlabelled = _unlabelled(plan)
    loss = Distilled(learn.Labels(plan.labelled(), len(plan.labels), settings.activation == "softmax", settings.learning),
                     _says(plan), settings.teacher.temperature, settings.teacher.share)

    def epoch(rng: random.Random) -> list[Example]:
        return plan.lessons(unlabelled, rng)

    course = learn.Course(f"{settings.name}: {settings.size or 'student'}", _student(plan, tokenizer), tokenizer,
                          settings.learning, epoch, loss, settings.run / "checkpoint.pt", settings.seed)
    return learn.train(plan, course)


def has_teacher(plan: Recipe) -> bool:
    """Whether the teacher itself is here, and not only what it said."""
    return (_folder(plan) / checkpoint_of(0)).exists()


def taught(plan: Recipe) -> tuple[Encoder, Tokenizer]:
    """The fine-tuned teacher."""
    tokenizer = Tokenizer.from_file(str(_folder(plan) / "tokenizer.json"))
    teacher = _teacher(plan, tokenizer)
    teacher.load_state_dict(load(_folder(plan) / checkpoint_of(0))["model"])
    return teacher.eval(), tokenizer


def _student(plan: Recipe, tokenizer: Tokenizer) -> Model:
    fresh = plan.model(tokenizer)
    if not isinstance(fresh, Encoder):
        return fresh
    teacher, known = taught(plan)
    texts = [example.text for example in plan.labelled()]
    random.Random(plan.settings.seed).shuffle(texts)
    return prune.cut(teacher, known, fresh.shape, tokenizer, texts)
