"""Canaries tell one person from everybody else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from idiolect.erasure.byte_search import Patterns
from idiolect.erasure.canaries import (
    MOST,
    WIDTH,
    candidates,
    forms,
    own_words,
    strings,
    texts_of_learned,
    texts_of_user,
    utf8,
    without_shared,
)
from idiolect.people.user import Opinion, Question, User, UserProfile

TEXT = "I never drink coffee after noon, except on the trains of the Trans-Siberian railway."


def test_long_texts_are_cut_into_pieces_that_cover_them() -> None:
    pieces = candidates([TEXT])
    assert {len(piece) for piece in pieces} == {WIDTH}
    assert "".join(pieces[:-1]) + TEXT[-(len(TEXT) % WIDTH) :] == TEXT
    for start in range(len(TEXT) - 2 * WIDTH + 2):  # whatever is left of it, if it is long enough, holds a piece
        assert any(piece in TEXT[start : start + 2 * WIDTH - 1] for piece in pieces)


def test_short_texts_are_whole_and_those_that_tell_nothing_are_left_out() -> None:
    assert candidates(["a lion", "a lion", "lion"]) == ["a lion"]
    assert candidates(["-" * 80, "2026-05-01", "12.5", "aaaabbbb", "3.14159265"]) == []
    assert candidates(["2026-05-01 in Kyoto"]) == ["2026-05-01 in Kyoto"]


def test_there_are_at_most_so_many_spread_evenly() -> None:
    pieces = candidates(f"unlikely text {i}" for i in range(3 * MOST + 1))
    assert MOST / 2 < len(pieces) <= MOST
    assert int(pieces[-1].split()[-1]) > 2.9 * MOST


def test_what_others_hold_is_no_canary() -> None:
    pieces = candidates([TEXT, "Ölbäume 🦊"])
    assert without_shared(pieces, ["xx" + TEXT[3:60]]) == [pieces[0], pieces[2], pieces[3], "Ölbäume 🦊"]
    assert without_shared(pieces, [TEXT, "Ölbäume 🦊!"]) == []
    assert without_shared([], [TEXT]) == []


def test_parts_of_two_texts_are_not_put_together() -> None:
    assert without_shared(["a lioness"], ["a lio", "ness"]) == ["a lioness"]


@given(st.text(min_size=6, max_size=30))
def test_every_form_of_a_piece_is_known(piece: str) -> None:
    for spelled in (piece, json.dumps([piece]), json.dumps([piece], ensure_ascii=False)):
        assert Patterns(forms(piece)).count([utf8(f"before {spelled} after")]) > 0
    for code in ("utf-16-le", "utf-16-be"):
        assert piece.encode(code, "surrogatepass") in forms(piece)


def test_every_text_of_a_user_is_looked_at() -> None:
    opinion = Opinion(
        Question("the question", ("choice one", "choice two")), "choice one", extra={"a key": ["a value"]}
    )
    user = User("the id", UserProfile({"Zodiac": "Lion"}), (opinion,), ("a text",), extra={"e": {"deep": {"est": "x"}}})
    texts = {"the id", "the question", "choice one", "choice two", "a key", "a value", "Zodiac", "Lion", "a text"}
    assert set(texts_of_user(user)) == texts | {"e", "deep", "est", "x"}


def test_what_was_learned_gives_its_values_without_settings_and_names() -> None:
    payload = {"model": "openai:gpt", "settings": {"preset": "paper"}, "memory": [{"text": "Answer as a sailor"}, 3]}
    assert list(texts_of_learned(payload)) == ["Answer as a sailor"]
    assert list(strings({"a": ("b", {"c": None})}, keys=True)) == ["a", "b", "c"]


def test_own_words_are_source_and_templates_without_the_bundled_people() -> None:
    words = own_words()
    assert any("without the bundled people" in text for text in words)
    assert any("{{" in text for text in words)
    assert not any('"opinions": [{' in text for text in words)
