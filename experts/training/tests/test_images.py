"""The picture classifier: what is exported says what was trained, and pictures are read as the server reads them."""

import io
import json

import numpy as np
import onnx
import pytest
import torch
from nanogrid_training.images import learn, measure, pictures
from nanogrid_training.images.model import MEAN, Network, Shape
from nanogrid_training.package import session
from PIL import Image

SHAPE = Shape(32, (8, 16), 1, 2)


def coloured(n, seed=0):
    """Reddish pictures and bluish ones."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    pixels = rng.integers(0, 120, (n, 32, 32, 3), dtype=np.uint8)
    pixels[labels == 0, :, :, 0] += 100
    pixels[labels == 1, :, :, 2] += 100
    return pixels, labels


def trained(folder, epochs=4, teacher=None, **course):
    torch.manual_seed(0)
    learning = learn.Course(epochs=epochs, batch=32, rate=0.1, **course)
    return learn.train("test", Network(SHAPE), learning, coloured(256), folder / "checkpoint.pt", 1, teacher)


def test_it_learns_and_the_graph_says_the_same(tmp_path):
    network = trained(tmp_path)
    unseen = coloured(64, seed=1)
    assert learn.accuracy(network, unseen) > 0.95
    onnx.save(network.cpu().to_onnx(), tmp_path / "model.onnx")
    found = measure.logits(session(tmp_path / "model.onnx"), unseen[0])
    expected = network(learn.normalised(torch.from_numpy(unseen[0]))).detach().numpy()
    assert np.abs(found - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())


def test_a_course_goes_on_where_it_was_left(tmp_path):
    trained(tmp_path, epochs=2)
    before = torch.load(tmp_path / "checkpoint.pt")
    trained(tmp_path, epochs=2)
    assert torch.load(tmp_path / "checkpoint.pt")["epochs"] == before["epochs"] == 2


def test_a_teacher_sees_pictures_both_ways_round():
    def on_the_left(seen):
        """A teacher that goes by where it is bright."""
        brighter = (seen[:, :, :, :16] - seen[:, :, :, 16:]).mean(dim=(1, 2, 3))
        return torch.stack([brighter, -brighter], dim=1)

    seen = learn.normalised(torch.from_numpy(coloured(8)[0]))
    logits, truth = torch.randn(8, 2), torch.eye(2)[torch.zeros(8, dtype=torch.long)]
    one, other = (learn._loss(logits, truth, way, on_the_left, learn.Course(epochs=1)) for way in (seen, seen.flip(3)))
    assert abs(on_the_left(seen)).max() > 1e-3 and torch.isclose(one, other)


def test_a_student_learns_from_its_teacher_alone(tmp_path):
    teacher = trained(tmp_path)
    (tmp_path / "student").mkdir()
    student = trained(tmp_path / "student", teacher=teacher, share=1.0)
    assert learn.accuracy(student, coloured(64, seed=1)) > 0.95
    wrong = Network(SHAPE)
    wrong.load_state_dict(teacher.state_dict())
    with torch.no_grad():
        wrong.head.weight.copy_(wrong.head.weight.flip(0))
        wrong.head.bias.copy_(wrong.head.bias.flip(0))
    (tmp_path / "misled").mkdir()
    misled = trained(tmp_path / "misled", teacher=wrong, share=1.0)
    assert learn.accuracy(misled, coloured(64, seed=1)) < 0.05


def test_a_moved_picture_is_a_window_of_the_padded_one():
    side = 32 + 2 * learn.MARGIN
    pixels = torch.arange(side * side * 3, dtype=torch.int32).reshape(1, side, side, 3)
    turns = set()
    for seed in range(16):
        torch.manual_seed(seed)
        window = learn.moved(pixels, 32)[0]
        turned = bool(window[0, 0, 0] > window[0, 1, 0])
        window = window.flip(1) if turned else window
        top, left = divmod(int(window[0, 0, 0]) // 3, side)
        assert torch.equal(window, pixels[0, top: top + 32, left: left + 32])
        turns.add(turned)
    assert turns == {True, False}


def test_a_mixed_picture_has_as_much_of_the_other_label_as_of_the_other_picture():
    rng = np.random.default_rng(3)
    for _ in range(20):
        pixels = torch.stack([torch.full((32, 32, 3), value, dtype=torch.uint8) for value in range(4)])
        pictures_mixed, truth = learn.mixed(pixels, torch.eye(4), rng)
        for picture, wanted in zip(pictures_mixed, truth, strict=True):
            shares = torch.bincount(picture[:, :, 0].flatten().int(), minlength=4) / 32**2
            assert torch.allclose(wanted, shares, atol=1e-6) and int((shares > 0).sum()) <= 2


def test_both_ways_to_normalise_are_one():
    pixels, _ = coloured(3)
    assert np.abs(measure.normalised(pixels) - learn.normalised(torch.from_numpy(pixels)).numpy()).max() < 1e-5
    middle = np.round(np.array(MEAN) * 255).astype(np.uint8) * np.ones((1, 2, 2, 1), np.uint8)
    assert np.abs(measure.normalised(middle)).max() < 0.02


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_any_picture_becomes_a_square_in_colour(mode):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 20), (200, 30, 30)).convert(mode).save(buffer, "PNG")
    assert pictures.read(buffer.getvalue(), 32).shape == (32, 32, 3)


def test_the_rate_rises_and_falls_to_nothing():
    rates = [learn.rate_at(step / 100, 0.1) for step in range(101)]
    assert max(rates) == rates[10] == pytest.approx(1.0) and rates[0] == rates[-1] == pytest.approx(0.0)


def test_worn_pictures_have_a_tenth_of_their_pixels_hit():
    pixels, _ = coloured(20)
    hit = (measure.worn(pixels) != pixels).any(axis=3).mean()
    assert 0.09 < hit < 0.11 and np.array_equal(measure.worn(pixels), measure.worn(pixels))


def test_golden_pictures_come_with_other_forms_of_one(tmp_path):
    class Plan:
        side, labels = 32, ["red", "blue"]

        def golden(self):
            return [("red-1.png", pictures.as_png(Image.fromarray(coloured(1)[0][0])))]

    onnx.save(trained(tmp_path, 1).cpu().to_onnx(), tmp_path / "model.onnx")
    measure.write_golden(tmp_path, Plan(), session(tmp_path / "model.onnx"), 1.0)
    cases = [json.loads(line) for line in (tmp_path / "golden.jsonl").read_text("utf-8").splitlines()]
    assert [case["image"] for case in cases] == [f"golden/{name}" for name in
                                                 ("red-1.png", "larger.png", "grey.png", "alpha.png", "wide.png")]
    assert all((tmp_path / case["image"]).exists() and len(case["labels"]) == 2 for case in cases)
