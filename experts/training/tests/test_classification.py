"""What `train.toml` says of a data set is what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanogrid_training.classification import Classification
from nanogrid_training.settings import Learning, Settings, Source

ROWS = "text\tlabel\tlang\ngood\tjoy\ten\nbad\tanger,fear\ten\nhyvä\tjoy\tfi\nfine\tneutral\ten\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for part in ("train", "dev"):
        (folder / f"{part}.tsv").write_text(ROWS, "utf-8")
    return tmp_path


def recipe(data: Path, activation: str = "sigmoid", out_of_scope: dict[str, Any] | None = None,
           **source: Any) -> Classification:
    settings = Settings(
        name="test", version=1, seed=1, licence="", architecture="", activation=activation, max_tokens=32,
        learning=Learning(1, 64, 1e-3, 1e-3), model={}, card={}, home=data, runs=data, golden=["golden text"],
        sources=[Source(name="set", licence="", source="", **source)],
        out_of_scope=out_of_scope or {"label": "neutral", "threshold": 0.5})
    return Classification(settings, data)


def test_several_labels_are_read_and_the_out_of_scope_one_is_none(data: Path) -> None:
    found = recipe(data, label="label", where={"lang": "en"})
    assert found.labels == ["anger", "fear", "joy"]
    assert [example.labels for example in found.labelled()] == [(2,), (0, 1), ()]


def test_labels_are_renamed_and_a_softmax_takes_them_whole(data: Path) -> None:
    found = recipe(data, activation="softmax", label="label", rename={"anger,fear": "other"}, where={"lang": "en"})
    assert found.labels == ["joy", "other"]


def test_a_set_without_a_label_column_is_for_the_teacher_only(data: Path) -> None:
    found = recipe(data)
    assert found.labelled() == [] and len(found.unlabelled()) == 4
    assert found.dev() == {}


def test_a_set_that_is_only_measured_on_is_not_learnt_from(data: Path) -> None:
    found = recipe(data, label="label", train=False)
    assert found.rows() == {} and found.labelled() == []


def test_some_rows_are_always_the_same_ones(data: Path) -> None:
    texts = [[example.text for example in recipe(data, always="joy", rows=2).labelled()] for _ in range(2)]
    assert texts[0] == texts[1] and len(texts[0]) == 2


def test_golden_texts_take_turns_between_the_labels(data: Path) -> None:
    texts = recipe(data, label="label").golden_texts()
    assert texts[-1] == "golden text"
    assert set(texts[:3]) == {"good", "bad", "fine"}


def test_a_set_of_hard_cases_is_measured_on_and_no_score_is_fitted_on_it(data: Path) -> None:
    assert recipe(data, label="label").fitted_on() == ["set/dev"]
    hard = recipe(data, label="label", calibrate=False)
    assert list(hard.dev()) == ["set/dev"] and hard.fitted_on() == []
