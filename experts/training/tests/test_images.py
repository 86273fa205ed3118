"""The picture classifier: what is exported says what was trained, and pictures are read as the server reads them."""

import io
import json

import numpy as np
import onnx
import pytest
import torch
from nanogrid_training.images import learn, measure, pictures
from nanogrid_training.images.model import MEAN, PATCH_VALUES, Network, Shape
from nanogrid_training.package import session
from PIL import Image

SHAPE = Shape(32, (8, 16, 16), 2)


def coloured(n, seed=0):
    """Reddish pictures and bluish ones."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    pixels = rng.integers(0, 120, (n, 32, 32, 3), dtype=np.uint8)
    pixels[labels == 0, :, :, 0] += 100
    pixels[labels == 1, :, :, 2] += 100
    return pixels, labels


def trained(tmp_path, epochs=8):
    torch.manual_seed(0)
    course = learn.Course(epochs=epochs, batch=32, rate=2.0)
    return learn.train("test", Network(SHAPE), course, coloured(256), tmp_path / "checkpoint.pt", 1)


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


def test_whitened_patches_have_one_variance_in_every_direction():
    network = Network(SHAPE)
    seen = learn.normalised(torch.from_numpy(coloured(200)[0]))
    network.see(seen)
    values = network.whiten(seen).detach().transpose(0, 1).flatten(1)[:PATCH_VALUES]
    squares = (values**2).mean(dim=1)
    assert 0.8 < float(squares.min()) and float(squares.max()) < 1.1


def test_a_moved_picture_is_a_window_of_the_padded_one():
    pixels = torch.arange(36 * 36 * 3, dtype=torch.int32).reshape(1, 36, 36, 3)
    for seed in range(4):
        torch.manual_seed(seed)
        for turned in (False, True):
            window = learn.moved(pixels, torch.tensor([turned]), 32)[0]
            window = window.flip(1) if turned else window
            top, left = divmod(int(window[0, 0, 0]) // 3, 36)
            assert torch.equal(window, pixels[0, top: top + 32, left: left + 32])


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


def test_the_rate_rises_falls_and_does_not_end_at_nothing():
    rates = [learn.rate_at(step / 100) for step in range(101)]
    assert max(rates) == pytest.approx(1.0) and rates[0] == learn.FIRST_RATE and rates[-1] == pytest.approx(learn.LAST_RATE)


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
