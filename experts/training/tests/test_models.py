"""The graphs compute what torch computes, and a request's scores are its own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from nanogrid_training.bag import Bag, BagShape, ngram_rows
from nanogrid_training.encoder import Encoder, EncoderShape
from nanogrid_training.recipe import Model

LENGTHS = (20, 9, 2)


def bag(**changes: int) -> Bag:
    torch.manual_seed(1)
    model = Bag(BagShape(tokens=200, buckets=1000, longest=5, width=8, n_labels=7, **changes)).eval()
    with torch.no_grad():
        model.table.normal_()
    return model


def encoder() -> Encoder:
    torch.manual_seed(1)
    return Encoder(EncoderShape(layers=2, pieces=200, max_tokens=32, n_labels=7)).eval()


def narrow_encoder() -> Encoder:
    torch.manual_seed(1)
    shape = EncoderShape(layers=2, pieces=200, max_tokens=32, n_labels=7, heads=5, inner=256, rank=48)
    return Encoder(shape).eval()


MODELS = {"bag": bag, "weighted bag": lambda: bag(heads=2, inner=6), "encoder": encoder,
          "narrow encoder": narrow_encoder}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]()


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    mask = np.stack([np.arange(max(LENGTHS)) < length for length in LENGTHS]).astype(np.int64)
    return rng.integers(3, 200, mask.shape) * mask, mask


def run(graph: onnx.ModelProto, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


def in_torch(model: Model, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def test_the_fp32_graph_equals_the_torch_forward(model: Model) -> None:
    ids, mask = batch()
    np.testing.assert_allclose(run(model.to_onnx(int8=False), ids, mask), in_torch(model, ids, mask), atol=2e-5)


def test_the_int8_graph_stays_close(model: Model) -> None:
    ids, mask = batch()
    wanted = in_torch(model, ids, mask)
    assert np.abs(run(model.to_onnx(int8=True), ids, mask) - wanted).max() < 0.08 * np.abs(wanted).max()


def test_padding_and_neighbours_do_not_change_a_row(model: Model) -> None:
    ids, mask = batch()
    graph = model.to_onnx(int8=True)
    together = run(graph, ids, mask)
    for row, length in enumerate(LENGTHS):
        alone = run(graph, ids[row: row + 1, :length], mask[row: row + 1, :length])
        np.testing.assert_allclose(together[row: row + 1], alone, atol=1e-5)


def test_the_tables_stay_int8_on_disk() -> None:
    model = bag()
    assert len(model.to_onnx(int8=True).SerializeToString()) < model.table.numel() + 20_000


def test_ngrams_share_no_rows_with_single_tokens() -> None:
    shape = BagShape(tokens=50, buckets=10, longest=3, width=4, n_labels=2)
    rows = ngram_rows(torch.tensor([[3, 4, 5]]), shape)[0]
    assert rows[:3].tolist() == [3, 4, 5]
    assert len(rows) == 3 + 2 + 1 and all(50 <= row < 60 for row in rows[3:].tolist())


def test_texts_shorter_than_the_longest_ngram_have_only_the_short_ones() -> None:
    shape = BagShape(tokens=50, buckets=10, longest=5, width=4, n_labels=2)
    assert ngram_rows(torch.tensor([[3, 4]]), shape).shape == (1, 3)
