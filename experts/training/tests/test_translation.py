"""The translator: what is exported says what was trained, search finds the best, and a course can be left and taken up."""

import itertools
import json
import math
import random

import numpy as np
import onnx
import pytest
import torch
from nanogrid_training import package as packages
from nanogrid_training.translation import learn, measure, onnx_graphs, pieces, speak
from nanogrid_training.translation.model import END, PAD, START, UNKNOWN, Shape, Translator
from nanogrid_training.translation.pairs import Pair, Tested, epoch
from nanogrid_training.translation.search import Stepper, search

PAIRS = [Pair("the cat sleeps .", "die Katze schläft ."), Pair("the dog sleeps .", "der Hund schläft ."),
         Pair("the cat eats .", "die Katze frisst ."), Pair("the dog eats .", "der Hund frisst .")] * 8
SHAPE = {"width": 128, "inner": 64, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.0}


def tokenizer():
    return pieces.learnt([text for pair in PAIRS for text in (pair.source, pair.target)], 120)


def fresh():
    torch.manual_seed(0)
    read = tokenizer()
    return Translator(Shape(pieces=read.get_vocab_size(), **SHAPE)).eval(), read


def trained(steps, checkpoint):
    model, read = fresh()
    course = learn.Course("test", steps, 128, 2e-3, label_smoothing=0.0, agreement=1.0, piece_dropout=0.0)
    return learn.train(model, course, PAIRS, read, checkpoint, 1)


def written_to(folder, model, read, int8):
    onnx.save(onnx_graphs.encoder(model, int8), folder / speak.ENCODER)
    onnx.save(onnx_graphs.decoder(model, int8), folder / speak.DECODER)
    read.save(str(folder / "tokenizer.json"))
    return speak.Served(folder, 32, 1.0)


def test_a_tokenizer_spells_no_special_piece_and_keeps_german_quotes():
    read = pieces.learnt(["„Ja“, sagte er.", "\"Yes\", he said."] * 3, 100)
    assert END not in read.encode("</s> <s> <pad>").ids[:-1]
    assert read.encode("“Yes”").ids[:-1] == read.encode('"Yes"').ids[:-1]
    write = pieces.written(read)
    assert write.decode(write.encode("„Ja“, sagte er.").ids[:-1]) == "„Ja“, sagte er."


@pytest.mark.parametrize("int8", [False, True])
def test_the_graphs_say_what_the_model_says(tmp_path, int8):
    model, read = fresh()
    served = written_to(tmp_path, model, read, int8)
    texts = ["the cat sleeps .", "the dog eats . the cat"]
    source, _ = learn.learn.pad(learn.learn.encode(read, texts, 32), np.arange(2))
    target = torch.tensor([[START, 10, 11, 12], [START, 20, 21, 22]])
    expected = model(source, target).log_softmax(dim=-1).detach()
    for row in range(2):
        ids = source[row][source[row] != PAD].numpy()[None]
        stepper = speak._Serving(served, ids, 1)
        for at in range(4):
            said = stepper.step(target[row, at: at + 1])[0]
            assert said[[PAD, START, UNKNOWN]].max() < -1e6
            # The rest shares what the model gives to these three.
            kept = [i for i in range(said.numel()) if i not in (PAD, START, UNKNOWN)]
            assert (said[kept] - expected[row, at][kept].log_softmax(dim=0)).abs().max() < (0.2 if int8 else 0.001)


