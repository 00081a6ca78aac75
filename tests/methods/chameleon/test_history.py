import numpy as np
import pytest

from idiolect import Opinion, Question, User
from idiolect.methods.chameleon.history import cut, first_component_scores, history_items, select_history
from tests.methods.chameleon.planted import Letters


def test_history_items_are_opinions_with_their_answers_and_then_texts() -> None:
    user = User("u", opinions=(Opinion(Question("Tea?"), "always"),), texts=("one\n two",))
    assert history_items(user, max_chars=50) == ["Tea? → always", "one two"]


def test_cut_ends_between_words() -> None:
    assert cut("one two three", 8) == "one two …"
    assert cut("one two", 8) == "one two"


def test_first_component_scores_are_largest_for_those_furthest_out() -> None:
    vectors = np.array([[0, 0], [0.1, 0], [5, 0.1], [-5, 0]], dtype=np.float32)
    assert set(np.argsort(-np.abs(first_component_scores(vectors)))[:2]) == {2, 3}


async def test_select_history_keeps_the_outliers_in_order() -> None:
    items = ["e e e e e", "e e e e a", "zzzzzz", "e e e e i", "e e e e o"]
    assert 2 in await select_history(items, Letters(), k=2)
    chosen = await select_history(items, Letters(), k=3)
    assert chosen == sorted(chosen)


@pytest.mark.parametrize("n", [1, 3])
async def test_select_history_of_few_items_keeps_all(n: int) -> None:
    assert await select_history(["a"] * n, Letters(), k=5) == list(range(n))
