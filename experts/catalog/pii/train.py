"""The pii expert: the templates of Presidio's set and some of our own, filled anew with names, numbers and addresses.

Personal data has few frames and endless fillings. So no filling is seen often: numbers are made up by the rules that make
them valid (or nearly so), names come from WikiANN as well, and addresses are put together.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from nanogrid_training.formats import is_card, is_iban
from nanogrid_training.settings import Source
from nanogrid_training.spans.package import TagPackage
from nanogrid_training.spans.recipe import Spans
from nanogrid_training.spans.rows import Span, Spanned

PRESIDIO = "safety/pii_presidio"
OWN = "own"
NAMES = "ner/wikiann_en_de_fr_nl"
ADDRESS = "STREET_ADDRESS"
HOLE = re.compile(r"\{\{(?:=(.*?)=)?([A-Z_]+)\}\}", re.DOTALL)
MADE_UP = 0.6  # of the fillings; the others are from the set's training part

STREETS = ("Street", "St", "St.", "Road", "Rd", "Avenue", "Ave", "Lane", "Drive", "Way", "Court", "Terrace", "Boulevard", "Close",
           "Square", "Place", "Parkway", "Trail")
STREETS_ABROAD = ("Rue {}", "Rue de {}", "Avenue {}", "Via {}", "Viale {}", "Calle {}", "Avda. {}", "Rua {}", "{}straße", "{}weg", "{}gasse",
                  "{}straat", "{}laan", "{}gatan", "{}vägen", "{} vej", "{}gade", "{} gata", "{}katu", "{}tie", "{} utca", "ul. {}", "{} út",
                  "Praça {}", "Chemin {}")
FLOORS = ("Suite {}", "Apt. {}", "Apt {}", "Unit {}", "Floor {}")
JOBS = ("engineer", "nurse", "teacher", "accountant", "driver", "technician", "analyst", "manager", "clerk", "scientist", "designer",
        "operator", "consultant", "assistant", "inspector", "mechanic", "surgeon", "editor", "planner", "chef")
FIELDS = ("Software", "Civil", "Sales", "Dental", "Legal", "Bank", "Research", "Data", "Medical", "Electrical", "Office", "Security")
TITLES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Miss", "Mr", "Mrs", "Ms", "Dr", "Prof.", "Sir", "Professor")
PEOPLES = tuple("""Afghan Albanian Algerian Argentinian Armenian Australian Austrian Bangladeshi Belgian Bolivian Bosnian Brazilian
British Bulgarian Cambodian Canadian Chilean Chinese Colombian Cuban Cypriot Danish Egyptian Estonian Ethiopian Finnish French Georgian
Ghanaian Greek Haitian Indian Indonesian Iranian Iraqi Irish Israeli Jamaican Japanese Jordanian Kenyan Korean Kurdish Latvian Lebanese
Lithuanian Malaysian Maltese Mexican Moroccan Nepalese Nigerian Norwegian Pakistani Peruvian Polish Portuguese Romanian Scottish Senegalese
Serbian Slovak Slovenian Somali Swiss Syrian Taiwanese Thai Tunisian Turkish Ukrainian Vietnamese Welsh Catholic Muslim Jewish Buddhist
Hindu Protestant Democrat Republican norwegians greeks turks poles danes mexicans""".split())
COMPANIES = ("Inc", "Inc.", "LLC", "Ltd", "Group", "Corporation", "GmbH", "& Sons", "Partners", "Bank", "Systems", "Solutions",
             "Technologies", "Insurance", "Foods", "Media", "Brothers")
COUNTRIES_OF_IBANS = {"GB": 18, "DE": 18, "FR": 23, "NL": 14, "CH": 17, "AT": 16, "ES": 20, "IT": 23, "BE": 12, "PL": 24, "SE": 20, "NO": 11}
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
ENDINGS = ("com", "org", "net", "de", "co.uk", "fr", "be", "nl", "ca", "pl", "com.au", "io")
PHONES = ("(###)###-####", "###-###-####", "###.###.####", "+1-###-###-####", "001-###-###-####", "###-###-####x###", "+41 (0)## ### ## ##",
          "+46 (0)## ### ## ##", "+447### ### ###", "+447########", "0## ### ## ##", "0### ## ## ##", "0#.##.##.##.##", "## ### ###",
          "### ### ###", "### ####", "##########", "####-#######", "+49 ### #######", "+33 # ## ## ## ##", "+1 (###) ###-####", "##-##-##-##")
LICENSES = ("#######", "?############", "?##############", "####-##-####", "?###-####-####", "?#######", "??######", "########")
ZIPS = ("#####", "####", "### ##", "##-###", "####-###", "?#? #?#", "#####-####", "#### ??", "###")


class Training(Spans):
    def rows_of(self, source: Source, part: str) -> Iterable[Spanned]:
        if source.name != OWN:
            return super().rows_of(source, part)
        lines = (self.settings.home / OWN / "templates.txt").read_text("utf-8").splitlines()
        rng = random.Random(self.settings.seed)
        return [self._filled(rng, line.replace("\\n", "\n")) for line in lines]

    def extra(self, package: TagPackage, manifest: dict[str, Any]) -> str:
        return ("The dev set has only 18 templates, and some of the own templates were written after looking at what an earlier "
                "model made of them: read its numbers as an upper bound. Fillings (names, numbers, addresses) are new to the model.")

    def rows(self) -> dict[str, int]:
        return {**super().rows(), NAMES: sum(map(len, self._pool.values()))}

    def varied(self, rng: random.Random, source: Source, row: Spanned) -> Spanned:
        parts, at = [], 0
        in_parts = sum(span.entity == ADDRESS for span in row.spans) > 1
        for span in row.spans:
            # An address in several parts keeps them but for their digits: parts made up elsewhere would not fit together.
            kept = f"={row.text[span.start:span.end]}=" if in_parts and span.entity == ADDRESS else ""
            parts += [row.text[at:span.start], "{{", kept, span.entity, "}}"]
            at = span.end
        return self._filled(rng, "".join([*parts, row.text[at:]]))

    def _filled(self, rng: random.Random, template: str) -> Spanned:
        spans, parts, at, length = [], [], 0, 0
        for hole in HOLE.finditer(template):
            before = template[at:hole.start()]
            filling = _other_digits(hole[1], rng) if hole[1] else self._filling(rng, hole[2])
            parts += [before, filling]
            start = length + len(before)
            length = start + len(filling)
            spans.append(Span(hole[2], start, length))
            at = hole.end()
        return Spanned("".join([*parts, template[at:]]), tuple(spans))

    def _filling(self, rng: random.Random, entity: str) -> str:
        seen = self._seen[entity]
        return rng.choice(seen) if rng.random() >= MADE_UP else getattr(self, f"_{entity.lower()}")(rng)

    @cached_property
    def _seen(self) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for row in super().rows_of(self._source(PRESIDIO), "train"):
            in_parts = sum(span.entity == ADDRESS for span in row.spans) > 1
            for span in row.spans:
                if not (in_parts and span.entity == ADDRESS):
                    found.setdefault(span.entity, set()).add(row.text[span.start:span.end])
        return {entity: sorted(texts) for entity, texts in found.items()}

    def _source(self, name: str) -> Source:
        return next(source for source in self.settings.sources if source.name == name)

    @cached_property
    def _pool(self) -> dict[str, list[str]]:
        """Persons of two or three words and places of one or two, of four languages."""
        found: dict[str, set[str]] = {"PER": set(), "LOC": set()}
        for row in super().rows_of(self._source(NAMES), "train"):
            for span in row.spans:
                words = row.text[span.start:span.end].split()
                plain = all(word[0].isupper() and word.replace("-", "").isalpha() for word in words)
                if plain and (len(words) in (2, 3) if span.entity == "PER" else len(words) <= 2):
                    found.setdefault(span.entity, set()).add(" ".join(words))
        return {kind: sorted(names) for kind, names in found.items()}

    def _person(self, rng: random.Random) -> str:
        name = rng.choice(self._pool["PER"])
        draw = rng.random()
        if draw < 0.25:
            name = rng.choice(name.split())
        elif draw < 0.32:
            first, *rest = name.split()
            name = f"{first} {rng.choice(string.ascii_uppercase)}. {rest[-1]}"
        return name.lower() if rng.random() < 0.08 else name.upper() if rng.random() < 0.04 else name

    def _gpe(self, rng: random.Random) -> str:
        name = rng.choice(self._pool["LOC"])
        return name.upper() if rng.random() < 0.2 else name.lower() if rng.random() < 0.05 else name

    def _organization(self, rng: random.Random) -> str:
        name = rng.choice(self._pool["PER"]).split()[-1]
        if rng.random() < 0.3:
            return f"{name} {rng.choice(COMPANIES)}"
        if rng.random() < 0.5:
            return f"{rng.choice(self._pool['LOC'])} {rng.choice(COMPANIES)}"
        return f"{name}{rng.choice([' and ', '-', ', '])}{rng.choice(self._pool['PER']).split()[-1]}"

    def _street_address(self, rng: random.Random) -> str:
        name = rng.choice(self._pool["PER"]).split()[-1]
        street = f"{name} {rng.choice(STREETS)}" if rng.random() < 0.5 else rng.choice(STREETS_ABROAD).format(name)
        number = _digits(rng.choice(["#", "##", "###", "####", "#####", "0##"]), rng)
        draw = rng.random()
        if draw < 0.2:
            return street
        line = f"{number} {street}" if rng.random() < 0.75 else f"{street} {number}"
        if draw < 0.4:
            return line
        if rng.random() < 0.5:
            line = f"{number} {_digits('##', rng)} {street}"
        floor = rng.choice(FLOORS).format(_digits("###", rng)) if rng.random() < 0.7 else ""
        line += rng.choice([" ", "\n ", ", "]) + floor if floor else ""
        if draw < 0.5:
            return line
        gap = rng.choice(["\n", "\n ", ", "])
        place, country = self._gpe(rng), rng.choice(self._pool["LOC"])
        zip_code = self._zip_code(rng)
        return line + gap + rng.choice([f"{place}{gap}{country} {zip_code}", f"{place}, {country[:2].upper()} {zip_code}",
                                        f"{zip_code} {place}", f"{place} {zip_code}"])

    @staticmethod
    def _credit_card(rng: random.Random) -> str:
        length = rng.choice([12, 13, 14, 15, 15, 16, 16, 16, 16, 16, 19])
        start = rng.choice(["4", "4", "51", "53", "2221", "34", "37", "35", "36", "6011", "65", "50", "58", "63", "67", "1800", "2131"])
        bare = start + _digits("#" * (length - len(start) - 1), rng)
        bare += next(digit for digit in string.digits if is_card(bare + digit)) if rng.random() < 0.95 else "0"
        if length == 16 and rng.random() < 0.25:
            return rng.choice([" ", "-"]).join(bare[i: i + 4] for i in range(0, 16, 4))
        return bare

    @staticmethod
    def _iban_code(rng: random.Random) -> str:
        country = rng.choice(sorted(COUNTRIES_OF_IBANS))
        letters = "".join(rng.choices(string.ascii_uppercase, k=4)) if country in ("GB", "NL") else ""
        rest = letters + _digits("#" * (COUNTRIES_OF_IBANS[country] - len(letters)), rng)
        whole = next(whole for i in range(2, 99) if is_iban(whole := f"{country}{i:02}{rest}"))
        return " ".join(whole[i: i + 4] for i in range(0, len(whole), 4)) if rng.random() < 0.2 else whole

    @staticmethod
    def _us_ssn(rng: random.Random) -> str:
        return _digits("###-##-####", rng)

    @staticmethod
    def _us_driver_license(rng: random.Random) -> str:
        return _digits(rng.choice(LICENSES), rng)

    @staticmethod
    def _age(rng: random.Random) -> str:
        return str(rng.randint(1, 99))

    @staticmethod
    def _zip_code(rng: random.Random) -> str:
        return _digits(rng.choice(ZIPS), rng)

    @staticmethod
    def _phone_number(rng: random.Random) -> str:
        return _digits(rng.choice(PHONES), rng)

    def _email_address(self, rng: random.Random) -> str:
        name = rng.choice(self._pool["PER"]).split()
        user = rng.choice([".", "", "_"]).join(name) + _digits(rng.choice(["", "", "##"]), rng)
        site = f"{rng.choice(self._pool['PER']).split()[-1].lower()}.{rng.choice(ENDINGS)}"
        return f"{user if rng.random() < 0.6 else user.lower()}@{site}"

    def _domain_name(self, rng: random.Random) -> str:
        words = "".join(rng.choice(self._pool["PER"]).split())
        site = f"{words if rng.random() < 0.5 else words.lower()}.{rng.choice(ENDINGS)}"
        return rng.choice(["http://www.{}/", "http://{}/", "https://{}", "www.{}", "https://www.{}/", "{}"]).format(site)

    @staticmethod
    def _ip_address(rng: random.Random) -> str:
        if rng.random() < 0.12:
            return ":".join(f"{rng.randrange(1 << 16):x}" for _ in range(8))
        return ".".join(str(rng.randint(1, 254)) for _ in range(4))

    @staticmethod
    def _date_time(rng: random.Random) -> str:
        year, month, day = rng.randint(1925, 2026), rng.randint(1, 12), rng.randint(1, 28)
        clock = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
        return rng.choice([str(year), f"{month}/{day}/{year}", f"{year}-{month:02}-{day:02}", f"{year}-{month:02}-{day:02} {clock}",
                           f"{MONTHS[month - 1]} {day}, {year}", f"{day} {MONTHS[month - 1]} {year}", f"{day:02}.{month:02}.{year}",
                           f"{MONTHS[month - 1]} {year}"])

    @staticmethod
    def _title(rng: random.Random) -> str:
        return rng.choice(TITLES) if rng.random() < 0.6 else f"{rng.choice(FIELDS)} {rng.choice(JOBS)}"

    @staticmethod
    def _nrp(rng: random.Random) -> str:
        return rng.choice(PEOPLES)


def _digits(pattern: str, rng: random.Random) -> str:
    """`#` is any digit, `?` any capital."""
    return "".join(rng.choice(string.digits) if letter == "#" else rng.choice(string.ascii_uppercase) if letter == "?" else letter
                   for letter in pattern)


def _other_digits(text: str, rng: random.Random) -> str:
    return "".join(rng.choice(string.digits) if letter.isdigit() else letter for letter in text)
