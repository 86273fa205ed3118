"""What the router's classifier promises, on scores whose truth is known."""

import numpy as np
import pytest

from nanogrid_training import routing
from nanogrid_training.rows import Example

NONE = 4


def requests(n: int, seed: int) -> routing.Requests:
    """For one of four experts each; the right one mostly scores best."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, NONE, n)
    scores = rng.beta(1, 6, (n, NONE + 1))
    scores[np.arange(n), labels] = rng.beta(3, 3, n)
    examples = [Example(f"{seed}-{i}", (int(label),)) for i, label in enumerate(labels)]
    return routing.Requests(examples, np.log(scores / (1 - scores)), scores)


def test_offsets_take_back_a_shift_and_leave_the_none_label_alone() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (20_000, NONE + 1))
    is_for = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    examples = [Example(str(i), tuple(np.flatnonzero(row[:NONE]))) for i, row in enumerate(is_for)]
    shift = np.array([1.0, -1.0, 0.0, 0.3, 0.7])
    found = routing.fitted_offsets(routing.Requests(examples, logits + shift, logits), NONE)
    assert found[NONE] == 0.0
    assert np.abs(found[:NONE] + shift[:NONE]).max() < 0.12


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.1])
def test_what_is_promised_on_one_half_is_kept_on_another(alpha: float) -> None:
    rule = routing.promise(requests(4000, 1), NONE, alpha)
    other = requests(4000, 2)
    missed = 1 - routing.covered(other, routing.asked(other, NONE, rule)).mean()
    assert abs(missed - alpha) < 0.012


def test_nothing_is_promised_that_three_experts_cannot_keep() -> None:
    scores = np.tile([0.9, 0.8, 0.7, 0.1, 0.1], (100, 1))
    hopeless = routing.Requests([Example(str(i), (3,)) for i in range(100)], scores, scores)
    assert routing.promise(hopeless, NONE, 0.1) is None


def test_an_expert_is_asked_for_its_share_of_the_best_and_nobody_above_the_gate() -> None:
    scores = np.array([[0.8, 0.5, 0.1, 0.0, 0.9], [0.2, 0.1, 0.0, 0.0, 0.9], [0.9, 0.9, 0.9, 0.9, 0.0]])
    table = routing.Requests([Example("a", (0,))] * 3, scores, scores)
    sets = routing.asked(table, NONE, {"alpha": 0.1, "threshold": 0.5, "out-of-scope": 0.5})
    assert sets == [{0, 1}, set(), {0, 1, 2}]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    assert routing.auroc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert routing.auroc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert routing.auroc(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == 0.75
