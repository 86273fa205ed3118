"""Spans: read, worn, taught, decoded and told by their format."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from nanogrid_training import formats
from nanogrid_training.spans import decode
from nanogrid_training.spans.loss import Tagged, Tags
from nanogrid_training.spans.measure import counts, span_f1
from nanogrid_training.settings import Learning, Settings, Source
from nanogrid_training.spans.recipe import Spans
from nanogrid_training.spans.rows import Span, Spanned, _of_tokens
from nanogrid_training.spans.tagger import Tagger, TaggerShape, cased_tokenizer, n_pieces_of
from nanogrid_training.spans.words import begins, words_of, worn, worn_apart

TEXT = "Anna Schmidt (Zürich) said: HELLO"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def tagger(n_texts: int = 3) -> tuple[Tagger, object]:
    torch.manual_seed(1)
    tokenizer = cased_tokenizer([TEXT], 2000)
    model = Tagger(TaggerShape(layers=2, pieces=n_pieces_of(tokenizer), max_tokens=32, n_labels=5, heads=4, inner=128,
                               rank=32, n_texts=n_texts, spellings=tokenizer.get_vocab_size()))
    model.read(tokenizer)
    torch.nn.init.normal_(model.cases.weight)
    return model.eval(), tokenizer


def test_the_graph_says_of_every_token_and_of_the_text_what_torch_says() -> None:
    model, tokenizer = tagger()
    ids = np.array([tokenizer.encode(TEXT).ids], np.int64)
    mask = np.ones_like(ids)
    session = onnxruntime.InferenceSession(model.to_onnx(int8=False).SerializeToString())
    of_tokens, of_text = session.run(["logits", "text_logits"], {"input_ids": ids, "attention_mask": mask})
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(of_tokens, wanted[0].numpy(), atol=2e-5)
    np.testing.assert_allclose(of_text, wanted[1].numpy(), atol=2e-5)


def test_a_piece_has_one_row_however_it_is_spelt() -> None:
    model, tokenizer = tagger()
    lower, capital, upper = (tokenizer.encode(text).ids[1] for text in ("hello", "Hello", "HELLO"))
    assert len({lower, capital, upper}) == 3
    rows, cases = model.rows(torch.tensor([lower, capital, upper])), model.case_of[[lower, capital, upper]]
    assert len(set(rows.tolist())) == 1 and cases.tolist() == [0, 1, 2]


def test_words_do_not_depend_on_the_pieces_kept() -> None:
    few, many = cased_tokenizer([], 200), cased_tokenizer([TEXT], 2000)
    places = words_of(few.encode(TEXT))[1]
    assert places == words_of(many.encode(TEXT))[1]
    assert [TEXT[start:end] for start, end in places] == ["Anna", "Schmidt", "(", "Zürich", ")", "said", ":", "HELLO"]


def test_tokens_and_tags_become_spans_of_characters() -> None:
    text, spans = _of_tokens({"tokens": ["Anna", "Schmidt", "lives", "in", "Zürich"],
                              "tags": ["B-PER", "I-PER", "O", "O", "I-LOC"]})
    assert spans == (Span("PER", 0, 12), Span("LOC", 22, 28))
    assert [one and (one[0].entity, one[1]) for one in begins(words_of(cased_tokenizer([], 200).encode(text))[1], spans)] == [
        ("PER", True), ("PER", False), None, None, ("LOC", True)]


def test_noise_changes_no_number_of_words_and_moves_spans_along() -> None:
    tokenizer, rng = cased_tokenizer([], 500), random.Random(1)
    places = words_of(tokenizer.encode(TEXT))[1]
    for _ in range(200):
        assert len(words_of(tokenizer.encode(worn(TEXT, places, rng)))[1]) == len(places)
    text, spans = worn_apart(TEXT, (Span("PER", 0, 12), Span("LOC", 14, 20)), lambda word: word * 2)
    assert [text[span.start:span.end] for span in spans] == ["AnnaAnna SchmidtSchmidt", "ZürichZürich"]
    text, (span, _) = worn_apart(TEXT, (Span("PER", 0, 12), Span("LOC", 14, 20)), lambda word: word + "\u200b")
    assert text[span.start:span.end] == "Anna\u200b Schmidt"


def test_a_set_of_tags_is_right_when_one_of_them_is() -> None:
    _, tokenizer = tagger()
    loss = Tags(tokenizer, [frozenset({0}), frozenset({1, 3})], 5, 32)
    example = Tagged("Anna said", (1, 0))
    logits = torch.full((1, 8, 5), -20.0)
    logits[0, 1:, 3], logits[0, 1:, 0] = 20.0, 20.0
    firsts = words_of(tokenizer.encode(example.text))[0]
    logits[0, firsts[0], 0] = -20.0
    logits[0, firsts[1], 3] = -20.0
    assert loss((logits, torch.zeros(1, 1)), [example]).item() < 1e-3
    assert loss((-logits, torch.zeros(1, 1)), [example]).item() > 1.0


def test_a_text_that_nobody_marked_is_a_lesson_of_the_student_alone(tmp_path: Path) -> None:
    marked = json.dumps({"tokens": ["Anna", "said"], "tags": ["B-PER", "O"]})
    for name in ("marked", "plain"):
        (tmp_path / name).mkdir()
    (tmp_path / "plain" / "train.tsv").write_text("text\nwho was it\n", "utf-8")
    with lzma.open(tmp_path / "marked" / "train.jsonl.xz", "wt") as file:
        file.write(marked + "\n")
    learning = Learning(1, 64, 1e-3, 1e-3)
    plan = Spans(Settings(
        name="test", version=1, seed=1, licence="", architecture="", learning=learning, model={"pieces": 500}, max_tokens=32,
        card={}, home=tmp_path, runs=tmp_path, sources=[Source(name="marked", licence="", source=""), Source(
            name="plain", licence="", source="", unmarked=True)]), tmp_path)
    assert [row.text for row in plan.labelled()] == ["Anna said"]
    assert sorted(row.origin for row in plan.lessons(random.Random(1))) == ["Anna said", "who was it"]
    assert [row.origin for row in plan.epoch(random.Random(1))] == ["Anna said"]
    (unmarked,) = plan.unlabelled
    assert [plan.sets[tag] for tag in unmarked.tags] == [frozenset(range(len(plan.labels)))] * 3


def test_no_span_begins_in_its_middle() -> None:
    def spans(*words: tuple[float, ...]) -> list[tuple[str, int, int]]:
        places = [(3 * i, 3 * i + 2) for i in range(len(words))]
        return [(span.entity, span.start, span.end) for span, _ in decode.spans(np.array(words), places, LABELS, 1.0)]

    assert spans((5, 0, 0, 0, 0), (0, 0, 5, 0, 0)) == []
    assert spans((4, 4.5, 0, 0, 0), (0, 0, 5, 0, 0)) == [("PER", 0, 5)]
    assert spans((0, 5, 0, 0, 0), (0, 4, 0, 0, 5)) == [("PER", 0, 2), ("PER", 3, 5)]


def test_f1_counts_exact_finds_only() -> None:
    row = Spanned("Anna in Rome", (Span("PER", 0, 4), Span("LOC", 8, 12)))
    cells = counts([[(Span("PER", 0, 4), 0.9), (Span("LOC", 5, 12), 0.9)]], [row])
    assert cells.tolist() == [[1, 1, 1]]
    assert span_f1("set", "span-f1", cells)["value"] == 0.5


def test_formats_tell_what_they_tell_and_win_over_the_model() -> None:
    named = {"card-number": "CARD", "iban": "IBAN", "ip-address": "IP", "email-address": "EMAIL"}
    text = "4111 1111 1111 1111 12/29 to DE89 3704 0044 0532 0130 00 or x.y@z.co.uk. 1.2.3.4, 1.2.3.400, 4111111111111112"
    found = formats.applied(named, text, [(Span("PHONE", 0, 9), 0.8), (Span("DATE", 20, 25), 0.8)])
    assert [(span.entity, text[span.start:span.end]) for span, _ in found] == [
        ("CARD", "4111 1111 1111 1111"), ("DATE", "12/29"), ("IBAN", "DE89 3704 0044 0532 0130 00"),
        ("EMAIL", "x.y@z.co.uk"), ("IP", "1.2.3.4")]
    assert formats.applied({}, text, []) == []
