"""The router's classifier: which experts should see a request.

Its training requests are the experts' own inputs, bare and under instructions; under an instruction, the
instruction decides and not the text, so every kind of text stands under every kind of instruction. Texts that suit
two experts, and texts and tasks for none of them, make the rest.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nanogrid_training.bag import Bag, BagShape, piece_tokenizer
from nanogrid_training.noise import noisy
from nanogrid_training.package import Package, scores_of
from nanogrid_training.recipe import Recipe, module_at
from nanogrid_training.rows import Example, read, stable_fraction
from nanogrid_training.settings import Settings

templates = module_at(Path(__file__).with_name("templates.py"))

EXPERTS = ("language", "intent", "sentiment")
TEMPLATES = {"language": templates.LANGUAGE, "intent": templates.INTENT, "sentiment": templates.SENTIMENT,
             "none": templates.OTHER}
FACTS = ("ner/wikigold", "ner/crossner", "summarisation/scitldr_a")
REVIEWS = ("cr", "uci_sentences", "sst2", "imdb")
NON_COMMERCIAL = "masakhaner2"
LONGEST_WINDOW = 60
DEV_SIZE = 2500
# Per epoch. There are 74 languages to know, and everything else in the world to tell from reviews and requests.
BARE_TEXTS = {"language": 24_000, "intent": 12_000, "sentiment": 18_000, "none": 24_000}
PLAIN_SENTENCES = 40_000
# Plain sentences with such a word may be opinions: which expert should see them is anybody's guess, so they are left out.
OPINION = re.compile(r"\b(love|like|hate|awful|terribl|great|wonderful|delicious|boring|best|worst|good|bad|nice|beautiful"
                     r"|horribl|excellent|fantastic|poor|disappoint|enjoy|amazing|lovely|stupid|ugly|fun)", re.IGNORECASE)
DEV_SHARE = 0.12  # of the sets that have no dev part

# Requests whose answer is known, with the experts that should be asked: checked by the card.
KNOWN = [
    ("i need to move 200 dollars from savings to checking", ("intent",)),
    ("Das Wetter ist heute wunderbar", ("language",)),
    ("the battery dies after an hour and the screen is awful, waste of money", ("sentiment",)),
    ("What language is this review in, and is it positive: Das Essen war großartig", ("language", "sentiment")),
    ("Which language is this?\nI would like a table for two", ("language",)),
    ("Is this positive?\nLe film était très mauvais", ("sentiment",)),
    ("Your app is awful, cancel my reservation", ("intent", "sentiment")),
    ("Water boils at 100 degrees Celsius at sea level.", ("none",)),
    ("write a poem about the sea", ("none",)),
]


@dataclass(frozen=True)
class Texts:
    """The material of one part (train or dev)."""

    foreign: list[list[str]]  # one list per language
    requests: list[str]
    reviews: list[list[str]]  # one list per set: they differ in size far more than in worth
    opinions: list[str]  # single sentences with an opinion
    plain: list[str]
    facts: list[str]  # from encyclopaedias and science: words that conversation has not
    tasks: list[str]
    outside: list[str]
    questions: list[str]  # for a search engine or a forum, not for an assistant

    def review(self, rng: random.Random) -> str:
        words = rng.choice(rng.choice(self.reviews)).split()
        # A window of a long review; phrases of one or two words say too little to be told from anything else.
        start = rng.randrange(max(1, len(words) - LONGEST_WINDOW))
        return " ".join(words[start: start + rng.randint(12, LONGEST_WINDOW)])

    def any(self, rng: random.Random) -> str:
        pick = rng.randrange(4)
        if pick == 0:
            return self.review(rng)
        return rng.choice((rng.choice(self.foreign), self.requests, self.plain)[pick - 1])


class Training(Recipe):
    labels = [*EXPERTS, "none"]

    def __init__(self, settings: Settings, data: Path) -> None:
        super().__init__(settings, data)
        self._index = {label: i for i, label in enumerate(self.labels)}

    def _example(self, text: str, *experts: str) -> Example:
        return Example(text, tuple(sorted(self._index[expert] for expert in experts)))

    def _read(self, name: str, part: str) -> list[dict[str, str]]:
        return [row for row in read(self.data, name, part) if not row.get("source", "").startswith(NON_COMMERCIAL)]

    def _split(self, name: str, text_of: Callable[[dict[str, str]], str], part: str) -> list[str]:
        """The texts of a set without a dev part: some of them are set aside by their hash."""
        texts = [text_of(row) for row in self._read(name, "train")]
        return [text for text in texts if text and (stable_fraction(text) < DEV_SHARE) == (part == "dev")]

    def _texts(self, part: str) -> Texts:
        sentences = self._read("langid/web75", part) + self._read("langid/tatoeba", part)
        if part == "train":
            sentences += self._read("langid/commonvoice_more", part) + self._read("langid/open_text_more", part)
        by_language: dict[str, list[dict[str, str]]] = {}
        for row in sentences:
            if row["lang"] in self._languages - {"en"}:
                by_language.setdefault(row["lang"], []).append(row)
        plain = [row["text"] for row in sentences if row["lang"] == "en"]
        plain += [row["text"] for row in self._english(part)]
        requests = self._read("intent/clinc150", part)
        reviews = {name: [row["text"] for row in self._read(f"sentiment/{name}", part)] for name in REVIEWS}
        reviews["sst2"] = [text for text in reviews["sst2"] if len(text.split()) >= 4]
        return Texts(
            foreign=[[row["text"] for row in rows] for _, rows in sorted(by_language.items())],
            requests=[row["text"] for row in requests if row["intent"] != "oos"],
            reviews=list(reviews.values()),
            opinions=[text for name in ("cr", "uci_sentences") for text in reviews[name] if len(text.split()) <= 16],
            plain=[text for text in plain if len(text.split()) >= 3 and not OPINION.search(text)],
            facts=[part_of for name in FACTS for row in self._read(name, part) for part_of in self._facts(row)],
            questions=[row["text"] for row in self._read("topic/stackoverflow20", part)],
            tasks=(self._split("router/human_instructions", lambda row: f"{row['text']}\n{row['input']}".strip(), part)
                   + self._split("router/promptsource_templates", self._rendered, part)),
            outside=[row["text"] for row in requests if row["intent"] == "oos"])

    @staticmethod
    def _facts(row: dict[str, Any]) -> list[str]:
        """A tagged sentence as text, or the sentences of an abstract."""
        text = row["text"] if "text" in row else re.sub(r" ([.,;:!?)'])", r"\1", " ".join(row["tokens"]))
        return [sentence for sentence in re.split(r"(?<=[.?!])\s+", text) if len(sentence.split()) >= 4]

    def _english(self, part: str) -> list[dict[str, str]]:
        """The English side of a translation set: sentences about everything."""
        rows = self._read("translation/tatoeba_en_de", part)
        return [{"text": row["en"]} for row in rows[:PLAIN_SENTENCES]]

    @staticmethod
    def _rendered(row: dict[str, Any]) -> str:
        """The input side of a prompt template with `{}` for its fields, or nothing if it asks for one of our experts."""
        about = f"{row['dataset']} {row['subset']} {row['name']} {row['jinja']}".lower()
        if re.search(r"sentiment|review|imdb|yelp|rotten|positive|negative|sst2|language|intent|emotion|banking", about):
            return ""
        text = re.sub(r"{%.*?%}", " ", row["jinja"].split("|||")[0])
        text = re.sub(r"{{.*?}}", "{}", text)
        return " ".join(re.sub(r"{(?!})|(?<!{)}", " ", text).split())

    @cached_property
    def _languages(self) -> set[str | None]:
        return {row["lang"] for row in self._read("langid/web75", "dev")}

    @cached_property
    def _train(self) -> Texts:
        return self._texts("train")

    def rows(self) -> dict[str, int]:
        sets = ["langid/web75", "langid/tatoeba", "intent/clinc150", *FACTS, "topic/stackoverflow20",
                *(f"sentiment/{name}" for name in REVIEWS)]
        languages = self._languages | {None}  # other sets have no such column
        rows = {name: sum(row.get("lang") in languages for row in self._read(name, "train")) for name in sets}
        rows["langid/commonvoice_more"] = len(self._read("langid/commonvoice_more", "train"))
        rows["langid/open_text_more"] = len(self._read("langid/open_text_more", "train"))
        rows["translation/tatoeba_en_de"] = len(self._english("train"))
        rows["router/human_instructions"] = len(self._split("router/human_instructions", lambda row: row["text"], "train"))
        rows["router/promptsource_templates"] = len(
            self._split("router/promptsource_templates", self._rendered, "train"))
        return rows

    def tokenizer(self) -> Tokenizer:
        rng = random.Random(self.settings.seed)
        texts = [example.text for example in self.epoch(rng)]
        # English words matter most: instructions, requests and reviews are told apart by them.
        english = [text for text in texts if text.isascii()]
        return piece_tokenizer(texts + english, self.settings.model["pieces"], self.settings.model["alphabet"])

    def model(self, tokenizer: Tokenizer) -> Bag:
        shape = {key: value for key, value in self.settings.model.items() if key not in ("pieces", "alphabet")}
        return Bag(BagShape(tokens=tokenizer.get_vocab_size(), n_labels=len(self.labels), **shape))

    def _bare(self, texts: Texts, expert: str, rng: random.Random) -> Example:
        """A text without an instruction."""
        if expert == "language":
            text = rng.choice(rng.choice(texts.foreign))
            if rng.random() < 0.3:
                words = text.split()
                start = rng.randrange(len(words))
                text = " ".join(words[start: start + rng.randint(2, 5)])
        elif expert == "intent":
            text = rng.choice(texts.requests)
        elif expert == "sentiment":
            text = texts.review(rng)
        else:
            draw = rng.random()
            text = rng.choice(texts.plain if draw < 0.35 else texts.facts if draw < 0.5 else
                              texts.outside if draw < 0.6 else texts.questions if draw < 0.65 else texts.tasks)
            text = self._filled(text, texts, rng)
        return self._example(text, expert)

    @staticmethod
    def _filled(template: str, texts: Texts, rng: random.Random) -> str:
        while "{}" in template:
            template = template.replace("{}", texts.any(rng) if rng.random() < 0.5 else rng.choice(texts.plain), 1)
        return template

    def _instructed(self, texts: Texts, expert: str, rng: random.Random, unseen: bool = False) -> Example:
        """A text under an instruction: often one of the kind that the expert is for, but any text will do."""
        if expert == "none" or rng.random() < 0.45:
            text = texts.any(rng)
        else:
            text = self._bare(texts, expert, rng).text
        template = rng.choice(templates.UNSEEN[expert]) if unseen else templates.one(expert, TEMPLATES[expert], rng)
        return self._example(template.replace("{}", text), expert)

    def _several(self, texts: Texts, rng: random.Random, openings: list[str]) -> Example:
        experts = rng.sample(EXPERTS, 3 if rng.random() < 0.12 else 2)
        text = self._bare(texts, rng.choice(experts), rng).text if rng.random() < 0.7 else texts.any(rng)
        return self._example(templates.several(experts, rng, openings).replace("{}", text), *experts)

    def _remarked(self, texts: Texts, rng: random.Random) -> Example:
        """A request with praise or a complaint: two experts have something to say about it."""
        remark = rng.choice(templates.REMARKS if rng.random() < 0.5 else texts.opinions).rstrip(" .!")
        request = rng.choice(texts.requests)
        first, second = (remark, request) if rng.random() < 0.6 else (request, remark)
        return self._example(first + rng.choice([", ", ". ", "! ", " - ", " and ", ", so ", "... "]) + second,
                             "intent", "sentiment")

    def epoch(self, rng: random.Random) -> list[Example]:
        texts = self._train
        examples = [self._bare(texts, expert, rng) for expert in self.labels for _ in range(BARE_TEXTS[expert])]
        examples += [self._instructed(texts, expert, rng) for expert in self.labels for _ in range(8_000)]
        examples += [self._several(texts, rng, templates.OPENINGS) for _ in range(7_000)]
        examples += [self._remarked(texts, rng) for _ in range(6_000)]
        return [Example(noisy(example.text, rng), example.labels) for example in examples]

    def dev(self) -> dict[str, list[Example]]:
        return self._dev

    @cached_property
    def _dev(self) -> dict[str, list[Example]]:
        """Texts that were not trained on: bare, under the instructions of training, under unseen instructions."""
        texts, rng = self._texts("dev"), random.Random(self.settings.seed)
        part = DEV_SIZE // 4
        return {
            "bare texts": [self._bare(texts, expert, rng) for expert in self.labels for _ in range(part)],
            "requests with a remark": [self._remarked(texts, rng) for _ in range(part)],
            "known instructions": [self._instructed(texts, expert, rng)
                                   for expert in self.labels for _ in range(part)],
            "known instructions for several": [self._several(texts, rng, templates.OPENINGS) for _ in range(part)],
            "unseen instructions": [self._instructed(texts, expert, rng, unseen=True)
                                    for expert in self.labels for _ in range(part)],
            "unseen instructions for several": [
                self._several(texts, rng, templates.UNSEEN_OPENINGS) for _ in range(part)],
        }

    def golden_texts(self) -> list[str]:
        texts = [example.text for examples in self.dev().values() for example in examples[:: len(examples) // 8]]
        return [*(text for text, _ in KNOWN), *texts]

    def extra(self, package: Package, manifest: dict[str, Any]) -> str:
        """The known requests with their scores."""
        lines = ["| request | should be asked | " + " | ".join(self.labels) + " |", "|---|---|---:|---:|---:|---:|"]
        for text, experts in KNOWN:
            scores = scores_of(package.logits(text), manifest["temperature"], manifest["activation"])
            shown = text.replace("\n", "⏎")
            lines.append(f"| {shown} | {', '.join(experts)} | " + " | ".join(f"{score:.3f}" for score in scores) + " |")
        return "\n".join(lines)
