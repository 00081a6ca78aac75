"""Countries of international surveys, which name one country in several ways: "Britain" and "Great Britain".

one_name("S. Korea") = one_name("South Korea") = one_name("South Korea (Non-national sample)") = "South Korea"

Below the task GlobalOpinionQA, where all names of a country must be in one group of people. Only names that two surveys
use for the same people are equal: Great Britain and Northern Ireland, or China and Hong Kong, are not.
"""

from __future__ import annotations

import re
import unicodedata

_NOTE = re.compile(r"\s*[(\[][^()\[\]]*(?:sample|survey|wave|\d{4})[^()\[\]]*[)\]]\s*$", re.IGNORECASE)
_WORDS = re.compile(r"[a-z0-9]+")

_ABBREVIATED = {
    "dem": "democratic",
    "fed": "federation",
    "herz": "herzegovina",
    "hzgv": "herzegovina",
    "is": "islands",
    "n": "north",
    "rep": "republic",
    "s": "south",
    "st": "saint",
    "ter": "territories",
    "terr": "territories",
}
_LEFT_OUT = frozenset({"and", "the", "of"})

_SAME = (
    ("bosnia herzegovina", "bosnia"),
    ("brunei", "brunei darussalam"),
    ("cape verde", "cabo verde"),
    ("east timor", "timor leste"),
    ("bolivia", "bolivia plurinational state"),
    ("britain", "great britain", "united kingdom", "uk", "gb", "u k", "united kingdom great britain northern ireland"),
    ("china", "peoples republic china", "mainland china", "china mainland", "pr china"),
    ("czech republic", "czechia"),
    ("democratic republic congo", "dr congo", "congo democratic republic", "congo dr", "congo kinshasa", "drc"),
    ("egypt", "arab republic egypt", "egypt arab republic"),
    ("eswatini", "swaziland"),
    ("germany", "federal republic germany"),
    ("hong kong", "hong kong sar", "hong kong china", "hong kong sar china"),
    ("ireland", "republic ireland"),
    ("iran", "islamic republic iran", "iran islamic republic"),
    ("ivory coast", "cote d ivoire"),
    ("kyrgyzstan", "kyrgyz republic"),
    ("laos", "lao pdr"),
    ("macau", "macau sar", "macao", "macao sar", "macau sar china", "macao sar china"),
    ("moldova", "republic moldova", "moldova republic"),
    ("myanmar", "burma"),
    ("netherlands", "holland"),
    ("northern ireland", "north ireland"),
    ("north korea", "dprk", "korea north", "democratic peoples republic korea"),
    ("north macedonia", "macedonia", "republic north macedonia", "fyr macedonia", "macedonia fyr"),
    ("palestinian territories", "palest territories", "palestine", "palestinian territory", "state palestine"),
    ("russia", "russian federation"),
    ("slovakia", "slovak republic"),
    ("south korea", "korea", "republic korea", "korea republic", "korea south", "south korean republic"),
    ("south africa", "republic south africa"),
    ("syria", "syrian arab republic"),
    ("taiwan", "taiwan roc", "taiwan republic china", "chinese taipei"),
    ("tanzania", "united republic tanzania", "tanzania united republic"),
    ("turkey", "turkiye"),
    ("united arab emirates", "uae"),
    ("united states", "usa", "us", "u s", "u s a", "united states america", "america"),
    ("venezuela", "bolivarian republic venezuela", "venezuela bolivarian republic"),
    ("vietnam", "viet nam"),
)
_SAME_AS = {other: names[0] for names in _SAME for other in names}


def one_name(name: str) -> str:
    """Return the same name for all names of a country, and for its samples, such as "India (Old national sample)".

    It is one of the published names, in the spelling of titles: "Britain", "South Korea".
    """
    bare = name.strip()
    while (shorter := _NOTE.sub("", bare)) and shorter != bare:
        bare = shorter
    plain = "".join(c for c in unicodedata.normalize("NFKD", bare.casefold()) if not unicodedata.combining(c))
    letters = "".join(plain.replace(".", "").split())  # "u.s." is one word, and its "s" is not "south"
    words = [_ABBREVIATED.get(word, word) for word in _WORDS.findall(plain.replace("’", "'").replace("'s", "s"))]
    folded = letters if letters in _SAME_AS else " ".join(word for word in words if word not in _LEFT_OUT)
    if folded in _SAME_AS:
        return _SAME_AS[folded].title()
    has_other_letters = any(character.isalpha() and not character.isascii() for character in plain)
    return " ".join(bare.split()) if has_other_letters or not folded else folded.title()
