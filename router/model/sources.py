"""The texts that the router's classifier learns from: the experts' own inputs by kind, and what is for none of them.

A set's training part is only trained on and its dev part only measured on. Sets without a dev part are divided by a hash
of the text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanogrid_training.rows import read, stable_fraction

Row = dict[str, Any]

NON_COMMERCIAL = "masakhaner2"
# Sets without a licence, and other people's tweets: learnt from, and not passed on.
UNFREE = ("sst2", "imdb", "btc", "wnut17")
DEV_SHARE = 0.12  # of the sets that have no dev part
LONGEST_WINDOW = 60  # words
PLAIN_SENTENCES = 40_000
REVIEW_SENTENCES = 80_000
# Plain sentences with such a word may be opinions, and those about `you` and `me` may be said with a feeling: which expert
# should see them is anybody's guess, so they are left out.
OPINION = re.compile(r"\b(love|like|hate|awful|terribl|great|wonderful|delicious|boring|best|worst|good|bad|nice|beautiful"
                     r"|horribl|excellent|fantastic|poor|disappoint|enjoy|amazing|lovely|stupid|ugly|fun)", re.IGNORECASE)
NAME = re.compile(r"\w.*\b[A-Z][a-z]")
TALK = re.compile(r"\b(i|i'm|i'll|i've|i'd|you|your|you're|me|my|we|us|our|let's)\b|[!?]", re.IGNORECASE)
# What tells a private person from all others. A name alone is an entity, a place or a date is about nobody.
PERSONAL = {"STREET_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "US_SSN", "IBAN_CODE", "US_DRIVER_LICENSE",
            "IP_ADDRESS"}
OWN_WORDS = 6  # fewer than these, beside its fields, and a template asks for nothing in particular
# What an assistant's intents and the commands with slots both know: requests of these kinds are for both.
SHARED_INTENTS = {"weather", "restaurant_reservation", "play_music"}
SHARED_COMMANDS = {"GetWeather", "BookRestaurant", "PlayMusic"}
# PromptSource templates for what one of the experts does, by data set and subset.
ASKS_FOR = {
    "sentiment": ("imdb", "rotten_tomatoes", "amazon_polarity", "yelp_polarity", "sst", "movie_rationales", "tweet_eval/sentiment"),
    "emotion": ("emotion", "tweet_eval/emotion"),
    "toxicity": ("hate_speech18", "tweet_eval/hate", "tweet_eval/offensive", "jigsaw_unintended_bias"),
    "spam": ("sms_spam",),
    "question": ("trec",),
    "banking": ("banking77",),
}
# Those among them that ask for something else, or whose question is only in their choices.
ASKS_OTHERWISE = re.compile(r"generate|summari|categorize|extract|star\b", re.IGNORECASE)
# Data sets whose templates ask for something that an expert does, but not as the expert does it: neither for one nor for none.
NEAR = re.compile(r"sentiment|review|yelp|rotten|positive|negative|language|intent|emotion|banking|emo\b|hate|toxic|offens|spam|"
                  r"jigsaw|species_800|ncbi_disease|person|entit|location|stance|irony|topic|humicroedit|snips|conv_ai")


@dataclass(frozen=True)
class Pool:
    """Texts of one origin; how often one of them is drawn does not depend on how many there are."""

    texts: list[str]
    share: float = 1.0
    is_free: bool = True  # whether its texts may be passed on


@dataclass(frozen=True)
class Texts:
    """The material of one part (train or dev)."""

    kinds: dict[str, list[Pool]]  # by expert, and of `none`: what the experts have nothing to say about
    bare: dict[str, list[Pool]]  # those that say by themselves whom they are for, where that is not all of them
    shared: frozenset[str]  # texts for `intent` and `command` alike
    leaks: dict[str, list[str]]  # personal data by type
    opinions: list[str]  # single sentences with an opinion
    templates: dict[str, list[str]]  # instructions that others wrote, by expert

    def draw(self, kind: str, rng: random.Random, bare: bool = False) -> str:
        pools = self.bare.get(kind, self.kinds[kind]) if bare else self.kinds[kind]
        pool = rng.choices(pools, [pool.share for pool in pools])[0] if len(pools) > 1 else pools[0]
        return rng.choice(pool.texts)

    def free(self) -> Texts:
        """Those that may be passed on."""
        def keep(kinds: dict[str, list[Pool]]) -> dict[str, list[Pool]]:
            kept = {kind: [pool for pool in pools if pool.is_free and pool.texts] for kind, pools in kinds.items()}
            return {kind: pools for kind, pools in kept.items() if pools}

        kinds = keep(self.kinds)
        return replace(self, kinds=kinds, bare={kind: pools for kind, pools in keep(self.bare).items() if kind in kinds})

    def plain(self, rng: random.Random) -> str:
        """A sentence that nobody has anything to say about."""
        return rng.choice(rng.choice(self.kinds["none"][-2:]).texts)


class Sources:
    """Reads the sets under `data`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.languages = {row["lang"] for row in read(data, "langid/web75", "dev")}
        self.counts: dict[str, int] = {}  # training rows used, by set

    def texts(self, part: str) -> Texts:
        reviews = {name: self._column(f"sentiment/{name}", part) for name in ("cr", "uci_sentences", "sst2", "imdb")}
        reviews["sst2"] = [text for text in reviews["sst2"] if len(text.split()) >= 4]
        english, foreign = self._sentences(part)
        templates, others = self._templates(part)
        requests = self._rows("intent/clinc150", part)
        feelings = self._column("sentiment/xed_emotion", part, lambda row: row["lang"] == "en" and row["labels"] != "neutral")
        personal, leaks = self._personal(part)
        kinds = {
            "language": [Pool(texts) for _, texts in sorted(foreign.items())],
            "intent": [Pool([row["text"] for row in requests if row["intent"] != "oos"])],
            "banking": [Pool(self._column("intent/banking77", part))],
            "command": [Pool(self._column("intent/snips", part)),
                        Pool(self._column("ner/restaurant8k", part, lambda row: bool(row["slots"])), 0.6)],
            "sentiment": [Pool(texts, is_free=name not in UNFREE) for name, texts in reviews.items()],
            "emotion": [Pool(feelings)],
            "entities": [Pool(self._tagged(f"ner/{name}", part), share, name not in UNFREE) for name, share in
                         (("wnut17", 1.0), ("btc", 0.7), ("wikigold", 1.0), ("crossner", 0.6))],
            "question": [Pool(self._column("topic/trec_question", part), is_free=False)],
            "tech-topic": [Pool(self._column("topic/stackoverflow20", part))],
            "spam": [Pool(self._column("safety/sms_spam", part, lambda row: row["label"] == label)) for label in ("ham", "spam")],
            "guard": [Pool(self._column("safety/prompt_attacks", part, lambda row: row["label"] == label), share, label == "jailbreak")
                      for label, share in (("jailbreak", 1.0), ("harmful_request", 1.0), ("injected_instruction", 0.4))],
            "toxicity": [Pool(self._column("safety/davidson", part), is_free=False),
                         Pool(self._column("safety/vicomtech_hate", part, lambda row: row["label"] == "hate"), 0.5, False)],
            "pii": personal,
            "none": [Pool(self._halved("router/human_instructions", part, lambda row: f"{row['text']}\n{row['input']}".strip())),
                     Pool(others),
                     Pool([row["text"] for row in requests if row["intent"] == "oos"], 0.3),
                     Pool([sentence for text in self._column("summarisation/scitldr_a", part) for sentence in _sentences(text)], 0.5),
                     Pool([text for text in english + self._english(part) if len(text.split()) >= 5 and not OPINION.search(text)
                           and not TALK.search(text) and not NAME.search(text)], 0.3)],
        }
        bare = {
            # A post without an instruction may be for anybody: for who it names, how it feels, or what it insults.
            "entities": [*kinds["entities"][2:], Pool(self._tagged("ner/wikiann_en_de_fr_nl", part, 8))],
            "emotion": [Pool([text for text in feelings if TALK.search(text) and len(text.split()) >= 5])],
            "sentiment": [Pool([text for text in texts if len(text.split()) >= 6], is_free=name not in UNFREE)
                          for name, texts in reviews.items()],
            "toxicity": [Pool([row["text"] for row in self._rows("safety/davidson", part) if row["label"] != "neither"], is_free=False)],
            "guard": kinds["guard"][:2],
            "spam": [Pool([text for text in pool.texts if len(text.split()) >= 5], share)
                     for pool, share in zip(kinds["spam"], (0.5, 1.0), strict=True)],
        }
        opinions = [text for name in ("cr", "uci_sentences") for text in reviews[name] if len(text.split()) <= 16]
        shared = {row["text"] for row in requests if row["intent"] in SHARED_INTENTS}
        shared |= {row["text"] for row in self._rows("intent/snips", part) if row["intent"] in SHARED_COMMANDS}
        return Texts(kinds, bare, frozenset(shared), leaks, opinions, templates)

    def unlabelled(self, rng: random.Random) -> list[str]:
        """Texts of sets that say nothing about whom they are for."""
        columns = [("intent/hwu64", "text"), ("glue/qnli_devonly", "question"), ("glue/qnli_devonly", "sentence")]
        texts = [row[column] for name, column in columns for row in self._rows(name, "train")]
        for name in ("translation/tatoeba_en_es", "translation/tatoeba_en_fr"):
            texts += [row["en"] for row in self._rows(name, "train")]
        reviews = self._column("sentiment/imdb", "train")
        sentences = [sentence for review in reviews for sentence in _sentences(review) if len(sentence.split()) <= LONGEST_WINDOW]
        return texts + rng.sample(sentences, REVIEW_SENTENCES)

    def _rows(self, name: str, part: str) -> list[Row]:
        rows = [row for row in read(self.data, name, part) if not row.get("source", "").startswith(NON_COMMERCIAL)]
        if part == "train":
            self.counts[name] = len(rows)
        return rows

    def _column(self, name: str, part: str, wanted: Callable[[Row], bool] = lambda row: True) -> list[str]:
        return [row["text"] for row in self._rows(name, part) if wanted(row) and row["text"].strip()]

    def _halved(self, name: str, part: str, text_of: Callable[[Row], str]) -> list[str]:
        """The texts of a set without a dev part."""
        return [text for text in map(text_of, self._rows(name, "train")) if text and _is_dev(text) == (part == "dev")]

    def _sentences(self, part: str) -> tuple[list[str], dict[str, list[str]]]:
        """English ones, and those of all other languages that have a dev part."""
        rows = self._rows("langid/web75", part) + self._rows("langid/tatoeba", part)
        if part == "train":
            rows += self._rows("langid/commonvoice_more", part) + self._rows("langid/open_text_more", part)
        foreign: dict[str, list[str]] = {}
        for row in rows:
            if row["lang"] in self.languages - {"en"}:
                foreign.setdefault(row["lang"], []).append(row["text"])
        return [row["text"] for row in rows if row["lang"] == "en"], foreign

    def _english(self, part: str) -> list[str]:
        """The English side of a translation set: sentences about everything."""
        rows = self._rows("translation/tatoeba_en_de", part)[:PLAIN_SENTENCES]
        if part == "train":
            self.counts["translation/tatoeba_en_de"] = len(rows)
        return [row["en"] for row in rows]

    def _tagged(self, name: str, part: str, shortest: int = 1) -> list[str]:
        """English sentences with at least one entity, as text again."""
        rows = [row for row in self._rows(name, part) if any(tag != "O" for tag in row["tags"])
                and row.get("lang", "en") == "en" and len(row["tokens"]) >= shortest]
        return [re.sub(r" ([.,;:!?)'])", r"\1", " ".join(row["tokens"])) for row in rows]

    def _personal(self, part: str) -> tuple[list[Pool], dict[str, list[str]]]:
        """Texts with personal data, one pool for each sentence that they fill in; and what they are filled in with."""
        by_template: dict[str, list[str]] = {}
        leaks: dict[str, set[str]] = {}
        for row in self._rows("safety/pii_presidio", part):
            for span in row["spans"]:
                leaks.setdefault(span["type"], set()).add(row["text"][span["start"]: span["end"]])
            if any(span["type"] in PERSONAL for span in row["spans"]):
                by_template.setdefault(row["template"], []).append(row["text"])
        return [Pool(texts) for _, texts in sorted(by_template.items())], {kind: sorted(found) for kind, found in leaks.items()}

    def _templates(self, part: str) -> tuple[dict[str, list[str]], list[str]]:
        """What PromptSource's templates ask of the experts, with `{}` for the text; and what they ask of nobody here, with `{}`
        for every field."""
        asks = {data_set: expert for expert, data_sets in ASKS_FOR.items() for data_set in data_sets}
        ours: dict[str, list[str]] = {expert: [] for expert in ASKS_FOR}
        others: list[str] = []
        for row in self._rows("router/promptsource_templates", "train"):
            text = _rendered(row["jinja"])
            if not text or _is_dev(text) != (part == "dev"):
                continue
            expert = asks.get(row["dataset"]) or asks.get(f"{row['dataset']}/{row['subset']}")
            if expert:
                # Those that name one field and answer with a label; others ask for a title, a review or a comparison.
                answers = row["jinja"].rpartition("|||")[2]
                if text.count("{}") == 1 and "answer_choices" in answers and not ASKS_OTHERWISE.search(text):
                    ours[expert].append(text)
            elif len(text.replace("{}", " ").split()) >= OWN_WORDS and not NEAR.search(f"{row['dataset']} {row['subset']} {row['name']} {row['jinja']}".lower()):
                others.append(text)
        return {expert: sorted(set(found)) for expert, found in ours.items()}, others


def _is_dev(text: str) -> bool:
    return stable_fraction(text) < DEV_SHARE


def _sentences(text: str) -> Iterable[str]:
    return (sentence for sentence in re.split(r"(?<=[.?!])\s+", text) if len(sentence.split()) >= 4)


def _rendered(jinja: str) -> str:
    """The input side of a template: fixed strings in place, choices left out, `{}` for every other field."""
    text = re.sub(r"{%.*?%}", " ", jinja.split("|||")[0])
    text = re.sub(r"{{\s*[\"']([^\"']*)[\"']\s*}}", r"\1", text)
    text = re.sub(r"{{[^}]*(?:choice|join)[^}]*}}", " ", text)
    text = re.sub(r"{{.*?}}", "{}", text)
    return " ".join(re.sub(r"{(?!})|(?<!{)}", " ", text).split())


def window(text: str, shortest: int, rng: random.Random) -> str:
    """A part of a long text; phrases of one or two words say too little to be told from anything else."""
    words = text.split()
    if len(words) <= shortest:
        return text
    start = rng.randrange(max(1, len(words) - LONGEST_WINDOW)) if rng.random() < 0.5 else 0
    return " ".join(words[start: start + rng.randint(shortest, LONGEST_WINDOW)])
