"""Measures mean what their names say, and wear does what the card says of it."""

from __future__ import annotations

import random
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from nanogrid_training import adjust, card, masking, metrics, noise, picture
from nanogrid_training.encoder import pruned_tokenizer
from nanogrid_training.rows import Example

LABELS = ["ham", "spam"]


def table(*labels: int) -> np.ndarray:
    return metrics.wanted([Example("", (label,)) for label in labels], len(LABELS))


def test_f1_of_a_label_counts_its_hits_alarms_and_misses() -> None:
    row = metrics.measured("dev", "f1 of spam", table(1, 1, 0, 0), table(1, 0, 1, 0), LABELS)
    assert row["value"] == pytest.approx(0.5)
    assert row["low"] <= row["value"] <= row["high"]


def test_false_alarms_are_a_share_of_the_rows_of_that_label() -> None:
    row = metrics.measured("dev", "false-alarms on ham", table(1, 0, 0, 0), table(0, 0, 0, 1), LABELS)
    assert (row["value"], row["n"]) == (pytest.approx(1 / 3, abs=1e-4), 3)


def test_macro_f1_leaves_out_labels_that_a_set_does_not_have() -> None:
    assert metrics.measured("dev", "macro-f1", table(0, 0), table(0, 0), LABELS)["value"] == 1.0


def test_a_sigmoid_answers_every_label_over_the_threshold_and_none_below() -> None:
    manifest = {"activation": "sigmoid", "out-of-scope": {"label": "neutral", "threshold": 0.5}}
    answers = metrics.given(np.array([[0.6, 0.7], [0.1, 0.2]]), manifest)
    assert answers.tolist() == [[True, True], [False, False]]


def test_offsets_bring_back_a_label_that_is_never_answered() -> None:
    truth = table(*[0] * 8, *[1] * 4)
    logits = np.where(truth[:, [1]], [[1.0, 0.5]], [[2.0, 0.0]])
    measure = adjust.by_macro_f1(softmax=True)
    assert measure(logits, truth) < 0.5
    assert measure(logits + adjust.offsets(logits, truth, measure), truth) == 1.0


def test_offsets_keep_false_alarms_within_bounds() -> None:
    truth = table(*[0] * 10, *[1] * 10)
    logits = np.where(truth[:, [1]], [[0.0, 1.0]], [[1.0, 0.0]])
    logits[:1] = [[0.0, 0.3]]
    measure = adjust.by_accuracy_within(label=0, most=0.0)
    moved = logits + adjust.offsets(logits, truth, measure)
    assert metrics.measured("dev", "false-alarms on ham", adjust.answers_of(moved, True), truth, LABELS)["value"] == 0


def test_a_card_says_of_which_set_a_cross_fitted_number_is() -> None:
    one, other = ({"data": name, "metric": "macro-f1", "value": 0.5} for name in ("a/dev", "b/dev"))
    assert ": macro-f1 50.0 %. " in card._cross_fitted([one])[0]
    assert ": macro-f1 50.0 % (a/dev), macro-f1 50.0 % (b/dev). " in card._cross_fitted([one, other])[0]


def test_noise_hits_about_the_share_it_is_told() -> None:
    text = "abcdefghij" * 500
    worn = noise.scrambled(text, 0.1, random.Random(1))
    assert 0.03 < abs(len(worn) - len(text)) / len(text) + sum(a != b for a, b in zip(text[:40], worn[:40])) / 400 < 0.2
    assert noise.scrambled(text, 0.0, random.Random(1)) == text


def test_look_alikes_and_invisible_characters_read_as_the_plain_text() -> None:
    text = "free entry in a weekly comp to win cup final tickets, text now"
    tokenizer = pruned_tokenizer([text], 1200)
    rng = random.Random(1)
    for worn in (noise.with_look_alikes(text, 1.0, rng), noise.with_invisible(text, 0.5, rng), text.upper()):
        assert tokenizer.encode(worn).tokens == tokenizer.encode(text).tokens


def test_the_curve_is_a_picture_with_a_dot_per_size() -> None:
    points = [picture.Point("small & quick", 0.9, 0.88, 0.92, 2.0, 300.0, version=1),
              picture.Point("large", 0.95, 0.93, 0.97, 6.0, 1500.0)]
    drawn = xml.fromstring(picture.draw(points, "accuracy", 32))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == 2


def test_words_of_harsh_texts_are_cut_to_their_first_letter() -> None:
    examples = [Example("you dunce", (1,))] * 5 + [Example("you there", (0,))] * 5
    words = masking.telling_words(examples, {1})
    assert masking.masked("You Dunce, go there", words) == "You D\u2026, go there"
