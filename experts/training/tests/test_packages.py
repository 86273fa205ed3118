"""Every published package says the truth about itself."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest

from nanogrid_training import settings
from nanogrid_training.images import measure as images
from nanogrid_training.images import pictures
from nanogrid_training.package import MANIFEST, Package, answer, file_sums, scores_of, session
from nanogrid_training.spans.package import TagPackage
from nanogrid_training.translation.speak import ENCODER, Served

TOLERANCE = 5e-3  # what another processor's order of sums may do: see README.md, "Why int8 this way"
FOLDERS = [folder for name in settings.names() for folder in sorted(settings.home_of(name).glob("[0-9]*"))]


@pytest.fixture(params=FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def manifest(folder: Path) -> dict:
    return tomllib.loads((folder / MANIFEST).read_text("utf-8"))


def test_the_manifest_lists_every_file_by_its_sum(folder: Path, manifest: dict) -> None:
    assert manifest["files"] == file_sums(folder)
    assert manifest["version"] == int(folder.name)


def test_the_size_is_that_of_models_and_tokenizer(folder: Path, manifest: dict) -> None:
    weighed = [*folder.glob("*.onnx"), *folder.glob("tokenizer.json")]
    assert manifest["size"]["bytes"] == sum(path.stat().st_size for path in weighed)


def test_the_manifest_has_the_graphs_inputs_and_outputs(folder: Path, manifest: dict) -> None:
    translator = folder / ENCODER
    graph = onnx.load(translator if translator.exists() else folder / "model.onnx").graph
    assert [value["name"] for value in manifest["inputs"]] == [value.name for value in graph.input]
    assert [value["name"] for value in manifest["outputs"]] == [value.name for value in graph.output]
    for given, value in zip(manifest["outputs"], graph.output, strict=True):
        assert given["shape"][-1] == value.type.tensor_type.shape.dim[len(given["shape"]) - 1].dim_value


def test_the_golden_cases_come_out_again(folder: Path, manifest: dict) -> None:
    cases = [json.loads(line) for line in (folder / "golden.jsonl").read_text("utf-8").splitlines()]
    assert len(cases) >= 40
    if "image" in cases[0]:
        labels = json.loads((folder / "config.json").read_text("utf-8"))["label2id"]
        side, model = manifest["inputs"][0]["shape"][-1], session(folder / "model.onnx")
        for case in cases:
            logits = images.logits(model, pictures.read((folder / case["image"]).read_bytes(), side)[None])[0]
            ranked = answer(scores_of(logits, manifest["temperature"], "softmax"), list(labels), None)
            assert [label for label, _ in ranked][0] == case["labels"][0]
            np.testing.assert_allclose([score for _, score in ranked], case["scores"], atol=TOLERANCE)
        return
    if "spans" in cases[0]:
        tagger = TagPackage(folder, manifest["max-tokens"], by_format=manifest.get("formats"))
        for case in cases:
            found = json.loads(tagger.golden(case["text"], manifest["temperature"], manifest["activation"]))
            assert _places(found) == _places(case)
            np.testing.assert_allclose(_scores(found), _scores(case), atol=TOLERANCE)
        return
    if "output" in cases[0]:
        rules = json.loads((folder / "generation_config.json").read_text("utf-8"))
        translator = Served(folder, manifest["max-tokens"], rules["length_penalty"])
        for case in cases:
            assert translator.ids(case["text"]) == case["tokens"]
            text, score = translator.answer(case["text"], rules["num_beams"])
            assert text == case["output"]["text"]
            assert score == pytest.approx(case["output"]["score"], abs=TOLERANCE)
        return
    package = Package(folder, manifest["max-tokens"])
    for case in cases:
        assert package.ids(case["text"]) == case["tokens"]
        scores = scores_of(package.logits(case["text"]), manifest["temperature"], manifest["activation"])
        ranked = answer(scores, package.labels, manifest.get("out-of-scope"))
        assert [label for label, _ in ranked] == case["labels"]
        np.testing.assert_allclose([score for _, score in ranked], case["scores"], atol=TOLERANCE)


def test_padding_does_not_change_a_packages_scores(folder: Path, manifest: dict) -> None:
    if not (folder / "tokenizer.json").exists():
        pytest.skip("it reads no text")
    if (folder / ENCODER).exists():
        pytest.skip("test_translation.py pads texts for its graphs")
    package = Package(folder, manifest["max-tokens"])
    ids = package.ids("i need to move 200 dollars")
    padded = np.array([ids + [0] * 17]), np.array([[1] * len(ids) + [0] * 17])
    found, wanted = package.run(*padded)[0], package.logits("i need to move 200 dollars")
    # Of a tagger there is a row for each token, and those of the padding say nothing.
    np.testing.assert_allclose(found[: len(ids)] if wanted.ndim == 2 else found, wanted, atol=1e-4)


def test_every_package_has_its_card_and_expert_file(folder: Path) -> None:
    assert (folder.parent / "README.md").exists()
    if folder.parent.parent.name == "catalog":
        expert = tomllib.loads((folder.parent / "expert.toml").read_text("utf-8"))
        assert expert["name"] == folder.parent.name
        assert (folder.parent / str(expert["default-version"])).is_dir()


def _places(case: dict) -> tuple:
    return case["tokens"], [(span["entity"], span["start"], span["end"]) for span in case["spans"]], case.get("labels")


def _scores(case: dict) -> list[float]:
    return [*(span["score"] for span in case["spans"]), *case.get("scores", [])]
