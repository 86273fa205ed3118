"""A student is a part of its teacher, and learns from what the teacher says of the clean text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from nanogrid_training import distil, learn, prune
from nanogrid_training.classification import Classification
from nanogrid_training.distil import Distilled
from nanogrid_training.encoder import Encoder, EncoderShape, pruned_tokenizer
from nanogrid_training.rows import Example
from nanogrid_training.settings import Learning, Settings, Source, Teacher

TEXTS = ["who wrote this", "when did it end", "where is the capital", "how many are there"] * 4
LEARNING = Learning(epochs=1, batch_tokens=64, rate=1e-3, head_rate=1e-3)


def shape(layers: int, pieces: int, **changes: int) -> EncoderShape:
    return EncoderShape(layers=layers, pieces=pieces, max_tokens=32, n_labels=3, **changes)


@pytest.fixture(scope="module")
def teacher() -> tuple[Encoder, object]:
    tokenizer = pruned_tokenizer(TEXTS, 1500)
    model = Encoder(shape(3, 1500))
    model.load_base(tokenizer)
    return model.eval(), tokenizer


def test_a_student_as_wide_and_deep_as_its_teacher_says_the_same(teacher: tuple) -> None:
    model, tokenizer = teacher
    fewer = pruned_tokenizer(TEXTS, 1200)
    student = prune.cut(model, tokenizer, shape(3, 1200), fewer, TEXTS)
    np.testing.assert_allclose(learn.logits_of(student, fewer, TEXTS, 32), learn.logits_of(model, tokenizer, TEXTS, 32),
                               atol=1e-4)


def test_a_narrower_student_stays_nearer_to_its_teacher_than_a_random_one(teacher: tuple) -> None:
    model, tokenizer = teacher
    wanted = learn.logits_of(model, tokenizer, TEXTS, 32)
    narrow = shape(3, 1500, heads=8, inner=1024, rank=256)
    cut = learn.logits_of(prune.cut(model, tokenizer, narrow, tokenizer, TEXTS), tokenizer, TEXTS, 32)
    fresh = learn.logits_of(Encoder(narrow), tokenizer, TEXTS, 32)
    assert np.abs(cut - wanted).mean() < 0.5 * np.abs(fresh - wanted).mean()


def test_the_noisy_text_is_taught_by_what_was_said_of_the_clean_one() -> None:
    says = {"clean": np.array([4.0, 0.0, 0.0], np.float32)}
    loss = Distilled(learn.Labels([], 3, True, LEARNING), says, temperature=2.0, share=0.7)
    noisy = Example("cl3an", None, "clean")
    agreeing, opposing = torch.tensor([[4.0, 0.0, 0.0]]), torch.tensor([[0.0, 4.0, 0.0]])
    assert loss(agreeing, [noisy]) < loss(opposing, [noisy])


def test_labels_count_beside_the_teacher_where_there_are_any() -> None:
    says = {"text": np.array([2.0, 2.0, 0.0], np.float32)}
    loss = Distilled(learn.Labels([], 3, True, LEARNING), says, temperature=2.0, share=0.7)
    undecided, decided = torch.tensor([[2.0, 2.0, 0.0]]), torch.tensor([[2.5, 1.5, 0.0]])
    assert loss(undecided, [Example("text", None)]) < loss(decided, [Example("text", None)])
    assert loss(undecided, [Example("text", (0,))]) > loss(decided, [Example("text", (0,))])


def test_a_text_that_the_teacher_was_not_asked_about_is_learnt_from_its_labels() -> None:
    loss = Distilled(learn.Labels([], 3, True, LEARNING), {}, temperature=2.0, share=0.7)
    right, wrong = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    assert loss(right, [Example("text", (0,))]) < loss(wrong, [Example("text", (0,))])
    with pytest.raises(KeyError):
        loss(right, [Example("text", None)])


def test_balancing_weighs_rare_labels_more_and_keeps_the_mean() -> None:
    examples = [Example("a", (0,))] * 90 + [Example("b", (1,))] * 9
    weights = learn.Labels(examples, 2, True, Learning(1, 64, 1e-3, 1e-3, balance=1.0)).weights
    assert weights[1] / weights[0] == pytest.approx(91 / 10)
    assert (weights * torch.tensor([91, 10])).sum() == pytest.approx(101)


def test_a_student_is_told_the_mean_of_its_teachers(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for part in ("train", "dev"):
        rows = [f"{text}\t{label}" for text, label in zip(TEXTS, "abc" * 6, strict=False)]
        (tmp_path / "set" / f"{part}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", "utf-8")
    teacher = Teacher(pieces=1200, learning=LEARNING, layers=1, members=2)
    plan = Classification(Settings(
        name="test", version=1, seed=1, licence="", architecture="", learning=LEARNING, teacher=teacher, max_tokens=32,
        model={"layers": 1, "pieces": 1000}, card={}, home=tmp_path, runs=tmp_path,
        sources=[Source(name="set", licence="", source="", label="label")]), tmp_path)
    distil.teach(plan)
    folder = plan.settings.teacher_run
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = sorted(set(TEXTS))
    said = []
    for member in range(2):
        model = Encoder(EncoderShape(layers=1, pieces=1200, max_tokens=32, n_labels=3))
        model.load_state_dict(torch.load(folder / distil.checkpoint_of(member))["model"])
        said.append(learn.logits_of(model, tokenizer, texts, 32))
    assert np.abs(said[0] - said[1]).max() > 1e-3
    says = distil._says(plan)
    np.testing.assert_allclose(np.stack([says[text] for text in texts]), np.mean(said, axis=0), atol=1e-4)


@pytest.mark.parametrize("epochs", [1, 7, 20, 21, 39, 45, 150])
def test_a_course_is_saved_at_its_end_and_not_too_often(epochs: int) -> None:
    kept = [epoch for epoch in range(epochs) if learn.is_kept(epoch, epochs)]
    assert kept[-1] == epochs - 1 and len(kept) <= learn.KEPT
