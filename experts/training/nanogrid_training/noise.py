"""Typing noise for training texts: requests come from thumbs, and models trained on clean text trip over it."""

from __future__ import annotations

import random

NEIGHBOURS = {
    "a": "qsz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok",
    "j": "hku", "k": "jli", "l": "ko", "m": "n", "n": "bm", "o": "ipl", "p": "o", "q": "wa", "r": "etf", "s": "adw",
    "t": "ryg", "u": "yij", "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}
EMOJI = ("🙂", "😀", "😡", "❤️", "👍", "🙏", "😂", "🎉", "😞", "🔥")


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
    if draw < 0.90:
        return rng.choice([str.upper, str.capitalize, str.title])(text)
    if draw < 0.97:
        bare = text.rstrip(" .!?")
        return bare + rng.choice(["", "", ".", "!", "?", "!!", "...", " please", "\n"])
    return f"{text} {rng.choice(EMOJI)}" if rng.random() < 0.7 else f"{rng.choice(EMOJI)} {text}"
