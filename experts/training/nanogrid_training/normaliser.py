"""What every tokenizer here does to text first.

The regexes are read by two engines, Oniguruma in Python and fancy-regex in Rust, so they use nothing but character
classes by code point and Unicode property, on which both agree.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers

# Control and format characters (zero-width joiners, direction marks, soft hyphens, variation selectors), which change
# what a model sees and nothing that a reader sees. White space stays.
INVISIBLE = r"[\x{00}-\x{08}\x{0e}-\x{1f}\x{7f}-\x{84}\x{86}-\x{9f}\p{Cf}\x{fe00}-\x{fe0f}]"

# Keyboards of phones and word processors curl quotes; the training texts mostly have the straight ones.
STRAIGHT_QUOTES = (("[\u2018\u2019\u02bc]", "'"), ("[\u201c\u201d]", '"'))

# Letters of other scripts that look like Latin ones. Only English models fold them: to them, a Cyrillic letter inside
# of a word is a trick or a slip of the keyboard, never a word of Russian.
LOOK_ALIKES = {
    "a": "аαɑАΑ", "b": "ЬВΒ", "c": "сС", "d": "ԁ", "e": "еεєЕΕ", "g": "ɡԍ", "h": "һНΗ", "i": "іιıІΙ", "j": "јЈ", "k": "кκКΚ",
    "l": "ӏӀ", "m": "мМΜ", "n": "ոηΝ", "o": "оοσОΟ", "p": "рρРΡ", "q": "ԛ", "s": "ѕЅ", "t": "тτТΤ", "u": "υս", "v": "ѵν", "w": "ԝω",
    "x": "хχХΧ", "y": "уүγУΥ", "z": "ᴢΖ",
}


def visible() -> list[normalizers.Normalizer]:
    """Compatibility forms (full-width letters, ligatures) folded and invisible characters dropped."""
    return [normalizers.NFKC(), normalizers.Replace(Regex(INVISIBLE), "")]


def straight_quotes() -> list[normalizers.Normalizer]:
    return [normalizers.Replace(Regex(pattern), straight) for pattern, straight in STRAIGHT_QUOTES]


def latin_letters() -> list[normalizers.Normalizer]:
    return [normalizers.Replace(Regex(f"[{others}]"), letter) for letter, others in LOOK_ALIKES.items()]


def as_json(steps: list[normalizers.Normalizer]) -> list[dict[str, Any]]:
    """The steps as they stand in a tokenizer.json, to be put before those of an existing one."""
    bare = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    bare.normalizer = normalizers.Sequence(steps)
    return json.loads(bare.to_str())["normalizer"]["normalizers"]
