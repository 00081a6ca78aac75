"""Hypothesis strategies of people: any user that the values allow, and any JSON that a file may hold instead."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from idiolect.people.user import OPINION_KEYS, USER_KEYS, Opinion, Question, User, UserProfile


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
        lambda text: not text.isspace()
    )


def storable_json() -> st.SearchStrategy[Any]:
    plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
    atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain
    return st.recursive(
        atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3), max_leaves=6
    )


def any_json() -> st.SearchStrategy[Any]:
    """With NUL characters, lone surrogates and the names of known fields in the wrong places."""
    names = st.sampled_from(sorted(USER_KEYS | OPINION_KEYS)) | st.text(st.characters(), max_size=5)
    atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
    return st.recursive(
        atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=12
    )


def extras(own_keys: frozenset[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(texts().filter(lambda key: key not in own_keys), storable_json(), max_size=2)


@st.composite
def opinions(draw: st.DrawFn) -> Opinion:
    choices = draw(st.just([]) | st.lists(texts(), min_size=2, max_size=5, unique_by=str.strip))
    question = Question(draw(texts()), tuple(choices), ordinal=bool(choices) and draw(st.booleans()))
    return Opinion(question, draw(st.sampled_from(choices) if choices else texts()), draw(extras(OPINION_KEYS)))


@st.composite
def users(draw: st.DrawFn) -> User:
    said = draw(st.lists(opinions(), max_size=3))
    wrote = draw(st.lists(texts(), min_size=0 if said else 1, max_size=2))
    profile = UserProfile(draw(st.dictionaries(texts(), texts(), max_size=3)))
    return User(draw(texts()), profile, tuple(said), tuple(wrote), draw(extras(USER_KEYS)))
