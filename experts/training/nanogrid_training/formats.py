"""What is told by its format alone, without a model, as the server does: payment cards (Luhn), IBANs (ISO 7064), IP and
e-mail addresses. Such a find has score 1 and replaces every span that it overlaps.

The server also knows how long the IBANs of each country are.
"""

from __future__ import annotations

import ipaddress
import re

from .spans.rows import Span

WORD = re.compile(r"[^\W_]+")
EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
MOST_GROUPS = 9
CARD_GROUPS = ([4, 4, 4, 4], [4, 4, 4, 4, 3], [4, 6, 5], [4, 6, 4])


def is_card(digits: str) -> bool:
    """Luhn's formula."""
    doubled = [int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits))]
    return sum(digit - 9 * (digit > 9) for digit in doubled) % 10 == 0


def is_iban(bare: str) -> bool:
    turned = bare[4:] + bare[:4]
    return (re.fullmatch(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}", bare) is not None
            and int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1)


def is_issued(number: str) -> bool:
    one, two, four, length = int(number[:1]), int(number[:2]), int(number[:4]), len(number)
    if one == 4:
        return length in (13, 16, 19)
    if two in (34, 37) or four in (1800, 2131):
        return length == 15
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in (30, 36, 38, 39):
        return length == 14
    if 3528 <= four <= 3589:
        return 16 <= length <= 19
    return two == 50 or 56 <= two <= 58 or 60 <= two <= 69


def _is_card_in_groups(groups: list[str]) -> bool:
    number, lengths = "".join(groups), [len(group) for group in groups]
    written_so = lengths in CARD_GROUPS or len(groups) == 1 and 12 <= len(number) <= 19
    return written_so and number.isascii() and number.isdigit() and is_issued(number) and is_card(number)


def _is_iban_in_groups(groups: list[str]) -> bool:
    return (len(groups) == 1 or all(len(group) == 4 for group in groups[:-1])) and is_iban("".join(groups))


def _numbers(formats: dict[str, str], text: str) -> list[Span]:
    words = [match.span() for match in WORD.finditer(text)]
    found, at = [], 0
    while at < len(words):
        n_words = 1
        while (n_words < min(MOST_GROUPS, len(words) - at)
               and text[words[at + n_words - 1][1]: words[at + n_words][0]] in (" ", "-")):
            n_words += 1
        for n in range(n_words, 0, -1):
            groups = [text[start:end] for start, end in words[at: at + n]]
            entity = (formats.get("iban") if _is_iban_in_groups(groups) else
                      formats.get("card-number") if _is_card_in_groups(groups) else None)
            if entity:
                found.append(Span(entity, words[at][0], words[at + n - 1][1]))
                at += n - 1
                break
        at += 1
    return found


def _addresses(formats: dict[str, str], text: str) -> list[Span]:
    found = []
    if entity := formats.get("email-address"):
        for match in EMAIL.finditer(text):
            whole = match.group().rstrip("-")
            found.append(Span(entity, match.start(), match.start() + len(whole)))
    if entity := formats.get("ip-address"):
        for match in re.finditer(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])", text):
            try:
                ipaddress.IPv4Address(match.group())
            except ValueError:
                continue
            found.append(Span(entity, *match.span()))
    return found


def applied(formats: dict[str, str], text: str, spans: list[tuple[Span, float]]) -> list[tuple[Span, float]]:
    for told in _addresses(formats, text) + _numbers(formats, text) if formats else []:
        if any(score == 1.0 and span.start < told.end and told.start < span.end for span, score in spans):
            continue
        spans = [(span, score) for span, score in spans if span.end <= told.start or span.start >= told.end]
        spans.append((told, 1.0))
    return sorted(spans, key=lambda found: found[0].start)