class Table(Stepper):
    """A model whose next piece depends on the last one only."""

    def __init__(self, n, seed):
        torch.manual_seed(seed)
        self.logs = (2 * torch.randn(n, n)).log_softmax(dim=1)

    def step(self, pieces):
        return self.logs[pieces]

    def reorder(self, rows):
        pass


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_search_finds_the_best_of_all(seed):
    table, longest = Table(6, seed), 4
    best = max(
        (sum(float(table.logs[a, b]) for a, b in itertools.pairwise((START, *middle, END))) / (len(middle) + 1), middle)
        for n in range(longest) for middle in itertools.product([i for i in range(6) if i != END], repeat=n))
    said, scores = search(table, 1, 300 // 6, longest, 1.0)
    if PAD not in best[1]:
        assert (scores[0], tuple(said[0])) == (pytest.approx(best[0], abs=1e-5), best[1])


def test_greedy_takes_the_best_piece_each_time_and_stops_at_the_longest():
    table = Table(6, 3)
    written, last = [], START
    while len(written) < 5:
        last = int(table.logs[last].argmax())
        if last == END:
            break
        written.append(last)
    assert search(table, 1, 1, 5, 1.0)[0][0] == [piece for piece in written if piece != PAD]


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    return trained(60, tmp_path_factory.mktemp("taught") / "checkpoint.pt")


def test_rows_of_a_batch_have_the_answers_of_each_alone(taught):
    model, read = taught, tokenizer()
    texts = ["the cat sleeps .", "the dog eats . the dog eats .", "the cat eats ."]
    together = speak.translated(model, read, texts, 3, 1.0, 8)
    assert together == [speak.translated(model, read, [text], 3, 1.0, 8)[0] for text in texts]


def test_a_course_is_learnt(taught):
    answers = speak.translated(taught, tokenizer(), ["the cat eats .", "the dog sleeps ."], 1, 1.0, 8)
    assert answers == ["die Katze frisst .", "der Hund schläft ."]


def test_a_course_goes_on_where_it_was_left(tmp_path):
    path = tmp_path / "checkpoint.pt"
    trained(3, path)
    assert torch.load(path)["steps"] == 3
    trained(5, path)
    assert torch.load(path)["steps"] == 5
    left = trained(5, path)  # nothing is left to do
    kept = torch.load(path)["model"]
    assert all(torch.equal(value, kept[name]) for name, value in left.state_dict().items())


def test_a_course_ends_in_time(tmp_path):
    read = tokenizer()
    model = Translator(Shape(pieces=read.get_vocab_size(), **SHAPE))
    learn.train(model, learn.Course("test", 10**9, 128, 1e-3, minutes=0.0), PAIRS, read, tmp_path / "c.pt", 1)
    assert torch.load(tmp_path / "c.pt")["steps"] == 0


def test_an_epoch_has_every_pair_and_leaves_the_translations_alone():
    made = epoch([Pair(f"This is number {i} of them.", f"Nummer {i}") for i in range(300)], random.Random(1))
    assert len(made) == 300
    assert {int(pair.target.split()[1]) for pair in made} == set(range(300))
    assert 0.6 < sum(pair.source.startswith("This is number") and pair.source.endswith("of them.") for pair in made) / 300 < 0.95


def test_bleu_takes_the_nearest_of_several_translations():
    bleu, chrf = measure.scores(["Das ist gut so .", "Ja , das ist es"], [("Das ist schön so .", "Das ist gut so ."), ("Ja , das ist es",)])
    assert bleu == pytest.approx(100) and chrf == pytest.approx(100)


def test_golden_cases_are_what_is_served(tmp_path):
    model, read = fresh()
    served = written_to(tmp_path, model, read, True)
    measure.write_golden(served, ["the cat sleeps .", "eats"], 2)
    for line in (tmp_path / "golden.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        text, score = served.answer(case["text"], 2)
        assert case["output"] == {"text": text, "score": round(score, 6)} and math.isfinite(score)
        assert case["tokens"] == served.ids(case["text"])
    assert set(packages.file_sums(tmp_path)) == {speak.ENCODER, speak.DECODER, "tokenizer.json", "golden.jsonl"}


def test_errors_are_answers_that_nobody_gave():
    rows = [Tested("a", ("x", "y")), Tested("b", ("z",))]
    assert measure.examples(rows, ["y", "q"], 1) == [{"text": "b", "wanted": "z", "answered": "q"}]
