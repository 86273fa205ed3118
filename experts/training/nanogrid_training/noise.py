"""Typing noise for training texts: requests come from thumbs, and models trained on clean text trip over it."""

from __future__ import annotations

import random
import string

from .normaliser import LOOK_ALIKES

NEIGHBOURS = {
    "a": "qsz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok",
    "j": "hku", "k": "jli", "l": "ko", "m": "n", "n": "bm", "o": "ipl", "p": "o", "q": "wa", "r": "etf", "s": "adw",
    "t": "ryg", "u": "yij", "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}
EMOJI = ("🙂", "😀", "😡", "❤️", "👍", "🙏", "😂", "🎉", "😞", "🔥")

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"


def typo(text: str, rng: random.Random) -> str:
    """One slip: two letters swapped, one left out, doubled, or the key beside it."""
    places = [i for i, letter in enumerate(text) if letter.isalpha()]
    if len(places) < 4:
        return text
    i = rng.choice(places[1:])
    kind = rng.randrange(4)
    if kind == 0 and i + 1 < len(text) and text[i + 1].isalpha():
        return text[:i] + text[i + 1] + text[i] + text[i + 2:]
    if kind == 1:
        return text[:i] + text[i + 1:]
    if kind == 2:
        return text[:i] + text[i] + text[i:]
    return text[:i] + rng.choice(NEIGHBOURS.get(text[i].lower(), text[i])) + text[i + 1:]


def noisy(text: str, rng: random.Random) -> str:
    """Mostly the text itself; otherwise with typos, another case, other punctuation at its end, or an emoji."""
    draw = rng.random()
    if draw < 0.55:
        return text
    if draw < 0.80:
        for _ in range(1 + len(text) // 60):
            text = typo(text, rng)
        return text
    return dressed(text, rng)


def dressed(text: str, rng: random.Random) -> str:
    """The same letters in another dress: case, punctuation at the end, an emoji."""
    draw = rng.random()
    if draw < 0.50:
        return rng.choice([str.upper, str.capitalize, str.title])(text)
    if draw < 0.85:
        bare = text.rstrip(" .!?")
        return bare + rng.choice(["", "", ".", "!", "?", "!!", "...", " please", "\n"])
    return f"{text} {rng.choice(EMOJI)}" if rng.random() < 0.7 else f"{rng.choice(EMOJI)} {text}"


def scrambled(text: str, share: float, rng: random.Random) -> str:
    """Every character but spaces is hit with probability `share`: swapped with the next, left out, doubled, replaced
    by the key beside it, or by any letter."""
    letters = list(text)
    i = 0
    while i < len(letters):
        letter = letters[i]
        if not letter.isspace() and rng.random() < share:
            kind = rng.randrange(5)
            if kind == 0 and i + 1 < len(letters) and not letters[i + 1].isspace():
                letters[i], letters[i + 1] = letters[i + 1], letter
                i += 1
            elif kind == 1:
                letters[i] = ""
            elif kind == 2:
                letters[i] = letter * 2
            elif kind == 3:
                letters[i] = rng.choice(NEIGHBOURS.get(letter.lower(), letter))
            else:
                letters[i] = rng.choice(string.ascii_lowercase)
        i += 1
    return "".join(letters)


def worn(text: str, rng: random.Random) -> str:
    """What students are trained on: half of it clean, the rest up to far worse than thumbs make it."""
    draw = rng.random()
    if draw < 0.45:
        return text
    return scrambled(text, rng.uniform(0.02, 0.16), rng) if draw < 0.90 else dressed(text, rng)


def varied(text: str, other: str, rng: random.Random) -> str:
    """A text that nobody wrote, for a teacher to label: words left out, or the end of another text."""
    words, others = text.split(), other.split()
    if rng.random() < 0.5:
        share = rng.uniform(0.1, 0.4)
        return " ".join(word for word in words if rng.random() >= share) or text
    return " ".join([*words[: rng.randint(1, max(1, len(words)))], *others[rng.randrange(max(1, len(others))):]])


def with_look_alikes(text: str, share: float, rng: random.Random) -> str:
    """Latin letters replaced by those of other scripts that look the same."""
    return "".join(rng.choice(LOOK_ALIKES[letter]) if letter in LOOK_ALIKES and rng.random() < share else letter
                   for letter in text)


def with_invisible(text: str, share: float, rng: random.Random) -> str:
    """Characters that no reader sees, put between the others."""
    return "".join(letter + rng.choice(INVISIBLE) if rng.random() < share else letter for letter in text)
